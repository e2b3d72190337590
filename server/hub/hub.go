// Package hub is the live part of a node: it appends sends in groups, keeps the tails of rooms that
// are being read, and moves the cursors of connections along them. DESIGN.md beside this file draws
// it on one page.
//
// Connections come and go by [Hub.Attach] and [Conn.Detach]; everything a connection may do is a
// method of [Conn]. Reading without a connection is [Hub.Poll] and [Hub.History]; [Hub.Submit] sends.
package hub

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"roomlog/server/room"
)

// Config is what a hub needs. Zero values of all but Store mean the defaults.
type Config struct {
	Store        room.Store    // required
	Log          *slog.Logger  // default: discard
	TailBytes    int64         // budget of encoded events in memory; default 64 MiB
	Workers      int           // flush workers; default GOMAXPROCS
	PingEvery    time.Duration // between pings to each connection; default 10 s
	PongWithin   time.Duration // how long a ping may stay unanswered; default 10 s
	QueueSends   int           // sends that may wait for a batch; default 16,384
	UnknownAfter time.Duration // when a send without outcome is answered outcome_unknown; default 2 s
	MaxPage      int           // events of one page; default 500
	Reads        int           // store reads at a time; default 16
	CheckEvery   time.Duration // between comparisons of the rooms in memory with the store; default 15 s
	Linger       time.Duration // with a Link: how long a room stays in memory that nobody reads any more; default 30 s

	// Grown is told the rooms that an append of this node made grow, after their commit. It must not block.
	// nil: nobody is.
	Grown func(room.ID)

	// MapOnly says of which kinds of rooms only the map is kept of state (see room.StatePolicy). nil: of none.
	MapOnly func(kind string) bool

	// Link joins the hub to the other nodes that serve the rooms of the store; nil: there are none.
	Link Link

	Beside  [Sides]SideSource // fill what rooms show beside their logs; nil: that side stays empty
	Company Company           // is told who reads which rooms; nil: nobody is
}

func (c *Config) withDefaults() {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	or(&c.TailBytes, 64<<20)
	or(&c.Workers, runtime.GOMAXPROCS(0))
	or(&c.PingEvery, 10*time.Second)
	or(&c.PongWithin, 10*time.Second)
	or(&c.QueueSends, 16384)
	or(&c.UnknownAfter, 2*time.Second)
	or(&c.MaxPage, 500)
	or(&c.Reads, 16)
	or(&c.CheckEvery, 15*time.Second)
	or(&c.Linger, 30*time.Second)
}

