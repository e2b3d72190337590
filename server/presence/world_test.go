package presence

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"roomlog/server/bus/local"
	"roomlog/server/room"
)

const hall room.ID = "chat:hall"

// world is a cluster in a bubble: nodes over leases in memory and a bus that can lose, delay and hold back what it carries.
type world struct {
	t      *testing.T
	medium *local.Medium

	mu     sync.Mutex
	random *rand.Rand
	drop   float64
	delay  time.Duration
	late   time.Duration // beyond that
	cut    bool          // the bus carries nothing
	nodes  []*node
	held   [][]byte // what a paused node said, for later
	sent   int
	bytes  int
}

// node is one process: its presence, and a reader on it.
type node struct {
	*Presence
	w      *world
	name   string
	leases *stoppable
	paused bool
	dead   bool
	slow   time.Duration // what it says takes so much longer
	away   bool          // it has no room in memory: it hears what is said to all

	mu     sync.Mutex
	view   map[string]Member
	about  about
	frames int
	values int
	bytes  int
	events []event // of the view
	client client
}

// client is a reader who had seen users elsewhere before (PRES-11).
type client struct {
	has  map[string]bool // nil: there is none
	lost []string        // who vanished
}

// shows takes what a node shows by now; gone are those whom it says to be.
func (c *client) shows(view map[string]Member, gone []string, stale bool) {
	if c.has == nil {
		return
	}
	for user := range view {
		c.has[user] = true
	}
	for user := range c.has {
		if _, there := view[user]; !there && (!stale || slices.Contains(gone, user)) {
			delete(c.has, user)
			c.lost = append(c.lost, user)
		}
	}
}

// event is that a user came or went, as a reader sees it.
type event struct {
	user string
	came bool
	at   time.Time
}

type about struct {
	Users       int    `json:"users"`
	Connections int    `json:"connections"`
	Counts      bool   `json:"counts"`
	Digest      string `json:"digest"`
	Stale       bool   `json:"stale"`
}

// stoppable is a handle of leases that answers nothing while its node is paused.
type stoppable struct {
	room.Leases
	mu      sync.Mutex
	stopped chan struct{} // closed when it goes on; nil: it runs
}

func (s *stoppable) wait(ctx context.Context) error {
	s.mu.Lock()
	stopped := s.stopped
	s.mu.Unlock()
	if stopped == nil {
		return nil
	}
	select {
	case <-stopped:
		return nil
	case <-ctx.Done():
		return room.NoLeases(ctx.Err())
	}
}

func (s *stoppable) Hold(ctx context.Context, name string, ttl time.Duration) (room.Generation, error) {
	if err := s.wait(ctx); err != nil {
		return 0, err
	}
	return s.Leases.Hold(ctx, name, ttl)
}

func (s *stoppable) Renew(ctx context.Context, l room.Lease, ttl time.Duration) (bool, error) {
	if err := s.wait(ctx); err != nil {
		return false, err
	}
	return s.Leases.Renew(ctx, l, ttl)
}

func (s *stoppable) List(ctx context.Context) ([]room.Lease, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	return s.Leases.List(ctx)
}

// inWorld runs a test in a bubble, with nodes a, b, c … that all read the hall.
func inWorld(t *testing.T, nodes int, change func(*Config), do func(w *world, nodes []*node)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, medium: local.NewMedium(), random: rand.New(rand.NewPCG(1, 2)), delay: 5 * time.Millisecond}
		for i := range nodes {
			w.start(string(rune('a'+i)), change, nodes > 1)
		}
		sleep(time.Second) // of the bubble's clock: leases are held
		for _, n := range w.nodes {
			n.Needed(hall)
		}
		w.settle()
		do(w, w.nodes)
		for _, n := range w.nodes {
			n.end()
		}
		sleep(time.Minute) // what the bus still carries
	})
}

// settle lets the bubble's clock run until nothing is under way.
func (w *world) settle() { sleep(700 * time.Millisecond) }

func (w *world) start(name string, change func(*Config), shared bool) *node {
	n := &node{w: w, name: name, view: map[string]Member{}}
	cfg := Config{Node: name, Show: n.show}
	if shared {
		n.leases = &stoppable{Leases: w.medium.Leases("main")}
		cfg.Leases, cfg.Say = n.leases, func(id room.ID, body []byte) { w.say(n, id, body) }
		cfg.Ask = func(body []byte) { w.say(n, "", body) }
	}
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		w.t.Fatal(err)
	}
	n.Presence = New(cfg)
	w.mu.Lock()
	w.nodes = append(w.nodes, n)
	w.mu.Unlock()
	n.Start()
	return n
}

