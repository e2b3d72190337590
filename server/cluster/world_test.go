package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"roomlog/server/bus/local"
	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/room/bustest"
	"roomlog/server/wire"
)

// log is a store in memory that several hubs share, as nodes share a database: what a call does, it does at once. It is
// only as faithful as these tests need; the conformance of stores is storetest's.
type log struct {
	mu     sync.Mutex
	down   bool
	rooms  map[room.ID]*roomLog
	pokes  []room.Topic
	reads  map[room.ID]int // of pages
	heads  int             // queries
	slow   time.Duration   // how long a read takes after its snapshot
	ever   map[stored]bool // every event there was
	random *rand.Rand
}

type roomLog struct {
	epoch  int
	pruned int // events, the oldest
	events []room.Event
	tags   map[room.Tag]room.Seq
}

// stored is what tells an event from all others.
type stored struct {
	room room.ID
	seq  room.Seq
	tag  string
}

var errDown = &room.Error{Code: room.CodeUnavailable, Title: "The store is down."}

func newLog(seed uint64) *log {
	return &log{rooms: map[room.ID]*roomLog{}, reads: map[room.ID]int{}, ever: map[stored]bool{}, random: rand.New(rand.NewPCG(seed, 1))}
}

func (l *log) room(id room.ID) *roomLog {
	r := l.rooms[id]
	if r == nil {
		r = &roomLog{epoch: 1, tags: map[room.Tag]room.Seq{}}
		l.rooms[id] = r
	}
	return r
}

func (r *roomLog) head(id room.ID) room.Head {
	h := room.Head{Room: id, Epoch: room.Epoch("e" + strconv.Itoa(r.epoch)), Floor: room.Seq(r.pruned + 1), Seq: room.Seq(len(r.events))}
	if n := len(r.events); n > 0 {
		h.Mark = r.events[n-1].Mark
	}
	if r.pruned > 0 {
		h.FloorMark = r.events[r.pruned-1].Mark
	}
	return h
}

func (l *log) Append(_ context.Context, batch []room.Send) (room.Appended, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return room.Appended{}, errDown
	}
	out := room.Appended{Verdicts: make([]room.Verdict, len(batch))}
	before := map[room.ID]room.Head{}
	mark := room.Mark(l.random.Uint32() | 1)
	for i, s := range batch {
		r := l.room(s.Room)
		if _, seen := before[s.Room]; !seen {
			before[s.Room] = r.head(s.Room)
		}
		if seq := r.tags[s.Tag]; seq != 0 {
			e := r.events[seq-1]
			out.Verdicts[i] = room.Verdict{Seq: seq, Mark: e.Mark, At: e.At, Duplicate: true}
			continue
		}
		e := room.Event{Seq: room.Seq(len(r.events) + 1), Mark: mark, Type: s.Type, Author: s.Author, Tag: s.Tag, At: time.Unix(1, 0).UTC(), Data: bytes.Clone(s.Data)}
		r.events = append(r.events, e)
		l.ever[stored{s.Room, e.Seq, e.Tag.String()}] = true
		r.tags[s.Tag] = e.Seq
		out.Verdicts[i] = room.Verdict{Seq: e.Seq, Mark: mark, At: e.At}
	}
	for id, b := range before {
		out.Rooms = append(out.Rooms, room.Growth{Head: l.room(id).head(id), Before: b.Seq, BeforeMark: b.Mark})
	}
	return out, nil
}

func (l *log) Read(_ context.Context, q room.Query) (room.Page, error) {
	l.mu.Lock()
	defer l.pause()
	defer l.mu.Unlock()
	if l.down {
		return room.Page{}, errDown
	}
	l.reads[q.Room]++
	r := l.room(q.Room)
	prev, last, _ := q.Span(room.Seq(r.pruned+1), room.Seq(len(r.events)))
	p := room.Page{Head: r.head(q.Room), Prev: prev, Events: r.events[prev:last:last]}
	if prev > 0 {
		p.PrevMark = r.events[prev-1].Mark
	}
	return p, nil
}

func (l *log) Heads(_ context.Context, ids []room.ID) ([]room.Head, error) {
	l.mu.Lock()
	defer l.pause()
	defer l.mu.Unlock()
	if l.down {
		return nil, errDown
	}
	l.heads++
	heads := make([]room.Head, len(ids))
	for i, id := range ids {
		heads[i] = l.room(id).head(id)
	}
	return heads, nil
}

func (l *log) Info() room.Info { return room.Info{Name: "log"} }
func (l *log) Close() error    { return nil }

func (l *log) Poke(_ context.Context, topics []room.Topic) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return errDown
	}
	l.pokes = append(l.pokes, topics...)
	return nil
}

func (l *log) Poked(_ context.Context, since string) ([]room.Topic, string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := strconv.Itoa(len(l.pokes))
	if l.down {
		return nil, since, errDown
	}
	if since == "" {
		return nil, now, nil
	}
	at, err := strconv.Atoi(since)
	if err != nil {
		return nil, now, err
	}
	return l.pokes[at:], now, nil
}

// pause is how long the answer to a read takes. The caller does not hold the lock.
func (l *log) pause() {
	l.mu.Lock()
	slow := l.slow
	l.mu.Unlock()
	time.Sleep(slow)
}

// set changes the log from outside of any node.
func (l *log) set(f func(*log)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l)
}

// world is a cluster in one process: nodes on one log and one bus, which has faults.
type world struct {
	t      *testing.T
	log    *log
	medium *local.Medium
	faults *bustest.Faults
}

