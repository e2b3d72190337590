package hub

import "sync"

// Hold keeps what the connection is given from being written until Flush, which the same goroutine calls soon:
// what it does meanwhile must not wait for the peer. So the answers to what came at once leave at once, by
// the goroutine that handled it and without waking a worker.
func (c *Conn) Hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = true
}

// Flush writes what has gathered since Hold.
func (c *Conn) Flush() {
	c.mu.Lock()
	wanted := c.wanted
	c.held, c.wanted = false, false
	c.mu.Unlock()
	if wanted {
		w := flushers.Get().(*worker)
		c.flush(w)
		flushers.Put(w)
	}
}

// flushers are workers without a goroutine: what a flush fills, to be filled again.
var flushers = sync.Pool{New: func() any { return new(worker) }}
