package torture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/coder/websocket"
)

// What the nodes of a run are told: presence in seconds, so that a run sees the end of it.
const (
	presenceGrace = 1500 * time.Millisecond
	presenceLease = 4 * time.Second
	pingEvery     = 2 * time.Second
	pongWithin    = 2 * time.Second
)

var presenceArgs = []string{
	"--presence-grace", presenceGrace.String(), "--presence-lease", presenceLease.String(),
	"--ping-every", pingEvery.String(), "--pong-within", pongWithin.String(),
}

// span is a time in which something is known for certain.
type span struct{ from, to time.Time }

// timeline is the ground truth: when a user had a connection, as their side of it knows, and when what is beneath it was broken.
type timeline struct {
	mu       sync.Mutex
	covered  map[string][]*stayed // by user
	strained map[string][]span    // nodes that were stopped, killed, or without the bus, by name
	lossy    []span               // when the bus lost messages
}

// stayed is one connection of a user in the room: from joined to the last sign of life.
type stayed struct {
	node string
	span
}

func newTimeline() *timeline {
	return &timeline{covered: make(map[string][]*stayed), strained: make(map[string][]span)}
}

func (l *timeline) came(user, node string) *stayed {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	s := &stayed{node, span{now, now}}
	l.covered[user] = append(l.covered[user], s)
	return s
}

func (l *timeline) alive(s *stayed, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until.After(s.to) {
		s.to = until
	}
}

// strain says that a node is about to be broken, and returns what says that it is whole again.
func (l *timeline) strain(node string) (whole func()) {
	from := time.Now()
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.strained[node] = append(l.strained[node], span{from, time.Now()})
	}
}

// loses says that from now on the bus loses messages, or that it does so no more.
func (l *timeline) loses(messages bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	open := len(l.lossy) > 0 && l.lossy[len(l.lossy)-1].to.IsZero()
	switch now := time.Now(); {
	case messages && !open:
		l.lossy = append(l.lossy, span{from: now})
	case !messages && open:
		l.lossy[len(l.lossy)-1].to = now
	}
}

// hurt says that a node was broken for a time that is known only now.
func (l *timeline) hurt(node string, from, to time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.strained[node] = append(l.strained[node], span{from, to})
}

const (
	// mendedWithin is how long what the bus has lost may be missing (PRES-9).
	mendedWithin = 15 * time.Second
	// lookBack is how long after the end of a user's connections their leave may come: the lease, the grace, and a busy machine.
	lookBack = presenceLease + presenceGrace + 6*time.Second
	// leastGap is what is taken for a time without a connection: less than the grace, since a client knows the end of its
	// connection by its last sign of life.
	leastGap = presenceGrace / 2
)

// excuse says why a user may be shown as gone at a moment; "": nothing does.
func (l *timeline) excuse(user string, at time.Time) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.lossy {
		if at.After(s.from) && (s.to.IsZero() || at.Before(s.to.Add(mendedWithin))) {
			return "messages were lost"
		}
	}
	var good []span
	for _, s := range l.covered[user] {
		good = append(good, l.whole(s)...)
	}
	slices.SortFunc(good, func(a, b span) int { return a.from.Compare(b.from) })
	upto := at.Add(-lookBack)
	for _, s := range good {
		if s.from.After(at) {
			break
		}
		if s.from.Sub(upto) >= leastGap {
			return "no connection"
		}
		if s.to.After(upto) {
			upto = s.to
		}
	}
	if at.Sub(upto) >= leastGap {
		return "no connection"
	}
	return ""
}

// whole is a connection without the times in which its node was broken. The caller holds l.mu.
func (l *timeline) whole(s *stayed) []span {
	parts := []span{s.span}
	for _, hurt := range l.strained[s.node] {
		var left []span
		for _, p := range parts {
			if hurt.to.Before(p.from) || hurt.from.After(p.to) {
				left = append(left, p)
				continue
			}
			if p.from.Before(hurt.from) {
				left = append(left, span{p.from, hurt.from})
			}
			if p.to.After(hurt.to) {
				left = append(left, span{hurt.to, p.to})
			}
		}
		parts = left
	}
	return parts
}

// tab is a connection of a user who is present in a room, and comes back whenever it is cut off, to another node.
type tab struct {
	user, token, room string
	data              any
	lasts             time.Duration // about how long it stays before it goes by itself; 0: for good
	truth             *timeline
	rec               *recorder
	rng               *rand.Rand
	moves             func() door
}

// beat is how often a tab makes sure of its connection; beatless how long it waits for a sign of life.
const (
	beat     = 300 * time.Millisecond
	beatless = 1500 * time.Millisecond
)

func (t *tab) run(ctx context.Context) {
	for ctx.Err() == nil {
		visit, end := ctx, context.CancelFunc(func() {})
		if t.lasts > 0 {
			visit, end = context.WithTimeout(ctx, t.lasts/2+time.Duration(t.rng.Int64N(int64(t.lasts))))
		}
		back, err := t.visit(visit)
		if b := breach(""); errors.As(err, &b) {
			t.rec.note("tab", err)
		}
		end()
		wait(ctx, back+time.Duration(t.rng.IntN(50))*time.Millisecond)
	}
}

