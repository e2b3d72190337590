// Package receipts keeps how far users have got in rooms, and shows it to those who follow them: marks are stored in groups, one
// transaction at a time, and what changed is told to the readers of a room here and, as a hint, to the other nodes. The store is
// the truth: the receipts of a room have a version, and a hint counts only where it adjoins the version that is known.
// Whatever was missed is read from the store when a later hint, or a look at the versions, shows it.
package receipts

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/wire"
)

// Hub is what a desk shows receipts by. [hub.Hub] implements it.
type Hub interface {
	// SetSide tells what became of a side of a room.
	SetSide(id room.ID, s hub.Side, u hub.SideUpdate)
	// Tell gives the readers of a side who are this user a frame of their own; with greeting only those who were given none yet.
	Tell(id room.ID, s hub.Side, user string, greeting bool, frame func(wire.Framing) []byte)
	// ReadBy reports whether a user reads the side of a room here.
	ReadBy(id room.ID, s hub.Side, user string) bool
}

// Config is what a desk needs. Zero numbers mean the defaults.
type Config struct {
	Store room.Receipts // required
	Kinds *room.Kinds   // required
	// Say tells the other nodes that follow the room; nil: there are none. It must not block.
	Say func(id room.ID, body []byte)
	// Marked is told whose marks a transaction of this desk has raised; nil: nobody is. It must not block.
	Marked func([]room.Marked)
	Log    *slog.Logger // default: discard

	Named      int           // in rooms where more users have marks, nobody is named: there are totals; default 100
	TotalEvery time.Duration // between two totals of a room; default 1 s
	CheckEvery time.Duration // between two looks at the versions of rooms that are shown; default 15 s
}

func (c *Config) withDefaults() {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Named == 0 {
		c.Named = 100
	}
	or(&c.TotalEvery, time.Second)
	or(&c.CheckEvery, 15*time.Second)
}

func or(v *time.Duration, def time.Duration) {
	if *v == 0 {
		*v = def
	}
}

const (
	// batchMost is how many markings one transaction stores.
	batchMost = 1024
	// queueMost bounds the markings that wait, and the answers that are waited for.
	queueMost = 16 << 10
	// storeWithin is how long one call of the store may take.
	storeWithin = 10 * time.Second
	// again is when what the store did not answer is asked anew.
	again = 500 * time.Millisecond
)

// pair is a user in a room.
type pair struct {
	room room.ID
	user string
}

// Desk takes marks, and shows receipts: it is the hub's [hub.SideSource] of them. Its methods may be called concurrently.
//
// Its lock is a leaf. One goroutine stores (commit.go), another reads and shows (show.go, own.go), so that what a room's
// readers are told is in order.
type Desk struct {
	cfg Config
	hub Hub

	mu     sync.Mutex
	closed bool
	// To be stored.
	queue   map[pair]*waiting
	order   []pair // of the queue, the oldest first
	answers int    // that are waited for, in the queue and in owns
	// To be shown.
	rooms   map[room.ID]*watch // that somebody here reads the receipts of
	changes []change
	loads   map[room.ID]bool
	owns    map[pair]*asking
	check   bool

	// Of the goroutine that shows alone.
	due    map[room.ID]*watch // whose totals have changed
	round  []room.ID          // that are still to be compared with the store
	rounds int                // that were due

	stores, shows chan struct{} // hold one: there is something
	ctx           context.Context
	cancel        context.CancelFunc
	tasks         sync.WaitGroup
	counts        counts
}

// New makes a desk that takes marks after Start.
func New(cfg Config) *Desk {
	cfg.withDefaults()
	d := &Desk{
		cfg: cfg, queue: make(map[pair]*waiting), rooms: make(map[room.ID]*watch), loads: make(map[room.ID]bool), owns: make(map[pair]*asking), due: make(map[room.ID]*watch),
		stores: make(chan struct{}, 1), shows: make(chan struct{}, 1),
	}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d
}

// Start begins to store and to show. It is called once, before marks come.
func (d *Desk) Start(h Hub) {
	d.hub = h
	d.tasks.Go(d.store)
	d.tasks.Go(d.show)
}

// Stop takes no more marks, stores those that wait, as far as ctx allows, and waits for what Start began. What could not be stored is
// answered `going_away`.
func (d *Desk) Stop(ctx context.Context) {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	wake(d.stores)
	wake(d.shows)
	stop := context.AfterFunc(ctx, d.cancel)
	defer stop()
	d.tasks.Wait()
	d.cancel()
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func goingAway() *room.Error {
	return &room.Error{Code: room.CodeGoingAway, Title: "The server is stopping."}
}
