package hub

import (
	"cmp"
	"slices"
	"time"

	"roomlog/server/room"
)

// Squeeze gives the tails one part of their budget (1: all of it) and forgets what is over it. Readers who
// were in memory go on from the store. It may be called at any time.
func (h *Hub) Squeeze(part int64) {
	h.cache.shrink(h.cfg.TailBytes / max(part, 1))
}

const (
	// shedAfter is how long a connection must have taken nothing before it is one that may be shed.
	shedAfter = time.Second
	// shedShare is the part of those that is shed at a time, and shedLeast how many at least.
	shedShare = 8
	shedLeast = 32
)

// ShedSlow ends an eighth, at least 32, of the connections that have bytes waiting and take none: those
// first that have stood still the longest, then those with the most unsent. They are told slow_consumer
// where they still listen, and resume where they stood. It returns how many were ended.
func (h *Hub) ShedSlow() int {
	type slow struct {
		conn   *Conn
		since  int64
		unsent int
	}
	var all []slow
	now := h.now()
	for _, c := range h.conns() {
		c.mu.Lock()
		if c.stalled && !c.failed && !c.closed && !c.parting && now-c.stalledAt >= int64(shedAfter) {
			all = append(all, slow{c, c.stalledAt, len(c.rest) + len(c.replies)})
		}
		c.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b slow) int {
		return cmp.Or(cmp.Compare(a.since, b.since), cmp.Compare(b.unsent, a.unsent))
	})
	all = all[:min(len(all), max(len(all)/shedShare, shedLeast))]
	for _, s := range all {
		s.conn.sink.Close(&room.Error{
			Code: room.CodeSlowConsumer, RetryAfter: shedAfter,
			Title: "The server is short of memory and this client takes no bytes; connect again to resume.",
		})
	}
	return len(all)
}
