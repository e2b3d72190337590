package hub

import (
	"context"
	"sync"
	"time"
)

// mendAfter is how long a room waits for a hint that is missing before the store is read. Hints of two nodes that append to
// one room arrive in either order, a moment apart.
const mendAfter = 5 * time.Millisecond

// mender reads rooms on of which a hint is missing: a moment later, since it may only be late. All wait equally long, so
// that a queue is all it takes; a room is in it once.
type mender struct {
	mu    sync.Mutex
	queue []mend
	woken chan struct{}
}

type mend struct {
	room *liveRoom
	due  int64 // on the hub's clock
}

func newMender() *mender { return &mender{woken: make(chan struct{}, 1)} }

// repairSoon reads on from the store, unless what is missing comes first. The caller holds r.mu.
func (r *liveRoom) repairSoon() {
	if mutateBlind() { // mutant bus_blind
		return
	}
	if r.hub.cfg.Link == nil {
		r.repair()
		return
	}
	if !r.mending {
		r.mending, r.missing = true, max(r.known, r.hinted)
		r.hub.mender.add(mend{r, r.hub.now() + int64(mendAfter)})
	}
}

func (m *mender) add(one mend) {
	m.mu.Lock()
	m.queue = append(m.queue, one)
	m.mu.Unlock()
	select {
	case m.woken <- struct{}{}:
	default:
	}
}

// run mends until ctx ends.
func (m *mender) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		m.mu.Lock()
		queue := m.queue
		m.queue = nil
		m.mu.Unlock()
		for _, one := range queue {
			if wait := one.due - one.room.hub.now(); wait > 0 {
				timer.Reset(time.Duration(wait))
				select {
				case <-timer.C:
				case <-ctx.Done():
					return
				}
			}
			one.room.mend()
		}
		if len(queue) > 0 {
			continue
		}
		select {
		case <-m.woken:
		case <-ctx.Done():
			return
		}
	}
}

// behind reports whether the store is to be asked for more than the tail has.
func (r *liveRoom) behind() bool { return r.doubted || max(r.known, r.hinted) > r.head }

// mend reads the room on if what was missing has not come. What is read already may be of before it was told of: the room
// is looked at again after that.
func (r *liveRoom) mend() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mending = false
	switch {
	case r.dead || !r.loaded || r.loads[r.head] != nil:
		r.dropLater()
	case !r.behind():
		r.hinted = 0
		r.dropLater()
	case !r.doubted && r.head >= r.missing: // it came, and what is missing by now may come as well
		r.repairSoon()
	default:
		r.hinted, r.doubted = 0, false
		r.fetch(r.head)
	}
}

// rests lets go of a room that nobody has read for as long as linger.
func (r *liveRoom) rests(now int64, linger time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.dead || !r.idle():
		r.resting = 0
	case r.resting == 0:
		r.resting = now
	case time.Duration(now-r.resting) > linger:
		r.dead = true
		r.hub.forget(r)
		r.drop()
	}
}
