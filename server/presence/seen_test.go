package presence

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"roomlog/server/room"
)

// Who is there is stored each minute, and when the last connection ended (PRES-16); what the store did not take is tried again.
func TestLastSeen(t *testing.T) {
	seen := map[string]room.LastSeen{}
	calls, down := 0, false
	var mu sync.Mutex
	keep := func(_ context.Context, list []room.LastSeen) error {
		mu.Lock()
		defer mu.Unlock()
		calls++
		if down {
			return errors.New("the store is down")
		}
		for _, one := range list {
			seen[one.User] = one
		}
		return nil
	}
	inWorld(t, 1, func(c *Config) { c.Seen = keep }, func(w *world, nodes []*node) {
		a := nodes[0]
		mu.Lock() // but while the test sleeps
		defer mu.Unlock()
		sleep := func(d time.Duration) {
			mu.Unlock()
			sleep(d)
			mu.Lock()
		}
		one, two := a.open("u1"), a.open("u1")
		sleep(3 * time.Second)
		if !seen["u1"].There(time.Now()) {
			t.Errorf("seen %v", seen)
		}
		before := calls
		sleep(10 * time.Minute)
		if n := calls - before; n < 9 || n > 11 || !seen["u1"].There(time.Now()) {
			t.Errorf("stored %d times in ten minutes: %v", n, seen)
		}
		one.close()
		sleep(10 * time.Second)
		if !seen["u1"].There(time.Now()) {
			t.Errorf("one of two tabs was closed: %v", seen)
		}
		if rooms := a.Rooms("u1", 10); len(rooms) != 1 || rooms[0] != hall || len(a.Rooms("u2", 10)) != 0 {
			t.Errorf("rooms %v", rooms)
		}
		down = true
		gone := time.Now()
		two.close()
		sleep(time.Minute)
		down = false
		sleep(5 * time.Second)
		if got := seen["u1"]; got.There(time.Now()) || !got.At.Equal(gone.UTC().Truncate(time.Microsecond)) {
			t.Errorf("seen %v, gone at %v", got, gone)
		}
		if len(a.Rooms("u1", 10))+len(a.known)+len(a.here)+len(a.unseen) != 0 {
			t.Error("something is kept of who has gone")
		}
	})
}
