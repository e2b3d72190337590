package presence

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"roomlog/server/room"
)

// slow has what a node says take so much longer.
func (w *world) slow(n *node, by time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n.slow = by
}

// unread starts a node that has been there for a while, and on which nobody reads.
func (w *world) unread(name string) *node {
	n := w.start(name, nil, true)
	n.loaded(false)
	sleep(5 * time.Second)
	return n
}

// loaded says whether a node has rooms in memory.
func (n *node) loaded(is bool) {
	n.w.mu.Lock()
	defer n.w.mu.Unlock()
	n.away = !is
}

// visits begins as a reader who had seen users elsewhere.
func (n *node) visits(seen ...string) {
	n.mu.Lock()
	n.client.has = make(map[string]bool)
	for _, user := range seen {
		n.client.has[user] = true
	}
	n.mu.Unlock()
	n.loaded(true)
	n.Needed(hall)
}

// page asks a node for who is there, and says how long that took.
func (n *node) page() (Page, time.Duration) {
	n.w.t.Helper()
	n.loaded(true) // from here on
	began := time.Now()
	page, err := n.Page(n.w.t.Context(), hall, "", 100)
	if err != nil {
		n.w.t.Error(err)
	}
	return page, time.Since(began)
}

// A page of a room that nobody followed on the node waits until every node that lives has answered, also those that have nothing to say of
// the room, and no longer (PRES-14).
func TestPageWaitsForAllAlone(t *testing.T) {
	inWorld(t, 2, nil, func(w *world, nodes []*node) {
		nodes[0].open("u1")
		nodes[1].open("u2")
		w.unread("idle")
		late := w.unread("late")
		page, took := late.page()
		if page.Users != 2 || page.Stale || took >= 100*time.Millisecond {
			t.Errorf("%d users, stale %t, after %v", page.Users, page.Stale, took)
		}
	})
}

// A page that lacks what a node with a lease has not answered says so: one that is slow (PRES-14).
func TestPageSaysThatANodeIsSlow(t *testing.T) {
	inWorld(t, 2, nil, func(w *world, nodes []*node) {
		nodes[0].open("u1")
		nodes[1].open("u2")
		late := w.unread("late")
		w.slow(nodes[1], 3*time.Second)
		for range 2 { // the second comes while the first waits no more
			page, took := late.page()
			if page.Users != 1 || !page.Stale || took > time.Second {
				t.Errorf("%d users, stale %t, after %v", page.Users, page.Stale, took)
			}
		}
		sleep(4 * time.Second)
		if page, took := late.page(); page.Users != 2 || page.Stale || took > 0 {
			t.Errorf("once it has answered: %d users, stale %t, after %v", page.Users, page.Stale, took)
		}
	})
}

// And one that was killed, until its lease and the grace are over.
func TestPageSaysThatANodeWasKilled(t *testing.T) {
	inWorld(t, 3, nil, func(w *world, nodes []*node) {
		nodes[0].open("u1")
		nodes[1].open("u2")
		late := w.unread("late")
		nodes[1].end()
		for range 9 { // seconds: the lease is held still
			if page, _ := late.page(); page.Users != 1 || !page.Stale {
				t.Errorf("%d users, stale %t", page.Users, page.Stale)
			}
			sleep(time.Second)
		}
		sleep(12 * time.Second)
		if page, _ := late.page(); page.Users != 1 || page.Stale {
			t.Errorf("after the lease: %d users, stale %t", page.Users, page.Stale)
		}
	})
}

// Who comes to a node that begins to follow the room is shown nothing as good that lacks what a node with a lease has not answered yet,
// however late that is, and nobody whom they had seen goes (PRES-11).
func TestStaleWhileANodeIsSilent(t *testing.T) {
	for _, by := range []time.Duration{0, 400 * time.Millisecond, 2 * time.Second, 6 * time.Second} {
		t.Run(by.String(), func(t *testing.T) {
			inWorld(t, 2, nil, func(w *world, nodes []*node) {
				nodes[0].open("u1")
				nodes[1].open("u2")
				late := w.unread("late")
				w.slow(nodes[1], by)
				late.visits("u1", "u2")
				late.open("u3")
				late.staysGood(20*time.Second, "u1", "u2", "u3")
			})
		})
	}
}

// So it is where a node is killed before it has answered and starts again: its users have the grace (PRES-10).
func TestStaleWhileAKilledNodeHasTheGrace(t *testing.T) {
	inWorld(t, 2, nil, func(w *world, nodes []*node) {
		a, b := nodes[0], nodes[1]
		a.open("u1")
		b.open("u2")
		late := w.unread("late")
		b.end()
		sleep(time.Second)
		again := w.start("b", nil, true)
		sleep(time.Second)
		late.visits("u1", "u2")
		sleep(1500 * time.Millisecond)
		again.Needed(hall)
		again.open("u2")
		late.staysGood(20*time.Second, "u1", "u2")
	})
}

