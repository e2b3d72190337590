package transport

import (
	"math/rand/v2"
	"strconv"
	"time"

	"roomlog/server/room"
)

// The clients of a server that goes away come back spread over a second for each thousand of them, so
// that whoever takes them has a thousand a second at most (rule CLOSE-10).
const (
	spreadPer   = time.Millisecond // and connection
	spreadLeast = time.Second
	spreadMost  = 30 * time.Second
)

// comeBack is when one client of a server that goes away is to come back: never 0, which would say nothing.
func (s *Server) comeBack() time.Duration {
	s.parting.Do(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.spread = min(max(time.Duration(len(s.sinks))*spreadPer, spreadLeast), spreadMost)
	})
	return time.Millisecond + rand.N(s.spread)
}

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