func or[T int | int64 | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// Hub is one node's live rooms and connections. Its methods may be called concurrently.
type Hub struct {
	cfg      Config
	log      *slog.Logger
	cache    *cache
	workers  []*worker
	appender *appender
	asks     *asks
	mender   *mender
	fresh    *fresh
	sides    *sides
	reads    chan struct{} // a place for each read of the store at a time
	origin   time.Time     // of the hub's clock
	counts   counts
	accounts atomic.Uint64 // of rooms, see Account
	members  atomic.Pointer[Members]
	trouble  atomic.Pointer[trouble] // nil while the store keeps what it is given

	recheck   chan struct{} // holds one: see checkSoon
	unchecked atomic.Bool   // the last head check failed, and the log says so
	stopping  chan struct{} // closed when Stop begins
	stopOnce  sync.Once
	stopped   chan struct{} // closed when every goroutine has ended
	ctx       context.Context
	cancel    context.CancelFunc
	appends   sync.WaitGroup // the appender alone: it is stopped first

	mu      sync.Mutex
	started bool
	ended   bool // no goroutine may start any more
	tasks   sync.WaitGroup
	rooms   map[room.ID]*liveRoom
	wheel   [wheelBuckets]map[*Conn]struct{}
}

// New makes a hub that is not yet started.
func New(cfg Config) *Hub {
	cfg.withDefaults()
	h := &Hub{
		cfg: cfg, log: cfg.Log, cache: newCache(cfg.TailBytes),
		reads: make(chan struct{}, cfg.Reads), origin: time.Now(),
		recheck: make(chan struct{}, 1), stopping: make(chan struct{}), stopped: make(chan struct{}),
		rooms: make(map[room.ID]*liveRoom),
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	for i := range h.wheel {
		h.wheel[i] = make(map[*Conn]struct{})
	}
	for i := range cfg.Workers {
		h.workers = append(h.workers, newWorker(h, i))
	}
	h.appender = newAppender(h)
	h.asks = newAsks(h)
	h.mender = newMender()
	h.fresh = newFresh(h)
	h.sides = newSides()
	return h
}

// Start starts the workers and returns. Starting twice is harmless.
func (h *Hub) Start() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.started || h.stops() {
		return
	}
	h.started = true
	for _, w := range h.workers {
		h.tasks.Go(func() { w.run(h.ctx) })
	}
	h.tasks.Go(func() { h.keepalive(h.ctx) })
	h.tasks.Go(func() { h.checkHeads(h.ctx) })
	h.tasks.Go(func() { h.tickSides(h.ctx) })
	if h.cfg.Link != nil {
		h.tasks.Go(func() { h.mender.run(h.ctx) })
		h.tasks.Go(func() { h.letGo(h.ctx) })
	}
	h.appends.Go(func() { h.appender.run(h.ctx) })
}

// Stop refuses new sends and connections, finishes the sends that are queued, tells every connection
// to come back, and waits for every goroutine. When ctx ends first, sends that are still in flight
// are answered outcome_unknown, and those not yet in flight going_away. It is idempotent; later calls
// wait for the first.
func (h *Hub) Stop(ctx context.Context) error {
	h.stopOnce.Do(func() {
		h.mu.Lock() // nothing starts or attaches after it
		close(h.stopping)
		h.mu.Unlock()
		go h.shutdown(ctx)
	})
	select {
	case <-h.stopped:
		return nil
	case <-ctx.Done():
		h.cancel()
		<-h.stopped
		return ctx.Err()
	}
}

func (h *Hub) shutdown(ctx context.Context) {
	h.asks.close()
	h.appender.close()
	stop := context.AfterFunc(ctx, h.cancel)
	h.appends.Wait()
	h.appender.abandon()
	h.asks.tasks.Wait() // its last answers are before the connections' end
	for _, c := range h.conns() {
		c.part()
	}
	h.mu.Lock()
	h.ended = true
	h.mu.Unlock()
	stop()
	h.cancel()
	deaf := time.AfterFunc(partWithin, func() {
		for _, c := range h.conns() {
			c.sink.Close(goingAway())
		}
	})
	h.tasks.Wait()
	deaf.Stop()
	close(h.stopped)
}

// partWithin is how long a peer that is full is given for the last acks when the hub stops.
const partWithin = time.Second

// stops reports whether Stop has begun. While the caller holds h.mu it does not begin.
func (h *Hub) stops() bool {
	select {
	case <-h.stopping:
		return true
	default:
		return false
	}
}

// part sends what is ready, the last acks among it, and ends the connection: at once or, where the peer is
// full, when it has taken them (rule CLOSE-7).
func (c *Conn) part() {
	c.flush(newWorker(c.hub, c.worker.index))
	c.mu.Lock()
	c.parting = true
	full := c.stalled
	c.mu.Unlock()
	if !full {
		c.sink.Close(goingAway())
	}
}

// background runs f in a goroutine that Stop waits for; false: the hub has stopped.
func (h *Hub) background(f func(context.Context)) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ended {
		return false
	}
	h.tasks.Go(func() { f(h.ctx) })
	return true
}

// read reads a page from the store, in turn; why is for the count.
func (h *Hub) read(ctx context.Context, why ReadCause, q room.Query) (room.Page, error) {
	select {
	case h.reads <- struct{}{}:
	case <-ctx.Done():
		return room.Page{}, ctx.Err()
	}
	defer func() { <-h.reads }()
	h.counts.reads[why].Add(1)
	p, err := h.cfg.Store.Read(ctx, q)
	if err == nil {
		err = dense(p)
	}
	return p, err
}

// dense checks that a page lists every seq from Prev on. A store that lost a row is not read around: all
// that cursors are promised rests on this.
func dense(p room.Page) error {
	if p.End != 0 { // it passes over state
		return nil
	}
	for i := range p.Events {
		if want := p.Prev + room.Seq(i) + 1; p.Events[i].Seq != want {
			return fmt.Errorf("the log of %s is damaged: seq %d where %d was due", p.Head.Room, p.Events[i].Seq, want)
		}
	}
	return nil
}

// heads reads the heads of rooms from the store, in turn.
func (h *Hub) heads(ctx context.Context, ids []room.ID) ([]room.Head, error) {
	select {
	case h.reads <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-h.reads }()
	h.counts.reads[ReadHead].Add(1)
	return h.cfg.Store.Heads(ctx, ids)
}

// live returns the room, made if nobody reads it yet.
func (h *Hub) live(id room.ID) *liveRoom {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.rooms[id]
	if r == nil {
		r = newLiveRoom(h, id)
		h.rooms[id] = r
	}
	return r
}

func (h *Hub) forget(r *liveRoom) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.rooms[r.id] == r {
		delete(h.rooms, r.id)
		if h.cfg.Link != nil { // under the lock: whoever makes the room anew follows it after this
			h.cfg.Link.Unfollow(r.id)
		}
	}
}

// publish gives an append's growth to the room, if anybody reads it here.
func (h *Hub) publish(g room.Growth, events []room.Event) {
	if r := h.inMemory(g.Head.Room); r != nil {
		r.publish(g, events)
	}
}

// inMemory returns the room, if it is in memory; nil: nobody reads it here, nor did lately.
func (h *Hub) inMemory(id room.ID) *liveRoom {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.rooms[id]
}

// now is the hub's clock: nanoseconds since it was made, monotonic, never 0.
func (h *Hub) now() int64 { return int64(time.Since(h.origin)) + 1 }
