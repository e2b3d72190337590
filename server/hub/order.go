package hub

import (
	"sync"

	"roomlog/server/room"
)

// sender keeps the order of one connection's sends to one room (rules SEND-1 to SEND-6). Sends are
// numbered by the client from 1. When one is refused retryably, the later ones that are already
// under way must not overtake it: they belong to an era that is over.
type sender struct {
	mu   sync.Mutex
	next int64 // the n that comes next
	hold int64 // the n that was refused retryably, and is the only one taken; 0: none
	era  int64 // counts retryable refusals
}

// admission is what becomes of a send that arrives.
type admission uint8

const (
	admitted   admission = iota // its turn
	repeated                    // a lower n, answered by its tag
	outOfOrder                  // it must wait for an earlier one
)

// admit takes the send numbered n, and says in which era.
func (s *sender) admit(n int64) (admission, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	turn := s.next
	if s.hold != 0 {
		turn = s.hold
	}
	switch {
	case n > turn:
		return outOfOrder, s.era
	case n < turn:
		return repeated, s.era
	}
	s.hold, s.next = 0, n+1
	return admitted, s.era
}

// refused notes that n was refused retryably: from now on only n is taken.
func (s *sender) refused(n, era int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if era == s.era { // the first of its era; the others go down with it
		s.era++
		s.hold = n
	}
}

// current reports whether a send admitted in era may still be stored.
func (s *sender) current(era int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return era == s.era
}

func outOfOrderError() *room.Error {
	return &room.Error{
		Code: room.CodeOutOfOrder, Field: "n",
		Title: "An earlier send of this connection to this room has to be sent again first.",
	}
}

// sender returns the order of this connection's sends to a room.
func (c *Conn) sender(id room.ID) *sender {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.senders[id]
	if s == nil {
		s = &sender{next: 1}
		if c.senders == nil {
			c.senders = make(map[room.ID]*sender)
		}
		c.senders[id] = s
	}
	return s
}
