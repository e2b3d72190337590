// Package link is what the buses over a network share: it keeps one connection to the servers for as long as a bus
// is open, makes a new one after each loss, subscribes again to what is wanted, and keeps both directions
// in bounded memory. An adapter is a [Dialer] and a [Conn], and knows nothing of any of that.
//
// A bus costs three goroutines and those of its connection, whatever the number of its topics.
package link

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"roomlog/server/room"
)

// Dialer opens connections to the servers of a bus.
type Dialer interface {
	// Dial opens one, at the latest when ctx is done. What arrives on it goes to the inbox.
	Dial(ctx context.Context, inbox *Inbox) (Conn, error)
}

// Conn is one connection to the servers of a bus, or the few that are one to its adapter: they break together.
// An error of any method says that it is broken. Close may be called at any time, more than once, and
// makes the others return. Beside it, Subscribe and Unsubscribe are called by one goroutine, Publish by another.
type Conn interface {
	// Subscribe returns once the server has confirmed all of the topics.
	Subscribe(topics []room.Topic) error
	// Unsubscribe may return before the server has heard of it.
	Unsubscribe(topics []room.Topic) error
	// Publish returns once the messages are with the server or on the way to it, and says how many it refused. It keeps nothing of the slice.
	Publish(batch []Message) (refused int, err error)
	// MaxMessage is the largest message that the server takes, in bytes.
	MaxMessage() int
	// Broken gives a value when the connection is found broken.
	Broken() <-chan error
	Close()
}

const (
	defaultOutbox = 8 << 20
	defaultInbox  = 16 << 20

	// Topics in one command, messages in one write: large enough that the round trip does not count, small
	// enough that neither side holds up others for long.
	maxTopics   = 512
	maxMessages = 256
	maxBatch    = 1 << 20 // bytes, passed by one message at most

	// The pause before another attempt doubles from the first to the last of these, less up to half of it at
	// random. A connection that lasted counts as a new beginning.
	firstPause = 50 * time.Millisecond
	lastPause  = time.Second
	lasted     = 2 * time.Second

	// What an attempt may take, all of it: a server that accepts and says nothing is given up after it.
	dialTimeout = 5 * time.Second
)

// Link is a room.Bus over connections that come and go.
type Link struct {
	dialer  Dialer
	options room.BusOptions
	outbox  *outbox
	max     atomic.Int64    // of a message, as the last connection said
	changed chan struct{}   // has a value when topics may be dirty
	open    context.Context // ended by Close: what waits is finished
	end     context.CancelFunc
	ctx     context.Context // ended when Close may wait no longer, and at the end
	cut     context.CancelFunc

	mu     sync.Mutex
	inbox  *Inbox // nil before Start
	ended  chan struct{}
	closed bool
	wanted map[room.Topic]*wish
	dirty  []room.Topic            // whether wanted or not, the server may not know yet; in the order of calls, each once
	marked map[room.Topic]struct{} // the topics in dirty
}

// wish is a topic that is subscribed; another Subscribe after an Unsubscribe is another one.
type wish struct{ told bool }

// New makes a bus, which does nothing before Start.
func New(dialer Dialer, o room.BusOptions) *Link {
	if o.OutboxBytes == 0 {
		o.OutboxBytes = defaultOutbox
	}
	l := &Link{
		dialer: dialer, options: o, outbox: newOutbox(o.OutboxBytes),
		changed: make(chan struct{}, 1), ended: make(chan struct{}),
		wanted: map[room.Topic]*wish{}, marked: map[room.Topic]struct{}{},
	}
	l.ctx, l.cut = context.WithCancel(context.Background())
	l.open, l.end = context.WithCancel(l.ctx)
	l.max.Store(room.MaxBusMessage)
	return l
}

// Start is room.Bus's.
func (l *Link) Start(receiver room.BusReceiver) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.inbox != nil {
		return
	}
	l.inbox = NewInbox(receiver, l.options.InboxBytes)
	go l.run()
}

// Publish is room.Bus's.
func (l *Link) Publish(topic room.Topic, message []byte) error {
	if limit := int(l.max.Load()); len(message) > limit {
		return room.BusTooLarge(limit)
	}
	if l.open.Err() != nil {
		return room.ErrBusClosed
	}
	if !topic.Valid() {
		l.outbox.sent(0, 1)
		return nil
	}
	l.outbox.put(Message{Topic: topic, Data: message})
	return nil
}

// Subscribe is room.Bus's.
func (l *Link) Subscribe(topic room.Topic) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wanted[topic] == nil && topic.Valid() && !l.closed {
		l.wanted[topic] = &wish{}
		l.mark(topic)
	}
}

// Unsubscribe is room.Bus's.
func (l *Link) Unsubscribe(topic room.Topic) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wanted[topic] != nil {
		delete(l.wanted, topic)
		l.mark(topic)
	}
}

// mark makes a topic dirty.
func (l *Link) mark(topic room.Topic) {
	if _, has := l.marked[topic]; !has {
		l.marked[topic] = struct{}{}
		l.dirty = append(l.dirty, topic)
		signal(l.changed)
	}
}

