package hub

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// TestPruneUnderReaders holds RET-2 and I12: rooms are pruned while they are written and read by sockets,
// streams and polls, from anywhere. Whoever stands below the floor is told so before anything else; everybody
// else is given what adjoins, and at the head nobody notices.
func TestPruneUnderReaders(t *testing.T) {
	for name, budget := range map[string]int64{"no memory": 1, "tiny tails": 64 << 10, "ample": 64 << 20} {
		t.Run(name, func(t *testing.T) { pruneUnderReaders(t, budget) })
	}
}

func pruneUnderReaders(t *testing.T, budget int64) {
	seed := newSeed(t)
	m := newModel()
	m.onAppend = func(context.Context, []room.Send) fault { pauseFor(rand.N(200 * time.Microsecond)); return fault{} }
	m.onRead = func(context.Context, room.Query) error { pauseFor(rand.N(time.Millisecond)); return nil }
	c := &churn{t: t, store: m, done: make(chan struct{}), pruned: true}
	for i := range 2 {
		c.rooms = append(c.rooms, room.ID(fmt.Sprintf("chat:r%d", i)))
		m.grow(c.rooms[i], 100+i*300)
	}
	c.hub = newHub(t, Config{Store: m, TailBytes: budget, Workers: 3})
	var readers, writers sync.WaitGroup
	for i := range 6 {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		readers.Go(func() { c.socket(rng) })
	}
	for i := range 3 {
		rng := rand.New(rand.NewPCG(seed, uint64(100+i)))
		readers.Go(func() { c.stream(rng) })
		readers.Go(func() { c.poll(rand.New(rand.NewPCG(seed, uint64(150+i)))) })
	}
	readers.Go(func() { c.prune(rand.New(rand.NewPCG(seed, 300))) })
	for i := range 3 {
		rng := rand.New(rand.NewPCG(seed, uint64(200+i)))
		writers.Go(func() { c.write(rng) })
	}
	writers.Wait()
	close(c.done)
	readers.Wait()
	s := c.hub.Stats()
	t.Logf("%d reader operations, %+v", c.ops.Load(), s)
	if s.Forks != 0 || s.Resets[room.ResetPruned] == 0 {
		t.Errorf("%d forks in a history that has none, %d resets", s.Forks, s.Resets[room.ResetPruned])
	}
}

// prune raises the floors of rooms, now and then to the head.
func (c *churn) prune(rng *rand.Rand) {
	for {
		select {
		case <-c.done:
			return
		case <-time.After(time.Duration(rng.IntN(3000)) * time.Microsecond):
		}
		id := c.rooms[rng.IntN(len(c.rooms))]
		h := c.store.headOf(id)
		c.store.prune(id, max(h.Floor, h.Seq+1-rng.Int64N(200)))
		c.hub.Notice(c.store.headOf(id))
	}
}

// poll asks for what follows where it stands, or anywhere.
func (c *churn) poll(rng *rand.Rand) {
	id := c.rooms[rng.IntN(len(c.rooms))]
	at := room.Position{}
	for {
		select {
		case <-c.done:
			return
		default:
		}
		p, err := c.hub.Poll(c.t.Context(), Join{Room: id, Position: at, Limit: 1 + rng.IntN(50)}, time.Duration(rng.IntN(3))*time.Millisecond)
		var reset *ResetError
		switch {
		case errors.As(err, &reset):
			if reset.Reason != room.ResetPruned || at.Seq >= reset.Head.Floor-1 {
				c.t.Errorf("I12: a poll after %s is reset, %s: %+v", at, reset.Reason, reset.Head)
			}
			at = room.Position{Epoch: reset.Head.Epoch, Seq: reset.Head.Floor - 1, Mark: reset.Head.FloorMark}
			continue
		case err != nil:
			c.t.Errorf("poll: %v", err)
			return
		case p.Prev != at.Seq || p.Count != int(p.Seq-p.Prev):
			c.t.Errorf("I12: a poll after %s is given (%d, %d] in %d events", at, p.Prev, p.Seq, p.Count)
		case p.Count == 0 && p.Head.Seq > at.Seq:
			c.t.Errorf("I12: a poll after %s is given nothing, although the head is %d", at, p.Head.Seq)
		}
		at = room.Position{Epoch: p.Head.Epoch, Seq: p.Seq, Mark: p.Mark}
		if rng.IntN(10) == 0 {
			at = c.store.at(id, rng.Int64N(c.store.headOf(id).Seq+1))
		}
	}
}

