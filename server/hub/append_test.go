package hub

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// outcomes collects answers by name, and fails when one comes twice.
type outcomes struct {
	t    *testing.T
	mu   sync.Mutex
	got  map[string]Outcome
	when map[string]time.Duration
	from time.Time
}

func newOutcomes(t *testing.T) *outcomes {
	return &outcomes{t: t, got: map[string]Outcome{}, when: map[string]time.Duration{}, from: time.Now()}
}

func (o *outcomes) done(name string) func(Outcome) {
	return func(out Outcome) {
		o.mu.Lock()
		defer o.mu.Unlock()
		if _, ok := o.got[name]; ok {
			o.t.Errorf("%s answered twice", name)
		}
		o.got[name], o.when[name] = out, time.Since(o.from)
	}
}

// want checks the code of an answer; empty: stored.
func (o *outcomes) want(name string, code room.Code) Outcome {
	o.t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	out, ok := o.got[name]
	switch {
	case !ok:
		o.t.Errorf("%s: no answer, want %q", name, code)
	case out.Err == nil && code != "":
		o.t.Errorf("%s: stored as %d, want %s", name, out.Verdict.Seq, code)
	case out.Err != nil && out.Err.Code != code:
		o.t.Errorf("%s: %v, want %q", name, out.Err, code)
	}
	return out
}

func (o *outcomes) has(name string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, ok := o.got[name]
	return ok
}

func (o *outcomes) none(name string) {
	o.t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if out, ok := o.got[name]; ok {
		o.t.Errorf("%s answered already: %+v", name, out)
	}
}

// gate lets a test hold the store's appends: each waits for a fault to be given.
type gate struct {
	faults chan fault
	open   func() // lets all through from now on
}

func newGate() gate {
	faults := make(chan fault)
	return gate{faults, sync.OnceFunc(func() { close(faults) })}
}

func (g gate) wait(ctx context.Context, _ []room.Send) fault {
	select {
	case f := <-g.faults:
		return f
	case <-ctx.Done():
		return fault{err: ctx.Err()}
	}
}

var (
	lost        = fault{err: room.ErrOutcomeUnknown}
	lostAfter   = fault{err: room.ErrOutcomeUnknown, commit: true}
	unavailably = fault{err: &room.Error{Code: room.CodeUnavailable, Title: "Not now."}}
)

// bubble runs a test against a gated store on a fake clock.
func bubble(t *testing.T, cfg Config, test func(t *testing.T, h *Hub, m *model, g gate)) {
	synctest.Test(t, func(t *testing.T) {
		m, g := newModel(), newGate()
		m.onAppend = g.wait
		cfg.Store = m
		h := New(cfg)
		h.Start()
		test(t, h, m, g)
		g.open()
		stop(t, h)
	})
}

// Group commit has no timer: what comes while a batch is in flight is the next batch, and it leaves
// when the first has landed.
func TestGroupCommit(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, h *Hub, m *model, g gate) {
		out := newOutcomes(t)
		h.Submit(Submit{Send: send("chat:a")}, out.done("1"))
		synctest.Wait()
		for _, name := range []string{"2", "3", "4"} {
			h.Submit(Submit{Send: send("chat:a")}, out.done(name))
		}
		synctest.Wait()
		if n := m.appends.Load(); n != 1 {
			t.Fatalf("%d appends while the first is in flight, want 1", n)
		}
		g.faults <- fault{}
		synctest.Wait()
		out.want("1", "")
		out.none("2")
		if n := m.appends.Load(); n != 2 {
			t.Errorf("%d appends after it landed, want 2", n)
		}
		g.faults <- fault{}
		synctest.Wait()
		for i, name := range []string{"1", "2", "3", "4"} {
			if o := out.want(name, ""); o.Verdict.Seq != room.Seq(i+1) || o.Epoch != "e1" {
				t.Errorf("%s: %+v, want seq %d", name, o, i+1)
			}
		}
		if at := out.when["4"]; at != 0 {
			t.Errorf("answered after %v of doing nothing", at)
		}
	})
}