func newWorld(t *testing.T, seed uint64) *world {
	return &world{t: t, log: newLog(seed), medium: local.NewMedium(), faults: bustest.NewFaults(seed)}
}

// member is a node with its hub.
type member struct {
	*Node
	hub      *hub.Hub
	degraded chan bool // what it was told, the last alone
	accesses chan struct{}
}

var testKey = []byte("a key that all nodes of these tests have")

// join starts a node. change may change how; it stops with the test, or before.
func (w *world) join(name string, change ...func(*Config, *hub.Config)) *member {
	w.t.Helper()
	m := &member{degraded: make(chan bool, 64), accesses: make(chan struct{}, 64)}
	cfg := Config{
		Bus: w.faults.Wrap(name, w.medium.Join("main", room.BusOptions{})), Pokes: w.log, Name: name, Cluster: "main", Key: testKey,
		Degraded: func(is bool) { m.degraded <- is },
		Access:   func(context.Context) error { m.accesses <- struct{}{}; return nil },
	}
	of := hub.Config{Store: w.log, Workers: 2, CheckEvery: time.Hour} // what is found is not found by the sweep
	for _, f := range change {
		f(&cfg, &of)
	}
	m.Node = New(cfg)
	of.Link = m.Node
	m.hub = hub.New(of)
	m.Start(m.hub)
	m.hub.Start()
	w.t.Cleanup(m.stop(w.t))
	return m
}

func (m *member) stop(t *testing.T) func() {
	return func() {
		if err := errors.Join(m.hub.Stop(context.Background()), m.Stop(context.Background())); err != nil {
			t.Errorf("stop: %v", err)
		}
	}
}

// send appends an event by a node and waits for the ack.
func (m *member) send(t *testing.T, id room.ID) room.Seq {
	t.Helper()
	var tag room.Tag
	for i := range tag {
		tag[i] = byte(rand.Uint32())
	}
	done := make(chan hub.Outcome, 1)
	m.hub.Submit(hub.Submit{Send: room.Send{Room: id, Author: "ann", Tag: tag, Type: "message", Data: []byte(`{}`)}}, func(o hub.Outcome) { done <- o })
	o := <-done
	if o.Err != nil {
		t.Fatalf("send: %v", o.Err)
	}
	return o.Verdict.Seq
}

// listener is a sink that follows rooms and holds what comes to the log: each page adjoins the one before, and each event is
// the stored one.
type listener struct {
	log *log

	mu     sync.Mutex
	buf    []byte
	at     map[room.ID]room.Seq
	had    map[room.ID]map[room.Seq]string // since the last reset; nil: it is not kept
	resets int
	failed error
}

// read opens a stream of a node over rooms, from their beginning.
func (m *member) read(t *testing.T, l *log, ids ...room.ID) *listener {
	t.Helper()
	r := &listener{log: l, at: map[room.ID]room.Seq{}}
	conn, err := m.hub.Attach(r, wire.EventStream)
	if err != nil {
		t.Fatal(err)
	}
	var joins []hub.Join
	for _, id := range ids {
		joins = append(joins, hub.Join{Room: id, HasPosition: true, Replay: -1})
	}
	if err := conn.Follow(t.Context(), joins, func([]hub.Followed) []byte { return []byte("event: ready\ndata: {}\n\n") }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Detach)
	return r
}

func (r *listener) TryWrite(bufs [][]byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, b := range bufs {
		n += len(b)
		r.buf = append(r.buf, b...)
	}
	for {
		event, rest, whole := bytes.Cut(r.buf, []byte("\n\n"))
		if !whole {
			return n, nil
		}
		r.take(string(event))
		r.buf = rest
	}
}

func (r *listener) WriteAll(b []byte) error { _, err := r.TryWrite([][]byte{b}); return err }
func (r *listener) Close(*room.Error)       {}

func (r *listener) take(event string) {
	var name, data string
	for line := range bytes.Lines([]byte(event + "\n")) {
		if v, ok := bytes.CutPrefix(line, []byte("event: ")); ok {
			name = string(bytes.TrimSpace(v))
		}
		if v, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
			data = string(v)
		}
	}
	if name != "page" && name != "reset" {
		return
	}
	var page struct {
		Room   room.ID
		Prev   room.Seq
		Seq    room.Seq
		Events []struct {
			Seq room.Seq
			Tag string
		}
	}
	if err := json.Unmarshal([]byte(data), &page); err != nil {
		r.failed = err
		return
	}
	if name == "reset" {
		r.resets++
		delete(r.at, page.Room)
		delete(r.had, page.Room)
		return
	}
	if at, known := r.at[page.Room]; known && page.Prev != at && r.failed == nil {
		r.failed = fmt.Errorf("%s: a page after %d where %d was due", page.Room, page.Prev, at)
	}
	r.log.mu.Lock()
	defer r.log.mu.Unlock()
	if r.had != nil && r.had[page.Room] == nil {
		r.had[page.Room] = map[room.Seq]string{}
	}
	for _, e := range page.Events {
		if !r.log.ever[stored{page.Room, e.Seq, e.Tag}] {
			r.failed = fmt.Errorf("%s: event %d is not the stored one", page.Room, e.Seq)
		}
		if r.had != nil {
			r.had[page.Room][e.Seq] = e.Tag
		}
	}
	r.at[page.Room] = page.Seq
}

// stands reports how far a reader is in a room.
func (r *listener) stands(t *testing.T, id room.ID) room.Seq {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed != nil {
		t.Fatal(r.failed)
	}
	return r.at[id]
}