// Stats is room.Bus's.
func (l *Link) Stats() room.BusStats {
	var s room.BusStats
	l.outbox.count(&s)
	l.mu.Lock()
	defer l.mu.Unlock()
	s.Topics = len(l.wanted)
	if l.inbox != nil {
		l.inbox.Count(&s)
	}
	return s
}

// Close is room.Bus's.
func (l *Link) Close(ctx context.Context) error {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		l.end()
		if l.inbox == nil {
			l.cut()
			close(l.ended)
		}
	}
	l.mu.Unlock()
	select {
	case <-l.ended:
		return nil
	case <-ctx.Done():
		l.cut()
		return ctx.Err()
	}
}

// run keeps a connection until the bus is closed.
func (l *Link) run() {
	defer close(l.ended)
	defer l.cut()
	pause := firstPause
	for {
		began := time.Now()
		err := l.connect()
		l.outbox.set(false)
		if l.open.Err() != nil {
			break
		}
		l.inbox.Down(err)
		if time.Since(began) >= lasted {
			pause = firstPause
		}
		select {
		case <-time.After(pause - rand.N(pause/2)):
		case <-l.open.Done():
		}
		pause = min(2*pause, lastPause)
	}
	<-l.inbox.Stop()
}

// connect opens a connection and serves it until it breaks, and says why, or the bus is closed.
func (l *Link) connect() error {
	ctx, cancel := context.WithTimeout(l.open, dialTimeout)
	conn, err := l.dialer.Dial(ctx, l.inbox)
	cancel()
	if err != nil {
		return err
	}
	unhook := context.AfterFunc(l.ctx, conn.Close)
	defer unhook()
	l.max.Store(int64(min(conn.MaxMessage(), room.MaxBusMessage)))
	done := make(chan struct{})
	published := make(chan error, 1)
	go func() {
		published <- l.publish(conn, done)
		conn.Close() // who waits for the server to confirm topics stops waiting
	}()
	err = l.serve(conn, published)
	select {
	case sending := <-published: // it broke there first
		if sending != nil {
			err = sending
		}
	default:
		close(done)
		conn.Close()
		<-published
	}
	return err
}

// serve subscribes to what is wanted, says that the bus is up, and follows what changes.
func (l *Link) serve(conn Conn, published chan error) error {
	held := map[room.Topic]struct{}{}
	l.mu.Lock()
	for topic := range l.wanted {
		l.mark(topic)
	}
	l.mu.Unlock()
	if err := l.settle(conn, held); err != nil {
		return err
	}
	l.outbox.set(true)
	l.inbox.Up()
	for {
		select {
		case <-l.changed:
			if err := l.settle(conn, held); err != nil {
				return err
			}
		case err := <-conn.Broken():
			return err
		case err := <-published:
			published <- err // connect reads it
			return err
		}
	}
}

// settle makes the server know what was wanted or not when it began.
func (l *Link) settle(conn Conn, held map[room.Topic]struct{}) error {
	l.mu.Lock()
	dirty := l.dirty
	l.dirty = nil
	clear(l.marked)
	l.mu.Unlock()
	for len(dirty) > 0 {
		n := min(maxTopics, len(dirty))
		if err := l.settleSome(conn, held, dirty[:n]); err != nil {
			return err
		}
		dirty = dirty[n:]
	}
	return nil
}

func (l *Link) settleSome(conn Conn, held map[room.Topic]struct{}, topics []room.Topic) error {
	var add, remove []room.Topic
	l.mu.Lock()
	for _, topic := range topics {
		_, has := held[topic]
		switch wants := l.wanted[topic] != nil; {
		case wants && !has:
			add = append(add, topic)
		case has && !wants:
			remove = append(remove, topic)
		}
	}
	l.mu.Unlock()
	if len(remove) > 0 {
		if err := conn.Unsubscribe(remove); err != nil {
			return err
		}
		for _, topic := range remove {
			delete(held, topic)
		}
	}
	if len(add) > 0 {
		if err := conn.Subscribe(add); err != nil {
			return err
		}
		for _, topic := range add {
			held[topic] = struct{}{}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, topic := range topics {
		_, has := held[topic]
		if w := l.wanted[topic]; w != nil && has && !w.told {
			w.told = true
			l.inbox.Subscribed(topic)
		}
	}
	return nil
}

// publish sends what is put into the outbox until the connection breaks, and says why, or done is closed, or the
// bus is closed and nothing waits.
func (l *Link) publish(conn Conn, done <-chan struct{}) error {
	var batch []Message
	for {
		if batch = l.outbox.take(batch, maxMessages, maxBatch); len(batch) == 0 {
			select {
			case <-l.outbox.wake:
				continue
			case <-done:
				return nil
			case <-l.open.Done():
				if l.outbox.empty() {
					return nil
				}
				continue
			}
		}
		refused, err := conn.Publish(batch)
		if err != nil {
			l.outbox.sent(0, len(batch))
			return err
		}
		l.outbox.sent(len(batch)-refused, refused)
		clear(batch)
	}
}