// say carries a message to all nodes, as a bus does.
func (w *world) say(from *node, id room.ID, body []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent++
	w.bytes += len(body)
	if from.dead || w.cut {
		return
	}
	if from.paused {
		w.held = append(w.held, body)
		return
	}
	for _, to := range w.nodes {
		if to.dead || to.away && id != "" || w.random.Float64() < w.drop {
			continue
		}
		time.AfterFunc(from.slow+w.delayed(), func() {
			w.mu.Lock()
			dead := to.dead || to.paused || w.cut
			w.mu.Unlock()
			if !dead {
				to.Hear(id, body)
			}
		})
	}
}

func (w *world) delayed() time.Duration {
	if w.delay == 0 {
		return w.late
	}
	return w.late + time.Duration(w.random.Int64N(int64(w.delay)))
}

// end stops a node without a word, as kill -9 does.
func (n *node) end() {
	n.w.mu.Lock()
	dead := n.dead
	n.dead = true
	n.w.mu.Unlock()
	if !dead {
		n.stop()
		n.tasks.Wait()
	}
}

// pause stops a node as SIGSTOP does: it says and hears nothing, and its lease runs out.
func (n *node) pause() {
	n.w.mu.Lock()
	n.paused = true
	n.w.mu.Unlock()
	n.leases.mu.Lock()
	n.leases.stopped = make(chan struct{})
	n.leases.mu.Unlock()
}

// resume lets it go on: what it said while it was paused comes late.
func (n *node) resume() {
	n.w.mu.Lock()
	n.paused = false
	held := n.w.held
	n.w.held = nil
	for _, body := range held {
		for _, to := range n.w.nodes {
			if !to.dead && to != n {
				time.AfterFunc(n.w.delayed(), func() { to.Hear(hall, body) })
			}
		}
	}
	n.w.mu.Unlock()
	n.leases.mu.Lock()
	close(n.leases.stopped)
	n.leases.stopped = nil
	n.leases.mu.Unlock()
}

// show is what the hub does with an update, and a reader with what the hub gives it.
func (n *node) show(_ room.ID, u Update) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.frames++
	named := map[string]bool{}
	var gone []string
	for _, v := range u.Set {
		n.values++
		n.bytes += len(v.JSON)
		named[v.User] = true
		_, was := n.view[v.User]
		if v.JSON == nil {
			delete(n.view, v.User)
			gone = append(gone, v.User)
		} else {
			var m Member
			if err := json.Unmarshal(v.JSON, &m); err != nil || m.User != v.User {
				n.w.t.Errorf("%s shows %s: %v", n.name, v.JSON, err)
			}
			n.view[v.User] = m
		}
		if _, is := n.view[v.User]; is != was {
			n.events = append(n.events, event{v.User, is, time.Now()})
		}
	}
	if u.Whole {
		for user := range n.view {
			if !named[user] {
				delete(n.view, user)
				n.events = append(n.events, event{user, false, time.Now()})
			}
		}
	}
	if u.About != nil {
		n.bytes += len(u.About)
		n.about = about{}
		if err := json.Unmarshal([]byte("{"+string(u.About)+"}"), &n.about); err != nil {
			n.w.t.Errorf("about is %s: %v", u.About, err)
		}
	}
	n.client.shows(n.view, gone, n.about.Stale)
}

// users are those whom the reader sees.
func (n *node) users() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]string, 0, len(n.view))
	for user := range n.view {
		all = append(all, user)
	}
	slices.Sort(all)
	return all
}

func (n *node) sees(want ...string) {
	n.w.t.Helper()
	slices.Sort(want)
	if got := n.users(); !slices.Equal(got, want) {
		n.w.t.Errorf("%s sees %v, want %v", n.name, got, want)
	}
}

// member is a user as the reader sees them.
func (n *node) member(user string) Member {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.view[user]
}

func (n *node) frame() about {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.about
}

// log is what the reader saw happen: +user and -user.
func (n *node) log() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []string
	for _, e := range n.events {
		sign := "-"
		if e.came {
			sign = "+"
		}
		all = append(all, sign+e.user)
	}
	return strings.Join(all, " ")
}

func (n *node) logs(want string) {
	n.w.t.Helper()
	if got := n.log(); got != want {
		n.w.t.Errorf("%s saw %q, want %q", n.name, got, want)
	}
}

// tab is a connection that is present.
type tab struct {
	n    *node
	id   string
	user string
	key  *int
}

var tabs int

func (n *node) open(user string) *tab {
	n.w.mu.Lock()
	tabs++
	t := &tab{n, fmt.Sprintf("c%d", tabs), user, new(int)}
	n.w.mu.Unlock()
	n.Came(hall, t.key, Guest{Connection: t.id, User: user})
	return t
}

func (t *tab) close() { t.n.Went(hall, t.key, t.id) }

// sleep lets the bubble's clock run, and waits until all that came due is done.
func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
