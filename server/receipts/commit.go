package receipts

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"roomlog/server/room"
)

// waiting is the marks of a user in a room that are to be stored.
type waiting struct {
	marking room.Marking
	answers []func(room.Own, error)
}

// counts is what a desk has done since it was made.
type counts struct {
	asked, stored, batches, raised, loads, repairs atomic.Int64
}

// Stats is what a desk has done since it was made.
type Stats struct {
	Asked   int64 // markings that were taken
	Stored  int64 // markings that were stored: of those that waited at a time, one per user and room
	Raised  int64 // of those, that raised a mark
	Batches int64 // transactions
	Loads   int64 // reads of the receipts of a room
	Repairs int64 // of those, for what no hint had told
}

// Stats tells what was counted.
func (d *Desk) Stats() Stats {
	c := &d.counts
	return Stats{c.asked.Load(), c.stored.Load(), c.raised.Load(), c.batches.Load(), c.loads.Load(), c.repairs.Load()}
}

// Mark has marks of a user stored. answer is called once, by any goroutine, when they are durable, with where the user stands
// then, or with why they are not: `overloaded`, `going_away`, `unavailable`, `outcome_unknown`; nil: nobody wants to know. It must not block.
func (d *Desk) Mark(m room.Marking, answer func(room.Own, error)) {
	if err := d.enqueue(m, answer); err != nil && answer != nil {
		answer(room.Own{}, err)
	}
}

func (d *Desk) enqueue(m room.Marking, answer func(room.Own, error)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return goingAway()
	}
	p := pair{m.Room, m.User}
	w := d.queue[p]
	if w == nil && len(d.queue) >= queueMost || answer != nil && d.answers >= queueMost {
		return &room.Error{Code: room.CodeOverloaded, RetryAfter: time.Second, Title: "Too many marks wait to be stored; try again."}
	}
	d.counts.asked.Add(1)
	if w == nil {
		w = &waiting{marking: m}
		d.queue[p] = w
		d.order = append(d.order, p)
	} else {
		w.marking.Delivered, w.marking.Read = max(w.marking.Delivered, m.Delivered), max(w.marking.Read, m.Read)
	}
	if answer != nil {
		w.answers = append(w.answers, answer)
		d.answers++
	}
	wake(d.stores)
	return nil
}

// store stores what has gathered while the batch before it was under way.
func (d *Desk) store() {
	for {
		batch, last := d.gathered()
		if len(batch) > 0 {
			d.commit(batch)
			continue
		}
		if last {
			wake(d.shows) // which waits for the last answers
			return
		}
		select {
		case <-d.stores:
		case <-d.ctx.Done():
		}
	}
}

// gathered takes the next batch; last: there will be none after it.
func (d *Desk) gathered() (batch []*waiting, last bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := min(len(d.order), batchMost)
	for _, p := range d.order[:n] {
		batch = append(batch, d.queue[p])
		delete(d.queue, p)
	}
	d.order = d.order[n:]
	if len(d.order) == 0 {
		d.order = nil
	}
	return batch, d.closed && n == 0
}

// commit stores a batch, in one transaction.
func (d *Desk) commit(batch []*waiting) {
	marks := make([]room.Marking, len(batch))
	for i, w := range batch {
		marks[i] = w.marking
	}
	ctx, cancel := context.WithTimeout(d.ctx, storeWithin)
	out, err := d.cfg.Store.Mark(ctx, marks)
	cancel()
	d.counts.batches.Add(1)
	if err != nil {
		d.failed(batch, err)
		return
	}
	d.counts.stored.Add(int64(len(batch)))
	changes := grouped(out)
	if d.cfg.Marked != nil {
		raised := slices.DeleteFunc(slices.Clone(out), func(m room.Marked) bool { return m.Version <= m.Before })
		d.cfg.Marked(raised)
	}
	for _, c := range changes {
		d.counts.raised.Add(int64(len(c.rows)))
		if d.cfg.Say != nil {
			d.cfg.Say(c.room, c.hint())
		}
	}
	d.mu.Lock()
	d.changes = append(d.changes, changes...)
	for i, w := range batch {
		if len(w.answers) > 0 {
			d.ask(pair{out[i].Room, out[i].User}).answers = append(d.ask(pair{out[i].Room, out[i].User}).answers, w.answers...)
		}
	}
	d.mu.Unlock()
	wake(d.shows)
}

// failed answers a batch that was not stored, or of which that is not known. It may be marked again: marks only rise.
func (d *Desk) failed(batch []*waiting, err error) {
	switch {
	case d.ctx.Err() != nil:
		err = goingAway()
	case errors.Is(err, room.ErrOutcomeUnknown):
		err = &room.Error{Code: room.CodeOutcomeUnknown, Title: "It is not known whether the marks were stored; mark again.", Cause: err}
	case room.AsError(err).Code == room.CodeInternal:
		d.cfg.Log.Error("marks are not stored", "markings", len(batch), "error", err)
	}
	for _, w := range batch {
		d.answered(w.answers, room.Own{}, err)
	}
}

// answered answers, and counts it.
func (d *Desk) answered(answers []func(room.Own, error), o room.Own, err error) {
	if len(answers) == 0 {
		return
	}
	d.mu.Lock()
	d.answers -= len(answers)
	d.mu.Unlock()
	for _, answer := range answers {
		answer(o, err)
	}
}

// grouped are the changes that a transaction made, by room.
func grouped(out []room.Marked) []change {
	var changes []change
	at := make(map[room.ID]int)
	seen := make(map[pair]bool, len(out))
	for _, m := range out {
		if p := (pair{m.Room, m.User}); m.Version <= m.Before || seen[p] {
			continue
		} else {
			seen[p] = true
		}
		i, known := at[m.Room]
		if !known {
			i = len(changes)
			at[m.Room] = i
			changes = append(changes, change{room: m.Room, epoch: m.Epoch, before: m.Before, after: m.After})
		}
		changes[i].rows = append(changes[i].rows, m.Receipt)
	}
	return changes
}