// visit is one connection. back is when the server said to come back; until then the user counts as there (PRES-12).
func (t *tab) visit(ctx context.Context) (back time.Duration, err error) {
	at := t.moves()
	conn, err := dialWebSocket(ctx, at.addr, t.token)
	if err != nil {
		return 0, err
	}
	defer conn.CloseNow()
	join := map[string]any{"op": "join", "id": 1, "room": t.room, "present": true, "presence": t.data}
	if err := writeJSON(ctx, conn, join); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var beating sync.WaitGroup
	defer beating.Wait()
	defer cancel()
	beating.Go(func() {
		for ctx.Err() == nil {
			wait(ctx, beat)
			_ = writeJSON(ctx, conn, map[string]any{"op": "ping"}) // who reads sees the end of it
			_ = writeJSON(ctx, conn, map[string]any{"op": "signal", "room": t.room, "type": "cursor", "data": t.data})
		}
	})
	var there *stayed
	for {
		read, end := context.WithTimeout(ctx, beatless)
		_, text, err := conn.Read(read)
		end()
		if err != nil {
			return back, closing(err)
		}
		var fr frame
		if err := json.Unmarshal(text, &fr); err != nil {
			return back, err
		}
		switch {
		case fr.Op == "joined":
			there = t.truth.came(t.user, at.node)
		case fr.Op == "reset":
			return 0, nil
		case fr.Op == "error":
			if back = time.Duration(fr.RetryMS) * time.Millisecond; there != nil {
				t.truth.alive(there, time.Now().Add(back))
			}
			return back, nil
		case fr.Op == "ping":
			_ = writeJSON(ctx, conn, map[string]any{"op": "pong"})
		}
		if there != nil {
			t.truth.alive(there, time.Now())
		}
	}
}

// watcher sees the presence of a room as one node shows it, hidden itself.
type watcher struct {
	node        door
	token, room string
	rec         *recorder

	mu      sync.Mutex
	members map[string]string // since, by user: as the frames say
	seen    map[string]bool   // who is there, as far as the node does not say that it cannot tell
	stale   bool
	version int64
	changes []change
	frames  int
}

// change is that a user came or went, as a watcher saw it.
type change struct {
	user string
	came bool
	at   time.Time
	full bool // by a frame that had everything
}

type presenceFrame struct {
	Op      string `json:"op"`
	Full    bool   `json:"full"`
	Prev    int64  `json:"prev"`
	Version int64  `json:"version"`
	Set     []struct {
		User  string `json:"user"`
		Since string `json:"since"`
	} `json:"set"`
	Gone   []string `json:"gone"`
	Users  *int     `json:"users"`
	Digest string   `json:"digest"`
	Stale  bool     `json:"stale"`
}

func (w *watcher) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := w.visit(ctx); ctx.Err() == nil {
			w.rec.note("watcher", err)
		}
		wait(ctx, 50*time.Millisecond)
	}
}

func (w *watcher) visit(ctx context.Context) error {
	join := map[string]any{"op": "join", "id": 1, "room": w.room, "with": []string{"presence"}, "present": false}
	return converse(ctx, w.node.addr, w.token, []map[string]any{join}, func(_ *websocket.Conn, text []byte) error {
		var f presenceFrame
		if err := json.Unmarshal(text, &f); err != nil {
			return err
		}
		switch f.Op {
		case "presence":
			w.take(f)
		case "reset", "error":
			return fmt.Errorf("watcher: %s", f.Op)
		}
		return nil
	})
}

func (w *watcher) take(f presenceFrame) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.frames++
	switch {
	case f.Full:
		w.members = make(map[string]string)
	case f.Prev != w.version:
		w.rec.violation(fmt.Errorf("SIDE-3: node %s: a frame of presence follows %d, not %d", w.node.node, f.Prev, w.version))
	}
	w.version = f.Version
	for _, v := range f.Set {
		w.members[v.User] = v.Since
	}
	for _, user := range f.Gone {
		delete(w.members, user)
	}
	if f.Stale || f.Users != nil {
		w.stale = f.Stale
	}
	if own := digest(w.members); f.Digest != "" && f.Digest != own {
		w.rec.violation(fmt.Errorf("PRES-5: node %s: a digest is not that of the members", w.node.node))
	}
	now := time.Now()
	for user := range w.members {
		if !w.seen[user] {
			w.seen[user] = true
			w.changes = append(w.changes, change{user, true, now, f.Full})
		}
	}
	for user := range w.seen {
		if _, here := w.members[user]; !here && !w.stale {
			delete(w.seen, user)
			w.changes = append(w.changes, change{user, false, now, f.Full})
		}
	}
}

// digest is as PRES-5 says.
func digest(members map[string]string) string {
	var all uint32
	for user, since := range members {
		h := fnv.New32a()
		h.Write([]byte(user + "\n" + since))
		all ^= h.Sum32()
	}
	return fmt.Sprintf("%08x", all)
}

// shows lists who is there.
func (w *watcher) shows() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.members))
}

// visitor is a tab in a process of its own, to be killed.
type visitor struct {
	Addr, Token, Room, User string
}

// visitorVariable holds a visitor, as JSON; a test binary that has it is one.
const visitorVariable = "ROOMLOG_TORTURE_VISITOR"

// start begins its process.
func (v visitor) start() (*exec.Cmd, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), visitorVariable+"="+string(text))
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd, cmd.Start()
}

// be is the life of such a process: it ends when it is killed.
func (v visitor) be() {
	t := &tab{user: v.User, token: v.Token, room: v.Room, truth: newTimeline(), rng: rand.New(rand.NewPCG(1, 1)), moves: func() door { return door{addr: v.Addr} }}
	t.run(context.Background())
}
