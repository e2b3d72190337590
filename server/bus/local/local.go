// Package local is the bus within one process: for a single node, and for tests of several nodes in one.
package local

import (
	"context"
	"errors"
	"sync"

	"roomlog/server/bus/link"
	"roomlog/server/room"
)

// Medium is what buses are joined to, in place of a server. Its methods may be called concurrently.
type Medium struct {
	mu      sync.RWMutex
	stopped bool
	buses   map[*Bus]struct{}                // that were started
	topics  map[address]map[*Bus]*link.Inbox // who subscribes to what

	leases leases
}

// address is a topic of a cluster.
type address struct {
	cluster string
	topic   room.Topic
}

// NewMedium makes a medium that works.
func NewMedium() *Medium {
	return &Medium{buses: map[*Bus]struct{}{}, topics: map[address]map[*Bus]*link.Inbox{}}
}

// Join makes a bus of a cluster on the medium. It sends at once, and so needs no OutboxBytes.
func (m *Medium) Join(cluster string, o room.BusOptions) *Bus {
	return &Bus{medium: m, cluster: cluster, limit: o.InboxBytes, wanted: map[room.Topic]struct{}{}}
}

var errStopped = errors.New("the medium is stopped")

// Stop makes every bus on the medium go down.
func (m *Medium) Stop() { m.set(true) }

// Start makes them work again.
func (m *Medium) Start() { m.set(false) }

func (m *Medium) set(stopped bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopped = stopped
	for b := range m.buses {
		b.tell()
	}
}

// Bus is a room.Bus on a medium. Its state is the medium's, and is guarded by its lock.
type Bus struct {
	medium  *Medium
	cluster string
	limit   int

	inbox              *link.Inbox // nil before Start
	wanted             map[room.Topic]struct{}
	closed             bool
	counts             sync.Mutex // guards what follows, within the lock
	published, dropped uint64
}

// tell tells the receiver how the medium stands.
func (b *Bus) tell() {
	if b.medium.stopped {
		b.inbox.Down(errStopped)
	} else {
		b.inbox.Up()
	}
}

// Start is room.Bus's.
func (b *Bus) Start(receiver room.BusReceiver) {
	b.medium.mu.Lock()
	defer b.medium.mu.Unlock()
	if b.closed || b.inbox != nil {
		return
	}
	b.inbox = link.NewInbox(receiver, b.limit)
	b.medium.buses[b] = struct{}{}
	for topic := range b.wanted {
		b.listen(topic)
	}
	b.tell()
}

// Publish is room.Bus's.
func (b *Bus) Publish(topic room.Topic, message []byte) error {
	if len(message) > room.MaxBusMessage {
		return room.BusTooLarge(room.MaxBusMessage)
	}
	m := b.medium
	m.mu.RLock()
	defer m.mu.RUnlock()
	if b.closed {
		return room.ErrBusClosed
	}
	sent := b.inbox != nil && !m.stopped && topic.Valid()
	b.counts.Lock()
	if sent {
		b.published++
	} else {
		b.dropped++
	}
	b.counts.Unlock()
	if sent {
		for _, inbox := range m.topics[address{b.cluster, topic}] {
			inbox.Received(topic, message)
		}
	}
	return nil
}

// Subscribe is room.Bus's.
func (b *Bus) Subscribe(topic room.Topic) {
	b.medium.mu.Lock()
	defer b.medium.mu.Unlock()
	if _, has := b.wanted[topic]; has || b.closed || !topic.Valid() {
		return
	}
	b.wanted[topic] = struct{}{}
	if b.inbox != nil {
		b.listen(topic)
	}
}

// listen is called once the bus was started.
func (b *Bus) listen(topic room.Topic) {
	at := address{b.cluster, topic}
	if b.medium.topics[at] == nil {
		b.medium.topics[at] = map[*Bus]*link.Inbox{}
	}
	b.medium.topics[at][b] = b.inbox
	b.inbox.Subscribed(topic)
}

// Unsubscribe is room.Bus's.
func (b *Bus) Unsubscribe(topic room.Topic) {
	b.medium.mu.Lock()
	defer b.medium.mu.Unlock()
	b.leave(topic)
}

func (b *Bus) leave(topic room.Topic) {
	delete(b.wanted, topic)
	at := address{b.cluster, topic}
	delete(b.medium.topics[at], b)
	if len(b.medium.topics[at]) == 0 {
		delete(b.medium.topics, at)
	}
}

// Stats is room.Bus's.
func (b *Bus) Stats() room.BusStats {
	b.medium.mu.RLock()
	defer b.medium.mu.RUnlock()
	b.counts.Lock()
	defer b.counts.Unlock()
	s := room.BusStats{Topics: len(b.wanted), Published: b.published, Dropped: b.dropped}
	if b.inbox != nil {
		b.inbox.Count(&s)
	}
	return s
}

// Close is room.Bus's.
func (b *Bus) Close(ctx context.Context) error {
	b.medium.mu.Lock()
	if !b.closed {
		b.closed = true
		for topic := range b.wanted {
			b.leave(topic)
		}
		delete(b.medium.buses, b)
	}
	inbox := b.inbox
	b.medium.mu.Unlock()
	if inbox == nil {
		return nil
	}
	select {
	case <-inbox.Stop():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
