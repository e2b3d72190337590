package app

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// poll waits for what comes after a position, in the background, and gives the data of it.
func (s *sharedStore) poll(id, after string) <-chan []string {
	token, got := s.token("u1"), make(chan []string, 1)
	go func() {
		var page struct {
			Events []struct{ Data json.RawMessage }
		}
		ask(s.t, "GET", s.url+"/v1/rooms/"+id+"/events?wait=50&after="+after, token, "", &page)
		var data []string
		for _, e := range page.Events {
			data = append(data, string(e.Data))
		}
		got <- data
	}()
	return got
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// What SQL appends comes to those who wait for it and to webhooks; with a poke also where the store's own is lost.
func TestAppendFromSQLIsHeard(t *testing.T) { // SQL-1, SQL-5, SQL-6
	r := newHookReceiver(t)
	s := beginShared(t, Kinds{"chat": {AfterAppend: []AfterConfig{{Name: "search", URL: r.URL + "/after", Secret: hookSecret}}}},
		func(c *Config) { c.WebhookAllow = []string{"127.0.0.0/8"} })
	first := s.byRequest(t, []sent{{"chat:a", "message", "u1", tagNumber(1), `1`}})[0]
	if got := <-r.delivered; !strings.Contains(got, `"seq":1`) {
		t.Errorf("delivered %s", got)
	}
	waiting := s.poll("chat:a", fmt.Sprintf("%s:1", first.Epoch))
	if v := s.bySQL(t, []sent{{"chat:a", "message", "u1", tagNumber(2), `"from SQL"`}})[0]; v.Seq != 2 || v.Epoch != first.Epoch {
		t.Errorf("stored as %+v", v)
	}
	if got := <-waiting; !slices.Equal(got, []string{`"from SQL"`}) {
		t.Errorf("who waited was given %q", got)
	}
	if got := <-r.delivered; !strings.Contains(got, `"data":"from SQL"`) {
		t.Errorf("delivered %s", got)
	}

	waiting = s.poll("chat:a", fmt.Sprintf("%s:2", first.Epoch))
	tx, err := s.connect().Begin(t.Context())
	must(t, err)
	appendBySQL(t, tx, sent{"chat:a", "message", "u1", tagNumber(3), `"unheard"`})
	_, err = tx.Exec(t.Context(), "delete from roomlog.pokes")
	must(t, err)
	must(t, tx.Commit(t.Context()))
	if status := ask(t, "POST", s.url+"/v1/rooms/chat:a/poke", s.token("u1"), "", nil); status != 204 {
		t.Errorf("poke: %d", status)
	}
	if got := <-waiting; !slices.Equal(got, []string{`"unheard"`}) {
		t.Errorf("after a poke who waited was given %q", got)
	}
	if got := <-r.delivered; !strings.Contains(got, `"unheard"`) {
		t.Errorf("delivered %s", got)
	}
}

// Kinds that judge by a schema or a webhook take nothing from SQL, unless they say so; a reload changes that.
func TestKindsThatSQLMayNotAppendTo(t *testing.T) { // SQL-3
	folder := t.TempDir()
	must(t, os.WriteFile(filepath.Join(folder, "form.json"), []byte(`{"type":"object"}`), 0o600))
	form := map[string]string{"message": "form.json", "note": ""}
	r := newHookReceiver(t)
	before := BeforeConfig{URL: r.URL + "/before", Secret: hookSecret}
	kinds := Kinds{
		"form": {Types: form}, "openform": {Types: form, SQL: "allow"}, "asked": {BeforeAppend: before},
		"openasked": {BeforeAppend: before, SQL: "allow"}, "poll": {Types: map[string]string{"message": ""}},
	}
	s := beginShared(t, kinds, func(c *Config) { c.Folder, c.WebhookAllow = folder, []string{"127.0.0.0/8"} })
	check := func(want map[string]string) {
		t.Helper()
		for kind, code := range want {
			if v := s.bySQL(t, []sent{{kind + ":a", "message", "u1", tagNumber(1), `7`}})[0]; v.Code != code {
				t.Errorf("%s: %+v, want %q", kind, v, code)
			}
		}
	}
	check(map[string]string{"form": "forbidden", "openform": "", "asked": "forbidden", "openasked": "", "poll": "", "news": "unknown_room"})
	if v := s.bySQL(t, []sent{{"openform:a", "other", "u1", tagNumber(2), `7`}})[0]; v.Code != "bad_type" {
		t.Errorf("a type that is not taken: %+v", v)
	}
	if n := r.count(); n != 0 {
		t.Errorf("%d were asked about", n)
	}
	next := s.cfg
	next.Kinds = Kinds{"form": {Types: form, SQL: "allow"}, "openform": {Types: form}, "news": {}}
	if _, err := s.app.Reload(next); err != nil {
		t.Fatal(err)
	}
	check(map[string]string{"form": "", "openform": "forbidden", "asked": "unknown_room", "news": ""})
	next.Kinds = Kinds{"form": {SQL: "deny"}}
	if _, err := s.app.Reload(next); err == nil || !strings.Contains(err.Error(), "kinds.form.sql") {
		t.Errorf("a policy that there is not: %v", err)
	}
	check(map[string]string{"news": ""})
}

// TestHeldRoomDelaysNobodyElse: an application's transaction that has appended to one room keeps that room, and no
// other. How long others take meanwhile is reported; that they are answered at all before the transaction ends is the test.
func TestHeldRoomDelaysNobodyElse(t *testing.T) { // SQL-7
	s := beginShared(t, Kinds{"chat": {}})
	const rooms, each = 20, 25
	room := func(i int) string { return fmt.Sprintf("chat:%d", i) }
	s.others(t, rooms, 1, 0) // makes them
	free := s.others(t, rooms, each, 1)
	tx, err := s.connect().Begin(t.Context())
	must(t, err)
	if v := appendBySQL(t, tx, sent{"chat:held", "message", "app", tagNumber(1), `1`}); v.Seq != 1 {
		t.Fatalf("the first: %+v", v)
	}
	// Sends to the held room are under way the whole time: they share batches with the others.
	const behind = 10
	var waiting sync.WaitGroup
	answered := make(chan verdict, behind)
	for n := range behind {
		waiting.Go(func() {
			answered <- s.insist(sent{"chat:held", "message", "u1", tagNumber(10 + n), fmt.Sprint(10 + n)})
		})
	}
	held := s.others(t, rooms, each, 1+each)
	select {
	case v := <-answered:
		t.Errorf("a send to the held room was answered before it was let go: %+v", v)
	default:
	}
	if v := appendBySQL(t, tx, sent{"chat:held", "message", "app", tagNumber(2), `2`}); v.Seq != 2 {
		t.Errorf("the second: %+v", v)
	}
	must(t, tx.Commit(t.Context()))
	waiting.Wait()
	close(answered)
	for v := range answered {
		if v.Seq < 3 || v.Code != "" {
			t.Errorf("after it was let go: %+v", v)
		}
	}
	if data, _ := s.log(t, "chat:held"); len(data) != 2+behind || data[0] != "1" || data[1] != "2" {
		t.Errorf("the held room has %q", data)
	}
	for i := range rooms {
		data, _ := s.log(t, room(i))
		for n, d := range data {
			if d != fmt.Sprint(n) {
				t.Fatalf("%s: event %d is %s", room(i), n+1, d)
			}
		}
		if len(data) != 1+2*each {
			t.Errorf("%s has %d events, want %d", room(i), len(data), 1+2*each)
		}
	}
	t.Logf("acks of %d rooms, p99: %v while no room was held, %v while one was", rooms, p99(free), p99(held))
}

// others sends to rooms that nobody holds, one send per room at a time, and says how long each ack took.
func (s *sharedStore) others(t *testing.T, rooms, each, from int) (took []time.Duration) {
	t.Helper()
	s.token("u1")
	var mu sync.Mutex
	var sending sync.WaitGroup
	for i := range rooms {
		sending.Go(func() {
			for n := range each {
				began := time.Now()
				e := sent{fmt.Sprintf("chat:%d", i), "message", "u1", tagNumber(1000 + from + n), fmt.Sprint(from + n)}
				v := s.byRequest(t, []sent{e})[0]
				if v.Seq != int64(from+n+1) {
					t.Errorf("%s: %+v, want seq %d", e.room, v, from+n+1)
					return
				}
				mu.Lock()
				took = append(took, time.Since(began))
				mu.Unlock()
			}
		})
	}
	sending.Wait()
	return took
}

// insist sends an event until it is stored.
func (s *sharedStore) insist(e sent) (v verdict) {
	for {
		if v = s.byRequest(s.t, []sent{e})[0]; v.Code != "unavailable" && v.Code != "outcome_unknown" {
			return v
		}
	}
}

func p99(took []time.Duration) time.Duration {
	slices.Sort(took)
	return took[len(took)*99/100]
}
