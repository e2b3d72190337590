package transport

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/store/sqlite"
	"roomlog/server/transport/auth"
)

// listening is a raw client of a stream.
type listening struct {
	*peer
	head *http.Response
}

// sseEvent is one event of a stream, or a comment.
type sseEvent struct {
	id, name, comment string
	data              map[string]any
	raw               string
}

func (f *fixture) listen(path, token string, header ...string) *listening {
	f.t.Helper()
	text := "GET " + path + " HTTP/1.1\r\nHost: roomlog\r\nAccept: text/event-stream\r\n"
	if token != "" {
		text += "Authorization: Bearer " + token + "\r\n"
	}
	for _, line := range header {
		text += line + "\r\n"
	}
	p := f.dialRaw(text + "\r\n")
	// By hand: the end of the stream is the end of the connection, and the events are to be read raw.
	head := p.response()
	p.br = bufio.NewReader(head.Body)
	return &listening{p, head}
}

// event reads the next event that is not a comment, as a browser would.
func (l *listening) event() sseEvent {
	l.t.Helper()
	for {
		if e := l.any(); e.comment == "" && e.name != "" {
			return e
		}
	}
}

func (l *listening) any() sseEvent {
	l.t.Helper()
	var e sseEvent
	for {
		line, err := l.br.ReadString('\n')
		if err != nil {
			l.t.Fatalf("the stream ended: %v", err)
		}
		e.raw += line
		line = strings.TrimSuffix(line, "\n")
		field, value, _ := strings.Cut(line, ": ")
		switch field {
		case "id":
			e.id = value
		case "event":
			e.name = value
		case "data":
			_, ofSide := hub.ParseSide(e.name)
			bare := e.name == "ready" && e.id == ""                                                                                                     // of a stream without rooms, MEM-12
			if e.data != nil || !bare && (e.id == "") != (e.name == "degraded" || e.name == "me" || e.name == "marked" || e.name == "part" || ofSide) { // NODE-2, SIDE-2, RCPT-4, PART-9
				l.t.Fatalf("data twice, or before its id: %q", e.raw) // SSE-3, SSE-4
			}
			must(l.t, json.Unmarshal([]byte(value), &e.data))
		case "":
			if strings.HasPrefix(line, ":") {
				e.comment = value
				continue
			}
			return e
		case "retry":
		default:
			l.t.Fatalf("the line %q", line)
		}
	}
}

// page expects a page of the span and returns it.
func (l *listening) page(id string, prev, seq float64) sseEvent {
	l.t.Helper()
	e := l.event()
	if e.name != "page" || e.data["room"] != id || e.data["prev"] != prev || e.data["seq"] != seq || len(e.data["events"].([]any)) != int(seq-prev) {
		l.t.Fatalf("got %q, want the page (%v, %v] of %s", e.raw, prev, seq, id)
	}
	return e
}

