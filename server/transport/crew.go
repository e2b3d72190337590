package transport

import "sync"

// chore is what a connection has to have done when something came from its peer.
type chore interface{ do() }

// crew does the chores of connections that were idle. Each waits for its peer on a small stack, and handling
// what comes needs a large one: to grow one per frame costs more than most frames do. So those who have
// grown theirs stay for the next chore, a few of them; there are as many at work as chores block.
//
// Its zero value is ready.
type crew struct {
	mu     sync.Mutex
	closed bool
	idle   []*hand // the one that worked last is the next: what it used is warm
	tasks  sync.WaitGroup
}

// hand is one goroutine of a crew.
type hand struct{ next chan chore } // holds one; closed: go home

// handsIdle is how many wait for a chore at most.
const handsIdle = 16

// work has a chore done by another goroutine, in which it may block. After close it is done by the caller.
func (w *crew) work(c chore) {
	w.mu.Lock()
	switch last := len(w.idle) - 1; {
	case w.closed:
		w.mu.Unlock()
		c.do()
	case last >= 0:
		h := w.idle[last]
		w.idle[last], w.idle = nil, w.idle[:last]
		w.mu.Unlock()
		h.next <- c
	default:
		w.tasks.Add(1)
		w.mu.Unlock()
		go w.run(&hand{next: make(chan chore, 1)}, c)
	}
}

func (w *crew) run(h *hand, c chore) {
	defer w.tasks.Done()
	for more := true; more; c, more = <-h.next {
		c.do()
		if !w.rest(h) {
			return
		}
	}
}

// rest puts a hand among those that wait; false: there are enough.
func (w *crew) rest(h *hand) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || len(w.idle) >= handsIdle {
		return false
	}
	w.idle = append(w.idle, h)
	return true
}

// close sends home those that wait. The others go when they have done what they do; wait waits for them.
func (w *crew) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, h := range w.idle {
		close(h.next)
	}
	w.idle = nil
}

func (w *crew) wait() { w.tasks.Wait() }
