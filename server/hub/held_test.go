package hub

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"roomlog/server/room"
)

// shared is a model of which others hold rooms.
type shared struct {
	*model
	onTry func() // before each attempt; nil: nothing
	mu    sync.Mutex
	held  map[room.ID]bool
	waits []time.Duration // of the attempts that waited
	tried map[room.ID]bool
	most  map[room.ID]int // the most sends of a held room in one attempt, but for the first: it finds out that the room is held
}

func newShared(held ...room.ID) *shared {
	s := &shared{model: newModel(), held: make(map[room.ID]bool), tried: make(map[room.ID]bool), most: make(map[room.ID]int)}
	for _, id := range held {
		s.held[id] = true
	}
	return s
}

func (s *shared) release(id room.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, id)
}

// AppendWithin implements room.Shared. The wait is over before a room is free.
func (s *shared) AppendWithin(ctx context.Context, batch []room.Send, wait time.Duration) (room.Appended, error) {
	if s.onTry != nil {
		s.onTry()
	}
	s.mu.Lock()
	var free []room.Send
	var places []int
	count := make(map[room.ID]int)
	for i, b := range batch {
		if s.held[b.Room] {
			count[b.Room]++
			continue
		}
		free, places = append(free, b), append(places, i)
	}
	for id, n := range count {
		if s.tried[id] {
			s.most[id] = max(s.most[id], n)
		}
		s.tried[id] = true
	}
	if wait > 0 {
		s.waits = append(s.waits, wait)
	}
	s.mu.Unlock()
	if wait > 0 && len(free) < len(batch) {
		time.Sleep(wait)
		free, places = nil, nil
	}
	got, err := s.Append(ctx, free)
	if err != nil {
		return room.Appended{}, err
	}
	out := room.Appended{Verdicts: make([]room.Verdict, len(batch)), Rooms: got.Rooms}
	for i := range out.Verdicts {
		out.Verdicts[i].Held = true
	}
	for i, at := range places {
		out.Verdicts[at] = got.Verdicts[i]
	}
	return out, nil
}

func heldBubble(t *testing.T, s *shared, test func(t *testing.T, h *Hub)) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Config{Store: s})
		h.Start()
		test(t, h)
		stop(t, h)
	})
}

// A room that another transaction holds makes no other room wait, and its own sends are stored in their order when
// it is free.
func TestHeldRoomWaitsAlone(t *testing.T) {
	s := newShared("chat:a")
	heldBubble(t, s, func(t *testing.T, h *Hub) {
		o := newOrdered(t, h)
		for n := range int64(100) {
			o.send(fmt.Sprint("a", n), n+1)
		}
		for n := range 200 { // one after the other, for longer than a room is held at first
			name := fmt.Sprint("b", n)
			began := time.Now()
			h.Submit(Submit{Send: send("chat:b")}, o.out.done(name))
			synctest.Wait()
			if !o.out.has(name) {
				time.Sleep(heldWait) // an attempt that waits for its rooms
				synctest.Wait()
			}
			if v := o.out.want(name, "").Verdict; v.Seq != room.Seq(n+1) || time.Since(began) > heldWait {
				t.Fatalf("send %d to the other room: seq %d after %s", n, v.Seq, time.Since(began))
			}
			time.Sleep(time.Millisecond)
		}
		o.out.none("a0")
		s.release("chat:a")
		time.Sleep(heldWait)
		synctest.Wait()
		for n := range int64(100) {
			if v := o.out.want(fmt.Sprint("a", n), "").Verdict; v.Seq != n+1 {
				t.Errorf("send %d of the room that was held has seq %d", n+1, v.Seq)
			}
		}
		if most := s.most["chat:a"]; most == 0 || most > heldSends || len(s.waits) == 0 || len(s.waits) > 3 {
			t.Errorf("the held room had %d sends in a batch; attempts that waited: %v", most, s.waits)
		}
	})
}

// A send that is held for as long as a client waits is told that it is not stored, and those behind it that they
// are out of order: it is what the client sends next.
func TestHeldForLong(t *testing.T) {
	s := newShared("chat:a")
	heldBubble(t, s, func(t *testing.T, h *Hub) {
		o := newOrdered(t, h)
		first := send("chat:a")
		o.resend("1", 1, first, nil)
		o.send("2", 2)
		time.Sleep(h.cfg.UnknownAfter + 10*heldWait)
		synctest.Wait()
		if e := o.out.want("1", room.CodeUnavailable).Err; e != nil && !e.Retryable() {
			t.Errorf("it is refused for good: %v", e)
		}
		o.out.want("2", room.CodeOutOfOrder)
		s.release("chat:a")
		o.resend("1 again", 1, first, nil)
		time.Sleep(heldWait)
		synctest.Wait()
		if v := o.out.want("1 again", "").Verdict; v.Seq != 1 {
			t.Errorf("sent again, it has seq %d", v.Seq)
		}
	})
}

