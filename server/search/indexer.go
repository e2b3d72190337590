package search

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"roomlog/server/room"
)

// Config is what an indexer needs. Zero values of all but Store, Kinds and Name mean the defaults.
type Config struct {
	Store room.SearchStore // required
	Kinds *room.Kinds      // required: rooms of kinds without search are not indexed
	// Duties decides which node indexes; nil: this is the only one.
	Duties room.Duties
	Name   string // of this node among them
	Log    *slog.Logger

	Gather     time.Duration // how long rooms gather before they are indexed; default 250 ms
	Rest       int           // after each transaction, as a multiple of what it took: appends come first; default 1
	Events     int           // in one transaction; default 200
	Rooms      int           // in one transaction; default 32
	Mind       int           // rooms that are kept in mind as behind; default 16,384
	SweepEvery time.Duration // between looks at all rooms; default 10 min
	Lease      time.Duration // how long the duty lasts; it is taken again at a third of that; default 6 s
}

func (c *Config) withDefaults() {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	or(&c.Gather, 250*time.Millisecond)
	or(&c.Rest, 1)
	or(&c.Events, 200)
	or(&c.Rooms, 32)
	or(&c.Mind, 16384)
	or(&c.SweepEvery, 10*time.Minute)
	or(&c.Lease, 6*time.Second)
}

