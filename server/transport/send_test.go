package transport

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

// A WebSocket's sends: every refusal has its place in the order.
func TestSendOrder(t *testing.T) {
	f := start(t, options{})
	readOnly := auth.Grant{Rooms: "chat:read*", Can: []auth.Action{auth.Read}}
	both := auth.Grant{Rooms: "chat:x*", Can: []auth.Action{auth.Read, auth.Send}}
	send := func(p *peer, id, n, tag int, room, data string) {
		p.sendf(`{"op":"send","id":%d,"n":%d,"room":%q,"tag":%q,"type":"message","data":%s}`, id, n, room, tagOf(tag), data)
	}
	t.Run("ACK-2 ack, then a lower n by its tag SEND-6", func(t *testing.T) {
		p := f.login("u1", both)
		send(p, 1, 1, 1, "chat:x1", `{"a": 1}`)
		m := p.expect("ack")
		if m["id"] != float64(1) || m["seq"] != float64(1) || m["duplicate"] != false || m["tag"] != tagOf(1) || m["room"] != "chat:x1" {
			t.Error(m)
		}
		send(p, 2, 1, 1, "chat:x1", `{"a": 1}`)
		if m := p.expect("ack"); m["seq"] != float64(1) || m["duplicate"] != true {
			t.Error(m)
		}
		send(p, 3, 1, 2, "chat:x1", `{"a": 2}`)
		if m := p.expectError(room.CodeBadRequest); m["field"] != "n" || m["id"] != float64(3) {
			t.Error(m)
		}
	})
	t.Run("SEND-3 a skipped n", func(t *testing.T) {
		p := f.login("u1", both)
		send(p, 1, 2, 10, "chat:x2", `1`)
		if m := p.expectError(room.CodeOutOfOrder); m["retryable"] != true || m["tag"] != tagOf(10) || m["room"] != "chat:x2" {
			t.Error(m)
		}
		send(p, 2, 1, 11, "chat:x2", `1`)
		p.expect("ack")
		send(p, 3, 2, 10, "chat:x2", `1`)
		if m := p.expect("ack"); m["seq"] != float64(2) {
			t.Error(m)
		}
	})
	t.Run("SEND-5 permanent refusals use their n", func(t *testing.T) {
		p := f.login("u1", both, readOnly)
		n := 0
		for i, c := range []struct {
			frame string
			code  room.Code
		}{
			{`"tag":"nope","type":"message","data":1`, room.CodeBadTag},
			{`"tag":"` + tagOf(20) + `","type":"Message","data":1`, room.CodeBadType},
			{`"tag":"` + tagOf(20) + `","type":"message","data":"\u0000"`, room.CodeBadData},
			{`"tag":"` + tagOf(20) + `","type":"message"`, room.CodeBadData},
			{`"tag":7,"type":"message","data":1`, room.CodeBadRequest},
		} {
			n++
			p.sendf(`{"op":"send","id":%d,"n":%d,"room":"chat:x3",%s}`, i, n, c.frame)
			if m := p.expectError(c.code); m["id"] != float64(i) || m["room"] != "chat:x3" {
				t.Error(m)
			}
		}
		send(p, 9, n+1, 20, "chat:x3", `1`)
		if m := p.expect("ack"); m["seq"] != float64(1) {
			t.Error(m)
		}
		send(p, 10, 1, 21, "chat:read1", `1`)
		p.expectError(room.CodeForbidden) // AUTH-5
		send(p, 11, 3, 22, "chat:read1", `1`)
		p.expectError(room.CodeOutOfOrder)
		send(p, 12, 2, 23, "chat:read1", `1`)
		p.expectError(room.CodeForbidden)
		send(p, 13, 1, 24, "chat:secret", `1`)
		p.expectError(room.CodeUnknownRoom)
		send(p, 14, 1, 24, "no room", `1`)
		p.expectError(room.CodeBadRoom)
	})
	t.Run("SEND-1 SEND-2 without n, and without a join", func(t *testing.T) {
		p := f.login("u1", both)
		p.sendf(`{"op":"send","id":1,"room":"chat:x4","tag":%q,"type":"message","data":1}`, tagOf(30))
		p.expectError(room.CodeBadRequest)
		send(p, 2, 1, 30, "chat:x4", `1`)
		p.expect("ack")
	})
	t.Run("TAG-4 conflict", func(t *testing.T) {
		p := f.login("u1", both)
		send(p, 1, 1, 40, "chat:x5", `1`)
		p.expect("ack")
		send(p, 2, 2, 40, "chat:x5", `2`)
		p.expectError(room.CodeTagConflict)
		send(p, 3, 3, 41, "chat:x5", `3`)
		if m := p.expect("ack"); m["seq"] != float64(2) { // ROOM-5
			t.Error(m)
		}
	})
}

