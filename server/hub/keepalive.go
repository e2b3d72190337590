package hub

import (
	"context"
	"time"
)

// wheelBuckets spreads the pings of all connections over the interval: a bucket at a time.
const wheelBuckets = 10

// keep puts a connection on the wheel; false: the hub is stopping.
func (h *Hub) keep(c *Conn, n int) bool {
	select {
	case <-h.stopping:
		return false
	default:
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	c.bucket = n % wheelBuckets
	h.wheel[c.bucket][c] = struct{}{}
	return true
}

func (h *Hub) drop(c *Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.wheel[c.bucket], c)
}

// conns lists every connection.
func (h *Hub) conns() []*Conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []*Conn
	for _, bucket := range h.wheel {
		for c := range bucket {
			all = append(all, c)
		}
	}
	return all
}

// keepalive pings every connection once per interval, from one goroutine and one timer.
func (h *Hub) keepalive(ctx context.Context) {
	ticker := time.NewTicker(h.cfg.PingEvery / wheelBuckets)
	defer ticker.Stop()
	var batch []*Conn
	for at := 0; ; at = (at + 1) % wheelBuckets {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		h.mu.Lock()
		batch = batch[:0]
		for c := range h.wheel[at] {
			batch = append(batch, c)
		}
		h.mu.Unlock()
		now := h.now()
		for i, c := range batch {
			c.ping(now, h.cfg.PongWithin)
			batch[i] = nil
		}
	}
}
