package webhook

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"roomlog/server/room"
)

// hook is one hook at work. A goroutine of its own hands rooms that are behind to as many deliveries as may run
// at a time; each room is with one of them at most, so that it is delivered in order.
type hook struct {
	engine EngineConfig
	cfg    Hook
	source source
	caller *caller
	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup
	wake   chan struct{}

	mu      sync.Mutex
	rooms   map[room.ID]*lagging
	ready   []*lagging
	waiting []*lagging // for their time
	running int
	missed  bool // rooms grew that are not in mind: another look at all is due
	sweep   sweep

	delivered   time.Time
	lastError   string
	lastErrorAt time.Time
}

// lagging is a room that the hook lacks something of.
type lagging struct {
	id       room.ID
	again    bool // it grew since the delivery began
	failures int
	next     time.Time // when it may be tried again
	upTo     room.Seq  // where the page ended that was not taken: the next try is the same page
}

func newHook(engine EngineConfig, cfg Hook) (*hook, error) {
	c, err := newCaller(cfg.Endpoint, engine.Guard)
	if err != nil {
		return nil, err
	}
	h := &hook{engine: engine, cfg: cfg, caller: c, wake: make(chan struct{}, 1), rooms: make(map[room.ID]*lagging)}
	h.source = (*logged)(h)
	if cfg.Reports {
		h.source = (*reported)(h)
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h, nil
}

func (h *hook) start() { h.tasks.Go(h.run) }

func (h *hook) stop() {
	h.cancel()
	h.tasks.Wait()
	h.caller.close()
}

func (h *hook) run() {
	sweeps := time.NewTicker(h.engine.SweepEvery)
	defer sweeps.Stop()
	h.sweep.begin()
	for h.ctx.Err() == nil {
		more := h.look()
		next := time.NewTimer(h.dispatch())
		if more {
			next.Reset(0)
		}
		select {
		case <-h.ctx.Done():
		case <-h.wake:
		case <-next.C:
		case <-sweeps.C:
			h.mu.Lock()
			h.missed = true
			h.mu.Unlock()
		}
		next.Stop()
	}
}

// source is what a hook delivers of rooms.
type source interface {
	// begin makes the hook known for a kind.
	begin(ctx context.Context, kind string) error
	// deliver makes one delivery of a room.
	deliver(ctx context.Context, l *lagging) outcome
	// behind lists rooms of a kind of which something is to be delivered, from the one after `after` on; it looks at so many at most.
	behind(ctx context.Context, kind string, after room.ID, limit int) (ids []room.ID, next room.ID, err error)
}

// begin makes the hook known to its source.
func (h *hook) begin(ctx context.Context) error {
	for _, kind := range h.cfg.Kinds {
		if err := h.source.begin(ctx, kind); err != nil {
			return fmt.Errorf("begin: %w", err)
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// backoff is a random time within the second half of a wait that doubles, or what the other side asked for.
func (h *hook) backoff(failures int, asked time.Duration) time.Duration {
	d := h.engine.LastRetry
	if failures < 20 {
		d = min(d, h.engine.FirstRetry<<failures)
	}
	d = d/2 + rand.N(d/2+1)
	return max(d, min(asked, maxPause))
}

// grew notes a room, or that there are too many to note.
func (h *hook) grew(id room.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch l := h.rooms[id]; {
	case l != nil:
		l.again = true
	case len(h.rooms) >= h.engine.Rooms:
		h.missed = true
	default:
		h.note(id)
		h.rouse()
	}
}

// note has a room delivered. The caller holds h.mu.
func (h *hook) note(id room.ID) {
	l := &lagging{id: id}
	h.rooms[id] = l
	h.ready = append(h.ready, l)
}

func (h *hook) rouse() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// dispatch starts what may run, and says how long there is nothing more to start.
func (h *hook) dispatch() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	now, soonest := time.Now(), h.engine.SweepEvery
	h.waiting = slices.DeleteFunc(h.waiting, func(l *lagging) bool {
		if wait := l.next.Sub(now); wait > 0 {
			soonest = min(soonest, wait)
			return false
		}
		h.ready = append(h.ready, l)
		return true
	})
	for len(h.ready) > 0 && h.running < h.caller.endpoint.Conns {
		l := h.ready[0]
		h.ready[0] = nil
		h.ready = h.ready[1:]
		l.again = false
		h.running++
		h.tasks.Go(func() { h.serve(l) })
	}
	return soonest
}

// outcome is what a delivery came to.
type outcome struct {
	more  bool     // there is more to deliver
	taken bool     // the other side took it
	err   *failure // nil: none
}

// serve makes one delivery of a room, and hands it on.
func (h *hook) serve(l *lagging) {
	o := h.source.deliver(h.ctx, l)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running--
	h.rouse()
	if o.taken {
		h.delivered = time.Now()
	}
	switch {
	case h.ctx.Err() != nil:
	case o.err != nil:
		h.lastError, h.lastErrorAt = o.err.words, time.Now()
		l.next = time.Now().Add(h.backoff(l.failures, o.err.after))
		l.failures++
		h.waiting = append(h.waiting, l)
		if l.failures == 1 {
			h.engine.Log.Warn("webhook not delivered", "hook", h.cfg.Name, "room", l.id, "why", o.err.words)
		}
	case o.more || l.again:
		l.failures = 0
		h.ready = append(h.ready, l)
	default:
		delete(h.rooms, l.id)
	}
}

func (h *hook) state() State {
	h.mu.Lock()
	defer h.mu.Unlock()
	return State{
		Name: h.cfg.Name, Host: h.caller.url.Host, Kinds: h.cfg.Kinds, Behind: len(h.rooms), Waiting: len(h.waiting),
		Delivered: h.delivered, LastError: h.lastError, LastErrorAt: h.lastErrorAt, Calls: h.caller.counts.read(),
	}
}
