package hub

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"roomlog/server/room"
)

const (
	batchSends    = 1024
	batchBytes    = 4 << 20
	queueBytes    = 64 << 20
	appendTimeout = 10 * time.Second
	retryAppend   = 50 * time.Millisecond
	retryMax      = time.Second
	retryOverload = time.Second
	overdueEvery  = 250 * time.Millisecond
)

// appender is the group commit of this node. While one transaction is in flight the next batch
// gathers; there is no timer. One batch is in flight at a time, so that the sends of one sender keep
// their order and a batch whose outcome is unknown can be run again with nothing behind its back.
type appender struct {
	hub *Hub

	mu       sync.Mutex
	queue    []*pending
	bytes    int64
	flying   []*pending
	flight   int64 // numbers the batches in flight
	overdue  bool  // the flying batch has been unanswered for UnknownAfter
	expiring int   // calls that refuse sends taken off the queue: none behind them is batched yet
	deadline *time.Timer
	held     map[room.ID]time.Time // rooms that another transaction held at the last try, and since when
	waited   time.Time             // when an attempt last waited for its rooms
	within   time.Duration         // how long the last attempt would wait for them
	closed   bool
	woken    chan struct{}
	landed   chan struct{} // closed when the flying batch is answered; nil when nobody waits for that
}

func newAppender(h *Hub) *appender {
	return &appender{hub: h, woken: make(chan struct{}, 1)}
}

// run commits batch after batch until ctx ends, or the appender is closed and nothing is queued.
func (a *appender) run(ctx context.Context) {
	for {
		batch := a.next()
		if batch == nil {
			a.mu.Lock()
			done := a.closed && len(a.queue) == 0
			a.mu.Unlock()
			if done {
				return
			}
			select {
			case <-a.woken:
				continue
			case <-ctx.Done():
				return
			}
		}
		kept, out, why := recheck(batch) // after next: who waits for the batch in flight waits for these
		held := a.commit(ctx, kept, attempt{})
		futile := len(held) > 0 && len(held) == len(kept)
		held, out, why = keepBehind(batch, held, out, why)
		for i, p := range out { // behind the others: a sender's earlier sends may void them
			a.answer(p, Outcome{Err: why[i]})
		}
		a.land(a.stillHeld(held))
		if ctx.Err() != nil {
			return
		}
		if futile && a.within == 0 && !a.justHeld() { // else they have waited, or do next
			a.restWhileHeld(ctx)
		}
	}
}

// next takes what has gathered as the batch in flight, in the order of arrival.
func (a *appender) next() []*pending {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.expiring > 0 {
		return nil
	}
	a.flying = a.take()
	if len(a.flying) == 0 {
		return nil
	}
	a.flight++
	flight := a.flight
	a.deadline = time.AfterFunc(a.hub.cfg.UnknownAfter, func() { a.late(flight) })
	return a.flying
}

// land ends the flight. Sends whose rooms are held go back in front of the queue.
func (a *appender) land(back []*pending) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.deadline.Stop()
	a.flying, a.overdue = nil, false
	if len(back) > 0 {
		a.queue = slices.Concat(back, a.queue)
		for _, p := range back {
			a.bytes += int64(len(p.Data))
		}
	}
	if a.landed != nil {
		close(a.landed)
		a.landed = nil
	}
}

// commit runs a batch until it is answered. What an earlier attempt may have stored is found by its
// tag: looking the tag up alone would not do, since the lost transaction may commit later.
//
// It returns the sends that were not judged because another transaction holds their rooms.
func (a *appender) commit(ctx context.Context, batch []*pending, at attempt) (held []*pending) {
	batch = a.inOrder(batch, at.unknown)
	if len(batch) == 0 {
		return nil
	}
	sends := make([]room.Send, len(batch))
	for i, p := range batch {
		sends[i] = p.Send
	}
	a.mutateAppend(batch) // mutants ack_first, publish_first
	for wait := retryAppend; ; wait = min(2*wait, retryMax) {
		out, err := a.append(ctx, sends, at)
		switch e := (*room.Error)(nil); {
		case err == nil:
			a.hub.trouble.Store(nil)
			held = a.settle(batch, out)
			a.tellGrown(out, at.unknown)
			return held
		case ctx.Err() != nil:
			a.refuse(batch, outcomeUnknown())
			return nil
		case errors.Is(err, room.ErrOutcomeUnknown), errors.Is(err, context.DeadlineExceeded):
			at.unknown = true
			a.troubled("The store has not answered whether it stored the last sends.")
		case errors.As(err, &e) && e.Retryable():
			a.troubled(e.Title)
			if !at.unknown {
				a.refuse(batch, e)
				return nil
			}
			a.refuseWaiting(e)
		default:
			a.bisect(ctx, batch, at, err)
			return nil
		}
		a.hub.log.Warn("append not answered; running it again", "sends", len(batch), "error", err)
		a.hub.counts.reruns.Add(1)
		pause(ctx, wait)
	}
}

