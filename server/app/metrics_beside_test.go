package app

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"roomlog/server/docs"
	"roomlog/server/erasure"
	"roomlog/server/presence"
	"roomlog/server/receipts"
	"roomlog/server/search"
	"roomlog/server/signals"
	"roomlog/server/streams"
)

// filled is a value with a number of its own in every field.
func filled[T any](next *int64) func() T {
	var v T
	of := reflect.ValueOf(&v).Elem()
	for i := range of.NumField() {
		*next *= 2
		switch f := of.Field(i); f.Kind() {
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Uint64:
			f.SetUint(uint64(*next))
		default:
			f.SetInt(*next)
		}
	}
	return func() T { return v }
}

// What the parts beside the log count is shown, each count by one series, and stands in the documentation.
func TestEveryCountBesideTheLogIsShown(t *testing.T) {
	next := int64(1)
	b := besides{
		presence: filled[presence.Stats](&next), signals: filled[signals.Stats](&next), receipts: filled[receipts.Stats](&next),
		streams: filled[streams.Stats](&next), search: filled[search.Stats](&next), erasure: filled[erasure.Stats](&next), docs: filled[docs.Stats](&next),
	}
	shown := make(map[int64]int)
	names := make(map[string]bool)
	name := regexp.MustCompile(`fqName: "(\w+)"`)
	note := func(d *prometheus.Desc, v int64) {
		shown[v]++
		names[name.FindStringSubmatch(d.String())[1]] = true
	}
	b.collect(func(d *prometheus.Desc, v float64) { note(d, int64(v)) }, func(d *prometheus.Desc, v int64, _ ...string) { note(d, v) })

	r := b.receipts()
	shown[r.Loads] += shown[r.Loads-r.Repairs] // by cause: repairs, and the others
	flags := 0
	for _, stats := range []any{b.presence(), b.signals(), r, b.streams(), b.search(), b.erasure(), b.docs()} {
		of := reflect.ValueOf(stats)
		for i := range of.NumField() {
			f := of.Field(i)
			switch {
			case f.Kind() == reflect.Bool:
				flags++
			case f.CanInt() && shown[f.Int()] != 1, f.CanUint() && shown[int64(f.Uint())] != 1:
				t.Errorf("%s.%s is not shown once", of.Type(), of.Type().Field(i).Name)
			}
		}
	}
	if shown[1] != flags {
		t.Errorf("%d of %d flags are shown", shown[1], flags)
	}
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range names {
		if !strings.Contains(string(text), "`"+name+"`") && !strings.Contains(string(text), "`"+name+"{") {
			t.Errorf("docs/operations.md does not tell of %s", name)
		}
	}
}

// What happens in a room beside its log moves what is counted.
func TestMetricsCountWhatHappensBesideTheLog(t *testing.T) {
	a := begin(t, t.TempDir())
	url := a.About().URL
	var made struct{ Token string }
	ask(t, "GET", url+"/v1/dev/token?user=mira", "", "", &made)
	send := func(method, path, body string) {
		t.Helper()
		if status := ask(t, method, url+path, made.Token, body, nil); status > 201 {
			t.Fatalf("%s %s: %d", method, path, status)
		}
	}
	conn, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(url, "http")+"/v1/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	say := func(frame string) {
		t.Helper()
		if err := conn.Write(t.Context(), websocket.MessageText, []byte(frame)); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(op string) { // what comes before it is of no interest here
		t.Helper()
		for heard := ""; heard != op; {
			_, text, err := conn.Read(t.Context())
			var f struct{ Op string }
			if err = errors.Join(err, json.Unmarshal(text, &f)); err != nil || f.Op == "error" {
				t.Fatalf("%s in place of %s: %v", text, op, err)
			}
			heard = f.Op
		}
	}
	say(`{"op":"hello","token":"` + made.Token + `"}`)
	say(`{"op":"join","id":1,"room":"chat:a","present":true,"with":["presence","signals","receipts","parts"]}`)
	hear("presence")
	send("POST", "/v1/rooms/chat:a/events", `{"tag":"0192f0c1-7d1a-7b8e-9a53-0f2b6a4c1d20","type":"message","data":{"text":"one"}}`)
	send("PUT", "/v1/rooms/chat:a/receipt", `{"read":1}`)
	say(`{"op":"signal","room":"chat:a","type":"cursor","data":{"x":1}}`)
	hear("signals")
	send("POST", "/v1/rooms/chat:a/streams", `{"tag":"0192f0c1-7d1a-7b8e-9a53-0f2b6a4c1d21","data":{"text":""}}`)
	send("POST", "/v1/rooms/chat:a/streams/2", `{"offset":0,"text":"grows"}`)
	hear("part")

	var got map[string]float64
	wait := func(name string, least float64) {
		t.Helper()
		look := time.NewTicker(10 * time.Millisecond)
		defer look.Stop()
		for over := time.After(patience); ; {
			if got, _ = scrape(t, url+"/metrics", ""); got[name] >= least {
				return
			}
			select {
			case <-look.C:
			case <-over:
				t.Fatalf("%s is %v", name, got[name])
			}
		}
	}
	wait("roomlog_search_indexed_events_total", 2) // beside the appends
	wait("roomlog_stream_checkpoints_total", 1)
	for name, want := range map[string]float64{
		"roomlog_presence_rooms": 1, "roomlog_presence_connections": 1, "roomlog_presence_stale": 0,
		"roomlog_signals_alive": 1, "roomlog_signals_total": 1,
		"roomlog_receipts_marked_total": 1, "roomlog_receipts_stored_total": 1, "roomlog_receipts_raised_total": 1, "roomlog_receipts_batches_total": 1,
		`roomlog_receipts_reads_total{cause="repair"}`: 0,
		"roomlog_streams_open":                         1, "roomlog_stream_text_bytes": 5, "roomlog_stream_parts_total": 1, "roomlog_stream_behind_total": 0,
		"roomlog_search_indexing": 1, "roomlog_search_failures_total": 0, "roomlog_erasures_total": 0,
	} {
		if v, there := got[name]; !there || v != want {
			t.Errorf("%s is %v (there: %t), want %v", name, v, there, want)
		}
	}
	for _, name := range []string{"roomlog_presence_updates_total", "roomlog_signal_updates_total", `roomlog_receipts_reads_total{cause="open"}`} {
		if got[name] < 1 {
			t.Errorf("%s is %v", name, got[name])
		}
	}
	if _, err := a.eraser.Ask(t.Context(), "mira", "admin", time.Now()); err != nil {
		t.Fatal(err)
	}
	wait("roomlog_erasures_total", 1)
	if got["roomlog_erased_events_total"] != 2 {
		t.Errorf("%v events were erased, want 2", got["roomlog_erased_events_total"])
	}
	if err := lint(a); err != nil {
		t.Error(err)
	}
}
