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
	w := flushers.Get().(*worker)
	defer flushers.Put(w)
	c.mu.Lock()
	defer c.mu.Unlock()
	wanted, replies := c.wanted, c.replies
	c.held, c.wanted = false, false
	if !wanted {
		return
	}
	c.flushLocked(w)
	// A sink keeps nothing, and what was left of them is a copy. It is one hold of the lock: else who took them
	// meanwhile (see farewell) might have them still.
	if c.replies == nil {
		reuse(replies)
	}
}

// pages are buffers for the page of a join: some 30 KB that live for a moment, by the thousand when all come back.
var pages = sync.Pool{New: func() any { b := make([]byte, 0, joinBytes+4<<10); return &b }}

func pageBuffer() []byte { return (*pages.Get().(*[]byte))[:0] }

// reuse takes back a buffer that nobody has any more; one of another size goes its way.
func reuse(b []byte) {
	if cap(b) >= joinBytes && cap(b) <= 2*joinBytes {
		pages.Put(&b)
	}
}

// flushers are workers without a goroutine: what a flush fills, to be filled again.
var flushers = sync.Pool{New: func() any { return new(worker) }}
