package transport

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

// eventsOf is the body of a request with several events.
func eventsOf(events ...string) string { return `{"events":[` + strings.Join(events, ",") + `]}` }

func eventOf(tag int, data string) string {
	return fmt.Sprintf(`{"tag":%q,"type":"message","data":%s}`, tagOf(tag), data)
}

// results are the answers to the events of a request.
func (a answer) results(t *testing.T, want int) []map[string]any {
	t.Helper()
	list, _ := a.body["results"].([]any)
	if a.status != 200 || len(list) != want {
		t.Fatalf("status %d %s, want %d results", a.status, a.text, want)
	}
	out := make([]map[string]any, want)
	for i := range list {
		out[i], _ = list[i].(map[string]any)
	}
	return out
}

// Several events in one request: each is answered as it would be alone, and a bad one is the only one that is not stored.
func TestPostEvents(t *testing.T) { // BATCH-1, BATCH-2, BATCH-3
	f := start(t, options{})
	a := f.request("POST", "/v1/rooms/chat:a/events", f.token("u1"), eventsOf(
		eventOf(1, `{"b": 1, "a":[ ]}`), `{"tag":"nope","type":"message","data":1}`, eventOf(2, `2`), eventOf(1, `{"b":1,"a":[]}`), `7`,
		eventOf(1, `3`), eventOf(3, `"\u0000"`), `{"tag":"`+tagOf(4)+`","type":"Message","data":1}`, eventOf(5, `5`)), "X-Request-Id: r1")
	if a.body["room"] != "chat:a" {
		t.Error(a.text)
	}
	results := a.results(t, 9)
	for i, want := range []struct {
		seq       float64
		duplicate bool
		code      room.Code
		status    float64
	}{
		{seq: 1}, {code: room.CodeBadTag, status: 400}, {seq: 2}, {seq: 1, duplicate: true}, {code: room.CodeBadRequest, status: 400},
		{code: room.CodeTagConflict, status: 409}, {code: room.CodeBadData, status: 400}, {code: room.CodeBadType, status: 400}, {seq: 3},
	} {
		got := results[i]
		if want.code != "" {
			if got["code"] != string(want.code) || got["status"] != want.status || got["request_id"] != "r1" || got["type"] != "/errors#"+string(want.code) {
				t.Errorf("event %d: %v, want %s", i, got, want.code)
			}
			continue
		}
		_, duplicate := got["duplicate"]
		if got["seq"] != want.seq || duplicate != want.duplicate || got["room"] != "chat:a" || got["epoch"] == nil || got["author"] != "u1" {
			t.Errorf("event %d: %v, want seq %v", i, got, want.seq)
		}
	}
	if !strings.Contains(a.text, `"data":{"b":1,"a":[]}`) {
		t.Errorf("data is not as it was sent: %s", a.text)
	}
	for body, code := range map[string]room.Code{
		eventsOf():          room.CodeBadRequest,
		`{"events":7}`:      room.CodeBadRequest,
		eventsOf(`1,`):      room.CodeBadRequest,
		eventsOf(many(101)): room.CodeBadRequest,
	} {
		if a := f.request("POST", "/v1/rooms/chat:a/events", f.token("u1"), body); a.code() != string(code) {
			t.Errorf("%.40s: %d %s", body, a.status, a.text)
		}
	}
	for i, r := range f.request("POST", "/v1/rooms/chat:b/events", f.token("u1"), eventsOf(many(100))).results(t, 100) {
		if r["seq"] != float64(i+1) {
			t.Fatalf("event %d has %v", i, r)
		}
	}
	readOnly := auth.Grant{Rooms: "chat:a", Can: []auth.Action{auth.Read}}
	if a := f.request("POST", "/v1/rooms/chat:a/events", f.token("u2", readOnly), eventsOf(eventOf(1, `1`))); a.code() != string(room.CodeForbidden) {
		t.Errorf("without the grant to send: %s", a.text)
	}
}

// many are events with the tags 1 to n.
func many(n int) string {
	events := make([]string, n)
	for i := range events {
		events[i] = eventOf(i+1, fmt.Sprint(i))
	}
	return strings.Join(events, ",")
}

