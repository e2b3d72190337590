//go:build peers

package bench

import (
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// TestPeersSpeak runs the rows that every peer has on each of them, for a moment. `make peers` does it, once they
// are built: they come from the network, which no other test needs.
func TestPeersSpeak(t *testing.T) {
	dir, err := filepath.Abs("../bin/peers")
	if err != nil {
		t.Fatal(err)
	}
	peersDir = dir
	var o Options
	o.Runs, o.Duration, o.Idle, o.Readers, o.Senders, o.Rooms, o.Rejoin = 1, 200*time.Millisecond, 50, 20, 4, 5, 20
	o.withDefaults()
	for _, p := range peers {
		if err := p.built(); err != nil {
			t.Fatal(err)
		}
		for _, sc := range scenarios {
			if !slices.Contains([]string{"fanout-steady", "fanout", "rooms-fanout", "sends-one-room", "sends-many-rooms", "rejoin", "rejoin-one-room"}, sc.name) || p.can()&sc.needs != sc.needs {
				continue // the others take longer than a moment
			}
			t.Run(p.name()+"/"+sc.name, func(t *testing.T) {
				if _, err := once(t.Context(), sc, p, o, t.Name()); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
