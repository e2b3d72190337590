package transport

import (
	"math"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"roomlog/server/room"
)

// The clients of a server that goes away come back spread over a second for each thousand of them, so
// that whoever takes them has a thousand a second at most (rule CLOSE-10); or over what the operator says.
const (
	spreadPer   = time.Millisecond // and connection
	spreadLeast = time.Second
	spreadMost  = 30 * time.Second
)

// spread hands out times to come back within a span: however many are asked for, no part of it is given to more than
// others are (rule CLOSE-11). It may be used concurrently.
type spread struct {
	over  time.Duration
	first float64 // where in the span the first is, from 0 to 1
	given atomic.Int64
}

// newSpread spreads the clients of so many connections over a time of their own, or over what is configured.
func newSpread(over time.Duration, connections int) *spread {
	if over == 0 {
		over = min(max(time.Duration(connections)*spreadPer, spreadLeast), spreadMost)
	}
	return &spread{over: over, first: rand.Float64()}
}

// golden is the step, in parts of the span, that keeps what was handed out evenly spread at every moment: each lands
// in one of the widest gaps that those before it have left (Weyl's sequence of the golden ratio).
const golden = 0.6180339887498949

// next is when one client is to come back: never 0, which would say nothing.
func (p *spread) next() time.Duration {
	_, at := math.Modf(p.first + float64(p.given.Add(1))*golden)
	return time.Millisecond + time.Duration(at*float64(p.over))
}

// comeBack is when one client of a server that goes away is to come back.
func (s *Server) comeBack() time.Duration {
	s.ComesBackWithin()
	return s.partings.next()
}

// ComesBackWithin is when the last client of a server that goes away is told to come back.
func (s *Server) ComesBackWithin() time.Duration {
	s.parting.Do(func() { s.partings = newSpread(s.cfg.DrainOver, s.connections()) })
	return s.partings.over
}

// connections is how many WebSockets and streams there are.
func (s *Server) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sinks)
}

// Drain says that the server is about to go away: from now on GET /readyz answers 503, so that balancers take it
// out, and everything else goes on.
func (s *Server) Drain() { s.draining.Store(true) }

// dated is e, with the time to come back where the server goes away and e does not say one.
func (s *Server) dated(e *room.Error) *room.Error {
	if e.Code != room.CodeGoingAway || e.RetryAfter != 0 {
		return e
	}
	told := *e
	told.RetryAfter = s.comeBack()
	return &told
}

// farewell are the last words of a stream: a server that goes away tells an EventSource, which goes by
// the last retry that it was given, when to come back (rule SSE-10).
func (t *stream) farewell() []byte {
	why := t.why.Load()
	if why == nil || why.err == nil {
		return nil
	}
	t.srv.tellOnce(why)
	if why.err.Code != room.CodeGoingAway {
		return nil
	}
	wait := t.srv.dated(why.err).RetryAfter
	return append(strconv.AppendInt([]byte("retry: "), wait.Milliseconds(), 10), "\n\n"...)
}