// Each event of a request counts as a send.
func TestPostEventsAreCounted(t *testing.T) { // BATCH-4
	f := start(t, options{server: func(c *Config) { c.Limits.SendsPerSecond, c.Limits.SendBurst = 0.01, 3 }})
	results := f.request("POST", "/v1/rooms/chat:a/events", f.token("u1"), eventsOf(eventOf(1, `1`), `7`, eventOf(2, `2`), eventOf(3, `3`))).results(t, 4)
	if results[0]["seq"] != float64(1) || results[1]["code"] != "bad_request" || results[2]["seq"] != float64(2) ||
		results[3]["code"] != "rate_limited" || results[3]["retry_after_ms"] == nil {
		t.Errorf("%v", results)
	}
	if a := f.request("POST", "/v1/rooms/chat:a/events", f.token("u1"), eventsOf(eventOf(4, `4`))); a.status != 429 {
		t.Errorf("the next request: %d %s", a.status, a.text)
	}
	f = start(t, options{server: func(c *Config) { c.Limits.RoomSendsPerSecond, c.Limits.RoomSendBurst = 0.01, 1 }})
	results = f.request("POST", "/v1/rooms/chat:a/events", f.token("u1"), eventsOf(eventOf(1, `1`), eventOf(2, `2`))).results(t, 2)
	if results[0]["seq"] != float64(1) || results[1]["code"] != "rate_limited" || results[1]["field"] != "room" {
		t.Errorf("of a room: %v", results)
	}
}

// gateFunc is a gate that a test writes.
type gateFunc func(s room.Send) (room.Send, *room.Error)

func (g gateFunc) Ask(_ context.Context, s room.Send, _ func(string, []byte) ([]byte, error)) (room.Send, *room.Error) {
	return g(s)
}

// What is put to an app keeps its place in the request.
func TestPostEventsKeepTheirOrderBehindAGate(t *testing.T) { // BATCH-2
	var mu sync.Mutex
	var asked []string
	gate := gateFunc(func(s room.Send) (room.Send, *room.Error) {
		mu.Lock()
		asked = append(asked, string(s.Data))
		mu.Unlock()
		if string(s.Data) == "2" {
			return s, &room.Error{Code: room.CodeRefused, Title: "No twos."}
		}
		s.Sent = s.AsSent()
		s.Data = []byte("-" + string(s.Data))
		return s, nil
	})
	f := start(t, options{server: func(c *Config) {
		c.Kinds = room.NewKinds(map[string]room.Policy{"chat": {Before: gate}})
	}})
	results := f.request("POST", "/v1/rooms/chat:a/events", f.token("u1"), eventsOf(eventOf(1, `1`), eventOf(2, `2`), eventOf(3, `3`))).results(t, 3)
	if results[0]["data"] != float64(-1) || results[1]["code"] != "refused" || results[2]["data"] != float64(-3) || results[2]["seq"] != float64(2) {
		t.Errorf("%v", results)
	}
	if fmt.Sprint(asked) != "[1 2 3]" {
		t.Errorf("asked about %v", asked)
	}
}

func TestPoke(t *testing.T) { // SQL-6
	var poked []room.ID
	down := false
	f := start(t, options{server: func(c *Config) {
		c.Kinds = room.NewKinds(map[string]room.Policy{"chat": {}})
		c.Limits.ReadsPerSecond, c.Limits.ReadBurst = 0.01, 6
		c.Poke = func(_ context.Context, id room.ID) error {
			if poked = append(poked, id); down {
				return &room.Error{Code: room.CodeUnavailable, Title: "Down."}
			}
			return nil
		}
	}})
	grant := func(can ...auth.Action) string { return f.token("u1", auth.Grant{Rooms: "chat:a*", Can: can}) }
	if a := f.request("POST", "/v1/rooms/chat:a/poke", grant(auth.Read, auth.Send), ""); a.status != 204 || a.text != "" {
		t.Errorf("%d %s", a.status, a.text)
	}
	for _, c := range []struct {
		token, room string
		code        room.Code
	}{
		{"", "chat:a", room.CodeUnauthenticated}, {grant(auth.Read), "chat:a", room.CodeForbidden},
		{grant(auth.Read, auth.Send), "chat:secret", room.CodeUnknownRoom}, {grant(auth.Send), "chat:a", room.CodeUnknownRoom},
		{f.token("u1"), "news:a", room.CodeUnknownRoom},
	} {
		if a := f.request("POST", "/v1/rooms/"+c.room+"/poke", c.token, ""); a.code() != string(c.code) {
			t.Errorf("%s: %d %s, want %s", c.room, a.status, a.text, c.code)
		}
	}
	if down = true; len(poked) != 1 || poked[0] != "chat:a" {
		t.Errorf("poked %v", poked)
	}
	if a := f.request("POST", "/v1/rooms/chat:a/poke", grant(auth.Read, auth.Send), ""); a.status != 503 {
		t.Errorf("%d %s", a.status, a.text)
	}
	if a := f.request("POST", "/v1/rooms/chat:a/poke", grant(auth.Read, auth.Send), ""); a.status != 429 { // LIM-4
		t.Errorf("%d %s", a.status, a.text)
	}
}
