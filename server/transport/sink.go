package transport

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
)

// sink is the hub's end of a connection: it implements hub.Sink over a pipe, keeps frames whole, and
// turns "close" into a wake-up of the reading goroutine, which alone ends a connection.
type sink struct {
	pipe pipe
	hub  *hub.Conn // set by the reading goroutine before anything else may need it

	mu      sync.Mutex
	partial bool   // the peer has part of a frame: only the rest of it may follow
	shut    bool   // nothing more may follow
	said    bool   // the last words were taken whole
	unsaid  []byte // what a full peer did not take of them

	why     atomic.Pointer[ending]
	waiting atomic.Int32 // how many goroutines wait for the peer to take replies
	tasks   *sync.WaitGroup
}

// ending is why a connection ends.
type ending struct {
	err  *room.Error // nil: a normal end
	told atomic.Bool // it is counted
}

// TryWrite implements hub.Sink.
func (s *sink) TryWrite(bufs [][]byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return 0, net.ErrClosed
	}
	size := 0
	for _, b := range bufs {
		size += len(b)
	}
	n, err := s.pipe.tryWrite(bufs)
	s.partial = s.partial || n < size
	return n, err
}

// WriteAll implements hub.Sink. The lock is not held while it blocks: last finds partial set.
func (s *sink) WriteAll(p []byte) error {
	if err := s.pipe.writeAll(p); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return net.ErrClosed
	}
	s.partial = false
	return nil
}

// Close implements hub.Sink: the first reason counts. It wakes the reader wherever it waits.
func (s *sink) Close(why *room.Error) {
	if !s.why.CompareAndSwap(nil, &ending{err: why}) {
		return
	}
	_ = s.pipe.conn().SetReadDeadline(time.Unix(1, 0)) // long past
	if s.waiting.Load() > 0 {
		// Detach takes the lock that the hub may hold while it calls us.
		s.tasks.Go(s.hub.Detach)
	}
}

// waitWritable holds the reader while too much is unsent; false: the connection is ending.
func (s *sink) waitWritable() bool {
	s.waiting.Add(1)
	defer s.waiting.Add(-1)
	return s.why.Load() == nil && s.hub.WaitWritable()
}

// last writes the last words if the stream of frames allows it; nothing is written after them. Who comes
// second is told how that went.
func (s *sink) last(words []byte) (said bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return s.said
	}
	s.shut = true
	if s.partial {
		return false
	}
	n, err := s.pipe.tryWrite([][]byte{words})
	s.said = err == nil && n == len(words)
	if err == nil {
		s.unsaid = words[n:]
	}
	return s.said
}

// lastOf gives a full peer a moment to take what it did not of the last words: one that floods or is slow is
// to hear why as well. Called by the reading goroutine, when nobody else writes any more.
func (s *sink) lastOf() (said bool) {
	s.mu.Lock()
	unsaid := s.unsaid
	s.mu.Unlock()
	if len(unsaid) == 0 {
		return false
	}
	cut := time.AfterFunc(lingerFor, func() { _ = s.pipe.conn().Close() })
	defer cut.Stop()
	return s.pipe.writeAll(unsaid) == nil
}

const (
	// lingerFor and lingerBytes bound how long, and for how much, an ended connection is read on: what a
	// peer that floods sends in that time. To close at once would make the kernel throw away our last words
	// where the peer had sent on.
	lingerFor   = time.Second
	lingerBytes = 64 << 20
)

// end says the last words, waits a moment for the peer to end its side, and closes. Called by the
// reading goroutine, after Detach.
func (s *sink) end(words []byte) {
	nc := s.pipe.conn()
	defer s.pipe.close()
	if !s.last(words) && !s.lastOf() {
		return
	}
	s.pipe.finish()
	_ = nc.SetReadDeadline(time.Now().Add(lingerFor))
	for left := lingerBytes; left > 0; {
		c, err := s.pipe.read()
		if err != nil {
			return
		}
		left -= c.n
		c.free()
	}
}
