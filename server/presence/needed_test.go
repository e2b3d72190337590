package presence

import (
	"testing"
	"time"
)

// Who comes to a node that nobody read the room on is shown everybody at once, those on other nodes too: a client that comes back to
// another node, or to one that was just started, sees nobody vanish and return (PRES-2, PRES-12).
func TestFirstShownIsWhole(t *testing.T) {
	inWorld(t, 2, nil, func(w *world, nodes []*node) {
		nodes[0].open("u1")
		nodes[1].open("u2")
		w.settle()
		late := w.start("late", nil, true)
		w.settle()
		late.Needed(hall)
		late.open("u3")
		w.settle()
		late.sees("u1", "u2", "u3")
		late.mu.Lock()
		defer late.mu.Unlock()
		if late.frames != 1 {
			t.Errorf("%d frames brought who was there already, want 1: %+v", late.frames, late.events)
		}
	})
}

// Readers who come to a node before it holds a lease and hears others are told that what it shows is stale, until it has asked the others
// who is there (PRES-11): at no moment is somebody missing from what is not stale.
func TestStaleUntilOthersWereAsked(t *testing.T) {
	inWorld(t, 2, nil, func(w *world, nodes []*node) {
		nodes[0].open("u1")
		nodes[1].open("u2")
		w.settle()
		late := w.start("late", nil, true)
		late.Needed(hall)
		over := false
		for range 5000 {
			sleep(time.Millisecond)
			late.mu.Lock()
			good, shown := late.frames > 0 && !late.about.Stale, len(late.view)
			late.mu.Unlock()
			if over = over || good; good && shown != 2 {
				t.Fatalf("%d users are shown as good, want 2", shown)
			}
		}
		if !over {
			t.Error("after 5 s it is stale still")
		}
	})
}
