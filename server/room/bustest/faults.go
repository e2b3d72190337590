package bustest

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"

	"roomlog/server/room"
)

// Rates are the faults of a medium. Each message that reaches a node has its own fate there.
type Rates struct {
	Drop      float64       // the share of messages that are lost
	Duplicate float64       // the share of those left that come twice, the second time as late as Delay says
	Delay     time.Duration // messages come up to so late, and so pass each other; 0: at once, in order
}

// Faults is a medium that misbehaves: buses wrapped by one Faults lose, repeat, delay and reorder what they carry to
// each other, or are parted, and are told of none of it, as where a network swallows packets. What befalls a
// message depends on the seed, the two nodes, the topic and how many of that kind came before it, and on nothing
// else: the same seed and the same messages have the same faults, however goroutines run.
//
// Only wrapped buses understand each other. All methods may be called concurrently.
type Faults struct {
	seed uint64

	mu     sync.Mutex
	rates  Rates
	parted map[[2]string]bool
	holds  bool
	nodes  []*faulty
}

// NewFaults makes a medium without faults.
func NewFaults(seed uint64) *Faults {
	return &Faults{seed: seed, parted: map[[2]string]bool{}}
}

// Set changes the faults.
func (f *Faults) Set(r Rates) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rates = r
}

// Part makes two nodes not hear each other, in either direction. A node parted from itself does not hear itself.
func (f *Faults) Part(a, b string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.parted[pair(a, b)] = true
}

// Heal ends every Part and every fault of Set.
func (f *Faults) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.parted)
	f.rates = Rates{}
}

func pair(a, b string) [2]string {
	if a > b {
		a, b = b, a
	}
	return [2]string{a, b}
}

// HoldLast makes every node keep back the newest message of each topic until the next one of that topic. What is
// still kept when DropLast is called was the last before silence, and is lost with nothing behind it that shows it.
func (f *Faults) HoldLast() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.holds = true
}

// DropLast ends HoldLast, and gives how many messages were lost by it.
func (f *Faults) DropLast() int {
	f.mu.Lock()
	f.holds = false
	nodes := f.nodes
	f.mu.Unlock()
	lost := 0
	for _, n := range nodes {
		lost += n.dropHeld()
	}
	return lost
}

// Wrap gives a node's bus the faults. The name of a node is its own, of at most 255 bytes.
func (f *Faults) Wrap(name string, bus room.Bus) room.Bus {
	n := &faulty{Bus: bus, faults: f, name: name, held: map[room.Topic][]byte{}, seen: map[flow]uint64{}, late: map[*time.Timer]struct{}{}}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nodes = append(f.nodes, n)
	return n
}

// faulty is a room.Bus, and the receiver of the one it wraps.
type faulty struct {
	room.Bus
	faults *Faults
	name   string

	holding sync.Mutex
	held    map[room.Topic][]byte // kept back by HoldLast

	telling  sync.Mutex // one call of the receiver at a time
	receiver room.BusReceiver

	mu     sync.Mutex
	seen   map[flow]uint64
	late   map[*time.Timer]struct{}
	closed bool
}

// flow is what messages are counted by.
type flow struct {
	from  string
	topic room.Topic
}

// Start is room.Bus's.
func (n *faulty) Start(receiver room.BusReceiver) {
	n.receiver = receiver
	n.Bus.Start(n)
}

// Publish is room.Bus's. A message grows by the name of its node.
func (n *faulty) Publish(topic room.Topic, message []byte) error {
	if len(message)+len(n.name)+1 > room.MaxBusMessage {
		return room.BusTooLarge(room.MaxBusMessage - len(n.name) - 1)
	}
	wrapped := append(append([]byte{byte(len(n.name))}, n.name...), message...)
	n.faults.mu.Lock()
	holds := n.faults.holds
	n.faults.mu.Unlock()
	n.holding.Lock()
	defer n.holding.Unlock()
	before, has := n.held[topic]
	delete(n.held, topic)
	if holds {
		n.held[topic] = wrapped
	}
	if has {
		if err := n.Bus.Publish(topic, before); err != nil {
			return err
		}
	}
	if holds {
		return nil
	}
	return n.Bus.Publish(topic, wrapped)
}

func (n *faulty) dropHeld() int {
	n.holding.Lock()
	defer n.holding.Unlock()
	lost := len(n.held)
	clear(n.held)
	return lost
}

// Received is room.BusReceiver's, and so are the others.
func (n *faulty) Received(topic room.Topic, wrapped []byte) {
	if len(wrapped) == 0 || len(wrapped) < 1+int(wrapped[0]) {
		return
	}
	size := int(wrapped[0])
	from, message := string(wrapped[1:1+size]), wrapped[1+size:]
	for _, after := range n.fate(from, topic) {
		n.deliver(topic, message, after)
	}
}

// fate is how late a message comes, once for each time it does.
func (n *faulty) fate(from string, topic room.Topic) []time.Duration {
	n.faults.mu.Lock()
	rates, parted := n.faults.rates, n.faults.parted[pair(from, n.name)]
	n.faults.mu.Unlock()
	n.mu.Lock()
	of := flow{from, topic}
	n.seen[of]++
	number := n.seen[of]
	n.mu.Unlock()
	if parted {
		return nil
	}
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%q %q %q %d", from, n.name, topic, number) // it never fails
	random := rand.New(rand.NewPCG(n.faults.seed, h.Sum64()))
	delay := func() time.Duration {
		if rates.Delay <= 0 {
			return 0
		}
		return time.Duration(random.Int64N(int64(rates.Delay)))
	}
	if random.Float64() < rates.Drop {
		return nil
	}
	fate := []time.Duration{delay()}
	if random.Float64() < rates.Duplicate {
		fate = append(fate, delay())
	}
	return fate
}

// deliver tells the receiver of a message, at once or later.
func (n *faulty) deliver(topic room.Topic, message []byte, after time.Duration) {
	tell := func() { n.tell(func(r room.BusReceiver) { r.Received(topic, message) }) }
	if after == 0 {
		tell()
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(after, func() {
		n.mu.Lock()
		_, waits := n.late[timer]
		delete(n.late, timer)
		n.mu.Unlock()
		if waits {
			tell()
		}
	})
	n.late[timer] = struct{}{}
}

func (n *faulty) tell(do func(room.BusReceiver)) {
	n.telling.Lock()
	defer n.telling.Unlock()
	n.mu.Lock()
	closed := n.closed
	n.mu.Unlock()
	if !closed {
		do(n.receiver)
	}
}

func (n *faulty) Subscribed(topic room.Topic) {
	n.tell(func(r room.BusReceiver) { r.Subscribed(topic) })
}
func (n *faulty) Up()               { n.tell(func(r room.BusReceiver) { r.Up() }) }
func (n *faulty) Down(reason error) { n.tell(func(r room.BusReceiver) { r.Down(reason) }) }
func (n *faulty) Missed(count int)  { n.tell(func(r room.BusReceiver) { r.Missed(count) }) }

// Close is room.Bus's. What is late is lost.
func (n *faulty) Close(ctx context.Context) error {
	err := n.Bus.Close(ctx)
	n.mu.Lock()
	n.closed = true
	for timer := range n.late {
		timer.Stop()
	}
	clear(n.late)
	n.mu.Unlock()
	if err == nil {
		n.telling.Lock() // a call that runs ends first
		defer n.telling.Unlock()
	}
	return err
}
