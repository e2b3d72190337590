package hub

import (
	"context"
	"sync"

	"roomlog/server/room"
)

// fresh reads heads for readers who must not be behind what any node has acked (rules RESET-4 and NODE-4): one query at a
// time. Who comes while one is on its way waits for the next, with all others who do, as sends do for a batch.
type fresh struct {
	hub *Hub

	mu   sync.Mutex
	next *freshQuery // the one that gathers; nil: nobody waits
	runs bool
}

type freshQuery struct {
	rooms map[room.ID]bool
	done  chan struct{}
	err   error // readable once done is closed
}

func newFresh(h *Hub) *fresh { return &fresh{hub: h} }

// freshen returns when the room knows of a head that the store had after the call: what was acked before it, by any node,
// is there for whoever reads the room next. A room that is not in memory will be read first, which is the same.
// Errors: unavailable, going_away (retryable).
func (h *Hub) freshen(ctx context.Context, id room.ID) error {
	if h.inMemory(id) == nil {
		return nil
	}
	q := h.fresh.ask(id)
	select {
	case <-q.done:
		return q.err
	case <-ctx.Done():
		return unavailable(ctx.Err())
	}
}

func (f *fresh) ask(id room.ID) *freshQuery {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.next == nil {
		f.next = &freshQuery{rooms: make(map[room.ID]bool), done: make(chan struct{})}
	}
	q := f.next
	q.rooms[id] = true
	if !f.runs {
		if f.runs = f.hub.background(f.run); !f.runs {
			q.err = goingAway()
			close(q.done)
			f.next = nil
		}
	}
	return q
}

// run makes query after query until nobody waits.
func (f *fresh) run(ctx context.Context) {
	for {
		f.mu.Lock()
		q := f.next
		f.next = nil
		f.runs = q != nil
		f.mu.Unlock()
		if q == nil {
			return
		}
		rooms := make([]*liveRoom, 0, len(q.rooms))
		for id := range q.rooms {
			if r := f.hub.inMemory(id); r != nil {
				rooms = append(rooms, r)
			}
		}
		if !f.hub.compareAll(ctx, standing(rooms)) {
			q.err = &room.Error{Code: room.CodeUnavailable, Title: "The store cannot be read right now.", RetryAfter: retryMax}
		}
		close(q.done)
	}
}
