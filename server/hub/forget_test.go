package hub

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"roomlog/server/room"
)

// After a pause the rooms are what the store says by then: one that nobody reads is read anew when somebody comes, and
// those who stand in one are given what they lack, without a reset.
func TestForget(t *testing.T) {
	m := newModel()
	m.grow("chat:a", 300)
	m.grow("chat:b", 10)
	h := newHub(t, Config{Store: m, CheckEvery: time.Hour})
	readers := forked(t, h, m)
	if _, err := h.Poll(t.Context(), Join{Room: "chat:b"}, 0); err != nil {
		t.Fatal(err)
	}
	m.grow("chat:a", 200) // elsewhere, while this process does not run
	m.grow("chat:b", 5)
	h.Forget()
	for _, r := range readers {
		r.waitFor(t, "chat:a", 500)
		if len(r.resets) > 0 {
			t.Errorf("resets %v", r.resets)
		}
	}
	p, err := h.Poll(t.Context(), Join{Room: "chat:b", Position: m.at("chat:b", 10)}, 0)
	if err != nil || p.Seq != 15 || p.Head.Seq != 15 {
		t.Errorf("a room that nobody read: %+v, %v", p, err)
	}
}

// flaky is a store that does not give heads for a while.
type flaky struct {
	*model
	fails atomic.Int64
}

func (f *flaky) Heads(ctx context.Context, ids []room.ID) ([]room.Head, error) {
	if f.fails.Add(-1) >= 0 {
		return nil, errors.New("connection refused")
	}
	return f.model.Heads(ctx, ids)
}

// A head check that the store does not answer is begun anew soon, not at its next time: rooms that nobody writes to here go
// on when the store is back.
func TestAHeadCheckThatFailsIsTriedAgain(t *testing.T) {
	m := newModel()
	m.grow("chat:a", 3)
	store := &flaky{model: m}
	h := newHub(t, Config{Store: store, CheckEvery: time.Hour})
	readers := forked(t, h, m)
	m.grow("chat:a", 4)
	store.fails.Store(2)
	h.checkSoon()
	for _, r := range readers {
		r.waitFor(t, "chat:a", 7)
	}
}
