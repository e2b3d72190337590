package transport

import (
	"fmt"
	"testing"
	"time"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

func seqs(a answer) (out []float64) {
	for _, e := range a.body["events"].([]any) {
		out = append(out, e.(map[string]any)["seq"].(float64))
	}
	return out
}

func TestPoll(t *testing.T) {
	f := start(t, options{})
	token := f.token("u1", auth.Grant{Rooms: "chat:*", Can: []auth.Action{auth.Read}})
	for i := 1; i <= 12; i++ {
		f.post("u2", "chat:a", i, fmt.Sprint(i), 201)
	}
	get := func(query string) answer { return f.request("GET", "/v1/rooms/chat:a/events"+query, token, "") }
	all := get("")
	epoch := all.body["epoch"].(string)
	for _, c := range []struct {
		name, query string
		prev, seq   float64
	}{
		{"POLL-1 none is after=0", "", 0, 12},
		{"POS-1", "?after=0", 0, 12},
		{"POLL-4", "?after=10", 10, 12},
		{"POLL-3", "?after=" + epoch + ":3&limit=4", 3, 7},
		{"POLL-3 more than the most", "?limit=100000000000", 0, 12},
		{"POLL-3 more than any integer", "?limit=99999999999999999999999", 0, 12},
		{"POLL-6 nothing new", "?after=12", 12, 12},
		{"POLL-5 before", "?before=9&limit=3", 5, 8},
		{"POLL-5 before the beginning", "?before=1", 0, 0},
		{"POLL-5 before all", "?before=9007199254740991&limit=2", 10, 12},
		{"POLL-5 around", "?around=6&limit=5", 3, 8},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := get(c.query)
			if a.status != 200 || a.body["prev"] != c.prev || a.body["seq"] != c.seq || a.body["head"] != 12.0 || a.body["floor"] != 1.0 || a.body["room"] != "chat:a" {
				t.Fatalf("%d %s, want (%v, %v]", a.status, a.text, c.prev, c.seq)
			}
			got := seqs(a)
			if len(got) != int(c.seq-c.prev) { // PAGE-2
				t.Fatalf("events %v", got)
			}
			for i, s := range got {
				if s != c.prev+1+float64(i) {
					t.Fatalf("events %v", got)
				}
			}
		})
	}
	if a := f.request("GET", "/v1/rooms/chat:a/events?after="+all.body["position"].(string), token, ""); a.status != 200 || len(seqs(a)) != 0 {
		t.Errorf("the position of the page is not one to go on from: %s", a.text)
	}
	empty := f.request("GET", "/v1/rooms/chat:nobody/events", token, "") // ROOM-4
	if empty.status != 200 || empty.body["head"] != 0.0 || empty.body["floor"] != 1.0 || empty.body["position"] != empty.body["epoch"].(string)+":0" {
		t.Error(empty.text)
	}
	for _, c := range []struct {
		query  string
		status int
		code   room.Code
		reason room.ResetReason
	}{
		{"?after=1&before=2", 400, room.CodeBadRequest, ""},
		{"?after=1&after=1", 400, room.CodeBadRequest, ""},
		{"?before=-1", 400, room.CodeBadPosition, ""},
		{"?after=-1", 400, room.CodeBadPosition, ""},
		{"?after=", 400, room.CodeBadPosition, ""},
		{"?after=1e3", 400, room.CodeBadPosition, ""},
		{"?after=18446744073709551616", 400, room.CodeBadPosition, ""},
		{"?limit=0", 400, room.CodeBadRequest, ""},
		{"?limit=-1", 400, room.CodeBadRequest, ""},
		{"?limit=x", 400, room.CodeBadRequest, ""},
		{"?wait=-1", 400, room.CodeBadRequest, ""},
		{"?after=%zz", 400, room.CodeBadRequest, ""},
		{"?after=99", 410, room.CodeReset, room.ResetAhead}, // RESET-5, RESET-4
		{"?after=other:3", 410, room.CodeReset, room.ResetEpoch},
		{"?after=" + epoch + ":3:00000001", 410, room.CodeReset, room.ResetDiverged},
	} {
		a := get(c.query)
		if a.status != c.status || a.code() != string(c.code) {
			t.Errorf("%s: %d %s", c.query, a.status, a.text)
			continue
		}
		if c.reason != "" && (a.body["reason"] != string(c.reason) || a.body["epoch"] != epoch || a.body["floor"] != 1.0 || a.body["head"] != 12.0) {
			t.Errorf("%s: %s", c.query, a.text)
		}
	}
}

