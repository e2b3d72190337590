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
	defer s.mu.Unlock()
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
		if refuse = a.admit(p); refuse != nil {
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
		p.final = refuse
		p.Data = nil
	}
	s.turn++
	s.under = append(s.under, p)
	return nil
}

// settle notes the outcome of a send, which may be a different one by now, and returns the sends that
// are to be answered by their final refusal after it.
func (s *sender) settle(p *pending, o Outcome) (Outcome, []*pending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.void {
		return voided(o), nil
	}
	at := slices.Index(s.under, p)
	var next []*pending
	if o.Err != nil && o.Err.Retryable() {
		s.turn = p.n
		for _, q := range s.under[at+1:] {
			q.void = true
			if q.final != nil {
				q.final = outOfOrder()
				next = append(next, q)
			}
		}
		clear(s.under[at:])
		s.under = s.under[:at]
		return o, next
	}
	if at == 0 {
		s.under[0] = nil
		s.under = s.under[1:]
	} else {
		s.under = slices.Delete(s.under, at, at+1)
	}
	for len(s.under) > 0 && s.under[0].final != nil {
		next = append(next, s.under[0])
		s.under = s.under[1:]
	}
	return o, next
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
