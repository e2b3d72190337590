package hub

import (
	"context"
	"fmt"
	"time"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// Page is a page for a reader that asks: everything in (Prev, Seq], encoded and separated by commas.
type Page struct {
	Head   room.Head
	Prev   room.Seq
	Seq    room.Seq
	Mark   room.Mark // of Seq
	Events []byte
	Count  int
}

// pollBytes is about how many bytes of events one answer holds; the reader asks again for more.
const pollBytes = 1 << 20

// ResetError says that a position cannot be continued.
type ResetError struct {
	Reason room.ResetReason
	Head   room.Head
}

// Error names the reason.
func (e *ResetError) Error() string { return fmt.Sprintf("reset: %s", e.Reason) }

// Poll returns what follows a position, at most limit events (0 is 100). Where there is nothing yet, it
// waits for the first event for as long as wait, then answers with an empty page.
// Errors: *ResetError; unavailable, overloaded (retryable).
func (h *Hub) Poll(ctx context.Context, id room.ID, pos room.Position, limit int, wait time.Duration) (Page, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		r, from, why, err := h.place(ctx, Join{Room: id, Position: pos, HasPosition: true, Replay: -1})
		if err != nil {
			return Page{}, err
		}
		if why != "" {
			head := r.headValue()
			r.mu.Unlock()
			return Page{}, &ResetError{Reason: why, Head: head}
		}
		if wait <= 0 || from < r.head {
			p := Page{Head: r.headValue(), Prev: from}
			p.Events, p.Seq, p.Count = r.collect(nil, from, h.pageLimit(limit), pollBytes)
			p.Mark, _ = r.markAt(p.Seq)
			r.mu.Unlock()
			return p, nil
		}
		if !h.park(ctx, r, timer) {
			wait = 0
		}
	}
}

// park waits for the room to grow; false: time is up. It unlocks the room.
func (h *Hub) park(ctx context.Context, r *liveRoom, timer *time.Timer) bool {
	changed := r.wait()
	r.waiters++
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.waiters--
		r.retire()
		r.mu.Unlock()
	}()
	select {
	case <-changed:
		return true
	case <-timer.C:
	case <-ctx.Done():
	case <-h.stopping:
	}
	return false
}

// History reads a page from the store, for one who looks back (Before, Around) rather than on.
// Errors: unavailable (retryable).
func (h *Hub) History(ctx context.Context, q room.Query) (Page, error) {
	q.Limit = h.pageLimit(q.Limit)
	q.MaxBytes = pollBytes
	before := h.standsAt(q.Room)
	got, err := h.read(ctx, ReadHistory, q)
	if err != nil {
		return Page{}, unavailable(err)
	}
	before.witness(got.Head)
	p := Page{Head: got.Head, Prev: got.Prev, Seq: got.Seq(), Mark: got.Position().Mark, Count: len(got.Events)}
	for i := range got.Events {
		if i > 0 {
			p.Events = append(p.Events, ',')
		}
		p.Events = wire.AppendEvent(p.Events, q.Room, &got.Events[i])
	}
	return p, nil
}

// EventAt reads one event from the store; nil: it is not there.
// Errors: unavailable (retryable).
func (h *Hub) EventAt(ctx context.Context, id room.ID, seq room.Seq) (*room.Event, error) {
	got, err := h.read(ctx, ReadHistory, room.Query{Room: id, Anchor: room.After, Seq: seq - 1, Limit: 1})
	if err != nil {
		return nil, unavailable(err)
	}
	if len(got.Events) == 0 || got.Events[0].Seq != seq {
		return nil, nil
	}
	return &got.Events[0], nil
}