func TestLongPoll(t *testing.T) { // POLL-6
	t.Parallel()
	f := start(t, options{})
	token := f.token("u1")
	got := make(chan answer, 1)
	go func() { got <- f.request("GET", "/v1/rooms/chat:a/events?after=0&wait=55", token, "") }()
	eventually(t, "the poll takes a place", func() bool {
		f.srv.quotas.mu.Lock()
		defer f.srv.quotas.mu.Unlock()
		return f.srv.quotas.users["u1"] == 1 // HTTP-9
	})
	f.post("u2", "chat:a", 1, `1`, 201)
	if a := <-got; a.status != 200 || len(seqs(a)) != 1 {
		t.Error(a.text)
	}
	begun := time.Now()
	if a := f.request("GET", "/v1/rooms/chat:a/events?after=1&wait=1", token, ""); a.status != 200 || len(seqs(a)) != 0 || a.body["seq"] != 1.0 {
		t.Error(a.text)
	}
	if waited := time.Since(begun); waited < time.Second {
		t.Errorf("answered after %v", waited)
	}
	// A token that ends meanwhile ends the wait.
	begun = time.Now()
	f.request("GET", "/v1/rooms/chat:a/events?after=1&wait=50", endsIn(t, "u1", 3*time.Second), "")
	if waited := time.Since(begun); waited > 40*time.Second {
		t.Errorf("answered after %v, and the token had ended after three seconds", waited)
	}
	go func() { got <- f.request("GET", "/v1/rooms/chat:a/events?after=1&wait=55", token, "") }()
	eventually(t, "the poll takes a place", func() bool {
		f.srv.quotas.mu.Lock()
		defer f.srv.quotas.mu.Unlock()
		return f.srv.quotas.users["u1"] == 1
	})
	f.stop()
	if a := <-got; a.status != 200 && a.status != 503 {
		t.Error(a.text)
	}
}

func TestConnectionLimits(t *testing.T) { // HTTP-9
	f := start(t, options{server: func(c *Config) { c.Limits.ConnectionsPerUser, c.Limits.ConnectionsPerAddress = 2, 4 }})
	first, _ := f.login("u1"), f.login("u1")
	third := f.dial()
	third.sendf(`{"op":"hello","token":%q}`, f.token("u1"))
	third.expectError(room.CodeLimitExceeded)
	third.expectClose(4002)
	if a := f.request("GET", "/v1/sse?room=chat:a", f.token("u1"), ""); a.status != 429 || a.code() != "limit_exceeded" || a.body["field"] != "user" {
		t.Error(a.text)
	}
	if a := f.request("GET", "/v1/rooms/chat:a/events?wait=1", f.token("u1"), ""); a.status != 429 {
		t.Error(a.text)
	}
	if a := f.request("GET", "/v1/rooms/chat:a/events", f.token("u1"), ""); a.status != 200 {
		t.Error(a.text) // it does not wait, and takes no place
	}
	f.login("u2")
	eventually(t, "the third has left", func() bool {
		f.srv.quotas.mu.Lock()
		defer f.srv.quotas.mu.Unlock()
		return f.srv.quotas.users["u1"] == 2 && f.srv.quotas.strangers.all == 0
	})
	f.login("u3")
	if resp := f.dialRaw(handshake + "\r\n").response(); resp.StatusCode != 429 {
		t.Error(resp.Status)
	}
	first.write(frame(0x88, nil))
	first.expectClose(1000)
	_ = first.nc.Close()
	eventually(t, "a place is free again", func() bool {
		return f.dialRaw(handshake+"\r\n").response().StatusCode == 101
	})
}

