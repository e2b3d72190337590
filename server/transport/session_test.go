package transport

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

// command gives a frame to the stream of a ready.
func (f *fixture) command(ready sseEvent, frame string) answer {
	f.t.Helper()
	return f.request("POST", "/v1/connections/"+ready.data["connection"].(string), ready.data["secret"].(string), frame)
}

func sendFrame(id, n int, at string, tag int, data string) string {
	return fmt.Sprintf(`{"op":"send","id":%d,"n":%d,"room":%q,"tag":%q,"type":"message","data":%s}`, id, n, at, tagOf(tag), data)
}

// SESS-1 to SESS-4: a stream takes the frames of a WebSocket, in the order of its sends.
func TestStreamsTakeCommands(t *testing.T) {
	f := start(t, options{})
	l := f.listen("/v1/sse?room=chat:a", f.token("u1"))
	ready := l.event()
	a := f.command(ready, sendFrame(1, 1, "chat:a", 1, `{"text":"hi"}`))
	if a.status != 201 || a.body["op"] != "ack" || a.body["id"] != 1.0 || a.body["seq"] != 1.0 || a.body["duplicate"] != false || a.body["tag"] != tagOf(1) {
		t.Fatal(a.status, a.text)
	}
	if e := l.page("chat:a", 0, 1); !strings.Contains(e.raw, `"author":"u1"`) { // ACK-4
		t.Error(e.raw)
	}
	for _, c := range []struct {
		name, frame string
		status      int
		code        room.Code // "": an ack, or a pong
	}{
		{"a lower n, by its tag", sendFrame(2, 1, "chat:a", 1, `{"text":"hi"}`), 200, ""},
		{"SEND-3", sendFrame(3, 3, "chat:a", 2, `1`), 409, room.CodeOutOfOrder},
		{"the next", sendFrame(4, 2, "chat:a", 2, `1`), 201, ""},
		{"SEND-5: refused for good, which uses up its n", sendFrame(5, 3, "chat:a", 3, `"\u0000"`), 400, room.CodeBadData},
		{"so that the next is taken", sendFrame(6, 4, "chat:a", 4, `1`), 201, ""},
		{"another tag's data", sendFrame(7, 5, "chat:a", 4, `2`), 409, room.CodeTagConflict},
		{"SEND-2", `{"op":"send","id":8,"room":"chat:a"}`, 400, room.CodeBadRequest},
		{"each room has its own", sendFrame(9, 1, "chat:b", 5, `1`), 201, ""},
		{"no room", sendFrame(10, 1, "chat", 6, `1`), 400, room.CodeBadRoom},
		{"ping", `{"op":"ping"}`, 200, ""},
		{"join", `{"op":"join","id":11,"room":"chat:b"}`, 400, room.CodeBadRequest},
		{"leave", `{"op":"leave","id":12,"room":"chat:a"}`, 400, room.CodeBadRequest},
		{"hello", `{"op":"hello","token":"x"}`, 400, room.CodeBadRequest},
		{"ERR-8", `{"op":"fly","id":13}`, 400, room.CodeUnknownOp},
		{"ERR-7", `[]`, 400, room.CodeBadRequest},
	} {
		a := f.command(ready, c.frame)
		op := map[bool]string{true: "error", false: "ack"}[c.code != ""]
		if c.name == "ping" {
			op = "pong"
		}
		if a.status != c.status || a.body["op"] != op || a.code() != string(c.code) || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", c.name, a.status, a.text)
		}
		var asked map[string]any
		if json.Unmarshal([]byte(c.frame), &asked) == nil && asked["id"] != a.body["id"] {
			t.Errorf("%s: id %v answered as %v", c.name, asked["id"], a.body["id"])
		}
	}
	if a := f.command(ready, `{"op":"pong"}`); a.status != 204 || a.text != "" {
		t.Error(a.status, a.text)
	}
	connection := "/v1/connections/" + ready.data["connection"].(string)
	if a := f.request("POST", connection, ready.data["secret"].(string), `{"op":"ping"}`, "Content-Type: text/plain"); a.status != 415 {
		t.Error(a.status, a.text)
	}
	if a := f.request("GET", connection, ready.data["secret"].(string), ""); a.status != 405 {
		t.Error(a.status, a.text)
	}
}

// SESS-2: who does not know name and secret learns nothing, and with the stream its session ends.
func TestStrangersGiveNoCommands(t *testing.T) {
	f := start(t, options{})
	l := f.listen("/v1/sse?room=chat:a", f.token("u1"))
	ready := l.event()
	other := f.listen("/v1/sse?room=chat:a", f.token("u2")).event()
	name, secret := ready.data["connection"].(string), ready.data["secret"].(string)
	var told []string
	for _, c := range [][2]string{
		{name, ""}, {name, "x"}, {name, secret[1:]}, {name, other.data["secret"].(string)}, {name, f.token("u1")},
		{"nobody", secret}, {secret, name}, {secret, secret},
	} {
		a := f.request("POST", "/v1/connections/"+c[0], c[1], `{"op":"ping"}`)
		delete(a.body, "request_id")
		told = append(told, fmt.Sprint(a.status, a.body))
		if a.status != 404 || a.code() != "not_found" {
			t.Error(c, a.status, a.text)
		}
	}
	must(t, l.nc.Close())
	eventually(t, "the session ends", func() bool { return f.command(ready, `{"op":"ping"}`).status == 404 })
	a := f.command(ready, sendFrame(1, 1, "chat:a", 1, `1`))
	delete(a.body, "request_id")
	for _, s := range append(told, fmt.Sprint(a.status, a.body)) {
		if s != told[0] {
			t.Errorf("told apart: %s and %s", s, told[0])
		}
	}
	if a := f.command(other, `{"op":"ping"}`); a.status != 200 {
		t.Error("another stream:", a.text)
	}
}

