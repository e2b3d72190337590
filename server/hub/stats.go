package hub

import (
	"math/bits"
	"sync/atomic"
	"time"

	"roomlog/server/room"
)

// ReadCause says why the store was read.
type ReadCause uint8

// The causes of a read.
const (
	ReadOpen    ReadCause = iota // a room that nobody had in memory
	ReadReplay                   // a cursor or poll behind the tail
	ReadRepair                   // a tail behind the log
	ReadHead                     // heads alone: the sweep and other checks, and readers who must not be behind any ack
	ReadHistory                  // one who looks back
	readCauses
)

// String is the cause in one word.
func (c ReadCause) String() string {
	return [readCauses]string{"open", "replay", "repair", "head", "history"}[c]
}

// Stats is a snapshot of the hub for operators. Counters and histograms run since the start.
type Stats struct {
	Connections int
	Rooms       int   // with something in memory
	TailBytes   int64 // of encoded events in memory
	Queued      int   // sends that wait for a batch
	Sends       int64 // given to the store, repeats and reruns included
	Batches     int64
	Reruns      int64 // batches run again after an unknown outcome
	Overloads   int64
	Held        int64 // sends put back because another transaction held their room
	StoreReads  map[ReadCause]int64
	Resets      map[room.ResetReason]int64 // told to clients: of joins, polls, streams and live cursors
	Forks       int64
	Hinted      int64 // appends of other nodes that were taken without a read of the store
	Stalls      int64 // writes that a peer did not take whole
	Writes      int64
	Written     int64 // bytes

	BatchSends Histogram // sends of a batch
	Append     Histogram // seconds of a store's transaction
	Answer     Histogram // seconds from a send's arrival to its answer, of those the store judged
	Delivery   Histogram // seconds from the commit of the oldest event a live cursor lacked to the write that brought it up to the head; of large rooms a sample
}

// counts are the hub's counters since it started. Delivery times are kept by the workers.
type counts struct {
	attached, sends, batches, reruns, overloads, held atomic.Int64
	forks, stalls, writes, written                    atomic.Int64
	hinted                                            atomic.Int64
	reads                                             [readCauses]atomic.Int64
	resets                                            [5]atomic.Int64 // by reasonIndex

	batchSends sizes
	append     times
	answer     times
}

// reset counts a reset that a client is told.
func (c *counts) reset(why room.ResetReason) { c.resets[reasonIndex(why)].Add(1) }

func reasonIndex(why room.ResetReason) int {
	switch why {
	case room.ResetEpoch:
		return 1
	case room.ResetDiverged:
		return 2
	case room.ResetAhead:
		return 3
	case room.ResetTooFar:
		return 4
	}
	return 0 // pruned
}

// Stats counts. It is cheap: it looks at no connection and no room.
func (h *Hub) Stats() Stats {
	c := &h.counts
	s := Stats{
		TailBytes: h.cache.bytes.Load(),
		Sends:     c.sends.Load(), Batches: c.batches.Load(), Reruns: c.reruns.Load(),
		Overloads: c.overloads.Load(), Held: c.held.Load(), Forks: c.forks.Load(), Hinted: c.hinted.Load(), Stalls: c.stalls.Load(),
		Writes: c.writes.Load(), Written: c.written.Load(),
		StoreReads: make(map[ReadCause]int64), Resets: make(map[room.ResetReason]int64),
		BatchSends: c.batchSends.histogram(), Append: c.append.histogram(), Answer: c.answer.histogram(),
	}
	for cause := range readCauses {
		s.StoreReads[cause] = c.reads[cause].Load()
	}
	for _, why := range room.ResetReasons() {
		s.Resets[why] = c.resets[reasonIndex(why)].Load()
	}
	for _, w := range h.workers {
		s.Delivery = s.Delivery.plus(w.delivery.histogram())
	}
	h.mu.Lock()
	s.Rooms = len(h.rooms)
	for _, bucket := range h.wheel {
		s.Connections += len(bucket)
	}
	h.mu.Unlock()
	h.appender.mu.Lock()
	s.Queued = len(h.appender.queue)
	h.appender.mu.Unlock()
	return s
}

// Watched reports whether somebody follows the room on this node just now: a cursor, or a poll that waits. It costs a look at that room
// alone, and nothing where the room is not in memory.
func (h *Hub) Watched(id room.ID) bool {
	r := h.inMemory(id)
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	watched := r.waiters > 0
	for _, subs := range r.subs {
		watched = watched || len(subs) > 0
	}
	return watched
}

// Cursors counts the cursors of all connections, and those of them that are not at the head of their
// room. It looks at every one, so it is for a scrape, not for each request.
func (h *Hub) Cursors() (all, behind int) {
	for _, c := range h.conns() {
		n, b := c.lags()
		all, behind = all+n, behind+b
	}
	return all, behind
}

// Behind is how many of the connection's cursors are not at the head of their room.
func (c *Conn) Behind() int {
	_, behind := c.lags()
	return behind
}

func (c *Conn) lags() (all, behind int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cur := range c.cursors {
		cur.room.mu.Lock()
		if !cur.room.loaded || cur.seq < cur.room.head {
			behind++
		}
		cur.room.mu.Unlock()
	}
	return len(c.cursors), behind
}

// Histogram is how often a measure fell at or below each bound.
type Histogram struct {
	Bounds []float64
	Counts []int64 // one more than there are bounds; each for its own bucket, not cumulative
	Sum    float64
}

// plus adds two histograms of the same bounds.
func (a Histogram) plus(b Histogram) Histogram {
	if a.Bounds == nil {
		return b
	}
	for i, n := range b.Counts {
		a.Counts[i] += n
	}
	a.Sum += b.Sum
	return a
}

const (
	timeBits    = 16 // the first bound of times is 2^16 ns, 66 µs
	timeBuckets = 18 // doubling, to 8.6 s
	sizeBuckets = 11 // from 1, doubling, to 1024
)

// times is a histogram of durations. Adding is two atomic additions: there is nothing to wait for.
type times struct {
	counts [timeBuckets + 1]atomic.Int64
	sum    atomic.Int64 // nanoseconds
}

func (t *times) add(d time.Duration) {
	i := bits.Len64(uint64(max(d-1, 0))) - timeBits
	t.counts[min(max(i, 0), timeBuckets)].Add(1)
	t.sum.Add(int64(d))
}

func (t *times) histogram() Histogram {
	h := Histogram{Sum: time.Duration(t.sum.Load()).Seconds(), Counts: loads(t.counts[:])}
	for i := range timeBuckets {
		h.Bounds = append(h.Bounds, (time.Duration(1) << (timeBits + i)).Seconds())
	}
	return h
}

// sizes is a histogram of numbers from 1 on.
type sizes struct {
	counts [sizeBuckets + 1]atomic.Int64
	sum    atomic.Int64
}

func (s *sizes) add(n int) {
	s.counts[min(bits.Len(uint(n-1)), sizeBuckets)].Add(1)
	s.sum.Add(int64(n))
}

func (s *sizes) histogram() Histogram {
	h := Histogram{Sum: float64(s.sum.Load()), Counts: loads(s.counts[:])}
	for i := range sizeBuckets {
		h.Bounds = append(h.Bounds, float64(int(1)<<i))
	}
	return h
}

func loads(counts []atomic.Int64) []int64 {
	out := make([]int64, len(counts))
	for i := range counts {
		out[i] = counts[i].Load()
	}
	return out
}
