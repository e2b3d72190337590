package hub

import (
	"errors"
	"slices"
	"testing"
	"time"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// forked joins chat:a with both framings and lets them see resets.
func forked(t *testing.T, h *Hub, m *model) []*reader {
	t.Helper()
	var readers []*reader
	for _, f := range []wire.Framing{wire.WebSocket, wire.EventStream} {
		r := newReader(t, h, m, f)
		r.forked = true
		j := Join{Room: "chat:a", Replay: -1}
		var err error
		if f == wire.WebSocket {
			err = r.join(t, j)
		} else {
			err = r.follow(t, []Join{j})
		}
		if err != nil {
			t.Fatal(err)
		}
		r.waitFor(t, "chat:a", m.headOf("chat:a").Seq)
		readers = append(readers, r)
	}
	return readers
}

// TestForks holds RESET-1, RESET-2, SSE-7, I11: when history is not what it was, everyone is told why, and
// then sees the new one; nobody is given a mix.
func TestForks(t *testing.T) {
	tests := map[string]struct {
		why  room.ResetReason
		fork func(t *testing.T, h *Hub, m *model)
	}{
		"recreated": {room.ResetEpoch, func(t *testing.T, h *Hub, m *model) {
			m.recreate("chat:a")
		}},
		"restored, and written to the same head": {room.ResetDiverged, func(t *testing.T, h *Hub, m *model) {
			m.restore("chat:a", 200)
			m.grow("chat:a", 100)
		}},
		"restored, and written past the head": {room.ResetDiverged, func(t *testing.T, h *Hub, m *model) {
			m.restore("chat:a", 200)
			m.grow("chat:a", 150)
		}},
		"restored, behind what memory has": {room.ResetDiverged, func(t *testing.T, h *Hub, m *model) {
			m.restore("chat:a", 20)
		}},
		"restored to nothing": {room.ResetDiverged, func(t *testing.T, h *Hub, m *model) {
			m.restore("chat:a", 0)
		}},
		"pruned past the tail": {room.ResetPruned, func(t *testing.T, h *Hub, m *model) {
			m.grow("chat:a", 100)
			m.prune("chat:a", 350)
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m := newModel()
			m.grow("chat:a", 300)
			h := newHub(t, Config{Store: m})
			readers := forked(t, h, m)
			test.fork(t, h, m)
			if o := submit(h, Submit{Send: send("chat:a")}); o.Err != nil {
				t.Fatal(o.Err)
			}
			for _, r := range readers {
				r.peer.wait(t, "a reset", func() bool { return len(r.resets) > 0 })
				if !slices.Equal(r.resets, []room.ResetReason{test.why}) {
					t.Errorf("%d: resets %v, want one, %s", r.peer.framing, r.resets, test.why)
				}
				if r.peer.framing == wire.WebSocket { // its cursor has ended: it joins again
					if err := r.join(t, Join{Room: "chat:a", Replay: -1}); err != nil {
						t.Fatal(err)
					}
				}
				want := m.headOf("chat:a").Position()
				r.peer.wait(t, "the new head", func() bool { return r.at["chat:a"] == want })
			}
		})
	}
}

// A page that does not adjoin what memory has shows a fork, too.
func TestForkSeenByARead(t *testing.T) {
	m := newModel()
	m.grow("chat:a", 300)
	h := newHub(t, Config{Store: m})
	readers := forked(t, h, m)
	m.restore("chat:a", 100)
	m.grow("chat:a", 200)
	if _, err := h.Poll(t.Context(), Join{Room: "chat:a", Position: room.Position{Seq: 130}}, 0); err != nil {
		t.Fatal(err) // a position without mark continues either history
	}
	for _, r := range readers {
		r.peer.wait(t, "a reset", func() bool { return len(r.resets) > 0 })
		if r.resets[0] != room.ResetDiverged {
			t.Errorf("reset %s, want diverged", r.resets[0])
		}
	}
}

// RESET-4: ahead is said only after the head was read from the store; a node that is behind repairs itself
// instead, and those who read there are given what it had missed.
func TestAhead(t *testing.T) {
	m := newModel()
	m.grow("chat:a", 10)
	h := newHub(t, Config{Store: m})
	r := newReader(t, h, m, wire.WebSocket)
	if err := r.join(t, Join{Room: "chat:a", Replay: -1}); err != nil {
		t.Fatal(err)
	}
	r.waitFor(t, "chat:a", 10)
	m.grow("chat:a", 1000) // another node's, which this one did not hear of
	p, err := h.Poll(t.Context(), Join{Room: "chat:a", Position: m.at("chat:a", 1009)}, 0)
	if err != nil || p.Seq != 1010 {
		t.Fatalf("poll: %+v, %v, want the last event", p, err)
	}
	r.waitFor(t, "chat:a", 1010)
	before := m.heads.Load()
	_, err = h.Poll(t.Context(), Join{Room: "chat:a", Position: room.Position{Epoch: "e1", Seq: 1011, Mark: 7}}, 0)
	var reset *ResetError
	if !errors.As(err, &reset) || reset.Reason != room.ResetAhead || reset.Head.Seq != 1010 {
		t.Errorf("poll beyond the head: %v, want a reset, ahead", err)
	}
	if m.heads.Load() == before {
		t.Error("ahead was said without reading the head")
	}
}

// RESET-1: which reason is given, on a join and on a poll.
func TestResetReasons(t *testing.T) {
	m := newModel()
	m.grow("chat:a", 500)
	good := m.at("chat:a", 300)
	m.prune("chat:a", 200)
	h := newHub(t, Config{Store: m})
	with := func(change func(*room.Position)) room.Position { p := good; change(&p); return p }
	tests := map[string]struct {
		p      room.Position
		replay int64
		want   room.ResetReason
	}{
		"good":                    {good, -1, ""},
		"good, enough replay":     {good, 200, ""},
		"too far":                 {good, 199, room.ResetTooFar},
		"other epoch":             {with(func(p *room.Position) { p.Epoch = "e9"; p.Seq = 900 }), -1, room.ResetEpoch},
		"ahead":                   {with(func(p *room.Position) { p.Seq = 501 }), -1, room.ResetAhead},
		"pruned":                  {with(func(p *room.Position) { p.Seq = 198 }), 0, room.ResetPruned},
		"at the floor":            {m.at("chat:a", 199), -1, ""},
		"at the floor, diverged":  {with(func(p *room.Position) { p.Seq = 199 }), -1, room.ResetDiverged},
		"diverged":                {with(func(p *room.Position) { p.Mark ^= 2 }), -1, room.ResetDiverged},
		"diverged at the head":    {with(func(p *room.Position) { p.Seq = 500 }), -1, room.ResetDiverged},
		"too far before diverged": {with(func(p *room.Position) { p.Mark ^= 2 }), 10, room.ResetTooFar},
		"no mark":                 {with(func(p *room.Position) { p.Mark = 0 }), -1, ""},
		"bare seq":                {room.Position{Seq: 450}, -1, ""},
		"the beginning":           {room.Position{}, -1, room.ResetPruned},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newReader(t, h, m, wire.WebSocket)
			r.forked = true
			if err := r.join(t, Join{Room: "chat:a", Position: test.p, HasPosition: true, Replay: test.replay}); err != nil {
				t.Fatal(err)
			}
			r.waitFor(t, "chat:a", 500)
			var got room.ResetReason
			if len(r.resets) > 0 {
				got = r.resets[0]
			}
			if got != test.want {
				t.Errorf("join: reset %q, want %q", got, test.want)
			}
			if test.replay >= 0 {
				return
			}
			_, err := h.Poll(t.Context(), Join{Room: "chat:a", Position: test.p}, 0)
			var reset *ResetError
			if errors.As(err, &reset) != (test.want != "") || reset != nil && reset.Reason != test.want {
				t.Errorf("poll: %v, want %q", err, test.want)
			}
		})
	}
}

