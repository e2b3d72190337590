package hub

import (
	"context"
	"fmt"
	"time"

	"roomlog/server/room"
)

// Page is a page for a reader that asks: everything in (Prev, Seq], encoded and separated by commas.
type Page struct {
	Head   room.Head
	Prev   room.Seq
	Seq    room.Seq
	Mark   room.Mark // of Seq
	Events []byte
	Count  int
	State  []byte // of a room with state: by key, encoded; nil: nothing is said
	Full   bool   // State is the whole map
	Docs   bool   // updates of documents are left out
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

// Poll returns what follows j.Position, at most j.Limit events (0 is 100), from j.Floor on, and where j.Seen was acked as far as that
// (see [Join]); nothing else of j counts. Where there is nothing yet, it waits for the first event for as long as wait, then answers with
// an empty page.
// Errors: *ResetError; unavailable, overloaded, and going_away where it would wait and the hub stops (retryable).
func (h *Hub) Poll(ctx context.Context, j Join, wait time.Duration) (Page, error) {
	id, seen, limit := j.Room, j.Seen, j.Limit
	j.HasPosition, j.Replay = true, -1
	timer := time.NewTimer(wait)
	defer timer.Stop()
	if seen == 0 && h.cfg.Link != nil {
		within, cancel := ctx, context.CancelFunc(func() {})
		if wait > 0 { // who waits is woken by what comes
			within, cancel = context.WithTimeout(ctx, wait)
		}
		err := h.freshen(within, id)
		if cancel(); err != nil && wait <= 0 {
			return Page{}, err
		}
	}
	for live := false; ; seen = 0 { // asked once: a claim that is made up asks the store no more often
		j.Seen = seen
		r, from, why, err := h.place(ctx, j)
		if err != nil {
			return Page{}, err
		}
		if why != "" {
			head := r.headValue()
			head.Floor = r.shownFloor(j.Floor)
			r.mu.Unlock()
			return Page{}, &ResetError{Reason: why, Head: head}
		}
		if r.foldsAt(from, live) {
			only := r.mapOnly()
			r.mu.Unlock()
			return h.pollFolded(ctx, j, from, only)
		}
		if wait <= 0 || from < r.head {
			p := Page{Head: r.headValue(), Prev: from}
			p.Head.Floor = r.shownFloor(j.Floor)
			p.Events, p.Seq, p.Count = r.collect(nil, from, h.pageLimit(limit), pollBytes)
			p.Mark, _ = r.markAt(p.Seq)
			r.mu.Unlock()
			return p, nil
		}
		live = true
		if !h.park(ctx, r, timer) {
			if h.stops() {
				return Page{}, goingAway()
			}
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

// History reads a page from the store, for one who looks back (Before, Around) rather than on; with Query.Present it is the
// present content, which is nobody else's bytes. It has nothing below floor.
// Errors: unavailable (retryable).
func (h *Hub) History(ctx context.Context, q room.Query, floor room.Seq) (Page, error) {
	q.Limit = h.pageLimit(q.Limit)
	q.MaxBytes, q.Bottom = pollBytes, floor
	before := h.standsAt(q.Room)
	got, err := h.readNow(ctx, q)
	if err != nil {
		return Page{}, unavailable(err)
	}
	before.witness(got.Head)
	if floor = min(floor, got.Head.Seq+1); floor > got.Head.Floor {
		got.Head.Floor = floor
		if got, err = h.above(ctx, q, got); err != nil {
			return Page{}, unavailable(err)
		}
	}
	p := pageOf(q.Room, got)
	if mapOnly := h.cfg.MapOnly; mapOnly != nil && got.Layered && got.Log < got.Head.Floor && mapOnly(q.Room.Kind()) {
		p.Head.Floor = got.Head.Seq + 1
	}
	return p, nil
}

// above is what is left of a page that was read for who may be given nothing below its Head.Floor.
func (h *Hub) above(ctx context.Context, q room.Query, got room.Page) (room.Page, error) {
	bottom := got.Head.Floor - 1
	if got.Prev >= bottom {
		return got, nil
	}
	if q.Anchor == room.Around || got.Seq() <= bottom { // as many as there may be; or none, and the mark of where they are not
		if q.Anchor != room.Around {
			q.Limit = 1
		}
		again := q
		again.Anchor, again.Seq = room.After, bottom
		head := got.Head
		got, err := h.readNow(ctx, again)
		if q.Anchor != room.Around {
			got.Events = nil
		}
		got.Head.Floor = max(got.Head.Floor, head.Floor)
		return got, err
	}
	cut := bottom - got.Prev
	got.PrevMark = got.Events[cut-1].Mark
	got.Prev, got.Events = bottom, got.Events[cut:]
	return got, nil
}

// EventAt reads one event from the store; nil: it is not there.
// Errors: unavailable (retryable).
func (h *Hub) EventAt(ctx context.Context, id room.ID, seq room.Seq) (*room.Event, error) {
	got, err := h.readNow(ctx, room.Query{Room: id, Anchor: room.After, Seq: seq - 1, Limit: 1})
	if err != nil {
		return nil, unavailable(err)
	}
	if len(got.Events) == 0 || got.Events[0].Seq != seq {
		return nil, nil
	}
	return &got.Events[0], nil
}

// LastEdit reads the edit that a message has its content of, and the epoch of the room; nil: there is none.
// Errors: unavailable (retryable).
func (h *Hub) LastEdit(ctx context.Context, id room.ID, seq room.Seq) (*room.Event, room.Epoch, error) {
	got, err := h.readNow(ctx, room.Query{Room: id, Anchor: room.After, Seq: seq - 1, Limit: 1, Present: true})
	if err != nil {
		return nil, "", unavailable(err)
	}
	if len(got.Events) == 0 || got.Events[0].Seq != seq || got.Events[0].Edited == nil {
		return nil, got.Head.Epoch, nil
	}
	edit, err := h.EventAt(ctx, id, got.Events[0].Edited.Seq)
	return edit, got.Head.Epoch, err
}