func TestRateLimitHoldsTheOrder(t *testing.T) { // SEND-4, SEND-9
	f := start(t, options{server: func(c *Config) { c.Limits.SendsPerSecond, c.Limits.SendBurst = 0.05, 2 }})
	p := f.login("u1")
	for n := 1; n <= 4; n++ {
		p.sendf(`{"op":"send","id":%d,"n":%d,"room":"chat:a","tag":%q,"type":"message","data":%d}`, n, n, tagOf(n), n)
	}
	answers := map[float64]map[string]any{}
	for range 4 {
		m := p.object()
		answers[m["id"].(float64)] = m
	}
	if answers[1]["op"] != "ack" || answers[2]["op"] != "ack" {
		t.Error(answers[1], answers[2])
	}
	if m := answers[3]; m["code"] != "rate_limited" || m["retry_after_ms"] == nil || m["retryable"] != true {
		t.Error(m)
	}
	if answers[4]["code"] != "out_of_order" {
		t.Error(answers[4])
	}
	a := f.request("POST", "/v1/rooms/chat:a/events", f.token("u1"), `{"tag":"`+tagOf(9)+`","type":"message","data":9}`)
	ms, _ := a.body["retry_after_ms"].(float64)
	if a.status != 429 || a.code() != "rate_limited" || ms <= 1000 || ms > 20_000 || a.header.Get("Retry-After") != fmt.Sprint(math.Ceil(ms/1000)) { // HTTP-5
		t.Error(a)
	}
	if a := f.post("u2", "chat:a", 1, "1", 201); a.body["seq"] != float64(3) {
		t.Error(a) // another user has a rate of their own
	}
}

