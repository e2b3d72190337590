//go:build mutant

package hub

// mutateEnqueue has stalled connections flushed as well, for the mutant unbounded_queue.
var mutateEnqueue = mutant == "unbounded_queue"

// mutateQueue copies what a stalled connection lacks into a queue of its own, as a server does that has queues
// and not cursors: its memory grows with what the peer does not take. The caller holds c.mu.
func (c *Conn) mutateQueue() {
	if !mutateEnqueue || c.closed || c.failed {
		return
	}
	for again := true; again; {
		bufs, size := c.gather(nil, 0)
		for _, b := range bufs {
			c.replies = append(c.replies, b...)
		}
		again = size > 0
	}
}
