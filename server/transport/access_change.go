package transport

import (
	"context"
	"errors"
	"time"

	"roomlog/server/room"
)

const (
	// changeWithin bounds a change of access: the store's part, and the wait for sends in flight. A store
	// that loses its database gives up sooner.
	changeWithin = 10 * time.Second
	// forgetEvery is how often the store forgets what is no longer in force.
	forgetEvery = time.Hour
)

// change is one step of taking access back or giving it again: what the store keeps, and the same for this
// node's memory.
type change struct {
	keep  func(context.Context, room.AccessStore) error
	apply func(*access)
	lifts bool // it gives access
}

// takeBack makes changes, then ends what the user's connections have and may not have any more. When it
// returns nil, nothing that is committed from now on reaches what was taken back, and nothing the user
// sent by it is stored any more.
//
// Errors: those of the store, with the change that failed not made. `outcome_unknown`, when the change holds on this node,
// but the store has not said whether it has it, or what became of sends that were on their way: the
// request may be repeated until that is known.
func (s *Server) takeBack(ctx context.Context, user string, changes ...change) error {
	// A caller who hangs up has asked nevertheless.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.changeWithin)
	defer cancel()
	kept := s.makeChanges(ctx, changes...)
	s.enforce(user) // whatever was changed before an error
	if s.cfg.AccessChanged != nil {
		s.cfg.AccessChanged()
	}
	if kept != nil && room.AsError(kept).Code != room.CodeOutcomeUnknown {
		return kept
	}
	return errors.Join(kept, s.cfg.Hub.Settle(ctx))
}

// makeChanges makes changes one after the other, in the store and then in memory. The first error ends it. What
// the store may or may not have kept holds here until the store is read again: to keep out is the safe side.
func (s *Server) makeChanges(ctx context.Context, changes ...change) error {
	if err := s.access.lock(ctx); err != nil {
		return err
	}
	defer s.access.unlock()
	for _, c := range changes {
		err := c.keep(ctx, s.cfg.Access)
		unknown := errors.Is(err, room.ErrOutcomeUnknown)
		if err == nil || unknown && !c.lifts {
			c.apply(s.access)
		}
		switch {
		case unknown:
			return &room.Error{
				Code: room.CodeOutcomeUnknown, RetryAfter: time.Second, Cause: err,
				Title: "The store has not said whether it keeps this; ask again.",
			}
		case err != nil:
			return err
		}
	}
	return nil
}

// ReadAccess takes over what the store says of who is kept out, and ends what is over: for when another node is known to
// have changed it. Calls come one after the other. Errors are those of [room.AccessStore.Access]; what was known
// holds then. It does nothing where there is no Config.Access.
func (s *Server) ReadAccess(ctx context.Context) error {
	if s.cfg.Access == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.changeWithin)
	defer cancel()
	if err := s.access.lock(ctx); err != nil {
		return err
	}
	wakes := s.access.wakes.Load()
	all, err := s.cfg.Access.Access(ctx, time.Now())
	if err != nil {
		s.access.unlock()
		return err
	}
	concerned := s.access.set(all)
	s.access.fresh.Store(wakes)
	s.access.unlock()
	for _, user := range concerned {
		s.enforce(user)
	}
	return nil
}

// watchAccess reads the store again now and then: another node may have been told, and a change may have been
// stored whose outcome was not known. It ends with ctx.
func (s *Server) watchAccess(ctx context.Context) {
	read, forget := time.NewTicker(s.cfg.AccessEvery), time.NewTicker(forgetEvery)
	defer read.Stop()
	defer forget.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-read.C:
			err = s.ReadAccess(ctx)
		case <-forget.C:
			_, err = s.cfg.Access.ForgetAccess(ctx, time.Now())
			if _, lost := s.tickets.used.ForgetTickets(ctx, time.Now().Add(-room.TicketSlack)); err == nil {
				err = lost
			}
		}
		if err != nil && ctx.Err() == nil {
			s.log.Warn("access could not be read again, or what is over not forgotten; what is known holds", "error", err)
		}
	}
}

// lock is taken over a change, however long the store takes; it fails when ctx ends first.
func (a *access) lock(ctx context.Context) error {
	select {
	case a.changing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &room.Error{Code: room.CodeUnavailable, Title: "The store does not answer.", RetryAfter: time.Second, Cause: ctx.Err()}
	}
}

func (a *access) unlock() { <-a.changing }
