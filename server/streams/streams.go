// Package streams takes the texts of messages that grow part by part, keeps them and shows them. A node has in memory what it was
// told of a text; the store has, at most a quarter of a second later, the checkpoint from which any node goes on. Two nodes that
// take parts of one message are told apart by the checkpoint: a piece is kept only where what was kept before is what the node thinks. Other
// nodes are told by hints; what they missed they read from the checkpoint. A message whose producer says nothing for the length of a
// lease is ended by whichever node finds it first.
package streams

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"roomlog/server/room"
)

// Hub is what a desk shows texts by, and stores how messages end. [hub.Hub] implements it, but for Append.
type Hub interface {
	// SetPart tells what a message has of its text.
	SetPart(id room.ID, seq room.Seq, gen uint64, text string)
	// EndPart says that it streams no more.
	EndPart(id room.ID, seq room.Seq)
	// EventAt is an event of a room as it is now; nil: there is none.
	EventAt(ctx context.Context, id room.ID, seq room.Seq) (*room.Event, error)
	// Append stores an event, of which nobody is asked whether it may be.
	Append(ctx context.Context, s room.Send) error
}

// Config is what a desk needs. Zero numbers mean the defaults.
type Config struct {
	Store room.Streams // required
	// Say tells the other nodes that follow the room; nil: there are none. It must not block.
	Say func(id room.ID, body []byte)
	Log *slog.Logger // default: discard

	Lease      time.Duration // how long a producer may say nothing; default 10 s
	KeepEvery  time.Duration // between two checkpoints; default 100 ms
	CheckEvery time.Duration // between two looks at the checkpoints of rooms that somebody reads; default 5 s
	SweepEvery time.Duration // between two looks for leases that have ended; default 2 s
	MaxText    int           // bytes of the texts that are in memory; default 64 MiB
}

func (c *Config) withDefaults() {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{{&c.Lease, 10 * time.Second}, {&c.KeepEvery, 100 * time.Millisecond}, {&c.CheckEvery, 5 * time.Second}, {&c.SweepEvery, 2 * time.Second}} {
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	if c.MaxText == 0 {
		c.MaxText = 64 << 20
	}
}

const (
	// batchMost is how many pieces one transaction keeps, and how many streams are taken over at a time.
	batchMost = 256
	// roomsMost is how many rooms one read of checkpoints names.
	roomsMost = 512
	// storeWithin is how long one call of the store may take.
	storeWithin = 10 * time.Second
	// beginLease is how long a message may take from being announced to being stored.
	beginLease = time.Minute
	// again is when what the store did not answer is asked anew.
	again = 500 * time.Millisecond
	// sayEvery is how long at least is between two hints of a text.
	sayEvery = 50 * time.Millisecond
)

type key struct {
	room room.ID
	seq  room.Seq
}

// text is a message that streams, as far as this node knows. The desk's lock guards it.
type text struct {
	key
	gen  uint64
	have string
	from time.Time // since when this node knows of it
	sure bool      // the store has said that it streams; else nothing is shown: what comes late may be of a message that has ended

	// Where this node takes its parts.
	stream room.Stream // as it was read of the store, but for its text
	taken  time.Time   // the last part; zero: none, or another node has got ahead
	size   int         // of have, within JSON
	kept   int         // bytes of have that are in the store
	said   int         // and that other nodes were told
	renew  bool        // a part came since the last checkpoint
	over   bool
}

func (t *text) producing() bool { return !t.taken.IsZero() }

// settled reports whether the store has all that this node was given of a text: where somebody else has more, parts go there by now.
func (t *text) settled() bool { return t.kept == len(t.have) }

// Desk takes parts, and is the hub's source of them. Its methods may be called concurrently. Its lock is a leaf: the hub is not called
// under it. Goroutines of its own keep, say, load and sweep.
type Desk struct {
	cfg Config
	hub Hub

	mu     sync.Mutex
	closed bool
	texts  map[key]*text
	bytes  int // of all texts
	gens   uint64
	counts Stats
	rooms  map[room.ID]bool // that somebody here reads
	loads  map[room.ID]bool // to be read from the store

	keeping             sync.Mutex // held while pieces are kept: one transaction at a time
	keeps, says, loaded chan struct{}
	ctx                 context.Context
	cancel              context.CancelFunc
	tasks               sync.WaitGroup
}

// Stats is what a desk has done since it was made, and how it stands.
type Stats struct {
	Open     int   // messages of which this node takes the parts
	Bytes    int   // of the texts that are in memory, those that others take among them
	Parts    int64 // that were taken
	Kept     int64 // pieces that were stored, renewals of leases among them
	Behind   int64 // pieces that were not, since another node was ahead or the message had ended
	Failures int64 // transactions for pieces; they are tried again
	Aborted  int64 // messages that this node ended, whose producers said nothing any more
}

// Stats tells what was counted.
func (d *Desk) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.counts
	s.Bytes = d.bytes
	for _, t := range d.texts {
		if t.producing() && !t.over {
			s.Open++
		}
	}
	return s
}

