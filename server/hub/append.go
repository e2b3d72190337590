package hub

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"roomlog/server/room"
)

// Submit is one send on its way to the log.
type Submit struct {
	room.Send
	// Conn and N give the send its place among those of its connection to its room. A nil Conn (HTTP)
	// has no order to keep.
	Conn *Conn
	N    int64
	// Refuse is why the transport already refuses the send. It is not stored, but takes part in the
	// order: a permanent refusal uses up its N, a retryable one holds it.
	Refuse *room.Error
}

// Outcome answers a send. Err is nil where the event is stored; a retryable Err other than
// outcome_unknown says that it was not.
type Outcome struct {
	Verdict room.Verdict
	Epoch   room.Epoch
	Err     *room.Error
}

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

// pending is a send that waits for its batch, or whose batch is in flight.
type pending struct {
	room.Send
	sender *sender // nil without order
	n, era int64
	since  time.Time
	done   func(Outcome) // nil once answered; guarded by the appender's lock
}

// appender is the group commit of this node. While one transaction is in flight the next batch
// gathers; there is no timer. One batch is in flight at a time, so that the sends of one sender keep
// their order and a batch whose outcome is unknown can be run again with nothing behind its back.
type appender struct {
	hub *Hub

	mu       sync.Mutex
	queue    []*pending
	bytes    int64
	flying   []*pending
	overdue  bool // the flying batch has been unanswered for UnknownAfter
	deadline *time.Timer
	closed   bool
	woken    chan struct{}
}

func newAppender(h *Hub) *appender {
	return &appender{hub: h, woken: make(chan struct{}, 1)}
}

// Submit queues a send. done is called exactly once, maybe before Submit returns, and must not block.
func (h *Hub) Submit(s Submit, done func(Outcome)) {
	p := &pending{Send: s.Send, n: s.N, done: done, since: time.Now()}
	if s.Conn != nil {
		p.sender = s.Conn.sender(s.Room)
		var a admission
		switch a, p.era = p.sender.admit(s.N); a {
		case outOfOrder:
			done(Outcome{Err: outOfOrderError()})
			return
		case repeated:
			p.Repeat = true
			p.sender = nil // it has had its turn
		}
	}
	refuse := s.Refuse
	if refuse == nil {
		refuse = h.appender.admit(p)
	}
	if refuse != nil {
		p.refuse(refuse)
		done(Outcome{Err: refuse})
	}
}

// refuse notes a refusal in the sender's order.
func (p *pending) refuse(err *room.Error) {
	if p.sender != nil && err.Retryable() {
		p.sender.refused(p.n, p.era)
	}
}

// admit queues p, or says why not.
func (a *appender) admit(p *pending) *room.Error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.closed:
		return goingAway()
	case len(a.queue) >= a.hub.cfg.QueueSends || a.bytes >= queueBytes:
		a.hub.counts.overloads.Add(1)
		return overloaded("More sends are waiting than this server takes; try again.")
	case a.overdue:
		if err := a.blocked(p); err != nil {
			return err
		}
	}
	a.queue = append(a.queue, p)
	a.bytes += int64(len(p.Data))
	select {
	case a.woken <- struct{}{}:
	default:
	}
	return nil
}

// blocked answers a send to a room of the batch whose outcome is unknown: the same event is as unknown
// as before, a later one is not taken.
func (a *appender) blocked(p *pending) *room.Error {
	same := false
	for _, f := range a.flying {
		if f.Room != p.Room {
			continue
		}
		if f.Author == p.Author && f.Tag == p.Tag {
			return outcomeUnknown()
		}
		same = true
	}
	if same {
		return &room.Error{Code: room.CodeUnavailable, Title: "The outcome of an earlier send to this room is not known yet; try again.", RetryAfter: retryMax}
	}
	return nil
}

func outcomeUnknown() *room.Error {
	return &room.Error{
		Code: room.CodeOutcomeUnknown, RetryAfter: retryMax,
		Title: "It is not known yet whether the event was stored; send it again with the same tag.",
	}
}

// run commits batch after batch until ctx ends, or the appender is closed and nothing is queued.
func (a *appender) run(ctx context.Context) {
	for {
		batch := a.next()
		if batch == nil {
			a.mu.Lock()
			closed := a.closed
			a.mu.Unlock()
			if closed {
				return
			}
			select {
			case <-a.woken:
				continue
			case <-ctx.Done():
				return
			}
		}
		a.commit(ctx, batch, false)
		a.land()
		if ctx.Err() != nil {
			return
		}
	}
}

// next takes what has gathered as the batch in flight, in the order of arrival.
func (a *appender) next() []*pending {
	a.mu.Lock()
	defer a.mu.Unlock()
	n, size := 0, 0
	for n < len(a.queue) && n < batchSends && (n == 0 || size+len(a.queue[n].Data) <= batchBytes) {
		size += len(a.queue[n].Data)
		n++
	}
	if n == 0 {
		return nil
	}
	a.flying = slices.Clone(a.queue[:n])
	a.queue = slices.Delete(a.queue, 0, n)
	a.bytes -= int64(size)
	a.deadline = time.AfterFunc(a.hub.cfg.UnknownAfter, a.late)
	return a.flying
}

func (a *appender) land() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.deadline.Stop()
	a.flying, a.overdue = nil, false
}

