package webhook

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"roomlog/server/room"
	"roomlog/server/store/sqlite"
)

// delivery is what a receiver is sent.
type delivery struct {
	ID, Type, Hook, Room, Epoch, Reason string
	Prev, Seq, Floor                    int64
	Events                              []struct {
		Seq  int64
		Data json.RawMessage
	}
}

// receiver is an app's server. It checks that what it takes is in the order of each room, with nothing left out;
// a delivery may come again.
type receiver struct {
	t    *testing.T
	http *httptest.Server

	mu      sync.Mutex
	fail    func(delivery) int // the status to answer with; nil or 0: taken
	at      map[string]int64   // by room, what was taken
	busy    map[string]bool
	all     []delivery // taken or not
	taken   []delivery
	changed chan struct{}
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{t: t, at: map[string]int64{}, busy: map[string]bool{}, changed: make(chan struct{}, 1)}
	r.http = httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(r.http.Close)
	return r
}

func (r *receiver) serve(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the sender was ended
	}
	var d delivery
	if err := json.Unmarshal(body, &d); err != nil {
		r.t.Errorf("HOOK-8: %v: %.200s", err, body)
	}
	d.ID = req.Header.Get("webhook-id")
	key := d.Hook + " " + d.Room
	r.mu.Lock()
	if r.busy[key] {
		r.t.Errorf("HOOK-9: two deliveries of %s at a time", key)
	}
	r.busy[key] = true
	r.mu.Unlock()
	status := r.judge(key, d)
	r.mu.Lock()
	r.busy[key] = false
	r.mu.Unlock()
	w.WriteHeader(status)
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

func (r *receiver) judge(key string, d delivery) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, d)
	if r.fail != nil {
		if status := r.fail(d); status != 0 {
			return status
		}
	}
	switch {
	case d.Type == "reset":
		r.at[key] = d.Seq
	case d.Prev > r.at[key]:
		r.t.Errorf("HOOK-9: %s has (%d, %d] after %d: what is between was left out", key, d.Prev, d.Seq, r.at[key])
	default:
		for i, e := range d.Events {
			if e.Seq != d.Prev+int64(i)+1 {
				r.t.Errorf("HOOK-8: event %d at place %d of (%d, %d]", e.Seq, i, d.Prev, d.Seq)
			}
		}
		r.at[key] = max(r.at[key], d.Seq)
	}
	r.taken = append(r.taken, d)
	return 204
}

// until waits until what was received meets a condition.
func (r *receiver) until(what string, met func() bool) {
	r.t.Helper()
	deadline := time.After(patience)
	for {
		r.mu.Lock()
		ok := met()
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-r.changed:
		case <-deadline:
			r.mu.Lock()
			defer r.mu.Unlock()
			r.t.Fatalf("never: %s; at %v, %d deliveries", what, r.at, len(r.all))
		}
	}
}

// got is what was taken so far; some of it may come again meanwhile.
func (r *receiver) got() []delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.taken)
}

func (r *receiver) hook(name string, kinds ...string) Hook {
	return Hook{Endpoint: Endpoint{Name: name, URL: r.http.URL + "/CANARY", Secret: secret(r.t), Timeout: patience}, Kinds: kinds}
}