// TestNoticeOfAPrune holds RET-2: below the floor nothing is served from memory, at the head nobody is reset.
func TestNoticeOfAPrune(t *testing.T) {
	m := newModel()
	m.grow("chat:a", 1000)
	h := newHub(t, Config{Store: m})
	live := newReader(t, h, m, wire.WebSocket)
	if err := live.join(t, Join{Room: "chat:a", HasPosition: true, Replay: -1}); err != nil {
		t.Fatal(err)
	}
	live.waitFor(t, "chat:a", 1000)
	slow := newReader(t, h, m, wire.WebSocket)
	slow.pruned = true
	slow.peer.give(20000)
	if err := slow.join(t, Join{Room: "chat:a", HasPosition: true, Replay: -1}); err != nil {
		t.Fatal(err)
	}
	slow.peer.wait(t, "its fill", func() bool { return slow.peer.space == 0 })
	m.prune("chat:a", 1001)
	h.Notice(m.headOf("chat:a"))
	r := h.live("chat:a")
	r.mu.Lock()
	for _, s := range r.segments {
		if len(s.marks) > 0 {
			t.Errorf("memory has (%d, %d] although the floor is %d", s.prev, s.last(), r.floor)
		}
	}
	r.mu.Unlock()
	for after, why := range map[room.Seq]room.ResetReason{0: room.ResetPruned, 500: room.ResetPruned, 999: room.ResetPruned, 1000: ""} {
		_, err := h.Poll(t.Context(), Join{Room: "chat:a", Position: m.at("chat:a", after)}, 0)
		var reset *ResetError
		if errors.As(err, &reset) != (why != "") || reset != nil && (reset.Reason != why || reset.Head != m.headOf("chat:a")) {
			t.Errorf("I12: a poll after %d of a room whose floor is 1001: %v", after, err)
		}
	}
	slow.peer.give(-1)
	slow.peer.wait(t, "a reset", func() bool { return len(slow.resets) == 1 })
	for range 3 {
		if o := submit(h, Submit{Send: send("chat:a")}); o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	live.waitFor(t, "chat:a", 1003)
	m.prune("chat:a", 1003)
	h.Notice(m.headOf("chat:a"))
	p, err := h.Poll(t.Context(), Join{Room: "chat:a", Position: m.at("chat:a", 1002)}, 0)
	if err != nil || p.Count != 1 || p.Head.Floor != 1003 {
		t.Errorf("the page at the floor: %+v, %v", p, err)
	}
	if live.resets != nil || h.Stats().Forks != 0 {
		t.Errorf("one who stands at the head was reset: %v; %d forks", live.resets, h.Stats().Forks)
	}
	if reads := m.heads.Load(); reads != 0 {
		t.Errorf("it took %d reads of heads", reads)
	}
}

// TestNoticeOfADeletion holds RET-3 and ROOM-10: everyone in the room is reset, once, and goes on in the next
// generation; what was appended to the old one and comes late changes nothing.
func TestNoticeOfADeletion(t *testing.T) {
	m := newModel()
	m.grow("chat:a", 300)
	h := newHub(t, Config{Store: m})
	readers := forked(t, h, m)
	old := m.headOf("chat:a")
	late := room.Growth{Head: old, Before: old.Seq, BeforeMark: old.Mark}
	late.Head.Seq, late.Head.Mark = 301, 7
	parked := make(chan error, 1)
	go func() {
		_, err := h.Poll(t.Context(), Join{Room: "chat:a", Position: old.Position()}, time.Minute)
		parked <- err
	}()
	m.recreate("chat:a")
	h.Notice(m.headOf("chat:a"))
	h.publish(late, []room.Event{{Seq: 301, Mark: 7}})
	var reset *ResetError
	if err := <-parked; !errors.As(err, &reset) || reset.Reason != room.ResetEpoch {
		t.Errorf("RET-3: a parked poll: %v", err)
	}
	for _, r := range readers {
		r.peer.wait(t, "a reset", func() bool { return len(r.resets) > 0 })
		if r.peer.framing == wire.WebSocket {
			if err := r.join(t, Join{Room: "chat:a", Replay: -1}); err != nil {
				t.Fatal(err)
			}
		}
		r.peer.wait(t, "the next generation", func() bool { return r.at["chat:a"].Epoch == m.headOf("chat:a").Epoch })
	}
	h.publish(late, []room.Event{{Seq: 301, Mark: 7}})
	o := submit(h, Submit{Send: send("chat:a")})
	if o.Err != nil || o.Verdict.Seq != 1 || o.Epoch != m.headOf("chat:a").Epoch {
		t.Errorf("ROOM-10: the first send to the next generation: %+v", o)
	}
	for _, r := range readers {
		r.waitFor(t, "chat:a", 1)
		if !slices.Equal(r.resets, []room.ResetReason{room.ResetEpoch}) {
			t.Errorf("RET-3: %d: resets %v", r.peer.framing, r.resets)
		}
	}
	if n := h.Stats().Forks; n != 0 {
		t.Errorf("%d forks counted for a deletion", n)
	}
}

// A room that is being opened while it is deleted or pruned is read again.
func TestNoticeDuringOpen(t *testing.T) {
	for name, change := range map[string]func(m *model){
		"deleted": func(m *model) { m.recreate("chat:a") },
		"pruned":  func(m *model) { m.prune("chat:a", 40) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newModel()
				m.grow("chat:a", 50)
				release := make(chan struct{})
				m.onRead = func(context.Context, room.Query) error { <-release; return nil }
				h := New(Config{Store: m})
				h.Start()
				defer stop(t, h)
				got := make(chan Page, 1)
				go func() {
					p, err := h.Poll(t.Context(), Join{Room: "chat:a", Position: room.Position{Seq: m.headOf("chat:a").Seq}}, 0)
					var reset *ResetError
					if errors.As(err, &reset) {
						p.Head = reset.Head
					}
					got <- p
				}()
				synctest.Wait() // the first page is on its way
				change(m)
				h.Notice(m.headOf("chat:a"))
				close(release)
				if p := <-got; p.Head != m.headOf("chat:a") {
					t.Errorf("RET-2, RET-3: the room is taken for %+v, it is %+v", p.Head, m.headOf("chat:a"))
				}
			})
		})
	}
}
