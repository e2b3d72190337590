package bench

import (
	"strconv"
	"testing"
)

// TestSendersReachEveryRoom: senders that send long enough reach every room, none twice before
// that where rooms outnumber sends, and no more than a server lets one connection send to.
func TestSendersReachEveryRoom(t *testing.T) {
	for _, c := range []struct{ rooms, senders, turns, want int }{
		{1, 64, 5, 1}, {10, 64, 5, 10}, {1000, 64, 16, 1000}, {100_000, 64, 200, 64 * 200}, {100, 3, 34, 100},
		{100_000, 64, 1100, 64_000}, // no more than a connection may
	} {
		names := make([]string, c.rooms)
		for i := range names {
			names[i] = strconv.Itoa(i)
		}
		room := inTurn(names, c.senders)
		reached := make(map[string]bool)
		for sender := range c.senders {
			for turn := range c.turns {
				reached[room(sender, turn)] = true
			}
		}
		if len(reached) != c.want {
			t.Errorf("%d sends of %d senders to %d rooms reach %d of them, not %d", c.senders*c.turns, c.senders, c.rooms, len(reached), c.want)
		}
	}
}