func openStore(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(context.Background(), path, nil)
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

var tags atomic.Uint64

// say stores n events in a room and tells the engine, if there is one.
func say(t *testing.T, s room.Store, e *Engine, id room.ID, n int) {
	t.Helper()
	for range n {
		var tag room.Tag
		binary.BigEndian.PutUint64(tag[:], tags.Add(1))
		_, err := s.Append(context.Background(), []room.Send{{Room: id, Author: "u", Tag: tag, Type: "message", Data: []byte(`"CANARY"`)}})
		must(t, err)
		if e != nil {
			e.Grew(id)
		}
	}
}

func newEngine(t *testing.T, s room.HookStore, change func(*EngineConfig), hooks ...Hook) *Engine {
	t.Helper()
	cfg := EngineConfig{Store: s, Guard: loopback, FirstRetry: time.Millisecond, LastRetry: 10 * time.Millisecond, Events: 7}
	if change != nil {
		change(&cfg)
	}
	e := NewEngine(cfg)
	t.Cleanup(func() { must(t, e.Stop(context.Background())) })
	must(t, e.Use(t.Context(), hooks))
	e.Start()
	return e
}

// HOOK-8, HOOK-9, HOOK-10: whatever the receiver answers at random, each event arrives, in order, one delivery of a
// room at a time, and a try of the same page has the same id.
func TestDeliveryIsInOrderAndWhole(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	s := openStore(t, filepath.Join(t.TempDir(), "roomlog.db"))
	r := newReceiver(t)
	r.fail = func(delivery) int {
		if len(r.all) == 1 || rnd.IntN(3) == 0 { // one is refused, however few pages there are
			return []int{500, 503, 404, 307, 400}[rnd.IntN(5)]
		}
		return 0
	}
	e := newEngine(t, s, nil, r.hook("one", "chat"), r.hook("two", "chat", "feed"))
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := range 60 {
				say(t, s, e, room.ID(fmt.Sprintf("%s:r%d", []string{"chat", "feed", "other"}[(w+i)%3], i%5)), 1)
			}
		})
	}
	writers.Wait()
	want := map[string]int64{}
	for _, kind := range []string{"chat", "feed", "other"} {
		for i := range 5 {
			id := room.ID(fmt.Sprintf("%s:r%d", kind, i))
			heads, err := s.Heads(t.Context(), []room.ID{id})
			must(t, err)
			if kind == "chat" {
				want["one "+string(id)] = heads[0].Seq
			}
			if kind != "other" {
				want["two "+string(id)] = heads[0].Seq
			}
		}
	}
	r.until("everything is delivered", func() bool {
		for key, seq := range want {
			if r.at[key] != seq {
				return false
			}
		}
		return true
	})
	must(t, e.Stop(context.Background()))
	if len(r.at) != len(want) {
		t.Errorf("delivered %v, want %v", r.at, want)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	ids := map[string]string{}
	for _, d := range r.all {
		page := fmt.Sprint(d.Hook, d.Room, d.Prev, d.Seq)
		if other, known := ids[page]; known && other != d.ID {
			t.Errorf("HOOK-10: %s has the ids %s and %s", page, other, d.ID)
		}
		ids[page] = d.ID
	}
	if len(ids) == len(r.all) {
		t.Error("no page was tried twice: the test proves nothing")
	}
}

// HOOK-10: a page that was not taken is tried again as it was, although the room has grown.
func TestARetryIsTheSamePage(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "roomlog.db"))
	r := newReceiver(t)
	failures := 0
	var e *Engine
	r.fail = func(delivery) int {
		if failures++; failures <= 3 {
			say(t, s, e, "chat:a", 1)
			return 500
		}
		return 0
	}
	e = NewEngine(EngineConfig{Store: s, Guard: loopback, FirstRetry: time.Millisecond, LastRetry: time.Millisecond})
	must(t, e.Use(t.Context(), []Hook{r.hook("one", "chat")}))
	defer func() { must(t, e.Stop(context.Background())) }()
	must(t, s.BeginHook(t.Context(), "one", "chat", false))
	say(t, s, e, "chat:a", 2)
	e.Start()
	r.until("all is delivered", func() bool { return r.at["one chat:a"] == 5 })
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.all[:4] {
		if d.ID != r.all[0].ID || d.Seq != 2 {
			t.Errorf("a try of (0, 2] is (%d, %d] as %s", d.Prev, d.Seq, d.ID)
		}
	}
}

