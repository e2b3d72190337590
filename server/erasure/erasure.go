// Package erasure removes the data of users from every room: jobs that the store keeps, gone through room by room, and a large room part by
// part, by one goroutine of one node, and gone on with by another when that ends.
package erasure

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"roomlog/server/room"
)

// Store is what an eraser needs of a store.
type Store interface {
	room.ErasureStore
	room.Rooms
}

// Config is what an eraser needs. Zero values of all but Store mean the defaults.
type Config struct {
	Store  Store       // required
	Duties room.Duties // decides which node erases; nil: this is the only one
	Name   string      // of this node among them
	// Told is called with each room that an erase event was stored in; those who follow the room are to hear of it.
	Told func(context.Context, room.ID) error
	Log  *slog.Logger // default: discard

	Every time.Duration // between looks for jobs that others were asked for, and tries after a failure; default 2 s
	Lease time.Duration // how long the duty lasts; default 30 s: it is taken again between rooms
	Pause time.Duration // at least so long is after each transaction that removed something, and as long as it took; default 10 ms
}

func (c *Config) withDefaults() {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Told == nil {
		c.Told = func(context.Context, room.ID) error { return nil }
	}
	or(&c.Every, 2*time.Second)
	or(&c.Lease, 30*time.Second)
	or(&c.Pause, 10*time.Millisecond)
}

func or(v *time.Duration, def time.Duration) {
	if *v == 0 {
		*v = def
	}
}

// duty is what nodes agree on by Duties.
const duty = "erasure"

// Eraser is the one goroutine. Its methods may be called concurrently.
type Eraser struct {
	cfg  Config
	wake chan struct{} // holds at most one

	users, events, failures atomic.Int64

	once   sync.Once
	cancel context.CancelFunc // nil until started
	task   sync.WaitGroup
}

// New makes an eraser that is not yet started.
func New(cfg Config) *Eraser {
	cfg.withDefaults()
	return &Eraser{cfg: cfg, wake: make(chan struct{}, 1)}
}

// Start begins to go through the jobs that there are. Starting twice is harmless; so is starting after Stop.
func (x *Eraser) Start() {
	x.once.Do(func() {
		ctx, cancel := context.WithCancel(context.Background())
		x.cancel = cancel
		x.task.Go(func() { x.run(ctx) })
	})
}

// Stop ends the job that is under way, which goes on after the next start, and waits.
func (x *Eraser) Stop() {
	x.once.Do(func() {})
	if x.cancel != nil {
		x.cancel()
	}
	x.task.Wait()
}

// Stats is what was counted since the start.
type Stats struct {
	Users    int64 // jobs that this node brought to their end
	Events   int64 // whose data it removed
	Failures int64 // times that a job had to wait for the store
}

// Stats tells what was counted.
func (x *Eraser) Stats() Stats {
	return Stats{Users: x.users.Load(), Events: x.events.Load(), Failures: x.failures.Load()}
}

// Ask begins the erasure of a user, durably; one that is under way is given as it stands.
func (x *Eraser) Ask(ctx context.Context, user, by string, at time.Time) (room.Erasure, error) {
	e := room.Erasure{User: user, By: by, Asked: at}
	_, _ = rand.Read(e.Job[:]) // never fails
	e, err := x.cfg.Store.BeginErasure(ctx, e)
	if err == nil {
		select {
		case x.wake <- struct{}{}:
		default:
		}
	}
	return e, err
}

// Find finds the last erasure of a user; false: there was none.
func (x *Eraser) Find(ctx context.Context, user string) (room.Erasure, bool, error) {
	return x.cfg.Store.FindErasure(ctx, user)
}

