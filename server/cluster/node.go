// Package cluster joins a node to the others that serve the same rooms. What nodes tell each other over the bus are hints,
// and the log in the store is the truth: a hint carries the events of an append, so that the usual path reads nothing, and
// the hub takes it only where it adjoins what it has. All that is lost, repeated, late or false on the way is mended
// from the store:
//
//   - a hint that is missing before another: by the hub, a few milliseconds later;
//   - a last hint before silence: by the next beat of its sender, which names the rooms it appended to and their heads;
//   - a beat: by the number of the next one, or by the silence after it;
//   - a bus that is down, or deaf: by pokes, which are hints that go through the store, and by a sweep of all rooms.
//
// Whatever may have been missed by more than one room ends in a check of the heads of all rooms in memory.
package cluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
)

// Config is what a node needs. Zero durations mean the defaults.
type Config struct {
	Bus     room.Bus   // started and closed by the node; nil: there is none, and only pokes are heard
	Pokes   room.Pokes // of the store that the hub appends to; required
	Name    string     // for logs, here and at the other nodes
	Cluster string
	Key     []byte // that all nodes have; signs what they tell each other

	// Access reads access from the store anew. It may take its time; it is called by one goroutine.
	Access func(context.Context) error
	// Degraded is told when the node can no longer hear the others at once, and when it can again. nil: nobody is.
	Degraded func(bool)
	// Grown is told the rooms that something was appended to elsewhere, as far as the store tells it. It must not block.
	// nil: nobody is.
	Grown func(room.ID)
	// Hears are told what other nodes say of the parts of rooms (see Say). A part without one is not heard.
	Hears map[Part]Hearer
	// Named is told the rooms that the beats of other nodes name: something was appended there. It must not block. nil: nobody is.
	Named func(room.ID)
	// Missed is told that what others said may have been lost. It must not block. nil: nobody is.
	Missed func()
	Log    *slog.Logger // default: discard

	BeatEvery   time.Duration // between beats while this node appends; default 250 ms
	RestEvery   time.Duration // between beats while it does not; default 500 ms
	SilentAfter time.Duration // when a node that says nothing is taken for gone; default 1.5 s
	DeafAfter   time.Duration // when one's own beats should have come back; default 1 s
	PokeEvery   time.Duration // between looks for pokes, and between sweeps while degraded; default 500 ms
	FollowFor   time.Duration // how long the first reader of a room waits for its subscription; default 100 ms
}

func (c *Config) withDefaults() {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	or(&c.BeatEvery, 250*time.Millisecond)
	or(&c.RestEvery, 500*time.Millisecond)
	or(&c.SilentAfter, 1500*time.Millisecond)
	or(&c.DeafAfter, time.Second)
	or(&c.PokeEvery, 500*time.Millisecond)
	or(&c.FollowFor, 100*time.Millisecond)
}

func or(v *time.Duration, def time.Duration) {
	if *v == 0 {
		*v = def
	}
}

// Node is this process among those of its cluster. It is the [hub.Link] of its hub. Its methods may be called concurrently.
//
// Locks: beating, then mu, which is a leaf but for the bus. The hub is called with neither held.
type Node struct {
	cfg   Config
	log   *slog.Logger
	id    nodeID
	seals *seals
	hub   *hub.Hub

	beating sync.Mutex // held while messages to the cluster are numbered and given to the bus, in this order
	number  uint64     // of the last of them

	mu       sync.Mutex
	up       bool                   // the bus says so
	deaf     bool                   // and what this node says does not come back
	followed map[room.ID]*following // the rooms that are subscribed, or asked to be
	peers    map[nodeID]*peer       // heard of lately
	touched  map[room.ID]room.Head  // appended to since the last beat
	unheard  []sent                 // beats that have not come back, the oldest first
	lost     map[room.ID]bool       // of which others may not have heard by the bus: they are to be poked
	troubled time.Time              // since when the node is down or deaf; zero: it is neither
	told     bool                   // the last that Config.Degraded was told
	beaten   time.Time              // when the last beat was sent

	checks  checks
	access  due // is to be read again
	counts  counts
	ctx     context.Context
	cancel  context.CancelFunc
	tasks   sync.WaitGroup
	stopped atomic.Bool
}

// following is a room that is subscribed, or asked to be.
type following struct {
	done chan struct{} // closed when hints of it arrive, or nothing is to be waited for
}