// HOOK-9: a room whose deliveries fail, and a hook that is down, hold up nobody else.
func TestFailuresHoldUpNobodyElse(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "roomlog.db"))
	r, down := newReceiver(t), newReceiver(t)
	r.fail = func(d delivery) int {
		if d.Room == "chat:poison" {
			return 500
		}
		return 0
	}
	down.http.Close()
	var log strings.Builder
	e := newEngine(t, s, func(c *EngineConfig) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) }, r.hook("up", "chat"), down.hook("down", "chat"))
	say(t, s, e, "chat:poison", 1)
	for i := range 20 {
		say(t, s, e, room.ID(fmt.Sprintf("chat:r%d", i)), 1)
	}
	r.until("the others are delivered", func() bool {
		n := 0
		for _, seq := range r.at {
			n += int(seq)
		}
		return n == 20
	})
	var states []State
	for late := time.Now().Add(patience); ; time.Sleep(time.Millisecond) { // between two looks: nobody tells of a failure
		if states = e.States(); states[0].LastError != "" && states[1].LastError != "" || time.Now().After(late) {
			break
		}
	}
	if states[0].Name != "down" || states[0].Behind != 21 || states[0].LastError != "it cannot be reached" || states[1].Behind < 1 || states[1].LastError != "it answered with status 500" {
		t.Errorf("%+v", states)
	}
	must(t, e.Stop(context.Background()))
	text, err := json.Marshal(states)
	must(t, err)
	if all := log.String() + string(text); strings.Contains(all, "CANARY") || strings.Contains(all, "MfKQ") || !strings.Contains(all, "not delivered") {
		t.Errorf("%s", all)
	}
}

// HOOK-11, HOOK-13: a hook begins at the head or at the beginning; after a restart it goes on, also with what was
// stored while no engine ran, and with more rooms than are kept in mind.
func TestBeginAndRestart(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "roomlog.db"))
	r := newReceiver(t)
	rooms := func(prefix string, n int) {
		for i := range n {
			say(t, s, nil, room.ID(fmt.Sprintf("%s%d", prefix, i)), 2)
		}
	}
	rooms("chat:old", 10)
	late, all := r.hook("late", "chat"), r.hook("all", "chat")
	all.FromStart = true
	few := func(c *EngineConfig) { c.Rooms, c.SweepEvery = 3, time.Hour }
	count := func(hook string) (n int64) {
		for key, seq := range r.at {
			if strings.HasPrefix(key, hook) {
				n += seq
			}
		}
		return n
	}
	r.mu.Lock()
	for i := range 10 {
		r.at[fmt.Sprintf("late chat:old%d", i)] = 2
	}
	r.mu.Unlock()
	e := newEngine(t, s, few, late, all)
	r.until("the old is delivered", func() bool { return count("all") == 20 })
	must(t, e.Stop(context.Background()))
	rooms("chat:new", 10)
	rooms("chat:old", 5)
	e = newEngine(t, s, few, late, all)
	r.until("the new is delivered", func() bool { return count("all") == 50 && count("late") == 50 })
	for _, d := range r.got() {
		if d.Hook == "late" && d.Prev < 2 && strings.HasPrefix(d.Room, "chat:old") {
			t.Errorf("HOOK-11: %+v is from before the hook began", d)
		}
	}
	for i := range 30 { // more rooms than are kept in mind grow at once: the rest is looked for
		say(t, s, e, room.ID(fmt.Sprintf("chat:more%d", i)), 1)
	}
	r.until("what was not kept in mind is delivered", func() bool { return count("all") == 80 && count("late") == 80 })
}

