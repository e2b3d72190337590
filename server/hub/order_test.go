package hub

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// ordered submits sends of one connection to chat:a.
type ordered struct {
	h    *Hub
	conn *Conn
	out  *outcomes
}

func newOrdered(t *testing.T, h *Hub) ordered {
	conn, err := h.Attach(newPeer(wire.WebSocket, nil), wire.WebSocket)
	if err != nil {
		t.Fatal(err)
	}
	return ordered{h, conn, newOutcomes(t)}
}

func (o ordered) send(name string, n int64) { o.resend(name, n, send("chat:a"), nil) }

func (o ordered) refused(name string, n int64, code room.Code) {
	o.resend(name, n, send("chat:a"), &room.Error{Code: code})
}

func (o ordered) resend(name string, n int64, s room.Send, refuse *room.Error) {
	o.h.Submit(Submit{Send: s, Conn: o.conn, N: n, Refuse: refuse}, o.out.done(name))
}

// SEND-3, SEND-5, SEND-6: only the next n is taken; a permanent refusal uses one up; a lower one is
// answered by its tag.
func TestSendOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel()
		h := New(Config{Store: m})
		h.Start()
		o := newOrdered(t, h)
		first := send("chat:a")
		o.send("too early", 2)
		o.resend("1", 1, first, nil)
		o.refused("2", 2, room.CodeBadData)
		o.send("3", 3)
		o.resend("1 again", 1, first, nil)
		o.send("1 with another tag", 1)
		o.refused("4", 4, room.CodeRateLimited)
		o.send("5", 5)
		o.send("4 again", 4)
		o.send("5 again", 5)
		synctest.Wait()
		o.out.want("too early", room.CodeOutOfOrder)
		o.out.want("1", "")
		o.out.want("2", room.CodeBadData)
		o.out.want("3", "")
		if got := o.out.want("1 again", ""); !got.Verdict.Duplicate || got.Verdict.Seq != 1 {
			t.Errorf("1 again: %+v, want the first result", got)
		}
		if got := o.out.want("1 with another tag", room.CodeBadRequest); got.Err != nil && got.Err.Field != "n" {
			t.Errorf("field %q, want n", got.Err.Field)
		}
		o.out.want("4", room.CodeRateLimited)
		o.out.want("5", room.CodeOutOfOrder)
		o.out.want("4 again", "")
		o.out.want("5 again", "")
		if head := m.headOf("chat:a").Seq; head != 4 {
			t.Errorf("head %d, want 4", head)
		}
		stop(t, h)
	})
}

// SEND-4: a refusal of one send does not touch those before it, which are still on their way.
func TestRefusalSparesEarlierSends(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, h *Hub, m *model, g gate) {
		o := newOrdered(t, h)
		o.send("1", 1)
		synctest.Wait()
		o.send("2", 2)
		o.refused("3", 3, room.CodeRateLimited)
		o.out.want("3", room.CodeRateLimited)
		o.send("4", 4)
		o.out.want("4", room.CodeOutOfOrder)
		g.open()
		synctest.Wait()
		o.out.want("1", "")
		o.out.want("2", "")
		o.send("3 again", 3)
		synctest.Wait()
		if got := o.out.want("3 again", ""); got.Verdict.Seq != 3 {
			t.Errorf("3 again: %+v, want seq 3", got)
		}
	})
}

// SEND-4: what is under way behind a retryable refusal is not stored before it.
func TestRefusalHoldsLaterSends(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, h *Hub, m *model, g gate) {
		o := newOrdered(t, h)
		o.send("1", 1)
		synctest.Wait()
		o.send("2", 2) // waits for the next batch
		g.faults <- unavailably
		synctest.Wait()
		o.out.want("1", room.CodeUnavailable)
		o.out.want("2", room.CodeOutOfOrder)
		o.send("2 too early", 2)
		o.send("1 again", 1)
		o.send("2 again", 2)
		g.open()
		synctest.Wait()
		o.out.want("2 too early", room.CodeOutOfOrder)
		if got := o.out.want("1 again", ""); got.Verdict.Seq != 1 {
			t.Errorf("1 again: %+v, want seq 1", got)
		}
		if got := o.out.want("2 again", ""); got.Verdict.Seq != 2 {
			t.Errorf("2 again: %+v, want seq 2", got)
		}
	})
}

// SEND-5: whether a permanent refusal has used up its n is certain when it is told: it is told after
// what came before it, and if that is refused retryably, it is out of order instead.
func TestPermanentRefusalInItsTurn(t *testing.T) {
	for _, store := range []fault{{}, unavailably} {
		t.Run(fmt.Sprint(store.err), func(t *testing.T) {
			bubble(t, Config{}, func(t *testing.T, h *Hub, _ *model, g gate) {
				o := newOrdered(t, h)
				o.send("1", 1)
				synctest.Wait()
				o.refused("2", 2, room.CodeForbidden)
				o.send("3", 3)
				o.out.none("2")
				g.faults <- store
				g.open()
				synctest.Wait()
				next := int64(4)
				if store.err == nil {
					o.out.want("2", room.CodeForbidden)
					o.out.want("3", "")
				} else {
					o.out.want("1", room.CodeUnavailable)
					o.out.want("2", room.CodeOutOfOrder)
					o.out.want("3", room.CodeOutOfOrder)
					next = 1
				}
				o.send("next", next)
				synctest.Wait()
				o.out.want("next", "")
			})
		})
	}
}