// ACK-5, ACK-6: an outcome that is not known for 2 s is said so, and the batch is run again until it is
// answered. Meanwhile the same event is as unknown, and a later one of the room is not taken; what
// waits in the queue is not stored. Other rooms wait, and go on afterwards.
func TestOutcomeUnknown(t *testing.T) {
	for name, f := range map[string]fault{"never committed": lost, "committed": lostAfter} {
		t.Run(name, func(t *testing.T) {
			bubble(t, Config{}, func(t *testing.T, h *Hub, m *model, g gate) {
				out := newOutcomes(t)
				s := send("chat:a")
				h.Submit(Submit{Send: s}, out.done("first"))
				g.faults <- f
				synctest.Wait()
				h.Submit(Submit{Send: send("chat:a")}, out.done("queued"))
				h.Submit(Submit{Send: s}, out.done("queued repeat"))
				time.Sleep(2*time.Second - time.Millisecond)
				synctest.Wait()
				out.none("first")
				out.none("queued")
				time.Sleep(time.Millisecond)
				synctest.Wait()
				out.want("first", room.CodeOutcomeUnknown)
				h.Submit(Submit{Send: s}, out.done("repeat"))
				h.Submit(Submit{Send: send("chat:a")}, out.done("later"))
				h.Submit(Submit{Send: send("chat:b")}, out.done("elsewhere"))
				out.want("repeat", room.CodeOutcomeUnknown)
				out.want("later", room.CodeUnavailable)
				out.none("elsewhere")
				time.Sleep(overdueEvery)
				synctest.Wait()
				out.want("queued", room.CodeUnavailable)
				out.want("queued repeat", room.CodeUnavailable)
				g.faults <- fault{} // the run that is answered
				g.faults <- fault{} // chat:b
				synctest.Wait()
				out.want("elsewhere", "")
				h.Submit(Submit{Send: s}, out.done("again"))
				g.faults <- fault{}
				synctest.Wait()
				if o := out.want("again", ""); !o.Verdict.Duplicate || o.Verdict.Seq != 1 {
					t.Errorf("again: %+v, want the first result", o)
				}
				if n := m.headOf("chat:a").Seq; n != 1 {
					t.Errorf("head %d, want 1", n)
				}
			})
		})
	}
}

// A timer of a batch that has landed says nothing about the next one.
func TestLateIsOfItsBatch(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, h *Hub, _ *model, g gate) {
		out := newOutcomes(t)
		h.Submit(Submit{Send: send("chat:a")}, out.done("1"))
		synctest.Wait()
		landed := h.appender.flight
		h.Submit(Submit{Send: send("chat:a")}, out.done("2"))
		g.faults <- fault{}
		synctest.Wait()
		h.appender.late(landed) // as a timer would that fired as its batch landed
		out.none("2")
		g.faults <- fault{}
		synctest.Wait()
		out.want("2", "")
	})
}

// A batch that failed because of one event fails that one alone.
func TestBisect(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, h *Hub, m *model, g gate) {
		out := newOutcomes(t)
		h.Submit(Submit{Send: send("chat:z")}, out.done("first"))
		synctest.Wait()
		names := []string{"a", "b", "bad", "c", "d", "e"}
		for _, name := range names {
			s := send("chat:a")
			if name == "bad" {
				s.Data = poison
			}
			h.Submit(Submit{Send: s}, out.done(name))
		}
		g.open()
		synctest.Wait()
		next := room.Seq(1)
		for _, name := range names {
			if name == "bad" {
				out.want(name, room.CodeBadData)
				continue
			}
			if o := out.want(name, ""); o.Verdict.Seq != next {
				t.Errorf("%s: seq %d, want %d", name, o.Verdict.Seq, next)
			}
			next++
		}
	})
}

// SEND-10: a full queue answers at once, and what it has taken is stored.
func TestOverloaded(t *testing.T) {
	bubble(t, Config{QueueSends: 3}, func(t *testing.T, h *Hub, _ *model, g gate) {
		out := newOutcomes(t)
		h.Submit(Submit{Send: send("chat:a")}, out.done("flying"))
		synctest.Wait()
		for _, name := range []string{"1", "2", "3", "4"} {
			h.Submit(Submit{Send: send("chat:a")}, out.done(name))
		}
		if o := out.want("4", room.CodeOverloaded); o.Err.RetryAfter <= 0 {
			t.Error("overloaded says not when to come back")
		}
		g.faults <- fault{}
		g.faults <- fault{}
		synctest.Wait()
		for _, name := range []string{"flying", "1", "2", "3"} {
			out.want(name, "")
		}
	})
}

// A store that says it did nothing is believed: the batch is refused, not run again.
func TestUnavailable(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, h *Hub, m *model, g gate) {
		out := newOutcomes(t)
		h.Submit(Submit{Send: send("chat:a")}, out.done("1"))
		g.faults <- unavailably
		synctest.Wait()
		out.want("1", room.CodeUnavailable)
		if n := m.appends.Load(); n != 1 {
			t.Errorf("%d appends, want 1", n)
		}
	})
}

// Once an attempt is lost, no refusal of a later one is believed: the lost one may have been stored.
func TestUnknownIsNotRefused(t *testing.T) {
	bubble(t, Config{}, func(t *testing.T, h *Hub, _ *model, g gate) {
		out := newOutcomes(t)
		h.Submit(Submit{Send: send("chat:a")}, out.done("1"))
		g.faults <- lostAfter
		g.faults <- unavailably
		synctest.Wait()
		out.none("1")
		g.faults <- fault{}
		synctest.Wait()
		if o := out.want("1", ""); !o.Verdict.Duplicate {
			t.Errorf("%+v, want the first result", o)
		}
	})
}