// staysGood fails where a reader is shown others than these as good meanwhile, or loses one of them, or if it is stale at the end.
func (n *node) staysGood(within time.Duration, want ...string) {
	n.w.t.Helper()
	good := false
	for began := time.Now(); time.Since(began) < within; {
		sleep(time.Millisecond)
		n.mu.Lock()
		good = n.frames > 0 && !n.about.Stale
		n.mu.Unlock()
		if got := n.users(); good && !slices.Equal(got, want) {
			n.w.t.Errorf("%v are shown as good, want %v", got, want)
			return
		}
	}
	if n.mu.Lock(); !good || len(n.client.lost) > 0 {
		n.w.t.Errorf("good %t, the reader lost %v", good, n.client.lost)
	}
	n.mu.Unlock()
}

// Who moved from one node to another while the bus was away is not shown as gone because the other answers late, whether it had told of the
// room before or not (PRES-11).
func TestLateAnswersAfterTheBusWasAway(t *testing.T) {
	for _, before := range []bool{true, false} {
		t.Run(fmt.Sprintf("told before=%t", before), func(t *testing.T) {
			inWorld(t, 3, nil, func(w *world, nodes []*node) {
				a, b, c := nodes[0], nodes[1], nodes[2]
				want := []string{"u1", "u2"}
				a.open("u1")
				moves := b.open("u2")
				if before {
					c.open("u3")
					want = append(want, "u3")
				}
				w.settle()
				w.carry(false)
				moves.close()
				c.open("u2")
				sleep(10 * time.Second)
				w.slow(c, 4*time.Second)
				w.carry(true)
				a.staysGood(20*time.Second, want...)
				a.wentOnly()
			})
		})
	}
}

// Who moved to another node just before the bus went away stays where they were as well (PRES-11).
func TestMovedJustBeforeTheBusWasAway(t *testing.T) {
	inWorld(t, 2, nil, func(w *world, nodes []*node) {
		a, b := nodes[0], nodes[1]
		moves := a.open("u1")
		gone := a.open("u2")
		w.settle()
		w.carry(false)
		moves.close()
		gone.close()
		b.open("u1")
		sleep(10 * time.Second)
		a.sees("u1", "u2")
		w.carry(true)
		sleep(5 * time.Second)
		for _, n := range nodes {
			n.sees("u1")
			n.wentOnly("u2")
		}
	})
}

// What a node says of a large room takes several messages: nobody is gone between two of them.
func TestSeveralMessagesAreOneAnswer(t *testing.T) {
	inWorld(t, 2, nil, func(w *world, nodes []*node) {
		a := nodes[0]
		hear := func(body string) { a.Hear(room.ID(hall), []byte(body)) }
		hear(`{"n":"x","v":9,"i":5,"f":true,"s":[{"c":"c1","u":"u1","s":1},{"c":"c2","u":"u2","s":1}]}`)
		sleep(time.Second)
		a.sees("u1", "u2")
		hear(`{"n":"x","v":9,"i":7,"p":5,"f":true,"m":true,"s":[{"c":"c1","u":"u1","s":1}]}`)
		sleep(time.Second)
		a.sees("u1", "u2")
		if !a.frame().Stale {
			t.Error("it is not marked as stale")
		}
		hear(`{"n":"x","v":9,"i":8,"p":7,"s":[{"c":"c2","u":"u2","s":1},{"c":"c3","u":"u3","s":1}]}`)
		sleep(time.Second)
		a.sees("u1", "u2", "u3")
		if a.frame().Stale {
			t.Error("it is marked as stale")
		}
	})
}

// Where the bus was away and nothing came to pass meanwhile, a node that is asked says that this was all, not all of it again.
func TestNothingIsSaidAgainThatIsKnown(t *testing.T) {
	inWorld(t, 2, nil, func(w *world, nodes []*node) {
		a, b := nodes[0], nodes[1]
		for i := range 100 {
			b.open(fmt.Sprint("u", i))
		}
		w.settle()
		sleep(2 * time.Second) // what is on its way has come
		said := func() int {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.bytes
		}
		w.carry(false)
		sleep(3 * time.Second)
		before := said()
		w.carry(true)
		sleep(5 * time.Second)
		if a.frame().Stale || len(a.users()) != 100 {
			t.Errorf("%d users are shown, stale %t", len(a.users()), a.frame().Stale)
		}
		if n := said() - before; n > 4000 {
			t.Errorf("%d bytes were said of what was known", n)
		}
	})
}
