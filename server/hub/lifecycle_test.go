package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// BEAT-1, BEAT-3: a connection is pinged every interval, and one that gives no sign of life is ended within
// PingEvery + PongWithin; one that does is not.
func TestKeepalive(t *testing.T) {
	for _, within := range []time.Duration{time.Second, 4 * time.Second, 10 * time.Second, 25 * time.Second} {
		t.Run(within.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := New(Config{Store: newModel(), PingEvery: 10 * time.Second, PongWithin: within})
				h.Start()
				var dead []*reader
				for range 2 * wheelBuckets {
					dead = append(dead, newReader(t, h, newModel(), wire.WebSocket))
				}
				alive := newReader(t, h, newModel(), wire.WebSocket)
				deaf := newReader(t, h, newModel(), wire.EventStream) // a stream cannot answer
				if err := deaf.follow(t, []Join{{Room: "chat:a", Replay: -1}}); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				begun := map[*reader]int{deaf: deaf.peer.count()}
				from := time.Now()
				for now := from; now.Sub(from) < 10*time.Second+within; now = time.Now() {
					if now.Sub(from) < within {
						for _, r := range dead {
							if ended, _ := r.peer.end(); ended {
								t.Fatalf("ended after %v", now.Sub(from))
							}
						}
					}
					alive.conn.Heard()
					time.Sleep(500 * time.Millisecond)
				}
				time.Sleep(time.Second) // a tick
				synctest.Wait()
				for i, r := range dead {
					if ended, why := r.peer.end(); !ended || why == nil || why.Code != room.CodePingTimeout {
						t.Errorf("connection %d: ended %v, %v, want ping_timeout", i, ended, why)
					}
				}
				for _, r := range []*reader{alive, deaf} {
					if ended, why := r.peer.end(); ended {
						t.Errorf("a live connection was ended: %v", why)
					}
					if r.peer.count() == begun[r] {
						t.Error("not pinged")
					}
				}
				stop(t, h)
			})
		})
	}
}

// BEAT-3: a connection that comes between two pings of its place on the wheel is ended as soon after its
// first ping as any other, also where the one before is still to be judged then.
func TestKeepaliveJudgesEachPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const within = 10*time.Second + 500*time.Millisecond // so that a ping is due while another is open
		h := New(Config{Store: newModel(), PingEvery: 10 * time.Second, PongWithin: within})
		h.Start()
		var late []*reader
		for range 4 * wheelBuckets {
			time.Sleep(700 * time.Millisecond)
			late = append(late, newReader(t, h, newModel(), wire.WebSocket))
		}
		time.Sleep(10*time.Second + within + time.Second)
		synctest.Wait()
		for i, r := range late {
			if ended, _ := r.peer.end(); !ended {
				t.Errorf("connection %d has not been heard since it came, and lives", i)
			}
		}
		stop(t, h)
	})
}

// A stream's first bytes are the head of its answer: no keepalive comes before it, however long the store
// takes to place its cursors.
func TestNothingComesBeforeAStreamBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Config{Store: newModel()})
		h.Start()
		r := newReader(t, h, newModel(), wire.EventStream)
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := r.peer.count(); n != 0 {
			t.Errorf("%d frames before the stream began", n)
		}
		stop(t, h)
	})
}

// BEAT-4: a connection with bytes pending is judged by its progress, not by a ping that cannot reach it.
func TestStalledIsNotPinged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := New(Config{Store: newModel()})
		h.Start()
		p := newPeer(wire.WebSocket, nil)
		c, err := h.Attach(p, wire.WebSocket)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Second) // a ping is on its way
		p.give(0)
		c.Reply(make([]byte, 1000))
		time.Sleep(time.Minute)
		if ended, why := p.end(); ended {
			t.Errorf("ended: %v", why)
		}
		p.give(-1)
		c.Heard()
		stop(t, h)
	})
}

