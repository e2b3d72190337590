package transport

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"roomlog/server/room"
)

const (
	// slotMost is the longest that somebody who comes when too many do is told to wait.
	slotMost = 30 * time.Second
	// slotEarly is how much sooner than told one may come: clocks tick coarsely.
	slotEarly = 20 * time.Millisecond
	// slotKept is for how long a slot is kept for one who is late.
	slotKept = 10 * time.Second
)

// slots spread those who come at once, as when another node has died, over as much time as it takes to let them in:
// who finds that too many come is given a place in a line that moves at the rate at which new connections are taken. The
// place is kept: who comes back for it is let in, however many others come by then (rule LIM-11).
//
// Slots are known by the address that they were given to. No address has more of them than it may have connections, so that
// none can fill the line.
type slots struct {
	line *rate.Limiter // in debt by as many as have a slot
	each int           // slots of one address

	mu    sync.Mutex
	of    map[netip.Prefix][]time.Time // when they are due, the next first
	swept time.Time
}

func newSlots(l Limits) *slots {
	return &slots{
		line: rate.NewLimiter(rate.Limit(l.AcceptsPerSecond), max(l.AcceptBurst, 1)), each: l.ConnectionsPerAddress,
		of: make(map[netip.Prefix][]time.Time),
	}
}

// take lets one in who comes from an address; else it says when to come back, which is then kept a place for.
func (s *slots) take(from netip.Prefix, now time.Time) (wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mine := late(s.of[from], now)
	if len(mine) > 0 && !mine[0].After(now.Add(slotEarly)) {
		s.put(from, mine[1:])
		return 0
	}
	if len(mine) >= s.each { // the last of them is as good as another
		return max(mine[len(mine)-1].Sub(now), time.Millisecond)
	}
	r := s.line.ReserveN(now, 1)
	switch wait = r.DelayFrom(now); {
	case wait == 0:
	case wait > slotMost: // the line is full: by then there are places in it
		r.CancelAt(now)
		wait = slotMost/2 + rand.N(slotMost/2)
	default:
		mine = append(mine, now.Add(wait))
	}
	s.put(from, mine)
	return wait
}

// late drops the slots whose owners have not come.
func late(mine []time.Time, now time.Time) []time.Time {
	for len(mine) > 0 && now.Sub(mine[0]) > slotKept {
		mine = mine[1:]
	}
	return mine
}

func (s *slots) put(from netip.Prefix, mine []time.Time) {
	if len(mine) == 0 {
		delete(s.of, from)
	} else {
		s.of[from] = mine
	}
}

// sweep forgets the slots of those who never came back.
func (s *slots) sweep(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.swept) < sweepEvery {
		return
	}
	s.swept = now
	for from, mine := range s.of {
		s.put(from, late(mine, now))
	}
}

// waiting is how many slots are kept.
func (s *slots) waiting() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, mine := range s.of {
		n += len(mine)
	}
	return n
}

// turn says that somebody who comes from an address is to come back later, and when; nil: they are let in.
func (q *quotas) turn(from netip.Prefix) *room.Error {
	wait := q.slots.take(from, time.Now())
	if wait == 0 {
		return nil
	}
	return q.rates.refuse(limitAccepts, &room.Error{
		Code: room.CodeOverloaded, RetryAfter: max(wait, time.Millisecond),
		Title: "Many come at once, and are let in one after the other; come back when it is this one's turn.",
	})
}

// SlotsWaiting is how many clients were told to come back for a place that is kept for them, and have not come yet.
func (s *Server) SlotsWaiting() int { return s.quotas.slots.waiting() }