// attempt is what is known of a batch before it is tried.
type attempt struct {
	// unknown: an attempt whose outcome is not known held these sends already, so that no refusal of a later one
	// means that they are not stored.
	unknown bool
	// halved: the batch is part of one that is tried at a time.
	halved bool
}

// append is one attempt. After an unknown outcome it waits for its rooms, since the lost transaction may hold them;
// and where the batch was halved, since a room that comes free between two halves would take a sender's sends out of
// their order.
func (a *appender) append(ctx context.Context, sends []room.Send, at attempt) (room.Appended, error) {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	a.hub.counts.batches.Add(1)
	a.hub.counts.sends.Add(int64(len(sends)))
	a.hub.counts.batchSends.add(len(sends))
	began := time.Now()
	defer func() { a.hub.counts.append.add(time.Since(began)) }()
	if shared, ok := a.hub.cfg.Store.(room.Shared); ok && !at.unknown && !at.halved {
		a.within = a.patience(sends)
		return shared.AppendWithin(ctx, sends, a.within)
	}
	return a.hub.cfg.Store.Append(ctx, sends)
}

// tellGrown says which rooms have grown. After a lost attempt (all) those that it may have made grow are told
// too: what it stored is only repeated by the one that was answered.
func (a *appender) tellGrown(out room.Appended, all bool) {
	for _, g := range out.Rooms {
		grew := all || g.Head.Seq > g.Before
		if grown := a.hub.cfg.Grown; grown != nil && grew {
			grown(g.Head.Room)
		}
		if m := a.hub.members.Load(); m != nil && grew {
			(*m).Grown(g.Head.Room)
		}
		if link := a.hub.cfg.Link; link != nil && all {
			link.Changed(g.Head)
		}
	}
}

// bisect finds the send that makes a batch fail, so that it fails alone.
func (a *appender) bisect(ctx context.Context, batch []*pending, at attempt, err error) {
	if len(batch) == 1 {
		a.hub.log.Error("send refused by the store", "room", batch[0].Room, "error", err)
		a.refuse(batch, &room.Error{Code: room.CodeBadData, Title: "The store cannot keep this event.", Field: "data", Cause: err})
		return
	}
	at.halved = true
	a.commit(ctx, batch[:len(batch)/2], at)
	a.commit(ctx, batch[len(batch)/2:], at)
}

// inOrder leaves out the sends that an earlier one of their sender has to precede again.
func (a *appender) inOrder(batch []*pending, unknown bool) []*pending {
	kept := batch[:0:0]
	for _, p := range batch {
		switch {
		case p.sender == nil || !p.sender.voids(p):
			kept = append(kept, p)
		case unknown: // the lost attempt may have stored it
			a.answer(p, Outcome{Err: outcomeUnknown()})
		default:
			a.answer(p, Outcome{Err: outOfOrder()})
		}
	}
	return kept
}

// settle gives what a batch stored to the rooms, then answers its sends: an ack comes only after the
// commit, and a read that follows it finds the event. It returns those whose rooms are held.
func (a *appender) settle(batch []*pending, out room.Appended) (held []*pending) {
	events := make(map[room.ID][]room.Event, len(out.Rooms))
	for i, v := range out.Verdicts {
		if v.Refused != nil || v.NotStored || v.Duplicate || v.Held {
			continue
		}
		p := batch[i]
		events[p.Room] = append(events[p.Room], room.Event{
			Seq: v.Seq, Mark: v.Mark, Type: p.Type, Author: p.Author, Tag: p.Tag, At: v.At, Data: p.Data, Target: v.Target,
		})
	}
	for id := range events { // what was stored and deleted by one batch is given to nobody
		events[id] = room.RedactAll(events[id])
	}
	epochs := make(map[room.ID]room.Epoch, len(out.Rooms))
	for _, g := range out.Rooms {
		epochs[g.Head.Room] = g.Head.Epoch
		a.hub.tellMembers(g.Head.Room, events[g.Head.Room], true) // also where nobody reads the room here
		a.hub.publish(g, events[g.Head.Room])
		if link := a.hub.cfg.Link; link != nil && g.Head.Seq > g.Before {
			link.Appended(g, events[g.Head.Room])
		}
	}
	now := time.Now()
	for i, v := range out.Verdicts {
		if v.Held {
			held = append(held, batch[i])
			continue
		}
		a.hub.counts.answer.add(now.Sub(batch[i].since))
		o := Outcome{Verdict: v, Epoch: epochs[batch[i].Room], Err: v.Refused}
		if v.NotStored {
			o.Err = &room.Error{Code: room.CodeBadRequest, Field: "n", Title: "This n was used before, and no event with this tag is stored."}
		}
		a.answer(batch[i], o)
	}
	a.hub.cache.trim()
	return held
}