// Permits are asked again before each try of a send, and who takes them back waits for one try at most.
func TestHeldIsRechecked(t *testing.T) {
	s := newShared("chat:a")
	heldBubble(t, s, func(t *testing.T, h *Hub) {
		p := &lease{}
		out := newOutcomes(t)
		h.Submit(Submit{Send: send("chat:a"), Permit: p}, out.done("1"))
		synctest.Wait()
		out.none("1")
		p.over.Store(true)
		if err := h.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.release("chat:a")
		time.Sleep(heldWait)
		synctest.Wait()
		out.want("1", room.CodeUnknownRoom)
		if head := s.headOf("chat:a").Seq; head != 0 {
			t.Errorf("what was not permitted any more is stored as %d", head)
		}
	})
}

// A hub that stops while a room is held waits for it no longer than a client would.
func TestStopWhileHeld(t *testing.T) {
	s := newShared("chat:a")
	synctest.Test(t, func(t *testing.T) {
		h := New(Config{Store: s})
		h.Start()
		out := newOutcomes(t)
		h.Submit(Submit{Send: send("chat:a")}, out.done("1"))
		synctest.Wait()
		stop(t, h)
		out.want("1", room.CodeUnavailable)
	})
}

// A batch that is halved, since some event of it cannot be kept, waits for its rooms: one that became free between the
// halves would store a sender's later sends before its earlier ones (SEND-3).
func TestHalvesWaitForHeldRooms(t *testing.T) {
	s := newShared("chat:a")
	heldBubble(t, s, func(t *testing.T, h *Hub) {
		first := make(chan struct{})
		tries := 0
		s.onTry = func() {
			if tries++; tries == 1 {
				<-first
			}
			if tries == 4 { // the whole, its first half, and now its second
				s.release("chat:a")
			}
		}
		o := newOrdered(t, h)
		h.Submit(Submit{Send: send("chat:b")}, o.out.done("in flight"))
		synctest.Wait()
		o.send("1", 1)
		o.send("2", 2)
		bad := send("chat:b")
		bad.Data = poison
		h.Submit(Submit{Send: bad}, o.out.done("poison"))
		o.send("3", 3)
		close(first)
		time.Sleep(heldWait)
		synctest.Wait()
		o.out.want("poison", room.CodeBadData)
		for n, name := range []string{"1", "2", "3"} {
			if v := o.out.want(name, "").Verdict; v.Seq != room.Seq(n+1) {
				t.Errorf("send %s has seq %d", name, v.Seq)
			}
		}
	})
}

// A send that is not permitted any more, and stands behind one that is held, is told so when that one is answered: were it
// told before, the client could not know which n comes next (SEND-4).
func TestRefusedBehindAHeldSend(t *testing.T) {
	s := newShared("chat:a")
	heldBubble(t, s, func(t *testing.T, h *Hub) {
		o := newOrdered(t, h)
		over := &lease{}
		over.over.Store(true)
		o.send("1", 1)
		h.Submit(Submit{Send: send("chat:a"), Conn: o.conn, N: 2, Permit: over}, o.out.done("2"))
		o.send("3", 3)
		time.Sleep(heldWait)
		synctest.Wait()
		o.out.none("1")
		o.out.none("2")
		s.release("chat:a")
		time.Sleep(heldWait)
		synctest.Wait()
		o.out.want("2", room.CodeUnknownRoom)
		if a, b := o.out.want("1", "").Verdict.Seq, o.out.want("3", "").Verdict.Seq; a != 1 || b != 2 {
			t.Errorf("those that are stored have seqs %d and %d", a, b)
		}
	})
}

// A batch that found its rooms held, and has no other, waits for them once and at once: most are another node's for a moment.
func TestJustHeldIsWaitedFor(t *testing.T) {
	s := newShared("chat:a")
	heldBubble(t, s, func(t *testing.T, h *Hub) {
		o := newOrdered(t, h)
		began := time.Now()
		o.send("first", 1)
		synctest.Wait()
		s.mu.Lock()
		waits := len(s.waits)
		s.mu.Unlock()
		if waits != 1 || !time.Now().Equal(began) {
			t.Errorf("%d attempts have waited, after %s", waits, time.Since(began))
		}
		time.Sleep(heldLong - heldRetry)
		synctest.Wait()
		s.mu.Lock()
		waits = len(s.waits)
		s.mu.Unlock()
		if waits != 1 {
			t.Errorf("%d attempts have waited for a room that was found held once", waits)
		}
		o.out.none("first")
		s.release("chat:a")
		time.Sleep(heldWait)
		synctest.Wait()
		o.out.want("first", "")
	})
}
