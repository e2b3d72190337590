package hub

import (
	"context"
	"slices"
	"time"

	"roomlog/server/room"
)

const (
	// heldSends is how many sends of a held room a batch takes at most, so that it has place for the others.
	heldSends = 64
	// heldRetry is when a batch of held rooms alone is tried again, unless another send comes first.
	heldRetry = 5 * time.Millisecond
	// heldLong is after how long, and then how often, a batch waits for its rooms, and heldWait for how long: whoever waits
	// has a place in the database's queue for the room, where others that are quicker could go before for ever.
	heldLong = 100 * time.Millisecond
	heldWait = 20 * time.Millisecond
)

// take cuts a batch off the queue: its front, without the sends of held rooms beyond heldSends, which stay in their
// order. The caller holds a.mu.
func (a *appender) take() []*pending {
	var batch, left []*pending
	size, seen := 0, map[room.ID]int(nil)
	if len(a.held) > 0 {
		seen = make(map[room.ID]int, len(a.held))
	}
	n := 0
	for ; n < len(a.queue) && len(batch) < batchSends && (len(batch) == 0 || size+len(a.queue[n].Data) <= batchBytes); n++ {
		p := a.queue[n]
		if _, held := a.held[p.Room]; held {
			if seen[p.Room]++; seen[p.Room] > heldSends {
				left = append(left, p)
				continue
			}
		}
		batch = append(batch, p)
		size += len(p.Data)
	}
	a.queue = slices.Delete(a.queue, copy(a.queue, left), n)
	a.bytes -= int64(size)
	return batch
}

// keepBehind puts the sends that are not permitted any more among the held ones where one of their sender is held
// before them: they are told when that one is answered (SEND-4). The others stay in out, with why.
func keepBehind(batch, held, out []*pending, why []*room.Error) (_, _ []*pending, _ []*room.Error) {
	if len(held) == 0 || len(out) == 0 {
		return held, out, why
	}
	still, reason := make(map[*pending]bool, len(held)), make(map[*pending]*room.Error, len(out))
	for _, p := range held {
		still[p] = true
	}
	for i, p := range out {
		reason[p] = why[i]
	}
	senders := make(map[*sender]bool)
	held, out, why = nil, nil, nil
	for _, p := range batch {
		switch r := reason[p]; {
		case still[p]:
			held = append(held, p)
			senders[p.sender] = true
		case r != nil && p.sender != nil && senders[p.sender]:
			held = append(held, p)
		case r != nil:
			out, why = append(out, p), append(why, r)
		}
	}
	return held, out, why
}

// stillHeld notes which rooms are held, and since when. It gives the sends that are to be tried again: those that
// have waited as long as a client waits for an answer are told that they were not stored, and those that were
// told that nobody knows come again by themselves.
func (a *appender) stillHeld(held []*pending) (back []*pending) {
	if len(held) == 0 && len(a.held) == 0 {
		return nil
	}
	now := time.Now()
	rooms := make(map[room.ID]time.Time)
	var late []*pending
	a.mu.Lock()
	for _, p := range held {
		if since, was := a.held[p.Room]; was {
			rooms[p.Room] = since
		} else if _, noted := rooms[p.Room]; !noted {
			rooms[p.Room] = now
		}
		switch {
		case p.done == nil:
		case now.Sub(p.since) > a.hub.cfg.UnknownAfter:
			late = append(late, p)
		default:
			back = append(back, p)
		}
	}
	a.held = rooms
	a.mu.Unlock()
	a.hub.counts.held.Add(int64(len(held)))
	a.refuse(late, &room.Error{Code: room.CodeUnavailable, Title: "Another transaction holds the room; the event was not stored.", RetryAfter: retryMax})
	return back
}

// justHeld reports whether rooms were found held that were not before, and none that was. Most are free again in a moment:
// another node has a batch of them under way.
func (a *appender) justHeld() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.allJustHeld(time.Now())
}

// allJustHeld is justHeld for who holds a.mu.
func (a *appender) allJustHeld(now time.Time) bool {
	for _, since := range a.held {
		if now.Sub(since) >= heldWait {
			return false
		}
	}
	return len(a.held) > 0
}

// patience is how long the next attempt waits for its rooms: not at all, unless it is of rooms that were just found held alone, so that nobody
// else waits; once, since then they are not just held any more. And where one has been held for long, now and again.
func (a *appender) patience(sends []room.Send) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	free := func(s room.Send) bool { _, held := a.held[s.Room]; return !held }
	if a.allJustHeld(now) && !slices.ContainsFunc(sends, free) {
		return heldWait
	}
	for _, since := range a.held {
		if now.Sub(since) > heldLong && now.Sub(a.waited) > heldLong {
			a.waited = now
			return heldWait
		}
	}
	return 0
}

// restWhileHeld waits until there is another send, or for a moment.
func (a *appender) restWhileHeld(ctx context.Context) {
	t := time.NewTimer(heldRetry)
	defer t.Stop()
	select {
	case <-a.woken:
	case <-t.C:
	case <-ctx.Done():
	}
}