func TestStrangersAreBounded(t *testing.T) {
	f := start(t, options{server: func(c *Config) { c.Limits.Unauthenticated = 1 }})
	p := f.dial()
	resp := f.dialRaw(handshake + "\r\n").response()
	if body := decode(t, resp); resp.StatusCode != 503 || body["code"] != "overloaded" || resp.Header.Get("Retry-After") != "1" {
		t.Error(body)
	}
	p.sendf(`{"op":"hello","token":%q}`, f.token("u1"))
	p.expect("welcome")
	f.dial()
}

func TestRoutes(t *testing.T) {
	f := start(t, options{server: func(c *Config) {
		c.Errors = []byte(`{"codes":[{"code":"bad_room","title":"A <b>","cause":"C","cure":"D","status":400,"close":null,"retryable":false}]}`)
		c.Kinds = room.NewKinds(map[string]room.Policy{"chat": {}})
	}})
	for _, c := range []struct {
		name, method, path string
		status             int
		code, allow        string
	}{
		{"HTTP-6", "GET", "/nothing", 404, "not_found", ""},
		{"HTTP-6", "GET", "/v1/nothing", 404, "not_found", ""},
		{"HTTP-6 dotted", "GET", "/v1/../healthz", 404, "not_found", ""},
		{"HTTP-6 empty", "GET", "//healthz", 404, "not_found", ""},
		{"HTTP-6 no room", "GET", "/v1/rooms//events", 404, "not_found", ""},
		{"HTTP-6", "DELETE", "/v1/rooms/chat:a/events", 405, "method_not_allowed", "GET, OPTIONS, POST"},
		{"HTTP-6", "POST", "/v1/ws", 405, "method_not_allowed", "GET, OPTIONS"},
		{"HTTP-6", "POST", "/v1/sse", 405, "method_not_allowed", "GET, OPTIONS"},
		{"HTTP-6", "PUT", "/healthz", 405, "method_not_allowed", "GET, HEAD, OPTIONS"},
		{"HTTP-8", "GET", "/healthz", 200, "", ""},
		{"HTTP-8", "GET", "/readyz", 200, "", ""},
		{"ERR-5", "GET", "/errors", 200, "", ""},
	} {
		a := f.request(c.method, c.path, "", "")
		if a.status != c.status || a.code() != c.code || a.header.Get("Allow") != c.allow {
			t.Errorf("%s %s %s: %d %s, Allow %q", c.name, c.method, c.path, a.status, a.text, a.header.Get("Allow"))
		}
	}
	if a := f.request("GET", "/healthz", "", ""); a.body["status"] != "ok" || a.body["version"] != "test" || a.body["store"] != "sqlite" || a.body["durability"] != "full" {
		t.Error(a.text)
	}
	if a := f.request("GET", "/errors", "", ""); !containsAll(a.text, `id="bad_room"`, "A &lt;b&gt;", "C", "D") || a.header.Get("Content-Security-Policy") == "" {
		t.Error(a.text)
	}
	if a := f.request("GET", "/v1/rooms/game:a/events", f.token("u1"), ""); a.code() != "unknown_room" { // ROOM-3
		t.Error(a.text)
	}
}