func TestHTTPSend(t *testing.T) {
	f := start(t, options{})
	a := f.post("u1", "chat:a", 1, `{"b": 1.50, "a":"é"}`, 201) // HTTP-1
	for k, v := range map[string]any{"room": "chat:a", "seq": 1.0, "type": "message", "author": "u1", "tag": tagOf(1)} {
		if a.body[k] != v {
			t.Errorf("%s: %v, want %v", k, a.body[k], v)
		}
	}
	if !strings.HasPrefix(a.text, `{"room":"chat:a","epoch":"`) || !strings.HasSuffix(a.text, `"data":{"b":1.50,"a":"é"}}`) { // DATA-1
		t.Error(a.text)
	}
	again := f.post("u1", "chat:a", 1, `{"b":1.50,"a":"é"}`, 200) // HTTP-2, TAG-3
	if again.body["duplicate"] != true || again.body["seq"] != 1.0 || again.body["at"] != a.body["at"] {
		t.Error(again.text)
	}
	if c := f.post("u1", "chat:a", 1, `2`, 409); c.code() != "tag_conflict" { // TAG-4
		t.Error(c.text)
	}
	if o := f.post("u2", "chat:a", 1, `2`, 201); o.body["seq"] != 2.0 { // TAG-5
		t.Error(o.text)
	}
	good := `{"tag":"` + tagOf(5) + `","type":"message","data":1}`
	reader := f.token("u1", auth.Grant{Rooms: "chat:*", Can: []auth.Action{auth.Read}})
	for _, c := range []struct {
		name, path, token, body string
		status                  int
		code                    room.Code
		header                  []string
	}{
		{"no token", "/v1/rooms/chat:a/events", "", good, 401, room.CodeUnauthenticated, nil},
		{"ROOM-1", "/v1/rooms/chat/events", f.token("u1"), good, 400, room.CodeBadRoom, nil},
		{"ROOM-1 escaped", "/v1/rooms/chat:%00/events", f.token("u1"), good, 400, room.CodeBadRoom, nil},
		{"AUTH-5 unknown", "/v1/rooms/game:a/events", reader, good, 404, room.CodeUnknownRoom, nil},
		{"AUTH-5 forbidden", "/v1/rooms/chat:a/events", reader, good, 403, room.CodeForbidden, nil},
		{"HTTP-3 type", "/v1/rooms/chat:a/events", f.token("u1"), good, 415, room.CodeUnsupportedMediaType, []string{"Content-Type: text/plain"}},
		{"HTTP-3 no type", "/v1/rooms/chat:a/events", f.token("u1"), good, 415, room.CodeUnsupportedMediaType, []string{"Content-Type: "}},
		{"HTTP-3 size", "/v1/rooms/chat:a/events", f.token("u1"), strings.Repeat(" ", 1<<20) + good, 413, room.CodeMessageTooLarge, nil},
		{"DATA-2", "/v1/rooms/chat:a/events", f.token("u1"), `{"tag":"` + tagOf(5) + `","type":"message","data":"` + strings.Repeat("x", 65535) + `"}`, 413, room.CodeMessageTooLarge, nil},
		{"TAG-1", "/v1/rooms/chat:a/events", f.token("u1"), `{"tag":"1","type":"message","data":1}`, 400, room.CodeBadTag, nil},
		{"DATA-4", "/v1/rooms/chat:a/events", f.token("u1"), `{"tag":"` + tagOf(5) + `","data":1}`, 400, room.CodeBadType, nil},
		{"DATA-3", "/v1/rooms/chat:a/events", f.token("u1"), `{"tag":"` + tagOf(5) + `","type":"message"}`, 400, room.CodeBadData, nil},
		{"not JSON", "/v1/rooms/chat:a/events", f.token("u1"), `{`, 400, room.CodeBadRequest, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := f.request("POST", c.path, c.token, c.body, c.header...)
			if a.status != c.status || a.code() != string(c.code) {
				t.Fatalf("%d %s, want %d %s", a.status, a.text, c.status, c.code)
			}
			if a.header.Get("Content-Type") != "application/problem+json" || a.body["type"] != "/errors#"+string(c.code) || // ERR-5
				a.body["request_id"] != a.header.Get("X-Request-Id") || a.body["title"] == "" || a.body["retryable"] != false {
				t.Error(a.header, a.text)
			}
		})
	}
	if a := f.request("POST", "/v1/rooms/chat%3Aa/events", f.token("u1"), good, "Content-Type: application/json; charset=utf-8"); a.status != 201 {
		t.Error(a)
	}
}

// stuck is a store whose appends hang until they are let go.
type stuck struct {
	room.Store
	entered chan struct{}
	release chan struct{}
}

func (s stuck) Append(ctx context.Context, batch []room.Send) (room.Appended, error) {
	s.entered <- struct{}{}
	<-s.release
	return s.Store.Append(ctx, batch)
}

func TestUnknownOutcome(t *testing.T) { // ACK-5, ACK-6
	s := stuck{entered: make(chan struct{}, 10), release: make(chan struct{})}
	f := start(t, options{hub: func(c *hub.Config) {
		s.Store = c.Store
		c.Store, c.UnknownAfter = s, 100*time.Millisecond
	}})
	a := f.post("u1", "chat:a", 1, "1", 503)
	if a.code() != "outcome_unknown" || a.body["retryable"] != true || a.header.Get("Retry-After") == "" {
		t.Error(a.text)
	}
	p := f.login("u1")
	p.sendf(`{"op":"send","id":1,"n":1,"room":"chat:a","tag":%q,"type":"message","data":1}`, tagOf(1))
	p.expectError(room.CodeOutcomeUnknown)
	if a := f.post("u1", "chat:a", 2, "2", 503); a.code() != "unavailable" {
		t.Error(a.text)
	}
	<-s.entered
	close(s.release)
	for { // the same send, again and again, as a client does
		p.sendf(`{"op":"send","id":2,"n":1,"room":"chat:a","tag":%q,"type":"message","data":1}`, tagOf(1))
		if m := p.object(); m["op"] == "ack" {
			if m["seq"] != 1.0 || m["duplicate"] != true {
				t.Error(m)
			}
			return
		} else if m["code"] != "outcome_unknown" && m["code"] != "unavailable" {
			t.Fatal(m)
		}
	}
}

