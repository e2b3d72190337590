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
// Its lock mu is a leaf: nothing else is locked while it is held.
type cache struct {
	budget atomic.Int64
	bytes  atomic.Int64
	stuck  atomic.Int64 // what the last trim could not go below, and a little more; 0: it could

	walks sync.Mutex // held by who moves the hand around

	mu   sync.Mutex
	ring *list.List // of *segment; the hand is at the front
}

func newCache(budget int64) *cache {
	c := &cache{ring: list.New()}
	c.budget.Store(budget)
	return c
}

func (c *cache) add(s *segment) {
	c.bytes.Add(s.weight())
	c.mu.Lock()
	c.ring.PushBack(s)
	c.mu.Unlock()
}

func (c *cache) grew(by int64) { c.bytes.Add(by) }

func (c *cache) over() bool { return c.bytes.Load() > max(c.budget.Load(), c.stuck.Load()) }

// slack is the part of the budget by which memory must grow before a trim that found nothing to evict
// is worth another walk: the empty tails of rooms that are being read cannot go.
const slack = 16

// trim evicts until the budget holds, or every segment had its chances. The caller holds no room's
// lock: eviction takes that of the victim. One walks at a time: with many rooms read at once each would walk past what the others
// have just passed.
func (c *cache) trim() {
	if c.over() && c.walks.TryLock() {
		defer c.walks.Unlock()
		c.walk()
	}
}

// hold waits for a walk where memory grows faster than the one who walks: who reads more into it then waits for place.
func (c *cache) hold() {
	if limit := max(c.budget.Load(), c.stuck.Load()); c.bytes.Load() > limit+limit/slack {
		c.walks.Lock()
		defer c.walks.Unlock()
		if c.over() {
			c.walk()
		}
	}
}

// shrink sets the budget and trims, whoever does so.
func (c *cache) shrink(budget int64) {
	c.walks.Lock()
	defer c.walks.Unlock()
	c.budget.Store(budget)
	if c.over() {
		c.walk()
	}
}

// walk moves the hand around. The caller holds c.walks.
func (c *cache) walk() {
	c.stuck.Store(0)
	c.mu.Lock()
	chances := 2 * c.ring.Len()
	c.mu.Unlock()
	for ; chances > 0 && c.over(); chances-- {
		if s := c.next(); s != nil {
			s.room.evict(s)
		}
	}
	if c.over() {
		c.stuck.Store(c.bytes.Load() + c.budget.Load()/slack)
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
	if s.lives.Load() > 0 && s.lives.Add(-1) >= 0 {
		c.ring.MoveToBack(front)
		return nil
	}
	c.ring.Remove(front)
	return s
}