func TestOrigins(t *testing.T) { // HTTP-7
	f := start(t, options{})
	const good = "https://app.example.com"
	a := f.request("OPTIONS", "/v1/rooms/chat:a/events", "", "", "Origin: "+good, "Access-Control-Request-Method: POST")
	if a.status != 204 || a.header.Get("Access-Control-Allow-Origin") != good || a.header.Get("Access-Control-Allow-Methods") != "GET, OPTIONS, POST" {
		t.Error(a.status, a.header)
	}
	for _, c := range []struct{ method, path string }{
		{"OPTIONS", "/v1/rooms/chat:a/events"},
		{"POST", "/v1/rooms/chat:a/events"},
		{"GET", "/v1/rooms/chat:a/events"},
		{"GET", "/v1/sse?room=chat:a"},
		{"GET", "/v1/dev/token?user=u1"},
	} {
		for _, origin := range []string{"https://evil.example", "null", "https://app.example.com.evil.io", "HTTPS://app.example.com"} {
			a := f.request(c.method, c.path, f.token("u1"), "", "Origin: "+origin)
			if a.status != 403 || a.code() != "origin_not_allowed" || a.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s %s from %s: %d %s", c.method, c.path, origin, a.status, a.text)
			}
		}
	}
	if a := f.request("GET", "/v1/nothing", "", "", "Origin: "+good); a.status != 404 || a.header.Get("Access-Control-Allow-Origin") != good {
		t.Error("a page cannot read why nothing is there:", a.status, a.header)
	}
	a = f.request("GET", "/v1/rooms/chat:a/events", f.token("u1"), "", "Origin: "+good)
	if a.status != 200 || a.header.Get("Access-Control-Allow-Origin") != good || a.header.Get("Vary") != "Origin" {
		t.Error(a.status, a.header)
	}
	for _, bad := range []string{"*", "https://*.example.com", "app.example.com", "https://app.example.com/", "https://App.example.com", ""} {
		if _, err := New(Config{Hub: f.hub, Verifier: f.srv.cfg.Verifier, Origins: []string{bad}}); err == nil {
			t.Errorf("the origin %q was taken", bad)
		}
	}
}

func TestDevToken(t *testing.T) { // AUTH-11
	f := start(t, options{})
	a := f.request("GET", "/v1/dev/token?user=ann", "", "")
	if a.status != 200 {
		t.Fatal(a.text)
	}
	if at, err := time.Parse(time.RFC3339, a.body["expires_at"].(string)); err != nil || time.Until(at) < time.Hour {
		t.Error(a.text)
	}
	if b := f.request("GET", "/v1/rooms/any:room/events", a.body["token"].(string), ""); b.status != 200 {
		t.Error(b.text)
	}
	for _, host := range []string{"evil.example", "evil.example:80", "127.0.0.1.evil.example", "10.0.0.1"} {
		if a := f.request("GET", "/v1/dev/token?user=ann", "", "", "Host: "+host); a.status != 403 || a.code() != "forbidden" {
			t.Errorf("%s: %s", host, a.text)
		}
	}
	for _, by := range []string{"X-Forwarded-For: 192.0.2.7", "Forwarded: for=192.0.2.7"} { // a proxy on this machine
		if a := f.request("GET", "/v1/dev/token?user=ann", "", "", by); a.status != 403 || a.code() != "forbidden" {
			t.Errorf("with %s: %d", by, a.status)
		}
	}
	for _, host := range []string{"localhost", "localhost:1", "127.0.0.1:9", "[::1]:9"} {
		if a := f.request("GET", "/v1/dev/token?user=ann", "", "", "Host: "+host); a.status != 200 {
			t.Errorf("%s: %s", host, a.text)
		}
	}
	for _, query := range []string{"", "?user=", "?user=a%00b", "?user=%ff", "?user=a&user=b"} {
		if a := f.request("GET", "/v1/dev/token"+query, "", ""); a.status != 400 {
			t.Errorf("%s: %s", query, a.text)
		}
	}
	serve := start(t, options{server: func(c *Config) { c.DevSigner = nil }})
	if a := serve.request("GET", "/v1/dev/token?user=ann", "", ""); a.status != 404 {
		t.Error(a.text)
	}
}