// SESS-5, AUTH-10: a new token of the same user lets a stream go on; another user's ends it.
func TestStreamsAreRefreshed(t *testing.T) {
	f := start(t, options{})
	read := auth.Grant{Rooms: "chat:*", Can: []auth.Action{auth.Read}}
	refresh := func(token string) string { return fmt.Sprintf(`{"op":"refresh","id":1,"token":%q}`, token) }

	l := f.listen("/v1/sse?room=chat:a", endsIn(t, "u1", 3*time.Second))
	ready := l.event()
	if a := f.command(ready, refresh(expired(t))); a.status != 401 || a.code() != "token_expired" || a.body["op"] != "error" {
		t.Error(a.status, a.text) // and the first stays
	}
	if a := f.command(ready, refresh(f.token("u1", read))); a.status != 204 {
		t.Error(a.status, a.text)
	}
	if a := f.command(ready, sendFrame(2, 1, "chat:a", 1, `1`)); a.status != 403 {
		t.Error("the new grants do not hold:", a.text)
	}
	gone := f.listen("/v1/sse?room=chat:a", endsIn(t, "u1", 3*time.Second)) // as the first would be
	gone.event()
	f.ends(gone)
	f.post("u2", "chat:a", 2, `1`, 201)
	l.page("chat:a", 0, 1)

	for name, token := range map[string]string{"another user": f.token("u2"), "none of the rooms": f.token("u1", auth.Grant{Rooms: "game:*", Can: read.Can})} {
		l := f.listen("/v1/sse?room=chat:a", f.token("u1"))
		a := f.command(l.event(), refresh(token))
		if want := map[string]int{"another user": 401, "none of the rooms": 404}[name]; a.status != want || a.body["op"] != "error" || a.body["id"] != 1.0 {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
		f.ends(l)
	}
}

// ends expects a stream to end without another event.
func (f *fixture) ends(l *listening) {
	f.t.Helper()
	for {
		line, err := l.br.ReadString('\n')
		if err != nil {
			return
		}
		if line != "\n" && !strings.HasPrefix(line, ":") {
			f.t.Errorf("the stream goes on: %q", line)
			return
		}
	}
}

// TICK-4: what a refresh gives a stream holds when its EventSource comes back.
func TestARefreshReachesTheTicket(t *testing.T) {
	f := start(t, options{})
	seconds := f.withClock()
	f.post("u2", "chat:a", 1, `1`, 201)
	path := "/v1/sse?room=chat:a&ticket=" + f.pass(endsIn(t, "u1", 20*time.Minute), "")
	ready := f.opensStream(path).event()
	if a := f.command(ready, fmt.Sprintf(`{"op":"refresh","token":%q}`, f.token("u1"))); a.status != 204 {
		t.Fatal(a.text)
	}
	seconds.Add(30 * 60)
	f.opensStream(path, "Last-Event-ID: "+ready.id).event()
}

// SESS-6: the commands of one stream are bounded, however slow the store is.
func TestCommandsAreBounded(t *testing.T) {
	store := stuck{entered: make(chan struct{}, 10), release: make(chan struct{})}
	f := start(t, options{hub: func(c *hub.Config) {
		store.Store = c.Store
		c.Store, c.UnknownAfter = store, patience
	}})
	ready := f.listen("/v1/sse?room=chat:a", f.token("u1")).event()
	var wait sync.WaitGroup
	for i := range commandsAtOnce {
		wait.Go(func() { f.command(ready, sendFrame(i, 1, fmt.Sprintf("chat:r%d", i), i, `1`)) })
	}
	busy := func() bool {
		a := f.command(ready, `{"op":"ping"}`)
		return a.status == 503 && a.code() == "overloaded" && a.body["retry_after_ms"] != nil
	}
	f.srv.streams.mu.Lock()
	s := f.srv.streams.of[ready.data["connection"].(string)]
	f.srv.streams.mu.Unlock()
	eventually(t, "all of them wait", func() bool { s.state.Lock(); defer s.state.Unlock(); return s.pending == commandsAtOnce })
	if !busy() {
		t.Error("one more is taken")
	}
	close(store.release)
	wait.Wait()
	limited := answer{}
	for range 10 * commandBurst { // a busy machine takes a while for each, and some more are allowed meanwhile
		if limited = f.command(ready, `{"op":"ping"}`); limited.status != 200 {
			break
		}
	}
	if limited.status != 429 || limited.code() != "rate_limited" {
		t.Error(limited.status, limited.text)
	}
	if a := f.command(ready, sendFrame(1, 1, "chat:last", 9, `1`)); a.status != 201 {
		t.Error("sends have a rate of their own:", a.text)
	}
}