// peer is another node.
type peer struct {
	name   string
	number uint64
	heard  time.Time
	gone   bool          // it said so; what comes of it later was recorded by somebody
	silent bool          // for longer than SilentAfter
	look   time.Duration // how long it is quiet when all rooms are checked next
}

// sent is a beat on its way back to its sender.
type sent struct {
	number uint64
	at     time.Time
	rooms  []room.ID
}

// due is something that is to be done soon, once, however often it is asked for.
type due chan struct{}

func newDue() due { return make(due, 1) }

func (d due) ask() {
	select {
	case d <- struct{}{}:
	default:
	}
}

// New makes a node that is not started. Give it to the hub as its Link, then call Start with the hub.
func New(cfg Config) *Node {
	cfg.withDefaults()
	n := &Node{
		cfg: cfg, seals: newSeals(cfg.Key, cfg.Cluster),
		followed: make(map[room.ID]*following), peers: make(map[nodeID]*peer), touched: make(map[room.ID]room.Head),
		lost: make(map[room.ID]bool), checks: checks{some: make(map[room.ID]bool), due: newDue()}, access: newDue(),
	}
	_, _ = rand.Read(n.id[:]) // never fails: crypto/rand ends the program instead
	n.log = cfg.Log.With("node", cfg.Name)
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n
}

// Start begins to tell and to hear. It is called once, before the hub starts.
func (n *Node) Start(h *hub.Hub) {
	n.hub = h
	n.tasks.Go(n.pokeAndListen)
	n.tasks.Go(n.check)
	n.tasks.Go(n.readAccess)
	if n.cfg.Bus == nil {
		return
	}
	n.troubled = time.Now() // until the bus says that it works
	n.cfg.Bus.Subscribe(room.ClusterTopic)
	n.cfg.Bus.Subscribe(nodeTopic(n.id))
	n.cfg.Bus.Start(receiver{n})
	n.tasks.Go(n.beat)
}

// Stop tells the others what is left to say, ends what Start began, and waits for it. The hub has stopped before.
func (n *Node) Stop(ctx context.Context) error {
	if n.stopped.Swap(true) {
		return nil
	}
	n.cancel()
	n.tasks.Wait()
	if n.cfg.Bus == nil {
		return nil
	}
	n.sendBeats(time.Now())
	n.tellCluster(kindBye, beat{name: n.cfg.Name})
	n.mu.Lock()
	n.giveUp() // what has not come back may not have arrived
	n.mu.Unlock()
	err := n.pokeLost(ctx)
	return errors.Join(err, n.cfg.Bus.Close(ctx))
}

// Name is what the node is called, with the digits of its generation.
func (n *Node) Name() string { return n.cfg.Name + "/" + hex.EncodeToString(n.id[:3]) }

// Follow implements [hub.Link].
func (n *Node) Follow(ctx context.Context, id room.ID) {
	if n.cfg.Bus == nil {
		return
	}
	n.mu.Lock()
	f := n.followed[id]
	if f == nil {
		f = &following{done: make(chan struct{})}
		n.followed[id] = f
		if !n.up { // all rooms are checked when it is
			close(f.done)
		}
		n.cfg.Bus.Subscribe(room.RoomTopic(id))
	}
	n.mu.Unlock()
	timer := time.NewTimer(n.cfg.FollowFor)
	defer timer.Stop()
	select {
	case <-f.done:
	case <-timer.C:
		n.mu.Lock()
		f.settle()
		n.mu.Unlock()
	case <-ctx.Done():
	}
}

// Unfollow implements [hub.Link].
func (n *Node) Unfollow(id room.ID) {
	if n.cfg.Bus == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.followed[id] != nil {
		delete(n.followed, id)
		n.cfg.Bus.Unsubscribe(room.RoomTopic(id)) // under the lock: in the order of the map
	}
}

// follows says that what is published of a room arrives from now on. Where nobody waited for that, the room may have been
// read before.
func (n *Node) follows(id room.ID) {
	n.mu.Lock()
	f := n.followed[id]
	late := f != nil && !f.settle()
	n.mu.Unlock()
	if late {
		n.checks.room(id)
	}
}

// settle lets go of who waits; false: that was done before. The caller holds the node's lock.
func (f *following) settle() bool {
	select {
	case <-f.done:
		return false
	default:
		close(f.done)
		return true
	}
}
