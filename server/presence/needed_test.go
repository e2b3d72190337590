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
		late.showsAllAsGood(2)
	})
}

// What other nodes say may be longer on its way than a reader is let wait: what is shown until then is stale, also on a node that has long
// been there and that nobody read the room on (PRES-11).
func TestStaleUntilOthersAnswered(t *testing.T) {
	inWorld(t, 2, nil, func(w *world, nodes []*node) {
		nodes[0].open("u1")
		nodes[1].open("u2")
		late := w.start("late", nil, true)
		sleep(5 * time.Second) // of the bubble's clock: it holds a lease
		w.mu.Lock()
		w.late = 400 * time.Millisecond
		w.mu.Unlock()
		late.Needed(hall)
		late.showsAllAsGood(2)
	})
}

// What was said while nobody read the room on a node is asked for as soon as somebody does again (PRES-11).
func TestReadAgain(t *testing.T) {
	inWorld(t, 2, nil, func(w *world, nodes []*node) {
		nodes[0].open("u1")
		nodes[1].open("u2")
		sleep(3 * time.Second) // nothing is due there soon
		nodes[0].Unneeded(hall)
		nodes[1].open("u3")
		sleep(5 * time.Second) // nothing follows what was said
		nodes[0].reads()
		nodes[0].showsAllAsGood(3)
	})
}

// reads begins as a reader who has seen nothing.
func (n *node) reads() {
	n.mu.Lock()
	clear(n.view)
	n.frames = 0
	n.mu.Unlock()
	n.Needed(hall)
}

// showsAllAsGood fails where within 5 s fewer users than all are shown as good, or it is stale at their end.
func (n *node) showsAllAsGood(all int) {
	n.w.t.Helper()
	good := false
	for range 5000 {
		sleep(time.Millisecond)
		n.mu.Lock()
		shown := len(n.view)
		good = n.frames > 0 && !n.about.Stale
		n.mu.Unlock()
		if good && shown != all {
			n.w.t.Errorf("%d users are shown as good, want %d", shown, all)
			return
		}
	}
	if !good {
		n.w.t.Error("after 5 s it is stale still")
	}
}
