// Package retention keeps the rooms of a store within the policies of their kinds. One goroutine walks them
// in rounds, in small transactions with pauses between, so that appends wait little for it: it prunes what
// lies outside of a policy, then sweeps what nobody can reach any more.
package retention

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"roomlog/server/room"
)

// Config is what a keeper needs. Zero values of all but Store and Kinds mean the defaults.
type Config struct {
	Store room.Pruner // required
	Kinds *room.Kinds // required; each step asks for the policy anew
	// Told is called with the head of a room each time its floor rose; default: nobody is told.
	Told func(room.Head)
	// Compact makes documents of a room of what is to be pruned; what is no document yet is not (room.DocStore). Default: there are none.
	Compact func(context.Context, room.ID) error
	Log     *slog.Logger // default: discard

	Every     time.Duration // from the end of a round to the next; default 1 min
	TagWindow time.Duration // how long after it was stored the tag of a pruned event is remembered; default 30 days
	Pause     time.Duration // after each transaction; default 10 ms
	Step      int           // events or rows of one transaction, at most; default 500
	Scan      int           // rooms looked at in one query; default 500
	Steps     int           // transactions for one room of a round; a room with more waits for the next; default 100
}

func (c *Config) withDefaults() {
	if c.Told == nil {
		c.Told = func(room.Head) {}
	}
	if c.Compact == nil {
		c.Compact = func(context.Context, room.ID) error { return nil }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	or(&c.Every, time.Minute)
	or(&c.TagWindow, 30*24*time.Hour)
	or(&c.Pause, 10*time.Millisecond)
	or(&c.Step, 500)
	or(&c.Scan, 500)
	or(&c.Steps, 100)
}

func or[T int | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// Keeper is the one goroutine. Its methods may be called concurrently.
type Keeper struct {
	cfg   Config
	again chan struct{} // holds at most one: a round is wanted now

	pruned, swept, rounds, failures atomic.Int64
	last                            atomic.Int64 // when the last whole round ended, in Unix nanoseconds

	cancel context.CancelFunc // nil until started
	once   sync.Once
	task   sync.WaitGroup
}

// New makes a keeper that is not yet started.
func New(cfg Config) *Keeper {
	cfg.withDefaults()
	return &Keeper{cfg: cfg, again: make(chan struct{}, 1)}
}

// Start begins the first round. Starting twice is harmless; so is starting after Stop.
func (k *Keeper) Start() {
	k.once.Do(func() {
		ctx, cancel := context.WithCancel(context.Background())
		k.cancel = cancel
		k.task.Go(func() { k.run(ctx) })
	})
}

// Stop ends the round that is under way after its transaction, and waits for it.
func (k *Keeper) Stop() {
	k.once.Do(func() {})
	if k.cancel != nil {
		k.cancel()
	}
	k.task.Wait()
}

// Now asks for a round at once, or for another after the one under way: a policy changed, a room was deleted.
func (k *Keeper) Now() {
	select {
	case k.again <- struct{}{}:
	default:
	}
}

// Stats is a snapshot for operators; the counters run since the start.
type Stats struct {
	Pruned   int64     // events
	Swept    int64     // rows that deleted rooms left, and tags past their time
	Rounds   int64     // that came to their end
	Failures int64     // of transactions; each is tried again in the next round
	Last     time.Time // when the last round came to its end; zero: none has
}

// Stats describes the keeper.
func (k *Keeper) Stats() Stats {
	s := Stats{Pruned: k.pruned.Load(), Swept: k.swept.Load(), Rounds: k.rounds.Load(), Failures: k.failures.Load()}
	if at := k.last.Load(); at != 0 {
		s.Last = time.Unix(0, at)
	}
	return s
}

func (k *Keeper) run(ctx context.Context) {
	for {
		more := k.round(ctx)
		if ctx.Err() != nil {
			return
		}
		k.rounds.Add(1)
		k.last.Store(time.Now().UnixNano())
		if more {
			continue
		}
		timer := time.NewTimer(k.cfg.Every)
		select {
		case <-ctx.Done():
		case <-k.again:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// round walks every kind that has bounds, then sweeps. more: some room has so much to be pruned that another
// round is due.
func (k *Keeper) round(ctx context.Context) (more bool) {
	for _, kind := range k.cfg.Kinds.Limited() {
		left := k.walk(ctx, kind)
		more = more || left
		k.sweepState(ctx, kind)
	}
	if k.cfg.Kinds.Declared() == nil { // every kind exists
		k.sweepState(ctx, "")
	}
	for ctx.Err() == nil {
		out, err := k.cfg.Store.Sweep(ctx, k.cfg.TagWindow, k.cfg.Step)
		if err != nil {
			k.failed(ctx, "sweep", err)
			return more
		}
		k.swept.Add(int64(out.Rows))
		if !out.More {
			return more
		}
		k.pause(ctx)
	}
	return more
}

// sweepState lets go of what the maps of a kind's rooms need no longer.
func (k *Keeper) sweepState(ctx context.Context, kind string) {
	keeper, does := k.cfg.Store.(room.StateKeeper)
	if !does {
		return
	}
	var after room.ID
	for ctx.Err() == nil {
		policy, known := k.cfg.Kinds.Policy(kind)
		if !known {
			return
		}
		next, swept, err := keeper.SweepState(ctx, kind, policy.State.Window(), k.cfg.TagWindow, after, k.cfg.Step)
		if err != nil {
			k.failed(ctx, "sweep state", err)
			return
		}
		k.swept.Add(int64(swept))
		if swept < k.cfg.Step && next == "" {
			return
		}
		after = next
		k.pause(ctx)
	}
}

// walk prunes the rooms of a kind that are overdue, by the policy that the kind has when each is looked at.
func (k *Keeper) walk(ctx context.Context, kind string) (more bool) {
	var after room.ID
	for ctx.Err() == nil {
		policy, known := k.cfg.Kinds.Policy(kind)
		if !known || !policy.Retention.Limited() {
			return more
		}
		due, next, err := k.cfg.Store.Overdue(ctx, kind, policy.Retention, after, k.cfg.Scan)
		if err != nil {
			k.failed(ctx, "look for what is to be pruned", err)
			return more
		}
		for _, id := range due {
			left := k.prune(ctx, id)
			more = more || left
		}
		if next == "" {
			return more
		}
		after = next
		k.pause(ctx)
	}
	return more
}

// prune removes in steps what a room has outside of its policy. A room that cannot be pruned is left to the
// next round: one whose lock somebody holds does not keep the others waiting.
func (k *Keeper) prune(ctx context.Context, id room.ID) (more bool) {
	if err := k.cfg.Compact(ctx, id); err != nil {
		k.failed(ctx, "compact the documents of "+string(id), err)
		return false
	}
	for range k.cfg.Steps {
		policy, known := k.cfg.Kinds.Policy(id.Kind())
		if !known || !policy.Retention.Limited() || ctx.Err() != nil {
			return false
		}
		out, err := k.cfg.Store.Prune(ctx, id, policy.Retention, k.cfg.TagWindow, k.cfg.Step)
		if err != nil {
			k.failed(ctx, "prune "+string(id), err)
			return false
		}
		if out.Events > 0 {
			k.pruned.Add(int64(out.Events))
			k.cfg.Told(out.Head)
		}
		k.pause(ctx)
		if out.Events < k.cfg.Step {
			return false
		}
	}
	return true
}

func (k *Keeper) failed(ctx context.Context, step string, err error) {
	if ctx.Err() != nil {
		return // stopped
	}
	k.failures.Add(1)
	k.cfg.Log.Warn("retention waits for the next round", "step", step, "error", err)
}

func (k *Keeper) pause(ctx context.Context) {
	timer := time.NewTimer(k.cfg.Pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
