package hub

import (
	"context"

	"roomlog/server/room"
)

// Permit says whether what was allowed when it was asked for still is. The hub asks again at the last moment:
// for a send when its batch is formed, for a cursor when it begins. Who takes access back first changes what
// its permits say, then ends cursors (Conn.Leave, Conn.Detach) and waits for [Hub.Settle]: after that nothing
// that was allowed before is stored or delivered.
type Permit interface {
	// Permits returns nil, or the refusal. It must not block: it is called with locks held.
	Permits(id room.ID) *room.Error
}

// Floored is a [Permit] that says from where on a room may be given by now: it may rise, where somebody began anew (rule MEM-6).
type Floored interface {
	// Floor is the least seq; 0: any. As Permits, it must not block.
	Floor(id room.ID) room.Seq
}

// floorBy is the least seq by now that who joined from base on may be given.
func floorBy(p Permit, id room.ID, base room.Seq) room.Seq {
	if f, is := p.(Floored); is {
		return max(base, f.Floor(id))
	}
	return base
}

// refused is what a permit says by now; without one everything is permitted.
func refused(p Permit, id room.ID) *room.Error {
	if p == nil {
		return nil
	}
	return p.Permits(id)
}

// recheck parts a batch that is about to be stored from the sends that are not permitted any more, and says
// why not.
func recheck(batch []*pending) (kept, out []*pending, why []*room.Error) {
	for i, p := range batch {
		err := refused(p.permit, p.Room)
		switch {
		case err != nil && out == nil:
			kept = append([]*pending(nil), batch[:i]...)
			fallthrough
		case err != nil:
			out, why = append(out, p), append(why, err)
		case out != nil:
			kept = append(kept, p)
		}
	}
	if out == nil {
		return batch, nil, nil
	}
	return kept, out, why
}

// Settle waits until the batch that is in flight now is answered. The batches after it are formed by what
// permits say after the call. Where ctx ends first, the outcome of that batch is not known yet: it is
// outcome_unknown, and some sends of it may still be stored.
func (h *Hub) Settle(ctx context.Context) error {
	landed := h.appender.landing()
	if landed == nil {
		return nil
	}
	select {
	case <-landed:
		return nil
	case <-ctx.Done():
		return &room.Error{
			Code: room.CodeOutcomeUnknown, RetryAfter: retryMax,
			Title: "The store has not answered the sends that were on their way; ask again.", Cause: ctx.Err(),
		}
	}
}

// landing is closed when the batch in flight is answered; nil: there is none.
func (a *appender) landing() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.flying == nil {
		return nil
	}
	if a.landed == nil {
		a.landed = make(chan struct{})
	}
	return a.landed
}
