package hub

import (
	"context"
	"slices"
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
	// Gaps lets N leave some out while nothing of its sender is under way: those went to other nodes, and are
	// answered (rule SESS-8).
	Gaps bool
	// Refuse is why the transport already refuses the send. It is not stored, but takes part in the
	// order: a permanent refusal uses up its N, a retryable one holds it.
	Refuse *room.Error
	// Ask is asked before the send is queued, once its tag is known not to be stored; nil: nobody is. It gives
	// the send as it is to be stored, or says that there is nothing to store (room.Send.Known), or refuses it: retryably, and its N is held, or for good. It may block, in
	// a goroutine of its own, until ctx ends.
	Ask func(ctx context.Context) (room.Send, *room.Error)
	// Permit is asked when the batch of the send is formed, and may refuse it then; nil: it is not.
	Permit Permit
}

// Outcome answers a send. Err is nil where the event is stored; a retryable Err other than
// outcome_unknown says that it was not.
type Outcome struct {
	Verdict room.Verdict
	Epoch   room.Epoch
	Err     *room.Error
}

// pending is a send that waits for its batch, or whose batch is in flight.
type pending struct {
	room.Send
	permit Permit
	sender *sender // nil without order
	n      int64
	gaps   bool
	since  time.Time
	done   func(Outcome) // nil once answered; guarded by the appender's lock
	conn   *Conn         // nil without order
	ask    func(context.Context) (room.Send, *room.Error)

	// Guarded by the sender's lock, where there is a sender; else of whoever decides about it.
	void   bool     // an earlier send of the sender has to be sent again first
	held   *Outcome // known before it was queued; told when those before it are answered
	asking bool     // asked about: those after it wait
	queued bool     // the appender has it, or whoever answers it
	asks   *asks    // where it has a place; nil: none
	weight int64    // of its data, as the place was taken
}

// Submit queues a send. done is called exactly once, maybe before Submit returns, and must not block.
func (h *Hub) Submit(s Submit, done func(Outcome)) {
	p := &pending{Send: s.Send, permit: s.Permit, n: s.N, gaps: s.Gaps, done: done, since: time.Now(), conn: s.Conn, ask: s.Ask}
	refuse := s.Refuse
	switch {
	case s.Conn != nil:
		if order := s.Conn.sender(s.Room); order != nil {
			refuse = order.take(h.appender, p, refuse)
		} else {
			refuse = tooManyRooms()
		}
	case refuse != nil:
	case s.Ask != nil:
		if refuse = h.asks.enter(p); refuse == nil {
			h.asks.begin(p)
		}
	default:
		refuse = h.appender.admit(p)
	}
	if refuse != nil {
		done(Outcome{Err: refuse})
	}
}

// admit queues p, or says why not; that is always retryable.
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
	a.wake()
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

func (a *appender) wake() {
	select {
	case a.woken <- struct{}{}:
	default:
	}
}

// answer gives a send its outcome, unless it has had one. A retryable refusal voids the sender's later
// sends before the answer leaves.
func (a *appender) answer(p *pending, o Outcome) {
	a.mu.Lock()
	done := p.done
	p.done = nil
	a.mu.Unlock()
	if done == nil {
		return
	}
	var next []*pending
	if p.sender != nil {
		o, next = p.sender.settle(p, o)
	}
	done(o)
	tell(next)
}

func (a *appender) refuse(batch []*pending, err *room.Error) {
	for _, p := range batch {
		a.answer(p, Outcome{Err: err})
	}
}

// late runs when flight number flight has been unanswered for UnknownAfter, and then again until it
// lands: its sends are told that their outcome is unknown, those who waited behind it as long that they
// were not stored.
func (a *appender) late(flight int64) {
	a.mu.Lock()
	if a.flight != flight || a.flying == nil {
		a.mu.Unlock()
		return
	}
	a.overdue = true
	a.troubled("The store has not answered an append for " + a.hub.cfg.UnknownAfter.String() + ".")
	flying := a.flying
	expired := a.expire(time.Now().Add(-a.hub.cfg.UnknownAfter))
	a.expiring++
	a.deadline.Reset(overdueEvery)
	a.mu.Unlock()
	a.refuse(flying, outcomeUnknown())
	a.refuse(expired, &room.Error{Code: room.CodeUnavailable, Title: "The store does not answer; the event was not stored.", RetryAfter: retryMax})
	a.mu.Lock()
	a.expiring--
	a.mu.Unlock()
	a.wake()
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

// refuseWaiting refuses all that waits behind a batch of unknown outcome when the store says that it cannot be used: none
// of it was given to the store, and to wait on would not change that. It is called between two attempts of the batch.
func (a *appender) refuseWaiting(why *room.Error) {
	a.mu.Lock()
	waiting := a.expire(time.Now().Add(time.Hour)) // all that is there
	a.mu.Unlock()
	a.refuse(waiting, why)
}

// close lets what is queued be committed, and nothing more.
func (a *appender) close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.wake()
}

// abandon answers what is queued when nobody will commit it. The appender is closed and does not run.
func (a *appender) abandon() {
	a.mu.Lock()
	left := a.queue
	a.queue, a.bytes = nil, 0
	a.mu.Unlock()
	a.refuse(left, goingAway())
}

func outcomeUnknown() *room.Error {
	return &room.Error{
		Code: room.CodeOutcomeUnknown, RetryAfter: retryMax,
		Title: "It is not known yet whether the event was stored; send it again with the same tag.",
	}
}

func tooManyRooms() *room.Error {
	return &room.Error{
		Code: room.CodeLimitExceeded, Field: "room", Limit: maxSenders,
		Title: "This connection sends to as many rooms as it may; use another connection for more.",
	}
}
