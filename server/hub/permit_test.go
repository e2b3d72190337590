package hub

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// lease is a permit that can be taken back.
type lease struct{ over atomic.Bool }

func (l *lease) Permits(room.ID) *room.Error {
	if l.over.Load() {
		return &room.Error{Code: room.CodeUnknownRoom, Title: "Over."}
	}
	return nil
}

// ACC-5: what was queued when access was taken back is not stored; what was in flight is waited for.
func TestPermitIsAskedWhenTheBatchIsFormed(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, h *Hub, m *model, g gate) {
		out := newOutcomes(t)
		mine, other := &lease{}, &lease{}
		conn, err := h.Attach(newPeer(wire.WebSocket, func(frame) error { return nil }), wire.WebSocket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Detach()
		h.Submit(Submit{Send: send("chat:a"), Permit: mine, Conn: conn, N: 1}, out.done("in flight"))
		synctest.Wait()
		h.Submit(Submit{Send: send("chat:a"), Permit: mine, Conn: conn, N: 2}, out.done("queued"))
		h.Submit(Submit{Send: send("chat:a"), Permit: mine}, out.done("queued without order"))
		h.Submit(Submit{Send: send("chat:a"), Permit: other}, out.done("of another"))
		h.Submit(Submit{Send: send("chat:a")}, out.done("of no permit"))
		mine.over.Store(true)
		settled := make(chan error, 1)
		go func() { settled <- h.Settle(t.Context()) }()
		synctest.Wait()
		if len(settled) != 0 {
			t.Fatal("settled while a batch is in flight")
		}
		out.none("in flight")
		g.faults <- fault{}
		synctest.Wait()
		out.want("in flight", "")
		if err := <-settled; err != nil {
			t.Error(err)
		}
		g.faults <- fault{}
		synctest.Wait()
		out.want("queued", room.CodeUnknownRoom)
		out.want("queued without order", room.CodeUnknownRoom)
		out.want("of another", "")
		out.want("of no permit", "")
		if n := m.headOf("chat:a").Seq; n != 3 {
			t.Errorf("head %d, want 3", n)
		}
		mine.over.Store(false) // SEND-5: the refused send has used up its n
		h.Submit(Submit{Send: send("chat:a"), Permit: mine, Conn: conn, N: 3}, out.done("allowed again"))
		g.faults <- fault{}
		synctest.Wait()
		out.want("allowed again", "")
	})
}

// SEND-4: a send that is refused at the last moment stands behind an earlier one that has to be sent again.
func TestPermitRefusalKeepsTheOrder(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, h *Hub, _ *model, g gate) {
		out := newOutcomes(t)
		mine := &lease{}
		conn, err := h.Attach(newPeer(wire.WebSocket, func(frame) error { return nil }), wire.WebSocket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Detach()
		h.Submit(Submit{Send: send("chat:b")}, out.done("in flight"))
		synctest.Wait()
		h.Submit(Submit{Send: send("chat:a"), Conn: conn, N: 1}, out.done("1"))
		h.Submit(Submit{Send: send("chat:a"), Permit: mine, Conn: conn, N: 2}, out.done("2"))
		mine.over.Store(true)
		g.faults <- fault{}
		g.faults <- unavailably
		synctest.Wait()
		out.want("1", room.CodeUnavailable)
		out.want("2", room.CodeOutOfOrder)
	})
}

func TestSettle(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, h *Hub, _ *model, g gate) {
		if err := h.Settle(t.Context()); err != nil {
			t.Errorf("with nothing in flight: %v", err)
		}
		h.Submit(Submit{Send: send("chat:a")}, func(Outcome) {})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var e *room.Error
		if err := h.Settle(ctx); !errors.As(err, &e) || e.Code != room.CodeOutcomeUnknown { // ACC-6
			t.Errorf("a store that does not answer: %v", err)
		}
	})
}

// ACC-4: a join whose page was being read when access was taken back places no cursor and gives nothing.
func TestPermitIsAskedWhenACursorBegins(t *testing.T) {
	for name, framing := range map[string]wire.Framing{"socket": wire.WebSocket, "stream": wire.EventStream} {
		t.Run(name, func(t *testing.T) {
			m := newModel()
			m.grow("chat:a", 3)
			mine := &lease{}
			m.onRead = func(context.Context, room.Query) error {
				mine.over.Store(true) // the snapshot is taken already
				return nil
			}
			h := newHub(t, Config{Store: m})
			var frames atomic.Int64
			conn, err := h.Attach(newPeer(framing, func(frame) error { frames.Add(1); return nil }), framing)
			if err != nil {
				t.Fatal(err)
			}
			join := Join{Room: "chat:a", Replay: -1, Permit: mine}
			if framing == wire.WebSocket {
				err = conn.Join(t.Context(), join, func(Joined) []byte { return nil })
			} else {
				err = conn.Follow(t.Context(), []Join{{Room: "chat:b", Replay: -1}, join}, func([]Followed) []byte { return nil })
			}
			if room.AsError(err).Code != room.CodeUnknownRoom || conn.Rooms() != 0 {
				t.Errorf("joined %d rooms: %v", conn.Rooms(), err)
			}
			if o := submit(h, Submit{Send: send("chat:a")}); o.Err != nil {
				t.Fatal(o.Err)
			}
			conn.Detach()
			if n := frames.Load(); n != 0 {
				t.Errorf("%d frames were given", n)
			}
			r := h.live("chat:a")
			r.mu.Lock()
			defer r.mu.Unlock()
			for _, subs := range r.subs {
				if len(subs) != 0 {
					t.Error("the cursor is still among the subscribers")
				}
			}
		})
	}
}
