package transport

import (
	"context"
	"time"

	"roomlog/server/room"
)

// readAgain is when access is tried to be read again after a store that did not answer.
const readAgain = 500 * time.Millisecond

// Woken is called when this process was paused for so long that what it knows may be long out of date: rooms have grown,
// access was taken back, and the clients believe that it is gone. From its first moment nobody is let in or given
// anything; every client is told to come back (to whichever node it finds), each at a time of its own; forget lets go of
// what else is in memory; and when access was read from the store again, everything goes on. It returns then, or with
// ctx's error when that ends first.
func (s *Server) Woken(ctx context.Context, forget func()) error {
	s.access.wakes.Add(1)
	guests := s.roster.of("")
	times := newSpread(s.cfg.DrainOver, len(guests))
	for _, g := range guests {
		g.link.cut(&room.Error{
			Code: room.CodeGoingAway, RetryAfter: times.next(),
			Title: "This server was paused and begins anew; connect again.",
		})
	}
	forget()
	for {
		err := s.readAnew(ctx)
		if err == nil {
			return nil
		}
		s.log.Warn("who is kept out could not be read after a pause; nobody is let in until it is", "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(readAgain):
		}
	}
}

func (s *Server) readAnew(ctx context.Context) error {
	if s.cfg.Access == nil { // there is nothing to read
		s.access.fresh.Store(s.access.wakes.Load())
		return nil
	}
	return s.ReadAccess(ctx)
}

// waking is what everybody is told between a pause and the first look at the store.
func waking() *room.Error {
	return &room.Error{
		Code: room.CodeOverloaded, RetryAfter: time.Second,
		Title: "This server was paused and has to read again who is let in; try again.",
	}
}