func TestStream(t *testing.T) {
	f := start(t, options{})
	f.post("u2", "chat:a", 1, `"before"`, 201)
	l := f.listen("/v1/sse?room=chat:a&token="+f.token("u1"), "", "Origin: https://app.example.com") // AUTH-6
	for name, want := range map[string]string{
		"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no",
		"Connection": "close", "Access-Control-Allow-Origin": "https://app.example.com",
	} {
		if got := l.head.Header.Get(name); got != want && !(name == "Connection" && l.head.Close) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if l.head.StatusCode != 200 || l.head.TransferEncoding != nil {
		t.Error(l.head)
	}
	ready := l.event()
	if ready.name != "ready" || ready.data["connection"] == "" || ready.data["secret"] == "" || ready.data["connection"] == ready.data["secret"] { // SSE-2
		t.Error(ready.raw)
	}
	f.post("u2", "chat:a", 2, `"live"`, 201) // SSE-5: it began at the head
	e := l.page("chat:a", 1, 2)
	if e.id != e.data["position"] || !strings.HasPrefix(e.raw, "id: ") { // SSE-4
		t.Error(e.raw)
	}
	f.post("u2", "chat:a", 3, `3`, 201)
	l.page("chat:a", 2, 3)
	_ = l.nc.Close()
	eventually(t, "the hub forgets who hung up", func() bool { return f.hub.Stats().Connections == 0 })

	l = f.listen("/v1/sse?room=chat:a&after=0", f.token("u1"), "Last-Event-ID: "+e.id) // SSE-5, SSE-8
	if ready := l.event(); ready.id != e.id {
		t.Error(ready.raw)
	}
	l.page("chat:a", 2, 3)
	l = f.listen("/v1/sse?room=chat:a&after=0", f.token("u1"))
	l.event()
	l.page("chat:a", 0, 1)
	l.page("chat:a", 1, 2)
}

func TestStreamOfSeveralRooms(t *testing.T) {
	f := start(t, options{})
	f.post("u2", "chat:a", 1, `1`, 201)
	l := f.listen("/v1/sse?room=chat:a&room=chat:b&room=chat:a", f.token("u1"))
	ready := l.event()
	for i := range 3 {
		f.post("u2", "chat:b", i, `1`, 201)
	}
	e := l.page("chat:b", 0, 1)
	if !strings.Contains(e.id, "chat:a=") || !strings.Contains(e.id, ":1:") || !strings.Contains(e.id, "chat:b="+e.data["position"].(string)) { // SSE-4
		t.Errorf("ids %q and %q", ready.id, e.id)
	}
	_ = l.nc.Close()
	f.post("u2", "chat:a", 2, `2`, 201)
	l = f.listen("/v1/sse?room=chat:a&room=chat:b&room=chat:c", f.token("u1"), "Last-Event-ID: "+e.id) // SSE-5: c begins at the head
	if again := l.event(); !strings.HasPrefix(again.id, e.id+",chat:c=") {
		t.Errorf("id %q after %q", again.id, e.id)
	}
	got := map[any]float64{}
	for range 3 {
		p := l.event()
		got[p.data["room"]] += p.data["seq"].(float64) - p.data["prev"].(float64)
	}
	if got["chat:a"] != 1 || got["chat:b"] != 2 {
		t.Error(got)
	}
}

func TestStreamResets(t *testing.T) { // SSE-7
	f := start(t, options{})
	for i := 1; i <= 5; i++ {
		f.post("u2", "chat:a", i, fmt.Sprint(i), 201)
	}
	for at, reason := range map[string]string{"99": "ahead", "other:3": "epoch", "X:1:0000000a": "epoch"} {
		l := f.listen("/v1/sse?room=chat:a", f.token("u1"), "Last-Event-ID: "+at)
		if ready := l.event(); ready.id != at {
			t.Errorf("%s: %q", at, ready.raw)
		}
		r := l.event()
		if r.name != "reset" || r.data["reason"] != reason || r.data["room"] != "chat:a" || r.data["head"] != 5.0 || r.data["floor"] != 1.0 || r.id != r.data["epoch"].(string)+":0" {
			t.Errorf("%s: %q", at, r.raw)
		}
		seq := 0.0
		for seq < 5 {
			e := l.event()
			if e.data["prev"] != seq {
				t.Fatalf("%q after %v", e.raw, seq)
			}
			seq = e.data["seq"].(float64)
		}
	}
}

func TestStreamRefusals(t *testing.T) {
	f := start(t, options{server: func(c *Config) { c.Limits.RoomsPerStream = 2 }})
	token := f.token("u1", auth.Grant{Rooms: "chat:*", Can: []auth.Action{auth.Read}})
	for _, c := range []struct {
		name, query, token string
		header             []string
		status             int
		code               room.Code
	}{
		{"AUTH-6", "?room=chat:a", "", nil, 401, room.CodeUnauthenticated},
		{"AUTH-6", "?room=chat:a&token=x", "", nil, 401, room.CodeUnauthenticated},
		{"no room", "", token, nil, 400, room.CodeBadRequest},
		{"ROOM-1", "?room=chat", token, nil, 400, room.CodeBadRoom},
		{"SSE-1 one of them is not to be read", "?room=chat:a&room=game:a", token, nil, 404, room.CodeUnknownRoom},
		{"SSE-1", "?room=chat:a&room=chat:b&room=chat:c", token, nil, 429, room.CodeLimitExceeded},
		{"SSE-6", "?room=chat:a", token, []string{"Last-Event-ID: abc"}, 400, room.CodeBadPosition},
		{"SSE-6", "?room=chat:a", token, []string{"Last-Event-ID: -1"}, 400, room.CodeBadPosition},
		{"SSE-6", "?room=chat:a", token, []string{"Last-Event-ID: 18446744073709551616"}, 400, room.CodeBadPosition},
		{"SSE-6", "?room=chat:a", token, []string{"Last-Event-ID: " + strings.Repeat("9", 10000)}, 400, room.CodeBadPosition},
		{"SSE-6 one for several", "?room=chat:a&room=chat:b", token, []string{"Last-Event-ID: e:4"}, 400, room.CodeBadPosition},
		{"SSE-6", "?room=chat:a&after=x", token, nil, 400, room.CodeBadPosition},
		{"SSE-6", "?room=chat:a&room=chat:b&after=1", token, nil, 400, room.CodeBadRequest},
		{"SSE-6", "?room=chat:a", token, []string{"Accept: application/json"}, 406, room.CodeNotAcceptable},
		{"SSE-6", "?room=chat:a", token, []string{"Accept: text/event-stream;q=0, application/json"}, 406, room.CodeNotAcceptable},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := f.request("GET", "/v1/sse"+c.query, c.token, "", c.header...)
			if a.status != c.status || a.code() != string(c.code) {
				t.Errorf("%d %s, want %d %s", a.status, a.text, c.status, c.code)
			}
		})
	}
	if f.hub.Stats().Connections != 0 || len(f.srv.quotas.users) != 0 {
		t.Error("a refused stream left something behind")
	}
}