// POLL-6: a poll waits for the first event, and not longer than it was asked to.
func TestPollWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel()
		m.grow("chat:a", 3)
		h := New(Config{Store: m})
		h.Start()
		from := time.Now()
		p, err := h.Poll(t.Context(), Join{Room: "chat:a", Position: m.at("chat:a", 3)}, 25*time.Second)
		if took := time.Since(from); err != nil || p.Count != 0 || p.Seq != 3 || took != 25*time.Second {
			t.Errorf("%+v, %v after %v", p, err, took)
		}
		from = time.Now()
		p, err = h.Poll(t.Context(), Join{Room: "chat:a", Position: m.at("chat:a", 3)}, 0)
		if err != nil || p.Count != 0 || time.Since(from) != 0 {
			t.Errorf("without wait: %+v, %v after %v", p, err, time.Since(from))
		}
		time.AfterFunc(7*time.Second, func() { h.Submit(Submit{Send: send("chat:a")}, func(Outcome) {}) })
		from = time.Now()
		p, err = h.Poll(t.Context(), Join{Room: "chat:a", Position: m.at("chat:a", 3)}, 25*time.Second)
		if took := time.Since(from); err != nil || p.Count != 1 || p.Seq != 4 || took != 7*time.Second {
			t.Errorf("%+v, %v after %v, want the event after 7s", p, err, took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		from = time.Now()
		if _, err := h.Poll(ctx, Join{Room: "chat:b"}, 25*time.Second); err != nil || time.Since(from) != time.Second {
			t.Errorf("a poll whose asker left: %v after %v", err, time.Since(from))
		}
		parked := make(chan error, 1)
		go func() {
			_, err := h.Poll(context.Background(), Join{Room: "chat:b"}, time.Hour)
			parked <- err
		}()
		synctest.Wait()
		stop(t, h)
		if err := <-parked; err != nil && room.AsError(err).Code != room.CodeGoingAway {
			t.Errorf("a poll parked at Stop: %v", err)
		}
	})
}

// POLL-5: pages that look back.
func TestHistory(t *testing.T) {
	m := newModel()
	m.grow("chat:a", 50)
	h := newHub(t, Config{Store: m})
	p, err := h.History(t.Context(), room.Query{Room: "chat:a", Anchor: room.Before, Seq: 20, Limit: 5}, 0)
	if err != nil || p.Prev != 14 || p.Seq != 19 || p.Count != 5 || p.Mark != m.at("chat:a", 19).Mark {
		t.Errorf("before 20: %+v, %v", p, err)
	}
	m.onRead = func(context.Context, room.Query) error { return errors.New("disk on fire") }
	_, err = h.History(t.Context(), room.Query{Room: "chat:a", Anchor: room.Before, Seq: 20}, 0)
	if room.AsError(err).Code != room.CodeUnavailable {
		t.Errorf("%v, want unavailable", err)
	}
}

// CLOSE-7: Stop finishes what was taken, takes nothing more, and tells every connection to come back; the
// last acks reach it first.
func TestStopFinishesSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, g := newModel(), newGate()
		m.onAppend = g.wait
		h := New(Config{Store: m})
		h.Start()
		p := newPeer(wire.WebSocket, nil)
		c, err := h.Attach(p, wire.WebSocket)
		if err != nil {
			t.Fatal(err)
		}
		out := newOutcomes(t)
		h.Submit(Submit{Send: send("chat:a"), Conn: c, N: 1}, func(o Outcome) { out.done("1")(o); c.Reply([]byte("ack 1")) })
		synctest.Wait()
		h.Submit(Submit{Send: send("chat:a"), Conn: c, N: 2}, func(o Outcome) { out.done("2")(o); c.Reply([]byte("ack 2")) })
		stopped := make(chan error, 3)
		for range 3 { // idempotent, and by several at once
			go func() { stopped <- h.Stop(context.Background()) }()
		}
		synctest.Wait()
		h.Submit(Submit{Send: send("chat:a")}, out.done("late"))
		out.want("late", room.CodeGoingAway)
		if _, err := h.Attach(newPeer(wire.WebSocket, nil), wire.WebSocket); room.AsError(err).Code != room.CodeGoingAway {
			t.Errorf("attach after Stop: %v", err)
		}
		g.open()
		for range 3 {
			if err := <-stopped; err != nil {
				t.Errorf("stop: %v", err)
			}
		}
		synctest.Wait()
		out.want("1", "")
		out.want("2", "")
		if p.bytes != len("ack 1ack 2") {
			t.Errorf("%d bytes written, want both acks", p.bytes)
		}
		if ended, why := p.end(); !ended || why == nil || why.Code != room.CodeGoingAway {
			t.Errorf("ended %v, %v, want going_away", ended, why)
		}
		c.Detach()
	})
}

// A store that hangs does not hold up Stop for longer than its context. What was in flight is unknown,
// what was queued is not stored, and everyone is told.
func TestStopWithAHungStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, g := newModel(), newGate()
		m.onAppend = g.wait
		h := New(Config{Store: m})
		h.Start()
		out := newOutcomes(t)
		h.Submit(Submit{Send: send("chat:a")}, out.done("flying"))
		synctest.Wait()
		h.Submit(Submit{Send: send("chat:a")}, out.done("queued"))
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		from := time.Now()
		if err := h.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(from) != time.Second {
			t.Errorf("stop: %v after %v", err, time.Since(from))
		}
		out.want("flying", room.CodeOutcomeUnknown)
		out.want("queued", room.CodeGoingAway)
		if n := m.headOf("chat:a").Seq; n != 0 {
			t.Errorf("head %d, want 0", n)
		}
	})
}

