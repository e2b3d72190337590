package bench

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// timedReaders are live readers, of two rooms by turns, and how long each event took to reach them.
type timedReaders struct {
	readers []*client
	heads   [2]atomic.Int64
	wg      sync.WaitGroup
	errs    []error

	mu   sync.Mutex
	took [2][]time.Duration
}

func timeReaders(readers []*client, deadline time.Time) *timedReaders {
	t := &timedReaders{readers: readers, errs: make([]error, len(readers))}
	for i, c := range readers {
		t.wg.Go(func() {
			if t.errs[i] = c.conn.SetDeadline(deadline); t.errs[i] != nil {
				return
			}
			c.piece(largePiece)
			c.seen = func(frame []byte) { t.note(i%2, frame) }
			for t.errs[i] == nil {
				if last := t.heads[i%2].Load(); last != 0 && c.seq >= last {
					return
				}
				t.errs[i] = c.read()
			}
		})
	}
	return t
}

// note takes the times of a page's events.
func (t *timedReaders) note(room int, frame []byte) {
	now := time.Since(origin)
	for {
		sent, rest, err := field(frame, `"us":`)
		if err != nil {
			return
		}
		frame = rest
		t.mu.Lock()
		t.took[room] = append(t.took[room], now-time.Duration(sent)*time.Microsecond)
		t.mu.Unlock()
	}
}

func (t *timedReaders) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.took = [2][]time.Duration{}
}

// latencies are those of one of the rooms, sorted.
func (t *timedReaders) latencies(room int) []time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Sorted(slices.Values(t.took[room]))
}

// until sets how far the readers of each room are to read.
func (t *timedReaders) until(heads ...int64) {
	for i, head := range heads {
		t.heads[i].Store(head)
	}
}

// wait waits for the readers; with what they wait for not to come, it cuts them off.
func (t *timedReaders) wait(failed bool) error {
	if failed {
		closeAll(t.readers)
	}
	t.wg.Wait()
	for i, c := range t.readers {
		if t.errs[i] == nil && c.got != c.seq {
			t.errs[i] = fmt.Errorf("a live reader has %d events of %d", c.got, c.seq)
		}
	}
	return anyOf(t.errs)
}
