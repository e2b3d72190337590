package cluster

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/room/bustest"
	"roomlog/server/wire"
)

var roughSeeds = flag.Int("rough", 6, "how many rough schedules are tried")

// TestRoughWeather is TestRandomFaults with all that may happen to nodes and to the log as well: nodes are killed, after a
// commit too, or stop, and others come; the store is slow, away, or does not say what became of an append; rooms are deleted
// and pruned. No reader is given what the log never had, or a page that does not adjoin; what was acked is there for who
// asks any node after it; and 2 s after the last of it every reader of a node that lives has what the log has.
func TestRoughWeather(t *testing.T) {
	for range *roughSeeds {
		seed := *oneSeed
		if seed == 0 {
			seed = rand.Uint64()
		}
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newRough(t, seed).run() })
		})
	}
}

// rough is a world with more ways to go wrong. What it holds of the log is kept by the same lock.
type rough struct {
	*testing.T
	w      *world
	random *rand.Rand
	ids    []room.ID
	nodes  []*roughNode
	born   int
	tails  []*tail
	late   sync.WaitGroup // commits whose outcome was lost
}

// roughNode is a member whose store has faults of its own.
type roughNode struct {
	*member
	name  string
	store *roughStore
}

// roughStore is what one node has of the log: it fails for the node alone when that is killed.
type roughStore struct {
	*log
	random *rand.Rand
	mu     sync.Mutex
	killed bool
	dies   bool    // after the next commit
	loses  float64 // the share of appends whose outcome is lost
	late   *sync.WaitGroup

	changed chan struct{} // see room.Watcher
}

var errKilled = &room.Error{Code: room.CodeUnavailable, Title: "This process is gone."}

// kill ends the node that the store is of, as far as others can tell.
func (s *roughStore) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.killed = true
}

// on gives a node a store of its own.
func on(s *roughStore) func(*Config, *hub.Config) {
	return func(c *Config, h *hub.Config) {
		c.Pokes, h.Store = s, s
		c.Bus = &slowBus{Bus: c.Bus, silent: s.gone}
	}
}

// end lets go of what is left of a killed node.
func (m *member) end() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = errors.Join(m.hub.Stop(ctx), m.Stop(ctx)) // it did not get to say what it had to
}

func (s *roughStore) gone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.killed
}

func (s *roughStore) Append(ctx context.Context, batch []room.Send) (room.Appended, error) {
	s.mu.Lock()
	killed, dies, roll, kind := s.killed, s.dies, s.random.Float64() < s.loses, s.random.IntN(3)
	s.mu.Unlock()
	s.log.pause()
	switch {
	case killed:
		return room.Appended{}, errKilled
	case dies:
		_, _ = s.log.Append(ctx, batch) // the ack is lost with the process
		s.kill()
		return room.Appended{}, errKilled
	case roll && kind == 0: // it was not stored
		return room.Appended{}, room.ErrOutcomeUnknown
	case roll && kind == 1: // it was
		_, _ = s.log.Append(ctx, batch)
		return room.Appended{}, room.ErrOutcomeUnknown
	case roll: // it will be
		s.late.Go(func() {
			time.Sleep(30 * time.Millisecond)
			_, _ = s.log.Append(context.Background(), batch)
		})
		return room.Appended{}, room.ErrOutcomeUnknown
	}
	return s.log.Append(ctx, batch)
}

func (s *roughStore) Read(ctx context.Context, q room.Query) (room.Page, error) {
	if s.gone() {
		return room.Page{}, errKilled
	}
	return s.log.Read(ctx, q)
}

func (s *roughStore) Heads(ctx context.Context, ids []room.ID) ([]room.Head, error) {
	if s.gone() {
		return nil, errKilled
	}
	return s.log.Heads(ctx, ids)
}

// Changed is room.Watcher's; nil: it never is.
func (s *roughStore) Changed() <-chan struct{} { return s.changed }

func (s *roughStore) Poke(ctx context.Context, topics []room.Topic) error {
	if s.gone() {
		return errKilled
	}
	return s.log.Poke(ctx, topics)
}

