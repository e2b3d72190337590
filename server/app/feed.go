package app

import (
	"context"
	"encoding/json"
	"log/slog"
	"math"
	rtmetrics "runtime/metrics"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"roomlog/server/hub"
	"roomlog/server/room"
)

// devFeed is the room of a dev server's figures.
const devFeed room.ID = "feed:server"

const (
	// noFeed is the value of Config.ServerFeed that says that there is none.
	noFeed = "none"
	// feedAuthor cannot be a user's name (rule AUTH-2).
	feedAuthor = "service:roomlog"

	// feedEvery is between two points.
	feedEvery = 100 * time.Millisecond
	// feedLook is between two looks for a reader while there is none: that, and nothing else, is what an unread feed costs.
	feedLook = 500 * time.Millisecond
	// feedLinger outlasts the moment between two polls of one reader.
	feedLinger = 2 * time.Second
	// feedSpan is how many intervals a rate is taken over: of a tenth of a second alone it would jump.
	feedSpan = 10
)

// serverFeed is the room of the server's own figures; "": there is none.
func (c Config) serverFeed() room.ID {
	switch _, feeds := c.Kinds[devFeed.Kind()]; {
	case c.ServerFeed == noFeed:
		return ""
	case c.ServerFeed != "":
		return room.ID(c.ServerFeed)
	case c.Dev && (len(c.Kinds) == 0 || feeds):
		return devFeed
	}
	return ""
}

func (c Config) validateFeed() error {
	id := c.serverFeed()
	if id == "" {
		return nil
	}
	if _, err := room.ParseID(string(id)); err != nil {
		return configErrorf("--server-feed is a room such as %s, or %s, not %q", devFeed, noFeed, c.ServerFeed)
	}
	if _, known := room.NewKinds(c.policies()).Policy(id.Kind()); !known {
		return configErrorf("--server-feed: there is no kind %s; --kinds declares it", id.Kind())
	}
	return nil
}

// startFeed begins to publish the server's figures, where it is to.
func (a *App) startFeed() (stop func(context.Context) error) {
	id := a.cfg.serverFeed()
	if id == "" {
		return func(context.Context) error { return nil }
	}
	f := &figures{
		room: id, hub: a.hub, log: a.cfg.Log, look: a.look,
		known: func() bool { _, known := a.kinds.Policy(id.Kind()); return known },
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.run(ctx)
	}()
	return func(context.Context) error {
		cancel()
		<-ended
		return nil
	}
}

// figures publishes what the server sees of itself to a room, as long as somebody on this node follows it. One goroutine runs it.
type figures struct {
	room  room.ID
	hub   feedHub
	log   *slog.Logger
	look  func() reading
	known func() bool // whether the kind of the room is declared

	seen   time.Time // when somebody last followed
	before []reading // the last feedSpan, the oldest first
	flying atomic.Bool
}

// feedHub is what figures need of *hub.Hub.
type feedHub interface {
	Watched(id room.ID) bool
	Submit(s hub.Submit, done func(hub.Outcome))
}

func (f *figures) run(ctx context.Context) {
	timer := time.NewTimer(feedLook)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-timer.C:
			if !f.watched(now) {
				f.before = nil
				timer.Reset(feedLook)
				continue
			}
			f.publish(now)
			timer.Reset(feedEvery - time.Since(now))
		}
	}
}

func (f *figures) watched(now time.Time) bool {
	if f.known() && f.hub.Watched(f.room) {
		f.seen = now
	}
	return now.Sub(f.seen) < feedLinger
}

// publish stores one point. While the one before it is under way there is none: a figure is worth nothing later, so nothing waits and
// nothing is sent again.
func (f *figures) publish(now time.Time) {
	at := f.look()
	at.at = now
	if f.before = append(f.before, at); len(f.before) > feedSpan+1 {
		f.before = f.before[1:]
	}
	if len(f.before) < 2 || !f.flying.CompareAndSwap(false, true) {
		return
	}
	f.hub.Submit(hub.Submit{Send: pointOf(f.room, now, at.since(f.before[0]))}, func(o hub.Outcome) {
		f.flying.Store(false)
		if o.Err != nil {
			f.log.Debug("a point of the server's feed was not stored", "room", f.room, "code", o.Err.Code)
		}
	})
}

// pointOf is a point as docs/feeds.md has it.
func pointOf(id room.ID, at time.Time, values map[string]float64) room.Send {
	data, _ := json.Marshal(struct { // finite numbers always marshal
		T int64              `json:"t"`
		V map[string]float64 `json:"v"`
	}{at.UnixMilli(), values})
	tag := uuid.Must(uuid.NewV7()) // tags that are near each other cost an index least
	return room.Send{Room: id, Author: feedAuthor, Tag: room.Tag(tag), Type: "point", Data: data}
}

// reading is what counters and gauges stand at.
type reading struct {
	at              time.Time
	cpu             time.Duration
	memory, written int64 // bytes
	connections     int
	sends, batches  int64
	appending       float64 // seconds in all batches
}

// since are the figures of the stretch between two readings.
func (r reading) since(b reading) map[string]float64 {
	seconds := max(r.at.Sub(b.at).Seconds(), feedEvery.Seconds()/2)
	return map[string]float64{
		"cpu_percent":       rounded(100 * (r.cpu - b.cpu).Seconds() / seconds),
		"memory_mib":        rounded(float64(r.memory) / (1 << 20)),
		"connections":       float64(r.connections),
		"sends_per_s":       rounded(float64(r.sends-b.sends) / seconds),
		"written_kib_per_s": rounded(float64(r.written-b.written) / 1024 / seconds),
		"append_ms":         rounded(1000 * (r.appending - b.appending) / float64(max(r.batches-b.batches, 1))),
	}
}

func rounded(v float64) float64 { return math.Round(max(v, 0)*1000) / 1000 }

// look reads what /metrics shows too, of which nothing costs more for many rooms or connections.
func (a *App) look() reading {
	s := a.hub.Stats()
	sample := []rtmetrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	rtmetrics.Read(sample)
	var batches int64
	for _, n := range s.Append.Counts {
		batches += n
	}
	return reading{
		cpu: processCPU(), memory: int64(sample[0].Value.Uint64()), written: s.Written, connections: s.Connections,
		sends: s.Sends, batches: batches, appending: s.Append.Sum,
	}
}