// HOOK-12, HOOK-14: a replay delivers again from where it is asked; of what is not there any more, and of another
// numbering, a reset tells.
func TestReplayAndReset(t *testing.T) {
	path := filepath.Join(t.TempDir(), "roomlog.db")
	s := openStore(t, path)
	r := newReceiver(t)
	e := newEngine(t, s, nil, r.hook("one", "chat"))
	say(t, s, e, "chat:a", 20)
	r.until("all is delivered", func() bool { return r.at["one chat:a"] == 20 })
	replay := func(after room.Seq) {
		r.mu.Lock()
		r.taken = nil
		r.mu.Unlock()
		must(t, e.Replay(t.Context(), "one", "chat:a", after))
		r.until("the replay is delivered", func() bool { return len(r.taken) > 0 && r.taken[len(r.taken)-1].Seq == 20 })
	}
	replay(12)
	if got := r.got(); got[0].Prev != 12 || len(got) != 2 {
		t.Errorf("HOOK-12: replayed %+v", got)
	}
	replay(0)
	if got := r.got(); got[0].Prev != 0 || len(got) != 3 {
		t.Errorf("HOOK-12: replayed %+v", got)
	}
	for _, c := range []struct {
		name  string
		id    room.ID
		after room.Seq
		code  room.Code
	}{{"two", "chat:a", 0, room.CodeNotFound}, {"one", "feed:a", 0, room.CodeNotFound}, {"one", "chat:a", 21, room.CodeBadPosition}, {"one", "chat:none", 0, room.CodeUnknownRoom}} {
		if err := e.Replay(t.Context(), c.name, c.id, c.after); room.AsError(err).Code != c.code {
			t.Errorf("replay of %s in %s after %d: %v, want %s", c.name, c.id, c.after, err, c.code)
		}
	}
	reset := func(why room.ResetReason, to room.Position) {
		t.Helper()
		r.mu.Lock()
		r.taken = nil
		r.mu.Unlock()
		_, err := s.MoveHookCursor(t.Context(), "one", "chat:a", nil, to)
		must(t, err)
		e.Grew("chat:a")
		r.until("the reset is delivered", func() bool { return len(r.taken) > 0 && r.taken[len(r.taken)-1].Seq == 20 })
		got := r.got()
		if d := got[0]; d.Type != "reset" || d.Reason != string(why) || d.Seq != 0 || d.Floor != 1 || got[1].Prev != 0 || got[1].Type != "after_append" {
			t.Errorf("HOOK-14: %+v, want a reset for %s and everything after it", got[:2], why)
		}
	}
	heads, err := s.Heads(t.Context(), []room.ID{"chat:a"})
	must(t, err)
	epoch := heads[0].Epoch
	reset(room.ResetEpoch, room.Position{Epoch: "another", Seq: 20})
	reset(room.ResetAhead, room.Position{Epoch: epoch, Seq: 21})
	reset(room.ResetDiverged, room.Position{Epoch: epoch, Seq: 20, Mark: heads[0].Mark ^ 1})
	if got := continues(room.Position{Epoch: epoch, Seq: 3}, room.Page{Head: room.Head{Epoch: epoch, Floor: 5, Seq: 20}, Prev: 4}); got != room.ResetPruned {
		t.Errorf("HOOK-14: behind the floor: %q", got)
	}
}

// Hooks that stay go on, those that change begin anew, and those that go are ended.
func TestUse(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "roomlog.db"))
	r := newReceiver(t)
	one, two := r.hook("one", "chat"), r.hook("two", "chat")
	e := newEngine(t, s, nil, one, two)
	was := e.hooks["one"]
	two.Kinds = []string{"chat", "feed"}
	bad := r.hook("three", "chat")
	bad.URL = "http://127.0.0.2/"
	if err := e.Use(t.Context(), []Hook{bad}); err == nil || !strings.HasPrefix(err.Error(), "three: ") || e.hooks["one"] != was {
		t.Fatalf("a set that cannot be used: %v", err)
	}
	must(t, e.Use(t.Context(), []Hook{one, two}))
	if e.hooks["one"] != was {
		t.Error("a hook that stays as it is was begun anew")
	}
	say(t, s, e, "feed:a", 1)
	r.until("the new kind is delivered", func() bool { return r.at["two feed:a"] == 1 })
	must(t, e.Use(t.Context(), nil))
	say(t, s, e, "chat:a", 1)
	if len(e.States()) != 0 {
		t.Error("hooks that are gone are there")
	}
}

// A room that grew while a sweep had passed its place and nothing else could be kept in mind is looked for at once, also
// where nothing is left that would wake the hook.
func TestMissedDuringASweep(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "roomlog.db"))
	e := newEngine(t, s, nil, newReceiver(t).hook("all", "chat"))
	h := e.hooks["all"]
	must(t, e.Stop(context.Background()))
	h.ctx = t.Context()
	h.sweep.begin()
	h.missed = true
	if !h.look() {
		t.Error("the sweep is over and another is due, but nobody would begin it")
	}
	if h.look() || h.missed {
		t.Error("the second sweep found nothing, and goes on")
	}
}
