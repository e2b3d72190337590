package hub

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// TestRejoiningSharesReads counts the store's reads while 1,000 clients come back to one room at once: at
// most one per page of what they missed and one more, whether the room is in memory or not, and while it
// is written.
func TestRejoiningSharesReads(t *testing.T) {
	const clients, head = 1000, 1500
	for _, missed := range []int{0, 50, 1000} {
		for _, how := range []string{"warm", "cold", "written"} {
			t.Run(fmt.Sprintf("%d missed, %s", missed, how), func(t *testing.T) {
				m := newModel()
				m.grow("chat:a", head)
				var seen atomic.Int64 // the head that the first read saw, or one a little later
				m.onRead = func(context.Context, room.Query) error {
					seen.CompareAndSwap(0, m.headOf("chat:a").Seq)
					pauseFor(2 * time.Millisecond)
					return nil
				}
				h := newHub(t, Config{Store: m})
				if how == "warm" {
					if _, err := h.Poll(t.Context(), Join{Room: "chat:a", Position: m.at("chat:a", head)}, 0); err != nil {
						t.Fatal(err)
					}
					m.reads.Store(0)
				}
				stopWriting := func() {}
				if how == "written" {
					stopWriting = writeAll(h, "chat:a")
				}
				from := m.at("chat:a", head-room.Seq(missed))
				rejoin(t, h, m, clients, from)
				stopWriting()
				pages := (max(seen.Load(), head) - from.Seq + segmentEvents - 1) / segmentEvents
				if n := m.reads.Load() + m.heads.Load(); n > pages+1 {
					t.Errorf("%d reads for %d pages", n, pages)
				}
			})
		}
	}
}

// rejoin has clients join from a position and waits until each has what the room had. One in fifty reads
// with care, the others only count.
func rejoin(t *testing.T, h *Hub, m *model, clients int, from room.Position) {
	head := m.headOf("chat:a").Seq
	readers := make([]*reader, clients)
	var all sync.WaitGroup
	for i := range readers {
		attach := newCounter
		if i/wire.Framings%50 == 0 {
			attach = newReader
		}
		r := attach(t, h, m, wire.Framing(i%wire.Framings))
		readers[i] = r
		all.Go(func() {
			j := Join{Room: "chat:a", Position: from, HasPosition: true, Replay: -1}
			var err error
			if r.peer.framing == wire.EventStream {
				err = r.follow(t, []Join{j})
			} else {
				err = r.join(t, j)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, r := range readers {
		r.peer.wait(t, "all that was missed", func() bool { return r.peer.events >= int(head-from.Seq) })
	}
	for _, r := range readers {
		r.conn.Detach()
	}
}

// writeAll writes to a room, a send at a time, until it is told to stop.
func writeAll(h *Hub, id room.ID) (stop func()) {
	done := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				submit(h, Submit{Send: send(id)})
				pauseFor(100 * time.Microsecond)
			}
		}
	})
	return func() { close(done); writer.Wait() }
}

// A tail that is read while its room is written goes live: what was written meanwhile is not read again
// and again.
func TestTailCatchesUpUnderWrites(t *testing.T) {
	m := newModel()
	m.grow("chat:a", 10)
	m.onRead = func(context.Context, room.Query) error { pauseFor(5 * time.Millisecond); return nil }
	h := newHub(t, Config{Store: m})
	stopWriting := writeAll(h, "chat:a")
	r := newReader(t, h, m, wire.WebSocket)
	if err := r.join(t, Join{Room: "chat:a", Replay: -1}); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		m.grow("chat:a", 1) // another node's: the tail is to be repaired while it is written
		submit(h, Submit{Send: send("chat:a")})
		r.waitFor(t, "chat:a", m.headOf("chat:a").Seq)
	}
	stopWriting()
	r.waitFor(t, "chat:a", m.headOf("chat:a").Seq)
	if n := m.reads.Load(); n > 12 {
		t.Errorf("%d reads for a join and five repairs", n)
	}
}

