package app

import (
	"context"
	"log/slog"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	rtmetrics "runtime/metrics"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"roomlog/server/room"
)

// stage is how short of memory the server is. Each stage does what those before it do, too.
type stage int32

// The stages, in the order in which things are given up: first what nobody misses, last what somebody
// notices. Signals (typing, cursors) will be the first of all when there are some: they belong into tight.
const (
	calm     stage = iota
	tight          // rooms keep less of their newest events in memory
	closed         // no new connections
	shedding       // the slowest connections are cut
	stages
)

func (s stage) String() string {
	return [stages]string{
		"enough memory", "rooms keep less in memory", "no new connections are taken", "slow connections are cut",
	}[s]
}

// rises is the part of the limit, in per cent, at which a stage begins; it ends easesBy below that, so that
// it does not come and go with each collection.
var rises = [stages]uint64{0, 80, 90, 95}

const (
	easesBy = 10
	// squeezed is the part of their budget that tails have when memory is tight.
	squeezed = 4
	// lookEvery is how often memory is looked at.
	lookEvery = time.Second
	// collectAfter is how many looks may go by without a collection while memory is short: only a collection
	// shows that it is not any more.
	collectAfter = 5
	// comeBackLater is when those who find no place are to try again.
	comeBackLater = 5 * time.Second
)

// pressure watches the memory in use and sheds load before there is none left. Its fields are read
// concurrently; one goroutine looks.
type pressure struct {
	limit   uint64 // 0: there is none, and nothing is watched
	hub     shedder
	log     *slog.Logger
	measure func() (held, collections uint64)
	collect func()

	stage atomic.Int32
	held  atomic.Uint64
	shed  atomic.Int64

	seen  uint64 // collections as of the last look
	stale int    // looks since then
}

// shedder is what can be given up: *hub.Hub.
type shedder interface {
	Squeeze(part int64)
	ShedSlow() int
}

func newPressure(cfg Config, h shedder) *pressure {
	return &pressure{limit: cfg.memoryLimit(), hub: h, log: cfg.Log, measure: measureMemory, collect: runtime.GC}
}

// start tells the runtime of the limit and watches it until stop is called.
func (p *pressure) start() (stop func(context.Context) error) {
	if p.limit == 0 {
		return func(context.Context) error { return nil }
	}
	before := debug.SetMemoryLimit(int64(min(p.limit, math.MaxInt64)))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(lookEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				p.look()
			}
		}
	}()
	return func(context.Context) error {
		cancel()
		<-ended
		debug.SetMemoryLimit(before)
		return nil
	}
}

// look measures once and does what the stage asks for.
func (p *pressure) look() {
	held, collections := p.measure()
	p.held.Store(held)
	fresh := collections != p.seen
	p.seen = collections
	was := stage(p.stage.Load())
	now := p.next(was, held)
	if now != was {
		p.enter(now, was, held)
	}
	switch {
	case now == calm || fresh:
		p.stale = 0
	default:
		if p.stale++; p.stale >= collectAfter {
			p.stale = 0
			p.collect()
		}
	}
	if now == shedding && (fresh || was != shedding) { // what was cut before shows with the next collection
		if n := p.hub.ShedSlow(); n > 0 {
			p.shed.Add(int64(n))
			p.log.Warn("slow connections cut for want of memory", "connections", n)
		}
	}
}

// next is the stage for so much memory held, coming from another.
func (p *pressure) next(was stage, held uint64) stage {
	part := held * 100 / p.limit
	for was+1 < stages && part >= rises[was+1] {
		was++
	}
	for was > calm && part < rises[was]-easesBy {
		was--
	}
	return was
}

func (p *pressure) enter(now, was stage, held uint64) {
	p.stage.Store(int32(now))
	switch {
	case was < tight && now >= tight:
		p.hub.Squeeze(squeezed)
	case was >= tight && now < tight:
		p.hub.Squeeze(1)
	}
	level := slog.LevelInfo
	if now > was {
		level = slog.LevelWarn
	}
	p.log.Log(context.Background(), level, "memory", "stage", now.String(), "was", was.String(), "held", held, "limit", p.limit)
}

// admit says why no new connection is taken at present; nil: they are.
func (p *pressure) admit() *room.Error {
	if stage(p.stage.Load()) < closed {
		return nil
	}
	return &room.Error{
		Code: room.CodeOverloaded, RetryAfter: comeBackLater,
		Title: "This server is short of memory and takes no new connections just now; try again.",
	}
}

// measureMemory is what a collection would not give back, as of the last one, and how many there were. All
// that the process has mapped would be the wrong measure: it comes near the limit whenever the runtime
// takes its time with collecting, which is what a limit is for.
func measureMemory() (held, collections uint64) {
	samples := []rtmetrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/stacks:bytes"},
		{Name: "/memory/classes/os-stacks:bytes"},
		{Name: "/memory/classes/metadata/mcache/inuse:bytes"},
		{Name: "/memory/classes/metadata/mspan/inuse:bytes"},
		{Name: "/memory/classes/metadata/other:bytes"},
		{Name: "/memory/classes/profiling/buckets:bytes"},
		{Name: "/memory/classes/other:bytes"},
		{Name: "/gc/cycles/total:gc-cycles"},
	}
	rtmetrics.Read(samples)
	last := len(samples) - 1
	for _, s := range samples[:last] {
		held += s.Value.Uint64()
	}
	return held, samples[last].Value.Uint64()
}

// memoryLimit is what the server should stay within: what is configured, else what the environment told the
// runtime, else nine tenths of what the container may have; 0: no limit is known.
func (c Config) memoryLimit() uint64 {
	if c.MemoryLimit > 0 {
		return uint64(c.MemoryLimit)
	}
	if told := debug.SetMemoryLimit(-1); told != math.MaxInt64 {
		return uint64(max(told, 0))
	}
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		if text, err := os.ReadFile(file); err == nil {
			return containerShare(string(text))
		}
	}
	return 0
}

// containerShare is nine tenths of the limit that a control group's file names; 0: it names none.
func containerShare(text string) uint64 {
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
	if err != nil || n >= 1<<60 { // "max", or as many pages as there are numbers
		return 0
	}
	return n / 10 * 9
}