// RESET-6: a reset of one room touches no other, also where both are on one stream.
func TestResetTouchesOneRoom(t *testing.T) {
	m := newModel()
	m.grow("chat:a", 10)
	m.grow("chat:b", 10)
	h := newHub(t, Config{Store: m})
	r := newReader(t, h, m, wire.EventStream)
	r.forked = true
	if err := r.follow(t, []Join{{Room: "chat:a", Replay: -1}, {Room: "chat:b", Replay: -1}}); err != nil {
		t.Fatal(err)
	}
	m.recreate("chat:a")
	for _, id := range []room.ID{"chat:a", "chat:b"} {
		if o := submit(h, Submit{Send: send(id)}); o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	for _, id := range []room.ID{"chat:a", "chat:b"} {
		want := m.headOf(id).Position()
		r.peer.wait(t, "the head of "+string(id), func() bool { return r.at[id] == want })
	}
	if !slices.Equal(r.resets, []room.ResetReason{room.ResetEpoch}) {
		t.Errorf("resets %v, want one, epoch", r.resets)
	}
}

// changing is a model that says when its database was replaced.
type changing struct {
	*model
	changed chan struct{}
}

func (c changing) Changed() <-chan struct{} { return c.changed }

// RESET-7: a restore is noticed in a room that nobody writes to, by the next head check or as soon as the
// store says so, whether the restored head is in memory, behind it or beyond it. A failover that lost
// nothing resets nobody.
func TestForkSeenByHeadCheck(t *testing.T) {
	tests := map[string]struct {
		why  room.ResetReason
		fork func(m *model)
	}{
		"nothing lost":               {"", func(*model) {}},
		"nothing lost, and grown":    {"", func(m *model) { m.grow("chat:a", 200) }},
		"head back, in memory":       {room.ResetDiverged, func(m *model) { m.restore("chat:a", 290) }},
		"head back, behind memory":   {room.ResetDiverged, func(m *model) { m.restore("chat:a", 20) }},
		"back to nothing":            {room.ResetDiverged, func(m *model) { m.restore("chat:a", 0) }},
		"another at the same head":   {room.ResetDiverged, func(m *model) { m.restore("chat:a", 200); m.grow("chat:a", 100) }},
		"another, and past the head": {room.ResetDiverged, func(m *model) { m.restore("chat:a", 200); m.grow("chat:a", 150) }},
		"another numbering":          {room.ResetEpoch, func(m *model) { m.recreate("chat:a"); m.grow("chat:a", 300) }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			m := newModel()
			m.grow("chat:a", 300)
			store := changing{m, make(chan struct{})}
			h := newHub(t, Config{Store: store, CheckEvery: time.Hour})
			readers := forked(t, h, m)
			test.fork(m)
			for range 2 {
				store.changed <- struct{}{} // the second is taken when the first check is over
			}
			for _, r := range readers {
				if test.why == "" {
					r.waitFor(t, "chat:a", m.headOf("chat:a").Seq)
					if len(r.resets) > 0 {
						t.Errorf("resets %v, want none", r.resets)
					}
					continue
				}
				r.peer.wait(t, "a reset", func() bool { return len(r.resets) > 0 })
				if !slices.Equal(r.resets, []room.ResetReason{test.why}) {
					t.Errorf("resets %v, want one, %s", r.resets, test.why)
				}
			}
		})
	}
	t.Run("by the clock", func(t *testing.T) {
		m := newModel()
		m.grow("chat:a", 300)
		h := newHub(t, Config{Store: m, CheckEvery: time.Millisecond})
		readers := forked(t, h, m)
		m.restore("chat:a", 290)
		for _, r := range readers {
			r.peer.wait(t, "a reset", func() bool { return len(r.resets) > 0 })
		}
	})
}