// What waits behind an unknown outcome is refused as soon as the store says that it cannot be used, not when it has
// waited for 2 s: none of it was given to the store.
func TestWhatWaitsIsRefusedWithTheStore(t *testing.T) {
	bubble(t, Config{UnknownAfter: time.Hour}, func(t *testing.T, h *Hub, m *model, g gate) {
		out := newOutcomes(t)
		h.Submit(Submit{Send: send("chat:a")}, out.done("1"))
		g.faults <- lostAfter
		h.Submit(Submit{Send: send("chat:a")}, out.done("2"))
		h.Submit(Submit{Send: send("chat:b")}, out.done("3"))
		g.faults <- unavailably
		synctest.Wait()
		out.none("1")
		out.want("2", room.CodeUnavailable)
		out.want("3", room.CodeUnavailable)
		h.Submit(Submit{Send: send("chat:b")}, out.done("4"))
		g.faults <- unavailably
		synctest.Wait()
		out.want("4", room.CodeUnavailable)
		h.Submit(Submit{Send: send("chat:b")}, out.done("5"))
		g.faults <- fault{}
		g.faults <- fault{}
		synctest.Wait()
		out.want("1", "")
		out.want("5", "")
		if a, b := m.headOf("chat:a").Seq, m.headOf("chat:b").Seq; a != 1 || b != 1 {
			t.Errorf("heads %d and %d", a, b)
		}
	})
}

// A tag that is used for another event is refused for good, alone (TAG-4).
func TestTagConflict(t *testing.T) {
	h := newHub(t, Config{Store: newModel()})
	s := send("chat:a")
	if o := submit(h, Submit{Send: s}); o.Err != nil {
		t.Fatal(o.Err)
	}
	s.Data = []byte(`"other"`)
	if o := submit(h, Submit{Send: s}); o.Err == nil || o.Err.Code != room.CodeTagConflict {
		t.Errorf("%+v, want tag_conflict", o)
	}
}

// ACK-1, I1: when a send is acked it is stored, with the seq it was acked with.
func TestAckAfterCommit(t *testing.T) {
	m := newModel()
	m.onAppend = func(context.Context, []room.Send) fault { return fault{} }
	h := newHub(t, Config{Store: m})
	var all sync.WaitGroup
	for range 200 {
		s := send("chat:a")
		all.Add(1)
		h.Submit(Submit{Send: s}, func(o Outcome) {
			defer all.Done()
			m.mu.Lock()
			defer m.mu.Unlock()
			seq := m.log(s.Room).tags[s.Author+"/"+s.Tag.String()]
			if o.Err != nil || seq == 0 || o.Verdict.Seq != seq || o.Verdict.Mark != m.log(s.Room).mark(seq) {
				t.Errorf("acked %+v, stored %d", o, seq)
			}
		})
	}
	all.Wait()
}

// ACK-1, I2: what a reader is given is stored, also where an append fails after all.
func TestPublishAfterCommit(t *testing.T) {
	m := newModel()
	var n int
	m.onAppend = func(context.Context, []room.Send) fault {
		pauseFor(time.Millisecond) // long enough for what was given too early to be seen
		if n++; n%3 == 0 {
			return unavailably
		}
		return fault{}
	}
	h := newHub(t, Config{Store: m})
	r := newReader(t, h, m, wire.WebSocket)
	if err := r.join(t, Join{Room: "chat:a", Replay: -1}); err != nil {
		t.Fatal(err)
	}
	for range 30 {
		if o := submit(h, Submit{Send: send("chat:a")}); o.Err != nil && o.Err.Code != room.CodeUnavailable {
			t.Fatal(o.Err)
		}
	}
	r.waitFor(t, "chat:a", m.headOf("chat:a").Seq)
}

// ACK-8: once a send is acked, a page that is asked for has it, also where the tail missed the append.
func TestAckedIsSeen(t *testing.T) {
	m := newModel()
	h := newHub(t, Config{Store: m})
	if _, err := h.Poll(t.Context(), Join{Room: "chat:a"}, 0); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		m.grow("chat:a", 3) // another node's: the next append of this one does not adjoin
		o := submit(h, Submit{Send: send("chat:a")})
		p, err := h.Poll(t.Context(), Join{Room: "chat:a", Position: room.Position{Seq: o.Verdict.Seq - 1}}, 0)
		if err != nil || p.Count == 0 {
			t.Fatalf("acked %d, then polled %+v, %v", o.Verdict.Seq, p, err)
		}
	}
}
