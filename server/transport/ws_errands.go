package transport

import (
	"sync"
	"time"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// errands are what a connection does beside reading, since it waits for the store: joins, and what has to
// come after them. They run one by one in the order they were asked for, in a goroutine that lives only
// while there are some. So a store that hangs holds up joins, and neither pings nor sends.
type errands struct {
	mu    sync.Mutex
	queue []func() error
	busy  bool
}

// beside queues an errand; false: most are waiting already. The first error ends the connection.
func (c *socket) beside(most int, errand func() error) bool {
	c.errands.mu.Lock()
	defer c.errands.mu.Unlock()
	if len(c.errands.queue) >= most {
		return false
	}
	c.errands.queue = append(c.errands.queue, errand)
	if !c.errands.busy {
		c.errands.busy = true
		c.srv.tasks.Go(c.runErrands) // the reader, which is one of them, is still there
	}
	return true
}

// idle reports whether no errand is under way, so that what is asked next has nothing to come after.
func (c *socket) idle() bool {
	c.errands.mu.Lock()
	defer c.errands.mu.Unlock()
	return !c.errands.busy
}

// after does what has to come after the joins before it, at once where there are none. It does not wait. A peer who piles up more of that than it could
// have rooms to leave is not served on.
func (c *socket) after(errand func() error) error {
	if c.idle() {
		return errand()
	}
	if c.beside(4*c.srv.cfg.Limits.RoomsPerConnection, errand) {
		return nil
	}
	return c.refuse(&wire.Request{}, tooManyErrands())
}

func tooManyErrands() *room.Error {
	return &room.Error{
		Code: room.CodeOverloaded, RetryAfter: time.Second,
		Title: "Too many joins of this connection are waiting for the store; try again.",
	}
}

func (c *socket) runErrands() {
	for {
		c.errands.mu.Lock()
		if len(c.errands.queue) == 0 {
			c.errands.queue, c.errands.busy = nil, false
			c.errands.mu.Unlock()
			return
		}
		errand := c.errands.queue[0]
		c.errands.queue = c.errands.queue[1:]
		c.errands.mu.Unlock()
		if err := c.runErrand(errand); err != nil && err != errEnded {
			c.Close(room.AsError(err))
		}
	}
}

func (c *socket) runErrand(errand func() error) (err error) {
	defer c.srv.rescue(&err)
	return errand()
}
