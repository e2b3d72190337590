package link

import (
	"sync"

	"roomlog/server/room"
)

// Inbox holds what a receiver was not told yet, in order, and tells it from one goroutine. Messages are
// bounded in bytes; what does not fit is dropped, counted, and told as Missed in its place. What is not a
// message is never dropped: there is little of it, since a topic waits at most once and so does a state.
//
// Its methods may be called concurrently and never wait for the receiver, but for Stop.
type Inbox struct {
	receiver room.BusReceiver
	limit    int
	ended    chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex
	wake    sync.Cond
	waiting []item
	bytes   int  // of the messages that wait
	stopped bool // nothing is told any more

	up               bool
	received, missed uint64
	lost             uint64
}

type itemKind uint8

const (
	itemMessage itemKind = iota
	itemSubscribed
	itemUp
	itemDown
	itemMissed
)

type item struct {
	kind    itemKind
	topic   room.Topic
	message []byte
	reason  error
	n       int
}

// itemBytes is about what a message costs beside its bytes and its topic's.
const itemBytes = 80

func (i item) bytes() int { return len(i.message) + len(i.topic) + itemBytes }

// NewInbox begins to tell the receiver what is put in, holding messages of at most limit bytes; 0 is the default of
// room.BusOptions.
func NewInbox(receiver room.BusReceiver, limit int) *Inbox {
	if limit == 0 {
		limit = defaultInbox
	}
	in := &Inbox{receiver: receiver, limit: limit, ended: make(chan struct{})}
	in.wake.L = &in.mu
	go in.run()
	return in
}

// Received puts a message in, or drops it.
func (in *Inbox) Received(topic room.Topic, message []byte) {
	it := item{kind: itemMessage, topic: topic, message: message}
	in.mu.Lock()
	defer in.mu.Unlock()
	// An empty inbox takes any message, whatever the limit.
	if in.bytes > 0 && in.bytes+it.bytes() > in.limit {
		in.miss(1)
		return
	}
	in.bytes += it.bytes()
	in.put(it)
}

// Missed puts in that n messages were dropped before they came here.
func (in *Inbox) Missed(n int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.miss(n)
}

func (in *Inbox) miss(n int) {
	in.missed += uint64(n)
	if last := len(in.waiting) - 1; last >= 0 && in.waiting[last].kind == itemMissed {
		in.waiting[last].n += n
		return
	}
	in.put(item{kind: itemMissed, n: n})
}

// Subscribed puts in that a topic is subscribed.
func (in *Inbox) Subscribed(topic room.Topic) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.put(item{kind: itemSubscribed, topic: topic})
}

// Up puts in that the bus works, unless that is what was put in last.
func (in *Inbox) Up() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.up {
		in.up = true
		in.put(item{kind: itemUp})
	}
}

// Down puts in that the bus does not work, unless that is what was put in last.
func (in *Inbox) Down(reason error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.up || in.lost == 0 {
		in.up = false
		in.lost++
		in.put(item{kind: itemDown, reason: reason})
	}
}

func (in *Inbox) put(it item) {
	if !in.stopped {
		in.waiting = append(in.waiting, it)
		in.wake.Signal()
	}
}

// Count adds what the inbox counted to s.
func (in *Inbox) Count(s *room.BusStats) {
	in.mu.Lock()
	defer in.mu.Unlock()
	s.Up, s.Received, s.Missed, s.Lost = in.up && !in.stopped, in.received, in.missed, in.lost
}

// Stop drops what waits; the channel it gives is closed once the receiver is told nothing more.
func (in *Inbox) Stop() <-chan struct{} {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.stopped, in.waiting, in.bytes = true, nil, 0
	in.wake.Signal()
	return in.ended
}

func (in *Inbox) run() {
	defer close(in.ended)
	var batch []item
	for {
		batch = in.take(batch)
		if batch == nil {
			return
		}
		for n := range batch {
			if !in.tell(batch[n]) {
				return
			}
			batch[n] = item{}
		}
	}
}

// take waits for what there is to tell; nil at the end. The slice that was told is used again, unless it grew large.
func (in *Inbox) take(told []item) []item {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.waiting) == 0 && !in.stopped {
		in.wake.Wait()
	}
	if in.stopped {
		return nil
	}
	batch := in.waiting
	if cap(told) > 4096 {
		told = nil
	}
	in.waiting = told[:0]
	return batch
}

// tell tells one thing; false once the inbox is stopped.
func (in *Inbox) tell(it item) bool {
	in.mu.Lock()
	if in.stopped {
		in.mu.Unlock()
		return false
	}
	if it.kind == itemMessage {
		// Its bytes count until here, so that the limit holds for what is in the batch as well.
		in.bytes -= it.bytes()
		in.received++
	}
	in.mu.Unlock()
	switch it.kind {
	case itemMessage:
		in.receiver.Received(it.topic, it.message)
	case itemSubscribed:
		in.receiver.Subscribed(it.topic)
	case itemUp:
		in.receiver.Up()
	case itemDown:
		in.receiver.Down(it.reason)
	case itemMissed:
		in.receiver.Missed(it.n)
	}
	return true
}