// A hub that never started stops as well, and answers what it was given.
func TestStopWithoutStart(t *testing.T) {
	h := New(Config{Store: newModel()})
	out := newOutcomes(t)
	h.Submit(Submit{Send: send("chat:a")}, out.done("1"))
	stop(t, h)
	out.want("1", room.CodeGoingAway)
	h.Start() // harmless
}

// Start, Stop and everything else at once: nothing hangs, nothing leaks, every send is answered once.
func TestStartStopStress(t *testing.T) {
	for i := range 100 {
		m := newModel()
		m.grow("chat:a", 200)
		h := New(Config{Store: m, TailBytes: 1 << 10})
		var all sync.WaitGroup
		for range 2 {
			all.Go(h.Start)
		}
		for k := range 4 {
			all.Go(func() { visit(t, h, m, wire.Framing(k%wire.Framings)) })
		}
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i%5)*100*time.Microsecond)
			defer cancel()
			pauseFor(time.Duration(i%7) * 100 * time.Microsecond)
			_ = h.Stop(ctx)
		})
		all.Wait()
		stop(t, h)
	}
}

// visit attaches, reads, sends and goes, and takes going_away for an answer.
func visit(t *testing.T, h *Hub, m *model, f wire.Framing) {
	c, err := h.Attach(newPeer(f, nil), f)
	if err != nil {
		return
	}
	defer c.Detach()
	j := Join{Room: "chat:a", HasPosition: true, Replay: -1}
	if f == wire.WebSocket {
		err = c.Join(t.Context(), j, func(Joined) []byte { return nil })
	} else {
		err = c.Follow(t.Context(), []Join{j}, func([]Followed) []byte { return nil })
	}
	if err != nil && !room.AsError(err).Retryable() {
		t.Error(err)
	}
	for n := range int64(5) {
		if o := submit(h, Submit{Send: send("chat:a"), Conn: c, N: n + 1}); o.Err != nil && !o.Err.Retryable() {
			t.Error(o.Err)
		}
	}
	_, err = h.Poll(t.Context(), Join{Room: "chat:a", Position: m.at("chat:a", 10)}, time.Millisecond)
	if err != nil && !room.AsError(err).Retryable() {
		t.Error(err)
	}
	h.Stats()
}

// All methods of a connection may be called at once: however joins of one room race, it has one cursor.
func TestConcurrentJoinsOfOneRoom(t *testing.T) {
	m := newModel()
	m.grow("chat:a", 300)
	h := newHub(t, Config{Store: m, TailBytes: 1})
	c, err := h.Attach(newPeer(wire.WebSocket, nil), wire.WebSocket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Detach()
	for range 50 {
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				p := m.at("chat:a", room.Seq(i*50))
				err := c.Join(t.Context(), Join{Room: "chat:a", Position: p, HasPosition: true, Replay: -1}, func(Joined) []byte { return nil })
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := c.Rooms(); n != 1 {
			t.Fatalf("%d cursors: %v", n, c.RoomIDs())
		}
	}
	if !c.Joined("chat:a") || c.Joined("chat:b") || fmt.Sprint(c.RoomIDs()) != "[chat:a]" {
		t.Errorf("joined %v", c.RoomIDs())
	}
}

// CLOSE-7: who waits for the store when the hub stops is told that the server goes away, not that the store is to
// blame; nor is the log.
func TestReadsUnderWayWhenTheHubStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		m := newModel()
		m.onRead = func(ctx context.Context, _ room.Query) error {
			<-ctx.Done()
			return ctx.Err()
		}
		h := New(Config{Store: m, Log: slog.New(slog.NewTextHandler(&said, nil))})
		h.Start()
		answers := make(chan error, 1)
		go func() {
			_, err := h.Poll(t.Context(), Join{Room: "chat:a"}, 0)
			answers <- err
		}()
		synctest.Wait()
		stop(t, h)
		if err := <-answers; room.AsError(err).Code != room.CodeGoingAway {
			t.Errorf("%v, want going_away", err)
		}
		if said.Len() > 0 {
			t.Errorf("the log says %s", &said)
		}
	})
}