func (s *roughStore) Poked(ctx context.Context, since string) ([]room.Topic, string, error) {
	if s.gone() {
		return nil, "", errKilled
	}
	return s.log.Poked(ctx, since)
}

// tail is a listener, which keeps what it was given since its last reset, of a node.
type tail struct {
	*listener
	node *roughNode
}

func newRough(t *testing.T, seed uint64) *rough {
	r := &rough{T: t, w: newWorld(t, seed), random: rand.New(rand.NewPCG(seed, 3))}
	for i := range 4 {
		r.ids = append(r.ids, room.ID("chat:"+strconv.Itoa(i)))
	}
	t.Cleanup(r.late.Wait)
	return r
}

// begin starts a node that the dead do not hear.
func (r *rough) begin() {
	r.born++
	n := &roughNode{name: "n" + strconv.Itoa(r.born), store: &roughStore{log: r.w.log, random: rand.New(rand.NewPCG(r.random.Uint64(), 4)), late: &r.late, changed: make(chan struct{}, 1)}}
	n.member = r.w.join(n.name, func(c *Config, h *hub.Config) {
		c.Name = "node" // all are called the same, as after a restart
		c.Pokes, h.Store = n.store, n.store
		h.Linger = 2 * time.Second
		c.Bus = &slowBus{Bus: c.Bus, silent: n.store.gone, wait: time.Duration(r.random.IntN(40)) * time.Millisecond}
		c.Degraded, c.Access = nil, nil
	})
	r.nodes = append(r.nodes, n)
}