func TestStreamEnds(t *testing.T) {
	t.Parallel()
	f := start(t, options{hub: func(c *hub.Config) { c.PingEvery = 200 * time.Millisecond }})
	ends := f.listen("/v1/sse?room=chat:a", endsIn(t, "u1", 3*time.Second))
	ends.event()
	if e := ends.any(); e.comment != "ping" { // SSE-9
		t.Errorf("%q", e.raw)
	}
	rest, err := io.ReadAll(ends.br) // AUTH-9
	if err != nil || strings.Trim(string(rest), ": ping\n") != "" {
		t.Errorf("%q, %v", rest, err)
	}
	stays := f.listen("/v1/sse?room=chat:a", f.token("u1"))
	stays.event()
	f.stop()
	if _, err := io.ReadAll(stays.br); err != nil {
		t.Error(err)
	}
}

// A store that cannot be read is a problem with its status, also after the connection left net/http.
func TestStreamOfAnUnreadableStore(t *testing.T) { // SSE-1
	f := start(t, options{
		hub:    func(c *hub.Config) { must(t, c.Store.(*sqlite.Store).Close()) },
		server: func(c *Config) { c.Access = nil },
	})
	a := f.request("GET", "/v1/sse?room=chat:a", f.token("u1"), "")
	if a.status != 503 || a.body["retryable"] != true || a.body["request_id"] == "" || a.body["status"] != 503.0 {
		t.Error(a.status, a.text)
	}
}

// CLOSE-10: a stream or a hello that comes while the server stops is told when to come back, as every other client
// is, and the log has nothing to warn of.
func TestWhoComesTooLate(t *testing.T) {
	var said journal
	f := start(t, options{server: func(c *Config) { c.Log = said.logger() }})
	p := f.dial()
	must(t, f.hub.Stop(t.Context()))
	p.sendf(`{"op":"hello","token":%q}`, f.token("u1"))
	if e := p.expectError(room.CodeGoingAway); e["retry_after_ms"] == nil {
		t.Error(e)
	}
	a := f.request("GET", "/v1/sse?room=chat:a", f.token("u1"), "")
	if a.status != http.StatusServiceUnavailable || a.code() != "going_away" {
		t.Fatal(a.status, a.text)
	}
	if wait, _ := a.body["retry_after_ms"].(float64); wait < 1 || a.header.Get("Retry-After") == "" {
		t.Errorf("come back after %v, Retry-After %q", a.body["retry_after_ms"], a.header.Get("Retry-After"))
	}
	if text := said.String(); strings.Contains(text, `"WARN"`) {
		t.Error(text)
	}
}