func or[T int | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// duty is what nodes agree on by Duties.
const duty = "search"

// Indexer follows the log of every room and keeps the index behind it. One node of a cluster does it at a time; another takes over
// when that ends, and looks at all rooms then, since nobody told it what grew before.
//
// Rooms that grew are told by Grew; where more grew than are kept in mind, at the start, and every SweepEvery, all
// rooms are looked at, some hundred in a query. That two nodes do it for a moment is harmless: a step counts only
// from where the cursor of its room stands.
type Indexer struct {
	cfg Config

	mu     sync.Mutex
	behind map[room.ID]bool
	missed bool // rooms grew that are not in mind: a look at all is due
	wake   chan struct{}

	holds bool // of the goroutine
	taken time.Time
	swept time.Time

	indexed, failures atomic.Int64
	holding           atomic.Bool

	once   sync.Once
	cancel context.CancelFunc
	task   sync.WaitGroup
}

// New makes an indexer that is not yet started.
func New(cfg Config) *Indexer {
	cfg.withDefaults()
	return &Indexer{cfg: cfg, behind: make(map[room.ID]bool), wake: make(chan struct{}, 1)}
}

// Start begins to index. Starting twice is harmless; so is starting after Stop.
func (x *Indexer) Start() {
	x.once.Do(func() {
		ctx, cancel := context.WithCancel(context.Background())
		x.cancel = cancel
		x.task.Go(func() { x.run(ctx) })
	})
}

// Stop ends the indexing, gives the duty up, and waits for both.
func (x *Indexer) Stop() {
	x.once.Do(func() {})
	if x.cancel != nil {
		x.cancel()
	}
	x.task.Wait()
}

// Stats is a snapshot for operators; the counters run since the start.
type Stats struct {
	Indexed  int64 // events that were looked at
	Failures int64 // of the store; what failed is tried again
	Behind   int   // rooms in mind
	Holding  bool  // this node is the one that indexes
}

// Stats describes the indexer.
func (x *Indexer) Stats() Stats {
	x.mu.Lock()
	defer x.mu.Unlock()
	return Stats{Indexed: x.indexed.Load(), Failures: x.failures.Load(), Behind: len(x.behind), Holding: x.holding.Load()}
}

// Grew says that a room holds something new, or lost something; "" says that any may. It does not block.
func (x *Indexer) Grew(id room.ID) {
	x.mu.Lock()
	first := false
	if id == "" {
		x.missed = true
	} else {
		first = x.note(id)
	}
	x.mu.Unlock()
	if first {
		select {
		case x.wake <- struct{}{}:
		default:
		}
	}
}

// note keeps a room in mind, and reports whether none was. The caller holds x.mu.
func (x *Indexer) note(id room.ID) (first bool) {
	if len(x.behind) >= x.cfg.Mind && !x.behind[id] {
		x.missed = true
		return false
	}
	x.behind[id] = true
	return len(x.behind) == 1
}

func (x *Indexer) run(ctx context.Context) {
	keep := time.NewTicker(x.cfg.Lease / 3)
	defer keep.Stop()
	defer x.leave()
	for {
		x.hold(ctx)
		if x.holds {
			x.sweep(ctx)
			x.drain(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-keep.C:
		case <-x.wake:
			if !pause(ctx, x.cfg.Gather) {
				return
			}
		}
	}
}

// hold takes the duty, or keeps it, where that is due. Whoever gets it anew looks at all rooms.
func (x *Indexer) hold(ctx context.Context) {
	if x.holds && time.Since(x.taken) < x.cfg.Lease/3 {
		return
	}
	held, now := true, time.Now()
	if x.cfg.Duties != nil {
		var err error
		if held, err = x.cfg.Duties.TakeDuty(ctx, duty, x.cfg.Name, x.cfg.Lease); err != nil {
			x.failed(ctx, "take the duty", err)
			held = x.holds && time.Since(x.taken) < x.cfg.Lease // it lasts as long as it was told
			now = x.taken
		}
	}
	if held && !x.holds {
		x.swept = time.Time{}
		x.cfg.Log.Debug("this node indexes messages for search")
	}
	x.holds, x.taken = held, now
	x.holding.Store(held)
	if !held {
		x.forget()
	}
}

// forget drops what is in mind: who indexes has it in its own.
func (x *Indexer) forget() {
	x.mu.Lock()
	defer x.mu.Unlock()
	clear(x.behind)
	x.missed = false
}

func (x *Indexer) leave() {
	if !x.holds || x.cfg.Duties == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := x.cfg.Duties.LeaveDuty(ctx, duty, x.cfg.Name); err != nil {
		x.cfg.Log.Debug("the duty to index was not given up; it ends by itself", "error", err)
	}
}

// sweepRooms is how many rooms one question to the store looks at, and how many messages one sweep removes.
const sweepRooms = 256

// sweep looks at all rooms of the kinds that have search, where that is due: what is behind is drained on the way, so that no more
// is kept in mind than has its place.
func (x *Indexer) sweep(ctx context.Context) {
	x.mu.Lock()
	due := x.swept.IsZero() || time.Since(x.swept) >= x.cfg.SweepEvery || x.missed && time.Since(x.swept) >= x.cfg.SweepEvery/20
	if due {
		x.missed = false
	}
	x.mu.Unlock()
	if !due {
		return
	}
	began := time.Now()
	for _, kind := range x.kinds() {
		for after := room.ID(""); ; {
			behind, next, err := x.cfg.Store.IndexBehind(ctx, kind, after, sweepRooms)
			if err != nil {
				x.failed(ctx, "look for rooms", err)
				return
			}
			x.mu.Lock()
			for _, id := range behind {
				x.note(id)
			}
			x.mu.Unlock()
			x.drain(ctx)
			if after = next; next == "" || !x.holds || ctx.Err() != nil {
				break
			}
		}
	}
	for more := true; more && x.holds && ctx.Err() == nil; {
		var err error
		if more, err = x.cfg.Store.SweepIndex(ctx, sweepRooms); err != nil {
			x.failed(ctx, "sweep", err)
			return
		}
		x.hold(ctx)
	}
	x.swept = began
}

// kinds are those that have search; one "" where every kind exists.
func (x *Indexer) kinds() (names []string) {
	declared := x.cfg.Kinds.Declared()
	if declared == nil {
		return []string{""}
	}
	for name, p := range declared {
		if !p.NoSearch {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// drain indexes what is in mind until nothing is, or the store does not answer.
func (x *Indexer) drain(ctx context.Context) {
	for ctx.Err() == nil && x.holds {
		ids := x.next()
		if len(ids) == 0 {
			return
		}
		began := time.Now()
		if err := x.index(ctx, ids); err != nil {
			x.failed(ctx, "index", err)
			x.mu.Lock()
			for _, id := range ids {
				x.note(id)
			}
			x.mu.Unlock()
			pause(ctx, time.Second)
			x.hold(ctx)
			return
		}
		if !pause(ctx, min(time.Duration(x.cfg.Rest)*time.Since(began), time.Second)) {
			return
		}
		x.hold(ctx)
	}
}

// next takes rooms out of mind.
func (x *Indexer) next() (ids []room.ID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for id := range x.behind {
		delete(x.behind, id)
		if p, known := x.cfg.Kinds.Policy(id.Kind()); !known || p.NoSearch {
			continue
		}
		if ids = append(ids, id); len(ids) == x.cfg.Rooms {
			break
		}
	}
	return ids
}

// index carries each of the rooms on by one page, and keeps those in mind that have more.
func (x *Indexer) index(ctx context.Context, ids []room.ID) error {
	at, err := x.cfg.Store.Indexed(ctx, ids)
	if err != nil {
		return err
	}
	steps := make([]room.IndexStep, 0, len(ids))
	more := make([]bool, 0, len(ids))
	left := x.cfg.Events // so that appends wait for no more than that
	for i, id := range ids {
		if left == 0 {
			x.mu.Lock()
			x.note(id)
			x.mu.Unlock()
			continue
		}
		page, err := x.cfg.Store.Read(ctx, room.Query{Room: id, Anchor: room.After, Seq: at[i], Limit: left, MaxBytes: 1 << 20})
		if err != nil {
			return err
		}
		step := stepOf(at[i], page)
		steps, more = append(steps, step), append(more, step.To < page.Head.Seq)
		left -= len(page.Events)
		x.indexed.Add(int64(len(page.Events)))
	}
	taken, err := x.cfg.Store.Index(ctx, steps)
	if err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range steps {
		if more[i] && taken[i] {
			x.note(steps[i].Room) // what was not taken was moved by another, who goes on
		}
	}
	return nil
}

// stepOf is what a page after a seq says to the index.
func stepOf(from room.Seq, page room.Page) room.IndexStep {
	step := room.IndexStep{Room: page.Head.Room, Epoch: page.Head.Epoch, From: from, To: max(page.Seq(), page.Head.Floor-1)}
	if from > page.Head.Seq { // the log is not the one that was indexed
		step.To = 0
		return step
	}
	say := func(e room.IndexEntry) {
		for i, old := range step.Entries {
			if old.Seq == e.Seq { // of what one page says of a message the last counts, and it is as old as it is
				if e.At.IsZero() && e.Words != nil {
					e.At = old.At
				}
				step.Entries[i] = e
				return
			}
		}
		step.Entries = append(step.Entries, e)
	}
	for _, e := range page.Events {
		switch e.Type {
		case room.TypeMessage:
			say(entry(e))
		case room.TypeEdit:
			var edit struct {
				Data json.RawMessage `json:"data"`
			}
			if e.Gone == nil && e.Target > 0 && json.Unmarshal(e.Data, &edit) == nil {
				say(room.IndexEntry{Seq: e.Target, Words: Words(edit.Data)})
			}
		case room.TypeDelete:
			say(room.IndexEntry{Seq: e.Target})
		case room.TypeErase:
			step.Gone = true
		}
	}
	return step
}

func (x *Indexer) failed(ctx context.Context, step string, err error) {
	if ctx.Err() != nil {
		return
	}
	x.failures.Add(1)
	x.cfg.Log.Warn("search: the store does not answer; it is tried again", "step", step, "error", err)
}

// pause waits, and reports whether ctx still lasts.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}
