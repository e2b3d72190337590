package hub

import (
	"slices"
	"sync"

	"roomlog/server/room"
)

const (
	// maxUnder bounds how many answers wait for their turn, so that refused sends cannot pile up
	// behind one that the store is slow to answer.
	maxUnder = 1024
	// maxSenders bounds the rooms that one connection sends to: each costs a counter for as long as
	// the connection lives.
	maxSenders = 1024
)

// sender keeps the order of one connection's sends to one room (rules SEND-2 to SEND-8). They are
// numbered by the client from 1. When one is refused retryably, those after it that are already under
// way are void: they must not overtake it, so they are not stored, and the client sends them again.
// Those before it are not touched.
//
// Its lock is taken before the appender's.
type sender struct {
	mu    sync.Mutex
	turn  int64      // the only n that is taken
	under []*pending // taken and not yet answered, in the order of n
}

// take queues a send whose turn it is, or returns what to answer at once. refuse is why the transport
// refuses it. A permanent refusal uses up its n, and is told when what came before has been answered:
// were it told at once, an earlier send could still be refused retryably, and the client could not know
// whether the n is used (SEND-4, SEND-5).
func (s *sender) take(a *appender, p *pending, refuse *room.Error) *room.Error {
	s.mu.Lock()
	if p.gaps && p.n > s.turn && len(s.under) == 0 {
		s.turn = p.n
	}
	asked := p.ask != nil && p.n == s.turn && refuse == nil
	refuse = s.takeTurn(a, p, refuse)
	s.mu.Unlock()
	if asked && refuse == nil {
		a.hub.asks.begin(p)
	}
	return refuse
}

// takeTurn is take for whoever holds the lock.
func (s *sender) takeTurn(a *appender, p *pending, refuse *room.Error) *room.Error {
	switch {
	case p.n > s.turn:
		return outOfOrder()
	case p.n < s.turn:
		p.Repeat = true
		if refuse == nil {
			refuse = a.admit(p)
		}
		return refuse
	}
	switch {
	case refuse == nil:
		p.sender = s
		if refuse = s.place(a, p); refuse != nil {
			p.sender = nil
			return refuse // retryable: it is still the turn of n
		}
	case refuse.Retryable():
		return refuse
	case len(s.under) >= maxUnder:
		return overloaded("More sends of this connection are waiting than this server takes; try again.")
	case len(s.under) == 0:
		s.turn++
		return refuse
	default:
		p.held = &Outcome{Err: refuse}
		p.Data = nil
	}
	s.turn++
	s.under = append(s.under, p)
	return nil
}

// place gives a send that is not refused to the appender, or has it wait: to be asked about, or behind one that
// is.
func (s *sender) place(a *appender, p *pending) *room.Error {
	behind := slices.ContainsFunc(s.under, func(q *pending) bool { return q.asking })
	if p.ask == nil && !behind {
		p.queued = true
		return a.admit(p)
	}
	p.asking = p.ask != nil
	return a.hub.asks.enter(p)
}

// decided takes what became of a send that was asked about: as what it is to be stored, or its outcome. A
// retryable refusal voids those behind it under the lock that it is found under: what is decided meanwhile must
// not be queued past it.
func (s *sender) decided(a *appender, p *pending, send room.Send, o *Outcome) {
	s.mu.Lock()
	p.asking = false
	p.leave()
	p.Send = send
	var next []*pending
	switch {
	case p.void:
		if o == nil {
			o = &Outcome{Err: outOfOrder()}
		}
		s.mu.Unlock()
		a.answer(p, *o)
		return
	case o != nil && o.Err != nil && o.Err.Retryable():
		next = s.drop(p, *o)
	default:
		p.held = o
		stuck, refuse := s.advance(a)
		next = s.held()
		if stuck != nil {
			next = append(next, s.drop(stuck, Outcome{Err: refuse})...)
		}
	}
	s.mu.Unlock()
	tell(next)
}

// drop takes a send that nobody else answers, and is refused retryably, off with those behind it, and returns
// those that are to be told. The caller holds the lock.
func (s *sender) drop(p *pending, o Outcome) []*pending {
	p.held = &o
	return append([]*pending{p}, s.cut(p)...)
}

// cut makes it the turn of p again, and voids those behind it; see voidAll. The caller holds the lock.
func (s *sender) cut(p *pending) (next []*pending) {
	at := slices.Index(s.under, p)
	s.turn = p.n
	next = voidAll(s.under[at+1:])
	clear(s.under[at:])
	s.under = s.under[:at]
	return next
}

// advance queues what waits behind nothing that is asked about any more. It stops at the first that the
// appender does not take, and says why.
func (s *sender) advance(a *appender) (*pending, *room.Error) {
	for _, q := range s.under {
		switch {
		case q.asking:
			return nil, nil
		case q.queued || q.held != nil:
			continue
		}
		q.leave()
		q.queued = true
		if refuse := a.admit(q); refuse != nil {
			return q, refuse
		}
	}
	return nil, nil
}

// held takes those off the front whose outcome was waiting for its turn.
func (s *sender) held() (next []*pending) {
	for len(s.under) > 0 && s.under[0].held != nil {
		next = append(next, s.under[0])
		s.under[0] = nil
		s.under = s.under[1:]
	}
	return next
}

func tell(next []*pending) {
	for _, q := range next {
		q.done(*q.held)
	}
}

// settle notes the outcome of a send, which may be a different one by now, and returns the sends that
// are to be answered by what is held of them after it.
func (s *sender) settle(p *pending, o Outcome) (Outcome, []*pending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.void {
		return voided(o), nil
	}
	if o.Err != nil && o.Err.Retryable() {
		return o, s.cut(p)
	}
	if at := slices.Index(s.under, p); at == 0 {
		s.under[0] = nil
		s.under = s.under[1:]
	} else {
		s.under = slices.Delete(s.under, at, at+1)
	}
	return o, s.held()
}

// voidAll voids sends, and returns those that nobody else answers: neither the appender nor who is asked has
// them.
func voidAll(sends []*pending) (next []*pending) {
	for _, q := range sends {
		q.void = true
		switch {
		case q.asking || q.queued:
			continue
		case q.held == nil:
			q.held = &Outcome{Err: outOfOrder()}
		default:
			o := voided(*q.held)
			q.held = &o
		}
		q.leave()
		next = append(next, q)
	}
	return next
}

// voided is what becomes of the outcome of a void send: the client sends it again, whatever it was. One
// that is stored nevertheless (the answer of another send of the batch came first) is not called refused.
func voided(o Outcome) Outcome {
	switch {
	case o.Err == nil:
		return Outcome{Err: outcomeUnknown()}
	case o.Err.Code == room.CodeOutcomeUnknown:
		return o
	}
	return Outcome{Err: outOfOrder()}
}

// voids reports whether an earlier send has to be sent again first.
func (s *sender) voids(p *pending) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return p.void
}

func outOfOrder() *room.Error {
	return &room.Error{
		Code: room.CodeOutOfOrder, Field: "n",
		Title: "An earlier send of this connection to this room has to be sent again first.",
	}
}

// sender returns the order of this connection's sends to a room, or nil: it sends to too many.
func (c *Conn) sender(id room.ID) *sender {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.senders[id]
	if s == nil {
		if len(c.senders) >= maxSenders {
			return nil
		}
		s = &sender{turn: 1}
		if c.senders == nil {
			c.senders = make(map[room.ID]*sender)
		}
		c.senders[id] = s
	}
	return s
}
