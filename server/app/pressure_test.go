package app

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"roomlog/server/room"
)

// shedLog is a shedder that writes down what it is told.
type shedLog struct{ told []string }

func (s *shedLog) Squeeze(part int64) { s.told = append(s.told, fmt.Sprintf("squeeze %d", part)) }
func (s *shedLog) ShedSlow() int      { s.told = append(s.told, "shed"); return 3 }

// Memory that gets short is answered in order: rooms keep less, then nobody new comes in, then the slow are
// cut, once per collection. It is taken back ten points lower, so that nothing comes and goes (I20).
func TestPressureGoesThroughItsStages(t *testing.T) {
	hub, log := &shedLog{}, &bytes.Buffer{}
	var held, collections uint64
	collected := 0
	p := &pressure{
		limit: 1000, hub: hub, log: slog.New(slog.NewTextHandler(log, nil)),
		measure: func() (uint64, uint64) { return held, collections }, collect: func() { collected++ },
	}
	for i, step := range []struct {
		held    uint64
		fresh   bool // there was a collection since
		want    stage
		refuses bool
		told    []string
	}{
		{100, true, calm, false, nil},
		{799, true, calm, false, nil},
		{800, true, tight, false, []string{"squeeze 4"}},
		{750, true, tight, false, nil},
		{900, true, closed, true, nil},
		{810, true, closed, true, nil},
		{960, true, shedding, true, []string{"shed"}},
		{960, false, shedding, true, nil},
		{960, true, shedding, true, []string{"shed"}},
		{855, true, shedding, true, []string{"shed"}},
		{840, true, closed, true, nil},
		{799, true, tight, false, nil},
		{701, true, tight, false, nil},
		{699, true, calm, false, []string{"squeeze 1"}},
		{990, true, shedding, true, []string{"squeeze 4", "shed"}},
		{10, true, calm, false, []string{"squeeze 1"}},
	} {
		if held = step.held; step.fresh {
			collections++
		}
		hub.told = nil
		p.look()
		if got := stage(p.stage.Load()); got != step.want || !slices.Equal(hub.told, step.told) {
			t.Errorf("step %d, %d held: stage %v and %v, want %v and %v", i, step.held, got, hub.told, step.want, step.told)
		}
		refused := p.admit()
		if (refused != nil) != step.refuses {
			t.Errorf("step %d: admit says %v", i, refused)
		}
		if refused != nil && (refused.Code != room.CodeOverloaded || refused.RetryAfter == 0) {
			t.Errorf("step %d: %v", i, refused)
		}
	}
	if n := strings.Count(log.String(), "stage="); n != 8 {
		t.Errorf("%d changes of stage are logged, want 8:\n%s", n, log)
	}
	if p.shed.Load() != 12 || collected != 0 {
		t.Errorf("%d shed, %d collections asked for", p.shed.Load(), collected)
	}
}

// While memory is short and nothing is collected, nothing would show that it is not short any more.
func TestPressureAsksForACollection(t *testing.T) {
	collected := 0
	p := &pressure{
		limit: 1000, hub: &shedLog{}, log: slog.New(slog.DiscardHandler),
		measure: func() (uint64, uint64) { return 950, 1 }, collect: func() { collected++ },
	}
	for range 1 + 2*collectAfter {
		p.look()
	}
	if collected != 2 {
		t.Errorf("%d collections in %d looks, want 2", collected, 1+2*collectAfter)
	}
}

// A server that is short of memory says so where it is asked, and takes nobody new (HTTP-11, LIM-9).
func TestShortOfMemory(t *testing.T) {
	// What it really has would else be looked at meanwhile, where a container has a limit.
	a := beginWith(t, t.TempDir(), func(a *App) { a.pressure.limit = 0 })
	url := a.About().URL
	var made struct{ Token string }
	ask(t, "GET", url+"/v1/dev/token?user=mira", "", "", &made)
	a.pressure.stage.Store(int32(closed))
	var problem struct {
		Code  string
		Retry int `json:"retry_after_ms"`
	}
	if status := ask(t, "GET", url+"/readyz", "", "", &problem); status != http.StatusServiceUnavailable || problem.Code != "overloaded" || problem.Retry == 0 {
		t.Errorf("%d %+v", status, problem)
	}
	if status := ask(t, "GET", url+"/v1/sse?room=chat:a", made.Token, "", &problem); status != http.StatusServiceUnavailable || problem.Code != "overloaded" {
		t.Errorf("%d %+v", status, problem)
	}
	a.pressure.stage.Store(int32(calm))
	if status := ask(t, "GET", url+"/readyz", "", "", nil); status != http.StatusOK {
		t.Errorf("afterwards: %d", status)
	}
}

func TestMemoryLimit(t *testing.T) {
	if got := (Config{MemoryLimit: 1 << 30}).memoryLimit(); got != 1<<30 {
		t.Errorf("configured: %d", got)
	}
	for text, want := range map[string]uint64{"max\n": 0, "1000000000\n": 900_000_000, "9223372036854771712\n": 0, "": 0} {
		if got := containerShare(text); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	before := debug.SetMemoryLimit(-1)
	a, err := New(context.Background(), Config{Dev: true, Listen: "127.0.0.1:0", Data: t.TempDir(), MemoryLimit: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	if got := debug.SetMemoryLimit(-1); got != 1<<30 {
		t.Errorf("the runtime was told %d", got)
	}
	if err := a.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := debug.SetMemoryLimit(-1); got != before {
		t.Errorf("afterwards it is %d, before it was %d", got, before)
	}
	if held, _ := measureMemory(); held < 1<<20 || held > 4<<30 {
		t.Errorf("%d bytes held", held)
	}
}
