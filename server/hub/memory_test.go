package hub

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// The tails stay within their budget, and rooms that nobody reads are forgotten.
func TestBudgetForgetsIdleRooms(t *testing.T) {
	const budget = 1 << 20
	m := newModel()
	h := newHub(t, Config{Store: m, TailBytes: budget})
	var most int64
	for i := range 10000 {
		id := room.ID(fmt.Sprintf("chat:r%d", i))
		m.grow(id, 3)
		if _, err := h.Poll(t.Context(), Join{Room: id}, 0); err != nil {
			t.Fatal(err)
		}
		most = max(most, h.Stats().TailBytes)
	}
	// A sixteenth by which it may grow before the next look, and what is too new to be taken.
	if limit := int64(budget + budget/8); most > limit {
		t.Errorf("%d bytes of tails, budget %d", most, budget)
	}
	if n := h.Stats().Rooms; n > budget/segmentCost {
		t.Errorf("%d rooms in memory", n)
	}
}

// Rooms that are being read cannot be forgotten, but their events can: the budget holds as far as it can,
// and looking for what to evict does not take over.
func TestBudgetWithReaders(t *testing.T) {
	const rooms = 2000
	m := newModel()
	h := newHub(t, Config{Store: m, TailBytes: 1 << 20})
	conn, err := h.Attach(newPeer(wire.WebSocket, nil), wire.WebSocket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Detach()
	var events sync.WaitGroup
	for i := range rooms {
		id := room.ID(fmt.Sprintf("chat:r%d", i))
		if err := conn.Join(t.Context(), Join{Room: id, Replay: -1}, func(Joined) []byte { return nil }); err != nil {
			t.Fatal(err)
		}
		events.Add(5)
		for range 5 {
			h.Submit(Submit{Send: sendOf(id, 1000)}, func(Outcome) { events.Done() })
		}
	}
	events.Wait()
	if err := h.Settle(t.Context()); err != nil { // a batch is answered before the tails are trimmed
		t.Fatal(err)
	}
	const floor = rooms * (segmentCost + 100)
	if n := h.Stats().TailBytes; n > floor*5/4+1<<20 {
		t.Errorf("%d bytes of tails, of which %d are empty ones", n, floor)
	}
	if n := h.Stats().Rooms; n != rooms {
		t.Errorf("%d rooms, want %d: all are being read", n, rooms)
	}
}

// I20: what a stalled connection keeps is bounded, whatever it has missed; others are not slowed; and it
// gets everything when it goes on (BEAT-4).
func TestStalledReaders(t *testing.T) {
	for _, f := range []wire.Framing{wire.WebSocket, wire.EventStream} {
		t.Run(fmt.Sprint(f), func(t *testing.T) {
			m := newModel()
			h := newHub(t, Config{Store: m})
			begin := func() *reader {
				r := newReader(t, h, m, f)
				j := []Join{{Room: "chat:a", HasPosition: true, Replay: -1}, {Room: "chat:b", HasPosition: true, Replay: -1}}
				if f == wire.EventStream {
					if err := r.follow(t, j); err != nil {
						t.Fatal(err)
					}
					return r
				}
				for _, j := range j {
					if err := r.join(t, j); err != nil {
						t.Fatal(err)
					}
				}
				return r
			}
			slow, quick := begin(), begin()
			slow.peer.give(100)
			const events = 2000
			for i := range events {
				id := []room.ID{"chat:a", "chat:b"}[i%2]
				if o := submit(h, Submit{Send: sendOf(id, 1000)}); o.Err != nil {
					t.Fatal(o.Err)
				}
			}
			quick.waitFor(t, "chat:a", events/2)
			quick.waitFor(t, "chat:b", events/2)
			slow.peer.wait(t, "its fill", func() bool { return slow.peer.space == 0 }) // another worker may be its
			slow.conn.mu.Lock()
			stalled, kept := slow.conn.stalled, cap(slow.conn.rest)+cap(slow.conn.replies)
			slow.conn.mu.Unlock()
			if !stalled || kept > maxWrite {
				t.Errorf("stalled %v, keeping %d bytes, want at most %d", stalled, kept, maxWrite)
			}
			slow.peer.give(-1)
			slow.waitFor(t, "chat:a", events/2)
			slow.waitFor(t, "chat:b", events/2)
			if n := max(slow.peer.most, quick.peer.most); n > maxWrite+2000 {
				t.Errorf("a write of %d bytes, want about %d", n, maxWrite)
			}
		})
	}
}

// One event larger than a write goes by itself.
func TestWritesAreBounded(t *testing.T) {
	m := newModel()
	m.mu.Lock()
	for i := range 60 {
		m.append([]room.Send{sendOf("chat:a", []int{1000, 30000, 60000}[i%3])})
	}
	m.mu.Unlock()
	h := newHub(t, Config{Store: m})
	r := newReader(t, h, m, wire.WebSocket)
	if err := r.join(t, Join{Room: "chat:a", HasPosition: true, Replay: -1}); err != nil {
		t.Fatal(err)
	}
	r.waitFor(t, "chat:a", 60)
	// The joined frame, which one large event may overfill, and a page of one large event.
	if n := r.peer.most; n > joinBytes+2*61000 {
		t.Errorf("a write of %d bytes", n)
	}
}

// A connection that asks faster than it listens is not read on, until it has listened.
func TestWaitWritable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Config{Store: newModel()})
		h.Start()
		p := newPeer(wire.WebSocket, nil)
		p.give(0)
		c, err := h.Attach(p, wire.WebSocket)
		if err != nil {
			t.Fatal(err)
		}
		c.Reply(make([]byte, maxReplies/2))
		synctest.Wait()
		if !c.WaitWritable() {
			t.Error("closed")
		}
		c.Reply(make([]byte, maxReplies))
		done := make(chan bool, 1)
		go func() { done <- c.WaitWritable() }()
		synctest.Wait()
		select {
		case <-done:
			t.Error("did not wait")
		default:
		}
		p.give(-1)
		if !<-done {
			t.Error("closed")
		}
		p.give(0)
		c.Reply(make([]byte, 2*maxReplies))
		go func() { done <- c.WaitWritable() }()
		synctest.Wait()
		c.Detach()
		if <-done {
			t.Error("open after Detach")
		}
		p.cutOff()
		stop(t, h)
	})
}

