package hub

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// behind is a hub that has 10 events of chat:a in memory, and a store with n more.
func behind(t *testing.T, store room.Store, m *model, n int) *Hub {
	t.Helper()
	m.grow("chat:a", 10)
	h := newHub(t, Config{Store: store})
	if _, err := h.Poll(t.Context(), Join{Room: "chat:a", Position: m.at("chat:a", 10)}, 0); err != nil {
		t.Fatal(err)
	}
	m.grow("chat:a", n) // another node's, which this one did not hear of
	return h
}

// NODE-4: who was acked an event elsewhere is answered with it, whatever this node has heard; who claims what is not
// there is answered as if nothing was claimed, after one look.
func TestSeenIsReached(t *testing.T) {
	latest := Join{Room: "chat:a", Replay: -1}
	for name, c := range map[string]struct {
		seen   room.Seq
		from   room.Seq // -1: the latest page
		head   room.Seq
		looked int64
	}{
		"nothing seen":               {0, 10, 10, 0},
		"what is here":               {10, 10, 10, 0},
		"one more":                   {11, 10, 15, 1},
		"all":                        {15, 10, 15, 1},
		"all, from the latest page":  {15, -1, 15, 1},
		"all, from further back":     {15, 3, 15, 1},
		"more than there is":         {16, 10, 15, 1},
		"as much as can be imagined": {room.MaxSeq, 10, 15, 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel()
			h := behind(t, m, m, 5)
			j := latest
			j.Seen = c.seen
			if c.from >= 0 {
				j.Position, j.HasPosition = m.at("chat:a", c.from), true
				page, err := h.Poll(t.Context(), Join{Room: "chat:a", Position: j.Position, Seen: c.seen, Limit: 0}, 0)
				if err != nil || page.Head.Seq != c.head || page.Prev != c.from || page.Seq != c.head {
					t.Errorf("poll: (%d, %d] of %d, %v, want (%d, %d]", page.Prev, page.Seq, page.Head.Seq, err, c.from, c.head)
				}
			}
			conn, err := h.Attach(newPeer(wire.WebSocket, nil), wire.WebSocket)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(conn.Detach)
			var got Joined
			if done, err := conn.JoinAtOnce(j, func(dst []byte, out Joined) []byte { got = out; return dst }); err != nil || done != (c.seen <= 10 || c.from >= 0 && c.seen <= 15) {
				t.Errorf("at once: %t, %v", done, err)
			}
			if err := conn.Join(t.Context(), j, func(out Joined) []byte { got = out; return nil }); err != nil {
				t.Fatal(err)
			}
			if got.Head.Seq != c.head || got.Seq != c.head || got.Reset != "" {
				t.Errorf("joined at %d of %d, reset %q, want %d", got.Seq, got.Head.Seq, got.Reset, c.head)
			}
			most := c.looked
			if c.seen > 15 && c.from >= 0 {
				most = 2 // the poll and the join looked
			}
			if n := m.heads.Load(); n != most {
				t.Errorf("the head was read %d times, want %d", n, most)
			}
		})
	}
}

// slowHeads is a store whose heads can be made to wait, after they were read.
type slowHeads struct {
	*model
	entered chan struct{}
	release chan struct{}
}

func (s *slowHeads) Heads(ctx context.Context, ids []room.ID) ([]room.Head, error) {
	heads, err := s.model.Heads(ctx, ids)
	s.entered <- struct{}{}
	<-s.release
	return heads, err
}

// A herd whose clients have seen more than this node has costs the store two reads of the head: those who came while one
// was under way that may have begun too early share the next.
func TestAHerdSharesHeadReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel()
		store := &slowHeads{m, make(chan struct{}, 10), make(chan struct{})}
		h := behind(t, store, m, 5)
		var all sync.WaitGroup
		polled := func(seen room.Seq) {
			all.Go(func() {
				page, err := h.Poll(t.Context(), Join{Room: "chat:a", Position: m.at("chat:a", 10), Seen: seen, Limit: 0}, 0)
				if err != nil || page.Seq < min(seen, 20) {
					t.Errorf("polled up to %d, %v, with %d seen", page.Seq, err, seen)
				}
			})
		}
		polled(15)
		<-store.entered
		m.grow("chat:a", 5) // after the head was read that is on its way
		for range 100 {
			polled(20)
			polled(13)
		}
		synctest.Wait() // all of them are there: who came while the second is read would share a third
		close(store.release)
		all.Wait()
		if n := m.heads.Load(); n != 2 {
			t.Errorf("%d reads of the head, want 2", n)
		}
	})
}

// A store that cannot be read is no reason to answer with less than the client has seen.
func TestSeenWithoutAStore(t *testing.T) {
	m := newModel()
	store := &failingHeads{model: m}
	h := behind(t, store, m, 5)
	_, err := h.Poll(t.Context(), Join{Room: "chat:a", Position: m.at("chat:a", 10), Seen: 15, Limit: 0}, 0)
	if e := room.AsError(err); e == nil || e.Code != room.CodeUnavailable || !e.Retryable() {
		t.Errorf("%v, want unavailable", err)
	}
	if page, err := h.Poll(t.Context(), Join{Room: "chat:a", Position: m.at("chat:a", 10)}, 0); err != nil || page.Seq != 10 {
		t.Errorf("without a claim: %d, %v", page.Seq, err)
	}
	if page, err := h.Poll(t.Context(), Join{Room: "chat:a", Position: m.at("chat:a", 9), Seen: 10, Limit: 0}, time.Minute); err != nil || page.Seq != 10 {
		t.Errorf("with what is here: %d, %v", page.Seq, err)
	}
}

type failingHeads struct{ *model }

func (failingHeads) Heads(context.Context, []room.ID) ([]room.Head, error) {
	return nil, errors.New("no connection")
}