func TestPagesReachWhoJoined(t *testing.T) { // JOIN-1, ACK-4, JOIN-10
	f := start(t, options{})
	p := f.login("u1")
	p.sendf(`{"op":"join","id":7,"room":"chat:a"}`)
	m := p.expect("joined")
	if m["id"] != 7.0 || m["head"] != 0.0 || m["floor"] != 1.0 || m["page"].(map[string]any)["prev"] != 0.0 { // ROOM-4
		t.Error(m)
	}
	f.post("u2", "chat:a", 1, `"one"`, 201)
	m = p.expect("page")
	if m["prev"] != 0.0 || m["seq"] != 1.0 || m["room"] != "chat:a" {
		t.Error(m)
	}
	position := m["position"].(string)
	p.sendf(`{"op":"leave","id":8,"room":"chat:a"}`)
	p.sendf(`{"op":"leave","id":9,"room":"chat:never"}`)
	p.sendf(`{"op":"ping"}`)
	p.expect("pong")
	f.post("u2", "chat:a", 2, `"two"`, 201)
	p.sendf(`{"op":"join","id":10,"room":"chat:a","position":%q}`, position) // JOIN-4
	m = p.expect("joined")
	if m["page"].(map[string]any)["prev"] != 1.0 || m["head"] != 2.0 {
		t.Error(m)
	}
	for _, c := range []struct {
		rest string
		code room.Code
	}{
		{`"room":"Chat:a"`, room.CodeBadRoom},
		{`"room":"chat:a","position":"x:y:z"`, room.CodeBadPosition},
		{`"room":"chat:a","limit":-1`, room.CodeBadRequest},
	} {
		p.sendf(`{"op":"join","id":11,%s}`, c.rest)
		for m := p.object(); ; m = p.object() {
			if m["op"] == "page" {
				continue
			}
			if m["code"] != string(c.code) || m["id"] != 11.0 {
				t.Errorf("%s: %v", c.rest, m)
			}
			break
		}
	}
}

func TestRoomsPerConnection(t *testing.T) { // JOIN-11
	f := start(t, options{server: func(c *Config) { c.Limits.RoomsPerConnection = 2 }})
	p := f.login("u1")
	for i, id := range []string{"chat:a", "chat:b", "chat:a"} {
		p.sendf(`{"op":"join","id":%d,"room":%q}`, i, id)
		p.expect("joined")
	}
	p.sendf(`{"op":"join","id":9,"room":"chat:c"}`)
	if m := p.expectError(room.CodeLimitExceeded); m["limit"] != 2.0 {
		t.Error(m)
	}
	p.sendf(`{"op":"leave","room":"chat:a"}`)
	p.sendf(`{"op":"join","id":10,"room":"chat:c"}`)
	p.expect("joined")
}

func TestStopTellsEveryConnection(t *testing.T) { // CLOSE-7, CLOSE-3
	f := start(t, options{})
	peers := []*peer{f.login("u1"), f.login("u2")}
	stranger := f.dial()
	stranger.sendf(`{"op":"ping"}`)
	stranger.expect("pong") // so that the server has it: the handshake is answered before that
	f.stop()
	for _, p := range append(peers, stranger) {
		if m := p.expectError(room.CodeGoingAway); m["retryable"] != true {
			t.Error(m)
		}
		if reason := p.expectClose(1012); reason != "going_away" {
			t.Errorf("reason %q", reason)
		}
	}
	if a := f.request("GET", "/readyz", "", ""); a.status != 503 {
		t.Error(a.text)
	}
	if a := f.post("u1", "chat:a", 1, "1", 503); a.code() != "going_away" {
		t.Error(a.text)
	}
	if stats := f.hub.Stats(); stats.Connections != 0 {
		t.Errorf("%d connections are left", stats.Connections)
	}
}

func TestPingTimeout(t *testing.T) { // BEAT-1, BEAT-3
	f := start(t, options{hub: func(c *hub.Config) { c.PingEvery, c.PongWithin = 200*time.Millisecond, 200*time.Millisecond }})
	p := f.login("u1")
	if op, payload := p.next(); op != 0x81 || string(payload) != `{"op":"ping"}` {
		t.Fatalf("%#x %s", op, payload)
	}
	if reason := p.expectClose(4001); reason != "ping_timeout" {
		t.Errorf("reason %q", reason)
	}
}
