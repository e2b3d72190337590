package app

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// A gap of the clock beyond the limit is a pause, told once; ticks that are merely late are none.
func TestPausesAreGapsOfTheClock(t *testing.T) {
	var now time.Duration
	var text bytes.Buffer
	p := newPauses(Config{PauseLimit: 5 * time.Second, Log: slog.New(slog.NewTextHandler(&text, nil))}, nil)
	p.clock = func() time.Duration { return now }
	for _, gap := range []time.Duration{250 * time.Millisecond, 5 * time.Second, 20*time.Second + 250*time.Millisecond, time.Second} {
		now += gap
		p.look()
	}
	if n := p.count.Load(); n != 1 {
		t.Errorf("%d pauses counted, want that of 20 s", n)
	}
	if log := text.String(); strings.Count(log, "pause_detected") != 1 || !strings.Contains(log, "ms=20250") {
		t.Error(log)
	}
	if len(p.due) != 1 {
		t.Error("nothing is begun anew")
	}
}

// Whoever begins anew is told of each pause, one after the other, also of one that comes while a store holds it up.
func TestEachPauseBeginsAnew(t *testing.T) {
	var now time.Duration
	begun, goOn := make(chan struct{}), make(chan struct{})
	p := newPauses(Config{PauseLimit: time.Second, Log: slog.New(slog.DiscardHandler)}, func(context.Context) {
		begun <- struct{}{}
		<-goOn
	})
	p.clock = func() time.Duration { return now }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); p.wake(ctx) }()
	pause := func() { now += time.Minute; p.look() }
	pause()
	<-begun
	pause()
	pause() // the one before has not begun: what it begins anew covers both
	goOn <- struct{}{}
	<-begun
	goOn <- struct{}{}
	cancel()
	<-ended
	if n := p.count.Load(); n != 3 {
		t.Errorf("%d pauses counted", n)
	}
}

// The clock goes on, or no pause is ever seen.
func TestUptimeGoesOn(t *testing.T) {
	before, since := uptime(), time.Now()
	for time.Since(since) < 2*time.Millisecond {
	}
	if gap := uptime() - before; gap < 2*time.Millisecond {
		t.Errorf("after 2 ms the clock is %v on", gap)
	}
}