// RESET-4: who is ahead of a store that went back is told so, with the page that the store has now.
func TestAheadOfARestoredStore(t *testing.T) {
	m := newModel()
	m.grow("chat:a", 300)
	h := newHub(t, Config{Store: m, CheckEvery: time.Hour})
	readers := forked(t, h, m)
	m.restore("chat:a", 200)
	p := room.Position{Epoch: "e1", Seq: 310, Mark: 7}
	_, err := h.Poll(t.Context(), Join{Room: "chat:a", Position: p}, 0)
	var reset *ResetError
	if !errors.As(err, &reset) || reset.Reason != room.ResetAhead || reset.Head != m.headOf("chat:a") {
		t.Errorf("a poll beyond both heads: %v, want a reset, ahead of %v", err, m.headOf("chat:a"))
	}
	for _, r := range readers {
		r.peer.wait(t, "a reset", func() bool { return len(r.resets) > 0 })
	}
}

// Who looks back in a forked room has the node look at the room, too.
func TestForkSeenByHistory(t *testing.T) {
	m := newModel()
	m.grow("chat:a", 300)
	h := newHub(t, Config{Store: m, CheckEvery: time.Hour})
	readers := forked(t, h, m)
	m.restore("chat:a", 200)
	m.grow("chat:a", 150)
	if _, err := h.History(t.Context(), room.Query{Room: "chat:a", Anchor: room.Before, Seq: 300}, 0); err != nil {
		t.Fatal(err)
	}
	for _, r := range readers {
		r.peer.wait(t, "a reset", func() bool { return len(r.resets) > 0 })
	}
}

// A head check beside appends never takes a head that was read a moment ago for one that went back.
func TestHeadCheckBesideAppends(t *testing.T) {
	m := newModel()
	m.grow("chat:a", 10)
	h := newHub(t, Config{Store: m, CheckEvery: 100 * time.Microsecond})
	r := newReader(t, h, m, wire.WebSocket)
	if err := r.join(t, Join{Room: "chat:a", Replay: -1}); err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		if o := submit(h, Submit{Send: send("chat:a")}); o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	r.waitFor(t, "chat:a", 2010)
	if n := h.Stats().Forks; n != 0 {
		t.Errorf("%d forks were seen where there is none", n)
	}
}