func (x *Eraser) run(ctx context.Context) {
	tick := time.NewTicker(x.cfg.Every)
	defer tick.Stop()
	held := false
	for {
		for more := true; more && ctx.Err() == nil; {
			e, found, err := x.cfg.Store.NextErasure(ctx)
			if err == nil && found {
				if held, err = x.hold(ctx); err == nil && held {
					err = x.job(ctx, e)
				}
			}
			if errors.Is(err, errAnothers) {
				held = false
			} else if err != nil && ctx.Err() == nil {
				x.failures.Add(1)
				x.cfg.Log.Warn("an erasure waits for the store", "error", err)
			}
			more = err == nil && found && held
		}
		select {
		case <-ctx.Done():
			x.leave(held)
			return
		case <-x.wake:
		case <-tick.C:
		}
	}
}

func (x *Eraser) hold(ctx context.Context) (bool, error) {
	if x.cfg.Duties == nil {
		return true, nil
	}
	return x.cfg.Duties.TakeDuty(ctx, duty, x.cfg.Name, x.cfg.Lease)
}

// errAnothers ends a job that another node goes on with.
var errAnothers = errors.New("the duty to erase is another node's")

// keep takes the duty again in the middle of a job.
func (x *Eraser) keep(ctx context.Context) error {
	held, err := x.hold(ctx)
	if err == nil && !held {
		err = errAnothers
	}
	return err
}

func (x *Eraser) leave(held bool) {
	if !held || x.cfg.Duties == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = x.cfg.Duties.LeaveDuty(ctx, duty, x.cfg.Name) // it ends by itself
}

// rooms is how many rooms one question to the store names.
const rooms = 100

// job goes through the rooms that are not done yet, until it has no more or the duty is another's.
func (x *Eraser) job(ctx context.Context, e room.Erasure) error {
	data, err := json.Marshal(map[string]string{"user": e.User})
	if err != nil {
		return err
	}
	for after := e.Upto; ; {
		list, next, err := x.cfg.Store.List(ctx, "", after, rooms)
		if err != nil {
			return err
		}
		for _, r := range list {
			if err := x.erase(ctx, e, r.Room, data); err != nil {
				return err
			}
		}
		if next == "" {
			break
		}
		if after = next; ctx.Err() != nil {
			return ctx.Err()
		}
		if err := x.cfg.Store.MoveErasure(ctx, e, after, 0, false); err != nil {
			return err
		}
		if err := x.keep(ctx); err != nil {
			return err
		}
	}
	err = x.cfg.Store.MoveErasure(ctx, e, "", 0, true)
	if err == nil {
		x.users.Add(1)
		x.cfg.Log.Info("a user's data was erased", "user", e.User, "by", e.By)
	}
	return err
}

// erase removes what one room has, a bounded part at a time. The room is told of before it counts as done: a node that ends between has
// it told by the next.
func (x *Eraser) erase(ctx context.Context, e room.Erasure, id room.ID, data []byte) error {
	for {
		began := time.Now()
		out, err := x.cfg.Store.EraseIn(ctx, e, id, tagOf(e.Job, id), data)
		if err != nil || out.Stored == 0 && !out.More {
			return err
		}
		x.events.Add(out.Events)
		if out.Stored > 0 {
			if err = x.cfg.Told(ctx, id); err == nil {
				err = x.cfg.Store.MoveErasure(ctx, e, id, 1, false)
			}
		}
		if err == nil {
			err = x.pause(ctx, max(x.cfg.Pause, time.Since(began)))
		}
		if err != nil || !out.More {
			return err
		}
	}
}

// pause lets others have the room, and the store, for at least as long as this did. It fails where the job is not this node's any more.
func (x *Eraser) pause(ctx context.Context, d time.Duration) error {
	if err := x.keep(ctx); err != nil {
		return err
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// tagOf is the tag of a job's event in a room: the same for each try.
func tagOf(job room.Tag, id room.ID) (tag room.Tag) {
	sum := sha256.Sum256(append(job[:], id...))
	copy(tag[:], sum[:])
	tag[6], tag[8] = tag[6]&0x0f|0x80, tag[8]&0x3f|0x80 // a UUID of version 8 (RFC 9562)
	return tag
}