// A page that a join, a page or a poll ends on has its mark, also where memory ends there (POS-2).
func TestMarkAtTheEndOfMemory(t *testing.T) {
	m := newModel()
	m.grow("chat:a", 1000)
	h := newHub(t, Config{Store: m})
	p, err := h.Poll(t.Context(), Join{Room: "chat:a", Position: m.at("chat:a", 100), Limit: 500}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if want := m.at("chat:a", p.Seq); p.Mark != want.Mark || p.Count == 0 {
		t.Errorf("page to %d of %d events with mark %s, want %s", p.Seq, p.Count, p.Mark, want.Mark)
	}
}

// Large events and long pages: whatever a page is cut by, nothing is lost.
func TestLargeEvents(t *testing.T) {
	m := newModel()
	m.mu.Lock()
	for i := range 300 {
		m.append([]room.Send{sendOf("chat:a", 1+i%7*10000)})
	}
	m.mu.Unlock()
	h := newHub(t, Config{Store: m})
	for _, f := range []wire.Framing{wire.WebSocket, wire.EventStream} {
		r := newReader(t, h, m, f)
		j := Join{Room: "chat:a", Position: m.at("chat:a", 3), HasPosition: true, Replay: -1}
		var err error
		if f == wire.WebSocket {
			err = r.join(t, j)
		} else {
			err = r.follow(t, []Join{j})
		}
		if err != nil {
			t.Fatal(err)
		}
		r.waitFor(t, "chat:a", 300)
	}
	var at room.Position
	for at.Seq < 300 {
		p, err := h.Poll(t.Context(), Join{Room: "chat:a", Position: at, Limit: 500}, 0)
		if err != nil || p.Count == 0 {
			t.Fatalf("after %s: %+v, %v", at, p.Head, err)
		}
		at = room.Position{Epoch: p.Head.Epoch, Seq: p.Seq, Mark: p.Mark}
	}
}

// A store that cannot be read: a join is told so, a cursor waits and goes on when it can, and a room that
// nobody could read leaves nothing behind.
func TestReadFailure(t *testing.T) {
	m := newModel()
	m.grow("chat:a", 10)
	m.onRead = func(context.Context, room.Query) error { return fmt.Errorf("disk on fire") }
	h := newHub(t, Config{Store: m})
	for i := range 50 {
		_, err := h.Poll(t.Context(), Join{Room: room.ID(fmt.Sprintf("chat:r%d", i))}, 0)
		if e := room.AsError(err); e.Code != room.CodeUnavailable {
			t.Fatalf("poll: %v, want unavailable", err)
		}
	}
	r := newReader(t, h, m, wire.WebSocket)
	if err := r.join(t, Join{Room: "chat:a", Replay: -1}); room.AsError(err).Code != room.CodeUnavailable {
		t.Fatalf("join: %v, want unavailable", err)
	}
	stop(t, h)
	if n := h.Stats().Rooms; n != 0 {
		t.Errorf("%d rooms left of reads that failed", n)
	}
}

// holed is a store that lost a row.
type holed struct {
	*model
	lost room.Seq
}

func (s holed) Read(ctx context.Context, q room.Query) (room.Page, error) {
	p, err := s.model.Read(ctx, q)
	p.Events = slices.DeleteFunc(slices.Clone(p.Events), func(e room.Event) bool { return e.Seq == s.lost })
	return p, err
}

// TestHoleIsNotServed: a page with a row missing is refused whole; it is never numbered over (I8, PAGE-2).
func TestHoleIsNotServed(t *testing.T) {
	m := newModel()
	m.grow("chat:a", 10)
	h := newHub(t, Config{Store: holed{m, 5}})
	for name, read := range map[string]func() (Page, error){
		"poll": func() (Page, error) { return h.Poll(t.Context(), Join{Room: "chat:a"}, 0) },
		"history": func() (Page, error) {
			return h.History(t.Context(), room.Query{Room: "chat:a", Anchor: room.Before, Seq: 8}, 0)
		},
	} {
		p, err := read()
		if e := room.AsError(err); err == nil || e.Code != room.CodeUnavailable {
			t.Errorf("%s: %v with %d events, want unavailable", name, err, p.Count)
		}
	}
}