// ACK-5, SEND-4: after outcome_unknown only that n is taken; what was stored after it is found by its
// tag, and nothing is called refused that is stored.
func TestOrderAfterUnknown(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, h *Hub, m *model, g gate) {
		o := newOrdered(t, h)
		first, second := send("chat:a"), send("chat:a")
		o.send("0", 1)
		synctest.Wait()
		o.resend("1", 2, first, nil)
		o.resend("2", 3, second, nil)
		g.faults <- fault{}
		g.faults <- lostAfter
		time.Sleep(2 * time.Second)
		synctest.Wait()
		o.out.want("1", room.CodeOutcomeUnknown)
		o.out.want("2", room.CodeOutcomeUnknown)
		o.send("4", 4)
		o.out.want("4", room.CodeOutOfOrder)
		g.open()
		synctest.Wait()
		o.resend("1 again", 2, first, nil)
		o.resend("2 again", 3, second, nil)
		o.send("4 again", 4)
		synctest.Wait()
		for i, name := range []string{"1 again", "2 again", "4 again"} {
			if got := o.out.want(name, ""); got.Verdict.Seq != room.Seq(i+2) {
				t.Errorf("%s: %+v, want seq %d", name, got, i+2)
			}
		}
	})
}

// I20: what a connection's order costs is bounded.
func TestSendersAreBounded(t *testing.T) {
	h := newHub(t, Config{Store: newModel()})
	conn, err := h.Attach(newPeer(wire.WebSocket, nil), wire.WebSocket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Detach()
	for i := range maxSenders {
		id := room.ID(fmt.Sprintf("chat:r%d", i))
		h.Submit(Submit{Send: send(id), Conn: conn, N: 1, Refuse: &room.Error{Code: room.CodeForbidden}}, func(Outcome) {})
	}
	if o := submit(h, Submit{Send: send("chat:more"), Conn: conn, N: 1}); o.Err == nil || o.Err.Code != room.CodeLimitExceeded {
		t.Errorf("%+v, want limit_exceeded", o)
	}
	if o := submit(h, Submit{Send: send("chat:r0"), Conn: conn, N: 2}); o.Err != nil {
		t.Errorf("a room that it sends to: %v", o.Err)
	}
}

// client sends a list of events in order, many at a time, and resends as SEND-4 and SEND-7 ask.
type client struct {
	mu      sync.Mutex
	n       int64 // of the next to be sent
	events  []room.Send
	first   int64 // the lowest n to send again; 0: none
	settled int
}

// TestOrderUnderFaults holds I1, I6, I7 for one connection against a store that refuses and loses at
// random, and a transport that refuses too: all events are stored, once, in order.
func TestOrderUnderFaults(t *testing.T) {
	seed := newSeed(t)
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(seed, 0))
		m := newModel()
		var mu sync.Mutex
		roll := func(n int) bool { mu.Lock(); defer mu.Unlock(); return rng.IntN(n) == 0 }
		m.onAppend = faultyAppend(roll)
		h := New(Config{Store: m, QueueSends: 20})
		h.Start()
		o := newOrdered(t, h)
		c := &client{n: 1}
		for range 300 {
			c.events = append(c.events, send("chat:a"))
		}
		c.run(t, o, roll)
		stop(t, h)
		if head := m.headOf("chat:a").Seq; head != 300 {
			t.Fatalf("head %d, want 300", head)
		}
		for i, e := range c.events {
			if got := m.log("chat:a").events[i].Tag; got != e.Tag {
				t.Fatalf("event %d is another one", i+1)
			}
		}
	})
}

// run sends until every event is settled.
func (c *client) run(t *testing.T, o ordered, roll func(int) bool) {
	for range 100000 {
		c.mu.Lock()
		if c.first != 0 {
			c.n, c.first = min(c.n, c.first), 0 // the answer may be to an earlier attempt
		}
		done, n := c.settled == len(c.events), c.n
		more := n <= int64(len(c.events))
		if more {
			c.n++
		}
		c.mu.Unlock()
		switch {
		case done:
			return
		case !more:
			time.Sleep(10 * time.Millisecond)
			continue
		}
		var refuse *room.Error
		if roll(20) {
			refuse = &room.Error{Code: room.CodeRateLimited}
		}
		o.h.Submit(Submit{Send: c.events[n-1], Conn: o.conn, N: n, Refuse: refuse}, func(out Outcome) { c.answer(t, n, out) })
		if roll(3) {
			time.Sleep(time.Millisecond)
		}
	}
	t.Errorf("%d of %d settled", c.settled, len(c.events))
}

// answer takes the answers, which settle events from the front: an ack of one whose predecessor is to be
// sent again would be a hole in the order.
func (c *client) answer(t *testing.T, n int64, out Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case out.Err == nil && n == int64(c.settled)+1:
		if out.Verdict.Seq != n {
			t.Errorf("n %d is seq %d", n, out.Verdict.Seq)
		}
		c.settled++
	case out.Err == nil:
		if n > int64(c.settled) {
			t.Errorf("n %d acked while %d is not", n, c.settled+1)
		}
	case !out.Err.Retryable():
		t.Errorf("n %d: %v", n, out.Err)
	case n > int64(c.settled) && (c.first == 0 || n < c.first):
		c.first = n
	}
}

// faultyAppend refuses, loses and delays at random, for longer than an outcome may stay unknown at times.
func faultyAppend(roll func(int) bool) func(ctx context.Context, _ []room.Send) fault {
	return func(context.Context, []room.Send) fault {
		time.Sleep(2 * time.Millisecond)
		switch {
		case roll(6):
			return unavailably
		case roll(8):
			return lost
		case roll(8):
			return lostAfter
		case roll(30):
			time.Sleep(3 * time.Second)
		}
		return fault{}
	}
}
