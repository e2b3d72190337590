package link

import (
	"sync"

	"roomlog/server/room"
)

// Message is one to publish.
type Message struct {
	Topic room.Topic
	Data  []byte
}

func (m Message) bytes() int { return len(m.Data) + len(m.Topic) + itemBytes }

// outbox holds messages that wait to be sent, bounded in bytes. What does not fit is dropped and counted, and
// so is everything while it is shut, as it is at first.
type outbox struct {
	limit int
	wake  chan struct{} // has a value when there may be something to take

	mu                 sync.Mutex
	open               bool
	waiting            []Message
	array              []Message // what waiting lies in, to begin again at its start once all was taken
	bytes              int       // of waiting
	published, dropped uint64
}

func newOutbox(limit int) *outbox { return &outbox{limit: limit, wake: make(chan struct{}, 1)} }

func (o *outbox) put(m Message) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.open || o.bytes > 0 && o.bytes+m.bytes() > o.limit {
		o.dropped++
		return
	}
	o.bytes += m.bytes()
	o.waiting = append(o.waiting, m)
	if len(o.waiting) == 1 {
		o.array = o.waiting[:0]
		signal(o.wake)
	}
}

// set opens the outbox, or shuts it and drops what waits.
func (o *outbox) set(open bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open = open
	if !open {
		o.dropped += uint64(len(o.waiting))
		o.waiting, o.array, o.bytes = nil, nil, 0
	}
}

// take gives what waits, up to so many messages or the one that passes so many bytes, in the slice of the batch before.
func (o *outbox) take(batch []Message, most, mostBytes int) []Message {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for sum := 0; n < min(most, len(o.waiting)) && sum < mostBytes; n++ {
		sum += o.waiting[n].bytes()
	}
	batch = append(batch[:0], o.waiting[:n]...)
	clear(o.waiting[:n])
	o.waiting = o.waiting[n:]
	for _, m := range batch {
		o.bytes -= m.bytes()
	}
	if len(o.waiting) == 0 {
		o.waiting = o.array
	}
	return batch
}

// sent counts what became of a batch.
func (o *outbox) sent(published, dropped int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.published += uint64(published)
	o.dropped += uint64(dropped)
}

func (o *outbox) empty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.waiting) == 0
}

func (o *outbox) count(s *room.BusStats) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s.Published, s.Dropped = o.published, o.dropped
}

// signal leaves a value in a channel that holds one, if it has none.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