// commit runs a batch until it is answered. What an earlier attempt may have stored is found by its
// tag: looking the tag up alone would not do, since the lost transaction may commit later.
//
// unknown: an attempt whose outcome is not known held these sends already, so that no refusal of a
// later attempt means that they are not stored.
func (a *appender) commit(ctx context.Context, batch []*pending, unknown bool) {
	batch = a.inOrder(batch)
	if len(batch) == 0 {
		return
	}
	sends := make([]room.Send, len(batch))
	for i, p := range batch {
		sends[i] = p.Send
	}
	for wait := retryAppend; ; wait = min(2*wait, retryMax) {
		out, err := a.append(ctx, sends)
		switch e := (*room.Error)(nil); {
		case err == nil:
			a.settle(batch, out)
			return
		case ctx.Err() != nil:
			a.refuse(batch, outcomeUnknown())
			return
		case errors.Is(err, room.ErrOutcomeUnknown), errors.Is(err, context.DeadlineExceeded):
			unknown = true
		case errors.As(err, &e) && e.Retryable():
			if !unknown {
				a.refuse(batch, e)
				return
			}
		default:
			a.bisect(ctx, batch, unknown, err)
			return
		}
		a.hub.log.Warn("append not answered; running it again", "sends", len(batch), "error", err)
		a.hub.counts.reruns.Add(1)
		pause(ctx, wait)
	}
}

func (a *appender) append(ctx context.Context, sends []room.Send) (room.Appended, error) {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	a.hub.counts.batches.Add(1)
	a.hub.counts.sends.Add(int64(len(sends)))
	return a.hub.cfg.Store.Append(ctx, sends)
}

// bisect finds the send that makes a batch fail, so that it fails alone.
func (a *appender) bisect(ctx context.Context, batch []*pending, unknown bool, err error) {
	if len(batch) == 1 {
		a.hub.log.Error("send refused by the store", "room", batch[0].Room, "error", err)
		a.refuse(batch, &room.Error{Code: room.CodeBadData, Title: "The store cannot keep this event.", Field: "data", Cause: err})
		return
	}
	a.commit(ctx, batch[:len(batch)/2], unknown)
	a.commit(ctx, batch[len(batch)/2:], unknown)
}

// inOrder leaves out the sends that an earlier one of their sender has to precede again.
func (a *appender) inOrder(batch []*pending) []*pending {
	kept := batch[:0:0]
	for _, p := range batch {
		if p.sender != nil && !p.sender.current(p.era) {
			a.answer(p, Outcome{Err: outOfOrderError()})
			continue
		}
		kept = append(kept, p)
	}
	return kept
}

// settle gives what a batch stored to the rooms, then answers its sends: an ack comes only after the
// commit, and a read that follows it finds the event.
func (a *appender) settle(batch []*pending, out room.Appended) {
	events := make(map[room.ID][]room.Event, len(out.Rooms))
	for i, v := range out.Verdicts {
		if v.Refused != nil || v.NotStored || v.Duplicate {
			continue
		}
		p := batch[i]
		events[p.Room] = append(events[p.Room], room.Event{
			Seq: v.Seq, Mark: v.Mark, Type: p.Type, Author: p.Author, Tag: p.Tag, At: v.At, Data: p.Data,
		})
	}
	epochs := make(map[room.ID]room.Epoch, len(out.Rooms))
	for _, g := range out.Rooms {
		epochs[g.Head.Room] = g.Head.Epoch
		a.hub.publish(g, events[g.Head.Room])
	}
	for i, v := range out.Verdicts {
		o := Outcome{Verdict: v, Epoch: epochs[batch[i].Room], Err: v.Refused}
		if v.NotStored {
			o.Err = &room.Error{Code: room.CodeBadRequest, Field: "n", Title: "This n was used before, and no event with this tag is stored."}
		}
		a.answer(batch[i], o)
	}
	a.hub.cache.trim()
}

func (a *appender) refuse(batch []*pending, err *room.Error) {
	for _, p := range batch {
		a.answer(p, Outcome{Err: err})
	}
}

// answer gives a send its outcome, unless it has had one. The first retryable refusal of a sender
// ends its era before the answer leaves.
func (a *appender) answer(p *pending, o Outcome) {
	a.mu.Lock()
	done := p.done
	p.done = nil
	a.mu.Unlock()
	if done == nil {
		return
	}
	if o.Err != nil {
		p.refuse(o.Err)
	}
	done(o)
}

// late runs when a batch has been in flight for UnknownAfter, and then again until it lands: its
// sends are told that their outcome is unknown, those who waited behind it as long that they were
// not stored.
func (a *appender) late() {
	a.mu.Lock()
	if a.flying == nil {
		a.mu.Unlock()
		return
	}
	a.overdue = true
	flying := a.flying
	expired := a.expire(time.Now().Add(-a.hub.cfg.UnknownAfter))
	a.deadline.Reset(overdueEvery)
	a.mu.Unlock()
	a.refuse(flying, outcomeUnknown())
	a.refuse(expired, &room.Error{Code: room.CodeUnavailable, Title: "The store does not answer; the event was not stored.", RetryAfter: retryMax})
}

// expire takes the sends off the queue that came before t. The caller holds a.mu.
func (a *appender) expire(t time.Time) []*pending {
	n := 0
	for n < len(a.queue) && a.queue[n].since.Before(t) {
		a.bytes -= int64(len(a.queue[n].Data))
		n++
	}
	expired := slices.Clone(a.queue[:n])
	a.queue = slices.Delete(a.queue, 0, n)
	return expired
}

// close lets what is queued be committed, and nothing more.
func (a *appender) close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	select {
	case a.woken <- struct{}{}:
	default:
	}
}
