package app

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
)

// feedLog is a hub as figures have it: it notes what it is given, and answers when it is told to.
type feedLog struct {
	mu      sync.Mutex
	watched bool
	sent    []room.Send
	holds   bool
	held    func(hub.Outcome)
}

// with changes what the hub does, or looks at what it was given.
func (l *feedLog) with(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

func (l *feedLog) Watched(room.ID) (watched bool) {
	l.with(func() { watched = l.watched })
	return watched
}

func (l *feedLog) Submit(s hub.Submit, done func(hub.Outcome)) {
	holds := false
	l.with(func() {
		l.sent = append(l.sent, s.Send)
		if holds = l.holds; holds {
			l.held = done
		}
	})
	if !holds {
		done(hub.Outcome{})
	}
}

func (l *feedLog) count() (n int) {
	l.with(func() { n = len(l.sent) })
	return n
}

// The figures are published while somebody follows, and cost a look for a reader while nobody does; one that the store has not
// answered is followed by none.
func TestFiguresArePublishedWhileSomebodyFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &feedLog{}
		var looks atomic.Int64
		f := &figures{
			room: devFeed, hub: l, log: slog.New(slog.DiscardHandler), known: func() bool { return true },
			look: func() reading {
				n := looks.Add(1)
				return reading{cpu: time.Duration(n) * 20 * time.Millisecond, memory: 3 << 20, connections: 2, sends: 5 * n}
			},
		}
		ctx, cancel := context.WithCancel(t.Context())
		go f.run(ctx)
		// The figures are looked at between the ticks.
		after := func(d time.Duration) int {
			before := l.count()
			time.Sleep(d)
			synctest.Wait()
			return l.count() - before
		}
		if n := after(time.Minute + 50*time.Millisecond); n != 0 || looks.Load() != 0 {
			t.Errorf("nobody follows: %d points, %d looks at the figures", n, looks.Load())
		}
		l.with(func() { l.watched = true })
		after(time.Second)
		if n := after(10 * time.Second); n != 100 {
			t.Errorf("%d points in 10 s, want 100", n)
		}
		var point struct {
			T int64
			V map[string]float64
		}
		var last room.Send
		l.with(func() { last = l.sent[len(l.sent)-1] })
		if err := json.Unmarshal(last.Data, &point); err != nil || last.Type != "point" || last.Author != "service:roomlog" || last.Tag == (room.Tag{}) {
			t.Errorf("%+v, %v", last, err)
		}
		// Of 100 ms each look has 20 ms of CPU and 5 sends.
		if v := point.V; v["cpu_percent"] != 20 || v["sends_per_s"] != 50 || v["memory_mib"] != 3 || v["connections"] != 2 || len(v) != 6 {
			t.Errorf("%s", last.Data)
		}
		if age := time.Now().UnixMilli() - point.T; age < 0 || age > 200 {
			t.Errorf("the last point is %d ms old", age)
		}
		l.with(func() { l.holds = true })
		if n := after(5 * time.Second); n != 1 {
			t.Errorf("%d points while the store does not answer, want 1", n)
		}
		var answer func(hub.Outcome)
		l.with(func() { l.holds, answer = false, l.held })
		answer(hub.Outcome{Err: &room.Error{Code: room.CodeUnavailable}})
		if n := after(time.Second); n == 0 {
			t.Error("no points after a refusal")
		}
		l.with(func() { l.watched = false })
		after(feedLinger)
		if n := after(time.Minute); n != 0 {
			t.Errorf("%d points after the last reader went", n)
		}
		cancel()
		synctest.Wait()
	})
}
