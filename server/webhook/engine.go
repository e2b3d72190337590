package webhook

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"roomlog/server/room"
)

// Hook is one after_append webhook: it is told what is stored in the rooms of its kinds. Or it is one of reports, and told those.
type Hook struct {
	Endpoint
	Kinds []string
	// FromStart delivers also what the rooms held before the hook was first seen.
	FromStart bool
	// Reports delivers reports, each until it is taken, in place of what is stored.
	Reports bool
}

// Engine delivers to webhooks. Each hook has a cursor in each room, kept in the store; a delivery is a page of the
// log after it, and the cursor moves when the page was taken. So a hook that is down costs its cursors and no
// queue, and neither a crash nor a restart loses anything (rules HOOK-8 to HOOK-14).
//
// The rooms that a hook lacks something of are found by what this node appends (Grew), and by a look at all
// rooms, page by page: at start, where more grew than are kept in mind, and every SweepEvery.
type Engine struct {
	cfg EngineConfig

	mu      sync.Mutex
	started bool
	stopped bool
	hooks   map[string]*hook
}

// EngineConfig is what an engine needs. Zero values of all but Store mean the defaults.
type EngineConfig struct {
	Store      room.HookStore   // required
	Reports    room.ReportStore // nil: there are no hooks of reports
	Guard      Guard
	MapOnly    func(kind string) bool // of which kinds only the map is kept of state; nil: of none
	Log        *slog.Logger           // default: discard
	Events     int                    // of one delivery; default 100
	Bytes      int                    // about, of the data of one delivery; default 256 KiB
	Rooms      int                    // rooms of one hook that are kept in mind as behind; default 4,096
	SweepEvery time.Duration          // between looks at all rooms; default 10 min
	FirstRetry time.Duration          // after the first failure, then doubling; default 1 s
	LastRetry  time.Duration          // the longest wait, unless the other side asks for more; default 1 min
}

func (c *EngineConfig) withDefaults() {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	or(&c.Events, 100)
	or(&c.Bytes, 256<<10)
	or(&c.Rooms, 4096)
	or(&c.SweepEvery, 10*time.Minute)
	or(&c.FirstRetry, time.Second)
	or(&c.LastRetry, time.Minute)
}

func or[T int | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// maxPause is the longest that a receiver may ask to be left alone.
const maxPause = time.Hour

// NewEngine makes an engine without hooks that is not yet started.
func NewEngine(cfg EngineConfig) *Engine {
	cfg.withDefaults()
	return &Engine{cfg: cfg, hooks: make(map[string]*hook)}
}

// Start starts the delivery. Starting twice is harmless.
func (e *Engine) Start() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.started || e.stopped {
		return
	}
	e.started = true
	for _, h := range e.hooks {
		h.start()
	}
}

// Stop ends the deliveries under way, whose pages are delivered again after the next start, and waits for every
// goroutine. It is idempotent.
func (e *Engine) Stop(context.Context) error {
	e.mu.Lock()
	e.stopped = true
	hooks := e.hooks
	e.hooks = make(map[string]*hook)
	e.mu.Unlock()
	for _, h := range hooks {
		h.stop()
	}
	return nil
}

// Use puts a set of hooks in place of the one there is: hooks that stay as they are go on. It is all or, with an
// error that says what is wrong with which, nothing. A new hook has begun when it returns: what is stored from
// then on is delivered. One caller at a time.
func (e *Engine) Use(ctx context.Context, hooks []Hook) error {
	next := make(map[string]*hook, len(hooks))
	var fresh []*hook
	e.mu.Lock()
	old := e.hooks
	e.mu.Unlock()
	for _, cfg := range hooks {
		if was := old[cfg.Name]; was != nil && reflect.DeepEqual(was.cfg, cfg) {
			next[cfg.Name] = was
			continue
		}
		h, err := newHook(e.cfg, cfg)
		if err == nil {
			err = h.begin(ctx)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", cfg.Name, err)
		}
		next[cfg.Name] = h
		fresh = append(fresh, h)
	}
	for name, h := range old {
		if next[name] != h {
			h.stop() // before another of its name begins: a room has one delivery outstanding
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return nil
	}
	e.hooks = next
	for _, h := range fresh {
		if e.started {
			h.start()
		}
	}
	return nil
}

// Grew says that a room holds something new. It does not block.
func (e *Engine) Grew(id room.ID) { e.rouse(id, false) }

// Reported says that something of a room was reported. It does not block.
func (e *Engine) Reported(id room.ID) { e.rouse(id, true) }

func (e *Engine) rouse(id room.ID, reports bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	kind := id.Kind()
	for _, h := range e.hooks {
		if h.cfg.Reports == reports && slices.Contains(h.cfg.Kinds, kind) {
			h.grew(id)
		}
	}
}

// State is a hook as operators see it. It holds no secret and nothing of an event.
type State struct {
	Name        string    `json:"name"`
	Host        string    `json:"host"` // of its URL; path and query may be secret
	Kinds       []string  `json:"kinds"`
	Behind      int       `json:"behind"`  // rooms that it is known to lack something of
	Waiting     int       `json:"waiting"` // those of them whose last delivery failed
	Delivered   time.Time `json:"delivered_at,omitzero"`
	LastError   string    `json:"last_error,omitempty"` // of the last delivery that failed
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
	Calls       Calls     `json:"-"`
}

// States lists the hooks by name.
func (e *Engine) States() []State {
	e.mu.Lock()
	defer e.mu.Unlock()
	states := make([]State, 0, len(e.hooks))
	for _, h := range e.hooks {
		states = append(states, h.state())
	}
	slices.SortFunc(states, func(a, b State) int { return strings.Compare(a.Name, b.Name) })
	return states
}

// Replay delivers a room's log to a hook once more, from the event after a seq on; 0 is the beginning. A delivery
// that is under way does not undo it. Errors: not_found (no such hook, or not for rooms of this kind),
// unknown_room (nobody wrote to it yet), bad_position (beyond the head), unavailable.
func (e *Engine) Replay(ctx context.Context, name string, id room.ID, after room.Seq) error {
	e.mu.Lock()
	h := e.hooks[name]
	e.mu.Unlock()
	if h == nil || h.cfg.Reports || !slices.Contains(h.cfg.Kinds, id.Kind()) {
		return &room.Error{Code: room.CodeNotFound, Title: "There is no webhook of this name for rooms of this kind.", Field: "name"}
	}
	heads, err := e.cfg.Store.Heads(ctx, []room.ID{id})
	if err != nil {
		return fmt.Errorf("read a head: %w", err)
	}
	if after > heads[0].Seq {
		return &room.Error{Code: room.CodeBadPosition, Field: "after", Limit: heads[0].Seq, Title: "The room has no event of that seq yet."}
	}
	moved, err := e.cfg.Store.MoveHookCursor(ctx, name, id, nil, room.Position{Epoch: heads[0].Epoch, Seq: after})
	if err != nil {
		return fmt.Errorf("move a cursor: %w", err)
	}
	if !moved {
		return &room.Error{Code: room.CodeUnknownRoom, Title: "Nobody wrote to this room yet.", Field: "room"}
	}
	h.grew(id)
	return nil
}
