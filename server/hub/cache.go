package hub

import (
	"container/list"
	"sync"
	"sync/atomic"
)

// cache holds all segments of all rooms under one byte budget. It is a clock: a segment that was
// read since the hand last passed gets a second chance, which is nearly least recently used without
// a lock on the reading path.
//
// Its lock is a leaf: nothing else is locked while it is held.
type cache struct {
	budget int64
	bytes  atomic.Int64

	mu   sync.Mutex
	ring *list.List // of *segment; the hand is at the front
}

func newCache(budget int64) *cache { return &cache{budget: budget, ring: list.New()} }

func (c *cache) add(s *segment) {
	c.bytes.Add(s.weight())
	c.mu.Lock()
	c.ring.PushBack(s)
	c.mu.Unlock()
}

func (c *cache) grew(by int64) { c.bytes.Add(by) }

func (c *cache) over() bool { return c.bytes.Load() > c.budget }

// trim evicts until the budget holds, or every segment had its second chance. The caller holds no
// room's lock: eviction takes that of the victim.
func (c *cache) trim() {
	if !c.over() {
		return
	}
	c.mu.Lock()
	chances := 2 * c.ring.Len()
	c.mu.Unlock()
	for ; chances > 0 && c.over(); chances-- {
		if s := c.next(); s != nil {
			s.room.evict(s)
		}
	}
}

// next moves the hand by one: it returns the victim, taken off the ring, or nil for a second chance.
func (c *cache) next() *segment {
	c.mu.Lock()
	defer c.mu.Unlock()
	front := c.ring.Front()
	if front == nil {
		return nil
	}
	s := front.Value.(*segment)
	if s.used.Swap(false) {
		c.ring.MoveToBack(front)
		return nil
	}
	c.ring.Remove(front)
	return s
}