// end takes a node out. kill: without a word.
func (r *rough) end(i int, kill bool) {
	n := r.nodes[i]
	r.nodes = append(r.nodes[:i:i], r.nodes[i+1:]...)
	if kill {
		n.store.kill()
		n.member.end()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = errors.Join(n.hub.Stop(ctx), n.Stop(ctx)) // the store may be away
}

func (r *rough) node() *roughNode { return r.nodes[r.random.IntN(len(r.nodes))] }
func (r *rough) room() room.ID    { return r.ids[r.random.IntN(len(r.ids))] }

// submit sends without waiting.
func (r *rough) submit(n *roughNode, id room.ID, done func(hub.Outcome)) {
	var tag room.Tag
	for i := range tag {
		tag[i] = byte(r.random.Uint32())
	}
	n.hub.Submit(hub.Submit{Send: room.Send{Room: id, Author: "ann", Tag: tag, Type: "message", Data: []byte(`{}`)}}, done)
}

func (r *rough) listen(n *roughNode) {
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	t := &tail{node: n, listener: &listener{log: r.w.log, at: map[room.ID]room.Seq{}, had: map[room.ID]map[room.Seq]string{}}}
	conn, err := n.hub.Attach(t, wire.EventStream)
	if err != nil {
		r.Fatal(err)
	}
	var joins []hub.Join
	for _, id := range r.ids {
		joins = append(joins, hub.Join{Room: id, HasPosition: true, Replay: -1})
	}
	if err := conn.Follow(ctx, joins, func([]hub.Followed) []byte { return []byte("event: ready\ndata: {}\n\n") }); err != nil {
		conn.Detach()
		return // the store is away
	}
	r.tails = append(r.tails, t)
	r.Cleanup(conn.Detach)
}

// asks holds NODE-4: a poll of any node after an ack has it.
func (r *rough) asks() {
	id, from, to := r.room(), r.node(), r.node()
	var acked atomic.Pointer[hub.Outcome]
	r.submit(from, id, func(o hub.Outcome) { acked.Store(&o) })
	time.Sleep(60 * time.Millisecond)
	o := acked.Load()
	if o == nil || o.Err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()
	p, err := to.hub.Poll(ctx, hub.Join{Room: id}, 0)
	head := p.Head
	if reset := (*hub.ResetError)(nil); errors.As(err, &reset) {
		head, err = reset.Head, nil
	}
	if err == nil && head.Epoch == o.Epoch && head.Seq < o.Verdict.Seq {
		r.Errorf("%s: %d was acked in %s, and a poll after it has head %d", id, o.Verdict.Seq, o.Epoch, head.Seq)
	}
}

func (r *rough) run() {
	for range 3 {
		r.begin()
	}
	settle()
	for range 4 {
		r.listen(r.node())
	}
	for range 250 {
		r.step()
		time.Sleep(time.Duration(r.random.IntN(120)) * time.Millisecond)
	}
	r.heal()
	r.last()
	r.converge()
}

func (r *rough) step() {
	store := r.w.log
	switch r.random.IntN(25) {
	case 0:
		r.w.faults.Set(bustest.Rates{Drop: r.random.Float64(), Duplicate: r.random.Float64(), Delay: time.Duration(r.random.IntN(80)) * time.Millisecond})
	case 1:
		r.w.faults.Heal()
	case 2:
		r.w.faults.Part(r.node().name, r.node().name)
	case 3:
		r.w.medium.Stop()
		if r.random.IntN(2) == 0 { // it flaps
			r.w.medium.Start()
		}
	case 4, 5:
		r.w.medium.Start()
	case 6:
		r.begin()
		r.listen(r.nodes[len(r.nodes)-1])
	case 7:
		if len(r.nodes) > 2 {
			r.end(r.random.IntN(len(r.nodes)), r.random.IntN(2) == 0)
		}
	case 8:
		store.set(func(l *log) { l.down = true })
	case 9, 10:
		store.set(func(l *log) { l.down = false })
	case 11:
		store.set(func(l *log) { l.slow = time.Duration(r.random.IntN(300)) * time.Millisecond })
	case 12, 13:
		store.set(func(l *log) { l.slow = time.Duration(r.random.IntN(10)) * time.Millisecond })
	case 14:
		s := r.node().store
		s.mu.Lock()
		s.loses = r.random.Float64() / 2
		s.mu.Unlock()
	case 15:
		r.remove(r.room())
	case 16:
		r.prune(r.room())
	case 17:
		r.listen(r.node())
	case 18, 19:
		r.asks()
	case 21:
		r.restore()
	case 20: // nobody reads a room for a while
		if i := r.random.IntN(len(r.tails) + 1); i < len(r.tails) && r.random.IntN(4) == 0 {
			time.Sleep(3 * time.Second)
		}
	default:
		for range 1 + r.random.IntN(6) {
			r.submit(r.node(), r.room(), func(hub.Outcome) {})
		}
	}
}

// restore takes the log back to what it was, as the same to all but who remembers, and the stores find that out.
func (r *rough) restore() {
	r.w.log.set(func(l *log) {
		for _, room := range l.rooms {
			room.cut(len(room.events) - r.random.IntN(1+min(8, len(room.events)-room.pruned)))
		}
	})
	for _, n := range r.nodes {
		select {
		case n.store.changed <- struct{}{}:
		default:
		}
	}
}

// cut takes the newest events away.
func (r *roomLog) cut(n int) {
	r.events = r.events[:n:n]
	for tag, seq := range r.tags {
		if int(seq) > n {
			delete(r.tags, tag)
		}
	}
}

// remove deletes a room by a node, and poke says so, as the store does with the deletion itself.
func (r *rough) remove(id room.ID) {
	r.change(id, func(l *roomLog) {
		l.epoch++
		l.pruned, l.events, l.tags = 0, nil, map[room.Tag]room.Seq{}
	})
}

func (r *rough) prune(id room.ID) {
	r.change(id, func(l *roomLog) { l.pruned += (len(l.events) - l.pruned) * r.random.IntN(100) / 99 })
}

func (r *rough) change(id room.ID, do func(*roomLog)) {
	var head room.Head
	down := false
	r.w.log.set(func(l *log) {
		if down = l.down; down {
			return
		}
		do(l.room(id))
		head = l.room(id).head(id)
		l.pokes = append(l.pokes, room.RoomTopic(id))
	})
	if !down {
		r.node().hub.Notice(head)
	}
}

func (r *rough) heal() {
	r.w.log.set(func(l *log) { l.down, l.slow = false, time.Millisecond })
	for _, n := range r.nodes {
		n.store.mu.Lock()
		n.store.loses = 0
		n.store.mu.Unlock()
	}
	r.w.faults.Heal()
	r.w.medium.Start()
	time.Sleep(2 * time.Second)
}

// last is what happens before silence: a node dies after its commit, or hints are lost.
func (r *rough) last() {
	switch r.random.IntN(3) {
	case 0:
		n := r.nodes[0]
		n.store.mu.Lock()
		n.store.dies = true
		n.store.mu.Unlock()
		r.submit(n, r.room(), func(hub.Outcome) {})
		time.Sleep(20 * time.Millisecond)
		r.w.faults.Heal()
		r.end(0, true)
	case 1:
		r.w.faults.HoldLast()
		for _, id := range r.ids {
			r.submit(r.node(), id, func(hub.Outcome) {})
		}
		time.Sleep(20 * time.Millisecond)
		r.w.faults.DropLast()
		r.w.faults.Heal()
	default:
		r.w.faults.Set(bustest.Rates{Drop: 1})
		for _, id := range r.ids {
			r.submit(r.node(), id, func(hub.Outcome) {})
		}
		time.Sleep(20 * time.Millisecond)
		r.w.faults.Heal()
		r.end(r.random.IntN(len(r.nodes)), false)
	}
	r.w.medium.Start()
}

func (r *rough) converge() {
	var behind string
	began := time.Now()
	for {
		settle()
		if behind = r.behind(); behind == "" {
			break
		}
		if time.Since(began) > 2*time.Second {
			r.Fatalf("not within 2 s: %s", behind)
		}
		time.Sleep(5 * time.Millisecond)
	}
	r.Logf("converged after %v", time.Since(began))
}

// behind says what some reader of a node that lives lacks, or has that the log has not.
func (r *rough) behind() string {
	lives := map[*roughNode]bool{}
	for _, n := range r.nodes {
		lives[n] = true
	}
	for i, t := range r.tails {
		if !lives[t.node] {
			continue
		}
		for _, id := range r.ids {
			at := t.stands(r.T, id)
			t.mu.Lock()
			had := t.had[id]
			r.w.log.mu.Lock()
			l := r.w.log.room(id)
			head, why := l.head(id).Seq, ""
			if at != head && (at != 0 || l.pruned != len(l.events)) { // after a reset there is no page of nothing
				why = fmt.Sprintf("reader %d of %s stands at %d of %d in %s", i, t.node.Name(), at, head, id)
			}
			for seq, tag := range had {
				if int(seq) > len(l.events) || l.events[seq-1].Tag.String() != tag {
					why = fmt.Sprintf("reader %d of %s has another event %d of %s", i, t.node.Name(), seq, id)
				}
			}
			r.w.log.mu.Unlock()
			t.mu.Unlock()
			if why != "" {
				return why
			}
		}
	}
	return ""
}

// slowBus takes a while for each subscription, as a server far away does.
type slowBus struct {
	room.Bus
	wait   time.Duration
	silent func() bool // nothing leaves it

	mu     sync.Mutex
	queue  []func()
	runs   bool
	closed bool
	ended  sync.WaitGroup
}

func (b *slowBus) put(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.queue = append(b.queue, f)
	if !b.runs {
		b.runs = true
		b.ended.Go(b.work)
	}
}

func (b *slowBus) work() {
	for {
		b.mu.Lock()
		if len(b.queue) == 0 || b.closed {
			b.runs = false
			b.mu.Unlock()
			return
		}
		f := b.queue[0]
		b.queue = b.queue[1:]
		b.mu.Unlock()
		time.Sleep(b.wait)
		f()
	}
}

func (b *slowBus) Publish(topic room.Topic, message []byte) error {
	if b.silent() {
		return nil
	}
	return b.Bus.Publish(topic, message)
}

func (b *slowBus) Subscribe(topic room.Topic) {
	if topic == room.ClusterTopic {
		b.Bus.Subscribe(topic)
		return
	}
	b.put(func() { b.Bus.Subscribe(topic) })
}

func (b *slowBus) Unsubscribe(topic room.Topic) { b.put(func() { b.Bus.Unsubscribe(topic) }) }

func (b *slowBus) Close(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.ended.Wait()
	return b.Bus.Close(ctx)
}