// A connection that cannot be written to is ended, and costs no work until it is gone.
func TestFailingSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel()
		m.grow("chat:a", 5000)
		h := New(Config{Store: m, Workers: 1})
		h.Start()
		r := newReader(t, h, m, wire.WebSocket)
		r.peer.cutOff()
		if err := r.join(t, Join{Room: "chat:a", HasPosition: true, Replay: -1}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s := h.Stats(); s.Writes != 1 {
			t.Errorf("%d writes to a connection that fails, want 1", s.Writes)
		}
		if ended, _ := r.peer.end(); !ended {
			t.Error("not ended")
		}
		r.conn.Detach()
		stop(t, h)
	})
}

// BEAT-4: a connection that took no bytes for the write deadline is ended as a slow consumer, and the
// goroutine that reads it is not left waiting. One whose peer has gone was not slow.
func TestSlowConsumer(t *testing.T) {
	for how, end := range map[string]func(*peer){"slow": (*peer).timeOut, "gone": (*peer).cutOff} {
		t.Run(how, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { endWhileWaiting(t, end, how == "slow") }) })
	}
}

func endWhileWaiting(t *testing.T, end func(*peer), slow bool) {
	h := New(Config{Store: newModel()})
	h.Start()
	p := newPeer(wire.WebSocket, nil)
	p.give(10)
	c, err := h.Attach(p, wire.WebSocket)
	if err != nil {
		t.Fatal(err)
	}
	c.Reply(make([]byte, 2*maxReplies))
	done := make(chan bool, 1)
	go func() { done <- c.WaitWritable() }()
	synctest.Wait()
	end(p)
	if <-done {
		t.Error("writable")
	}
	synctest.Wait()
	if ended, why := p.end(); !ended || slow != (why != nil && why.Code == room.CodeSlowConsumer) {
		t.Errorf("ended %v, %v; slow: %v", ended, why, slow)
	}
	c.Detach()
	stop(t, h)
}

// Nothing of a connection outlives it: goroutines, cursors, places on the wheel.
func TestIdleConnectionsCostNoGoroutine(t *testing.T) {
	m := newModel()
	m.grow("chat:a", 10)
	h := newHub(t, Config{Store: m})
	if _, err := h.Poll(t.Context(), Join{Room: "chat:a"}, 0); err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	var readers []*reader
	for range 500 {
		r := newReader(t, h, m, wire.WebSocket)
		if err := r.join(t, Join{Room: "chat:a", Replay: -1}); err != nil {
			t.Fatal(err)
		}
		readers = append(readers, r)
	}
	for _, r := range readers {
		r.waitFor(t, "chat:a", 10)
	}
	if n := runtime.NumGoroutine(); n > before+10 {
		t.Errorf("%d goroutines for 500 connections", n-before)
	}
	for _, r := range readers {
		r.conn.Detach()
		r.conn.Detach()
	}
	live := h.live("chat:a")
	live.mu.Lock()
	defer live.mu.Unlock()
	if !live.idle() || h.Stats().Connections != 0 {
		t.Error("connections that are gone are still known")
	}
}

// Whoever stands in the middle of a block of large events does not pay for all that is before it in the block: the
// first read shows how many such events a read brings, the second begins near enough.
func TestReadInTheMiddleOfLargeEvents(t *testing.T) {
	const events, at = 120, 100
	m := newModel()
	h := newHub(t, Config{Store: m, TailBytes: 1 << 20})
	for range events {
		m.append([]room.Send{sendOf("chat:a", 60<<10)})
	}
	p, err := h.Poll(t.Context(), Join{Room: "chat:a", Position: m.at("chat:a", at)}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if p.Prev != at || p.Seq <= at {
		t.Errorf("a page (%d,%d] after %d", p.Prev, p.Seq, at)
	}
	if n := m.reads.Load(); n > 3 { // the newest, the block from its beginning, the block from near
		t.Errorf("%d reads of the store for one page", n)
	}
}

// A budget that is less than one read makes reading slower, but not impossible.
func TestReadingWithLessMemoryThanARead(t *testing.T) {
	const events, readers = 60, 20
	m := newModel()
	h := newHub(t, Config{Store: m, TailBytes: 64 << 10})
	for range events {
		m.append([]room.Send{sendOf("chat:a", 60<<10)})
	}
	var all sync.WaitGroup
	for i := range readers {
		all.Go(func() {
			for at := room.Seq(2 * i); at < events; {
				p, err := h.Poll(t.Context(), Join{Room: "chat:a", Position: m.at("chat:a", at)}, 0)
				if err != nil {
					t.Errorf("reader %d, after %d: %v", i, at, err)
					return
				}
				at = p.Seq
			}
		})
	}
	all.Wait()
}
