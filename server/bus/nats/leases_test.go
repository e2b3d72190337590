//go:build unix

package nats_test

import (
	"strings"
	"testing"
	"time"

	"roomlog/server/bus/nats"
	"roomlog/server/bus/nats/natstest"
	"roomlog/server/room"
	"roomlog/server/room/leasetest"
)

func openLeases(t testing.TB, s *natstest.Server, cluster string) room.Leases {
	t.Helper()
	l, err := nats.OpenLeases(s.URL(), cluster)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLeases(t *testing.T) {
	leasetest.Run(t, func(t testing.TB) leasetest.Factory {
		s, err := natstest.Start(`jetstream { max_memory_store: 16MB, store_dir: "` + t.TempDir() + `" }`)
		if err != nil {
			t.Fatal(err)
		}
		check := func(t testing.TB, err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		t.Cleanup(func() { check(t, s.Close()) })
		return leasetest.Factory{
			Open:    func(t testing.TB, cluster string) room.Leases { return openLeases(t, s, cluster) },
			Stop:    func(t testing.TB) { check(t, s.Stop()) },
			Start:   func(t testing.TB) { check(t, s.Restart()) },
			Pause:   func(t testing.TB) { check(t, s.Pause()) },
			Resume:  func(t testing.TB) { check(t, s.Resume()) },
			NoFlush: "a bucket in memory is lost when the server is started again, which is tested",
		}
	})
}

// Without JetStream nodes have no leases, and the reason says what to do.
func TestLeasesWithoutJetStream(t *testing.T) {
	s, err := natstest.Start()
	no(t, err)
	t.Cleanup(func() { no(t, s.Close()) })
	l := openLeases(t, s, "main")
	_, err = l.Hold(t.Context(), "a", time.Minute)
	if err == nil || !strings.Contains(err.Error(), "jetstream {}") || !room.AsError(err).Retryable() {
		t.Errorf("hold: %v", err)
	}
	no(t, l.Close())
}
