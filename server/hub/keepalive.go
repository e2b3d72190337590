package hub

import (
	"context"
	"time"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// wheelBuckets spreads the pings of all connections over the interval: a bucket at a time.
const wheelBuckets = 10

// keep puts a connection on the wheel; false: the hub is stopping.
func (h *Hub) keep(c *Conn, n int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stops() {
		return false
	}
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

// keepalive pings every connection once per interval and ends those that do not answer in time, from
// one goroutine and one timer. Both are precise to a tick, a tenth of the interval.
func (h *Hub) keepalive(ctx context.Context) {
	ticker := time.NewTicker(h.cfg.PingEvery / wheelBuckets)
	defer ticker.Stop()
	var batch []*Conn
	var due [wheelBuckets][]int64 // when the pings of each bucket are to be judged, soonest first
	for at := 0; ; at = (at + 1) % wheelBuckets {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := h.now()
		for i := range due {
			if len(due[i]) == 0 || now < due[i][0] {
				continue
			}
			due[i] = due[i][1:]
			batch = h.bucket(batch, i)
			for j, c := range batch {
				c.judge(now, h.cfg.PongWithin)
				batch[j] = nil
			}
		}
		batch = h.bucket(batch, at)
		for j, c := range batch {
			c.ping(now)
			batch[j] = nil
		}
		due[at] = append(due[at], now+int64(h.cfg.PongWithin))
	}
}

// bucket fills batch with the connections of a bucket.
func (h *Hub) bucket(batch []*Conn, at int) []*Conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	batch = batch[:0]
	for c := range h.wheel[at] {
		batch = append(batch, c)
	}
	return batch
}

// ping sends a ping. One that is still to be answered keeps its time. A stream that has no cursors yet has
// not begun: the head of its answer comes first.
func (c *Conn) ping(now int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stalled || c.closed {
		c.pinged = 0
		return
	}
	switch {
	case c.framing == wire.EventStream && len(c.cursors) == 0:
		return
	case c.framing == wire.WebSocket && !c.unanswered():
		c.pinged = now
	}
	c.replies = c.framing.AppendPing(c.replies)
	c.enqueue()
}

// judge ends the connection where a ping was not answered in time. One with bytes pending is judged by
// its progress instead: the ping may not have reached it.
func (c *Conn) judge(now int64, within time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stalled || c.closed {
		c.pinged = 0
		return
	}
	if c.unanswered() && now-c.pinged >= int64(within) {
		c.sink.Close(&room.Error{Code: room.CodePingTimeout, Title: "The client did not answer a ping in time."})
	}
}

// unanswered reports whether nothing was heard since the ping. The caller holds c.mu.
func (c *Conn) unanswered() bool { return c.pinged != 0 && c.heard.Load() < c.pinged }
