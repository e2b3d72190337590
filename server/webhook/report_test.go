package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"roomlog/server/room"
	"roomlog/server/store/sqlite"
)

// desk is an app's server that takes reports; it answers at random, or as it is told.
type desk struct {
	t    *testing.T
	http *httptest.Server

	mu      sync.Mutex
	status  func() int
	tries   map[string]int    // by webhook-id
	taken   map[string]string // bodies by webhook-id
	told    []string          // rooms and ids, as they were taken first
	changed chan struct{}
}

func newDesk(t *testing.T) *desk {
	d := &desk{t: t, tries: map[string]int{}, taken: map[string]string{}, changed: make(chan struct{}, 1)}
	d.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the sender was ended
		}
		id := r.Header.Get("webhook-id")
		var unix int64
		_, _ = fmt.Sscan(r.Header.Get("webhook-timestamp"), &unix)
		if want := secret(t).Sign(id, time.Unix(unix, 0), body); r.Header.Get("webhook-signature") != want {
			t.Errorf("MOD-5: signed by %q", r.Header.Get("webhook-signature"))
		}
		w.WriteHeader(d.take(id, string(body)))
		select {
		case d.changed <- struct{}{}:
		default:
		}
	}))
	t.Cleanup(d.http.Close)
	return d
}

func (d *desk) take(id, body string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tries[id]++
	if d.status != nil {
		if status := d.status(); status != 0 {
			return status
		}
	}
	if was, known := d.taken[id]; known && was != body {
		d.t.Errorf("MOD-5: %s was %s and is %s", id, was, body)
	} else if !known {
		var r struct {
			Room string
			ID   int64
		}
		if err := json.Unmarshal([]byte(body), &r); err != nil {
			d.t.Errorf("MOD-5: %v: %s", err, body)
		}
		d.told = append(d.told, fmt.Sprint(r.Room, " ", r.ID))
	}
	d.taken[id] = body
	return 204
}

func (d *desk) until(what string, met func() bool) {
	d.t.Helper()
	deadline := time.After(patience)
	for {
		d.mu.Lock()
		ok := met()
		d.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-d.changed:
		case <-deadline:
			d.mu.Lock()
			defer d.mu.Unlock()
			d.t.Fatalf("never: %s; told %v", what, d.told)
		}
	}
}

func (d *desk) hook(kind string) Hook {
	return Hook{Endpoint: Endpoint{Name: "reports:" + kind, URL: d.http.URL, Secret: secret(d.t), Timeout: patience}, Kinds: []string{kind}, Reports: true}
}

func newReporting(t *testing.T, s *sqlite.Store, hooks ...Hook) *Engine {
	t.Helper()
	return newEngine(t, s, func(c *EngineConfig) { c.Reports = s }, hooks...)
}

// report reports the first events of a room, each by so many.
func report(t *testing.T, s *sqlite.Store, e *Engine, id room.ID, seq room.Seq, users ...string) (all []room.Report) {
	t.Helper()
	for _, user := range users {
		r, _, err := s.PutReport(context.Background(), room.Report{Room: id, Seq: seq, By: user, Reason: "<rude>"}, 1000)
		must(t, err)
		all = append(all, r)
		if e != nil {
			e.Reported(id)
		}
	}
	return all
}

// MOD-5: whatever the app answers at random, each report arrives, in the order of its room, and a try of it is always the same; reports
// of other kinds, and what is stored, are not told.
func TestReportsAreTold(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	s := openStore(t, filepath.Join(t.TempDir(), "roomlog.db"))
	d := newDesk(t)
	fails := 0
	d.status = func() int {
		if rnd.IntN(3) == 0 {
			fails++
			return []int{500, 503, 404, 307, 400}[rnd.IntN(5)]
		}
		return 0
	}
	e := newReporting(t, s, d.hook("chat"))
	const rooms, each = 5, 20
	for i := range rooms {
		say(t, s, e, room.ID(fmt.Sprintf("chat:r%d", i)), 1)
	}
	say(t, s, e, "feed:a", 1)
	report(t, s, e, "feed:a", 1, "u1")
	want := map[string]bool{}
	var first room.Report
	for n := range each {
		for i := range rooms {
			all := report(t, s, e, room.ID(fmt.Sprintf("chat:r%d", i)), 1, fmt.Sprintf("u%d", n))
			want[fmt.Sprint(all[0].Room, " ", all[0].Number)] = true
			if n == 0 && i == 0 {
				first = all[0]
			}
		}
	}
	d.until("every report is told", func() bool { return len(d.told) == rooms*each })
	must(t, e.Stop(context.Background()))
	last := map[string]int64{}
	for _, told := range d.told {
		var id string
		var n int64
		_, err := fmt.Sscan(told, &id, &n)
		must(t, err)
		if !want[told] || n <= last[id] {
			t.Errorf("MOD-5: told %s after %d", told, last[id])
		}
		last[id] = n
	}
	if fails == 0 {
		t.Error("nothing was refused: the test proves nothing")
	}
	body := fmt.Sprintf(`{"type":"report","hook":"reports:chat","room":"chat:r0","id":%d,"seq":1,"by":"u0","reason":"<rude>","at":%q}`,
		first.Number, first.At.Format("2006-01-02T15:04:05.000000Z"))
	found := false
	for _, b := range d.taken {
		found = found || b == body
	}
	if !found {
		t.Errorf("MOD-5: nothing is %s", body)
	}
}

// MOD-5: what was reported while no engine ran, and what another node took and did not tell, is told after the next start, as what was being
// told when an engine was ended; what was resolved meanwhile is not, and what was taken is not told again.
func TestReportsAreToldAfterARestart(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "roomlog.db"))
	d := newDesk(t)
	for i := range 3 {
		say(t, s, nil, room.ID(fmt.Sprintf("chat:r%d", i)), 1)
	}
	taken := report(t, s, nil, "chat:r0", 1, "u1")[0]
	e := newReporting(t, s, d.hook("chat"))
	d.until("the first is told", func() bool { return len(d.told) == 1 })
	d.mu.Lock()
	d.status = func() int { return 500 }
	d.mu.Unlock()
	waits := report(t, s, e, "chat:r0", 1, "u2")[0]
	d.until("the second is tried", func() bool { return len(d.tries) == 2 })
	must(t, e.Stop(context.Background()))
	elsewhere := report(t, s, nil, "chat:r1", 1, "u1")[0]
	resolved := report(t, s, nil, "chat:r2", 1, "u1")[0]
	if _, err := s.DropReport(t.Context(), "chat:r2", resolved.Number); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	d.status = nil
	d.mu.Unlock()
	e = newReporting(t, s, d.hook("chat"))
	d.until("the others are told", func() bool { return len(d.told) == 3 })
	must(t, e.Stop(context.Background()))
	got := map[string]bool{}
	for _, told := range d.told {
		got[told] = true
	}
	for _, r := range []room.Report{taken, waits, elsewhere} {
		if !got[fmt.Sprint(r.Room, " ", r.Number)] {
			t.Errorf("MOD-5: %+v was not told: %v", r, d.told)
		}
	}
	if len(d.tries) != 3 {
		t.Errorf("MOD-5: three reports have %d ids", len(d.tries))
	}
}

// HOOK-12: a hook of reports has no log to be replayed.
func TestReportsAreNotReplayed(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "roomlog.db"))
	e := newReporting(t, s, newDesk(t).hook("chat"))
	say(t, s, e, "chat:a", 1)
	if err := e.Replay(t.Context(), "reports:chat", "chat:a", 0); room.AsError(err).Code != room.CodeNotFound {
		t.Errorf("replayed: %v", err)
	}
}