// New makes a desk that takes parts after Start.
func New(cfg Config) *Desk {
	cfg.withDefaults()
	d := &Desk{
		cfg: cfg, texts: make(map[key]*text), rooms: make(map[room.ID]bool), loads: make(map[room.ID]bool),
		keeps: make(chan struct{}, 1), says: make(chan struct{}, 1), loaded: make(chan struct{}, 1),
	}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d
}

// Start begins to keep, to show and to look for leases that have ended. It is called once, before parts come.
func (d *Desk) Start(h Hub) {
	d.hub = h
	for _, task := range []func(){d.keep, d.say, d.load, d.sweep} {
		d.tasks.Go(task)
	}
}

// Stop takes no more parts, keeps what is not kept as far as ctx allows, and waits for what Start began.
func (d *Desk) Stop(ctx context.Context) {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.cancel()
	d.tasks.Wait()
	for range 2 { // a batch that was cut off, then the rest
		if batch := d.unkept(nil); len(batch) > 0 {
			if err := d.commit(ctx, batch); err != nil {
				d.cfg.Log.Error("the texts of streams are not kept", "streams", len(batch), "error", err)
			}
		}
	}
}

// Lease is how long a producer may say nothing.
func (d *Desk) Lease() time.Duration { return d.cfg.Lease }

// Needed implements [hub.SideSource].
func (d *Desk) Needed(id room.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rooms[id], d.loads[id] = true, true
	wake(d.loaded)
}

// Unneeded implements [hub.SideSource].
func (d *Desk) Unneeded(id room.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.rooms, id)
	delete(d.loads, id)
	for k, t := range d.texts {
		if k.room == id && !t.producing() {
			d.forget(t)
		}
	}
}

// Deleted implements [hub.SideDeleter].
func (d *Desk) Deleted(id room.ID, seq room.Seq) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := d.texts[key{id, seq}]; t != nil {
		d.forget(t)
	}
}

// Erased implements [hub.SideForgetter]. Of texts that other nodes take the parts of it is not known here whose they are: those nodes, and the
// store, tell again what is left.
func (d *Desk) Erased(id room.ID, user string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for k, t := range d.texts {
		switch {
		case k.room != id:
		case t.producing() && t.stream.Author != user:
			t.said = 0
			wake(d.says)
		default:
			d.forget(t)
		}
	}
	d.reload(id)
}

// forget lets go of a text. The caller holds the lock.
func (d *Desk) forget(t *text) {
	t.over = true
	if d.texts[t.key] == t {
		delete(d.texts, t.key)
		d.bytes -= len(t.have)
	}
}

// know is the text of a message, made where there is none. The caller holds the lock.
func (d *Desk) know(k key) *text {
	t := d.texts[k]
	if t == nil {
		d.gens++
		t = &text{key: k, gen: d.gens, from: time.Now()}
		d.texts[k] = t
	}
	return t
}

// put gives a text another, which goes on from what it was or begins anew. The caller holds the lock.
func (d *Desk) put(t *text, have string) {
	d.bytes += len(have) - len(t.have)
	if len(have) < len(t.have) || !strings.HasPrefix(have, t.have) {
		d.gens++
		t.gen, t.said = d.gens, 0
	}
	t.have = have
}

// show tells the hub what a text has, which whoever reads the room is shown.
func (d *Desk) show(t *text) {
	d.mu.Lock()
	gen, have, over := t.gen, t.have, t.over
	d.mu.Unlock()
	if !over {
		d.hub.SetPart(t.room, t.seq, gen, have)
	}
	d.mu.Lock()
	over = over || d.texts[t.key] != t
	d.mu.Unlock()
	if over { // meanwhile, maybe
		d.hub.EndPart(t.room, t.seq)
	}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// pause waits; false: the desk stops.
func (d *Desk) pause(length time.Duration) bool {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-d.ctx.Done():
		return false
	}
}

func goingAway() *room.Error {
	return &room.Error{Code: room.CodeGoingAway, Title: "The server is stopping."}
}

// noStream says that a message does not stream, or does no more (rule PART-3).
func noStream() *room.Error {
	return &room.Error{Code: room.CodeUnknownTarget, Title: "There is no message with this seq that streams: it has ended, is deleted, or never did.", Field: "seq"}
}
