package transport

import (
	"strings"
	"testing"

	"roomlog/server/transport/auth"
)

const serviceKey = "the key of a service, " + canary + ", for tests"

func withService(t *testing.T, grants auth.Grants) func(*Config) {
	t.Helper()
	s, err := auth.NewService("backend", strings.ReplaceAll(serviceKey, " ", "-"), grants)
	must(t, err)
	return func(c *Config) { c.Services = auth.Services{s} }
}

// AUTH-14: a service acts for the user that it names, with its own grants, and for itself by a name that no user has.
func TestServicesActForUsers(t *testing.T) {
	var log journal
	grant := withService(t, auth.Grants{{Rooms: "chat:*", Can: []auth.Action{auth.Read, auth.Send}}})
	f := start(t, options{server: func(c *Config) { grant(c); c.Log = log.logger() }})
	key := strings.ReplaceAll(serviceKey, " ", "-")
	send := func(id, tag string, header ...string) answer {
		return f.request("POST", "/v1/rooms/"+id+"/events", key, `{"tag":"`+tag+`","type":"message","data":1}`, header...)
	}
	for i, c := range []struct{ header, author string }{
		{"", "service:backend"}, {"Roomlog-User: mira", "mira"}, {"Roomlog-User: ann%20%C3%A9%25", "ann é%"}, {"Roomlog-User: ann é", "ann é"},
	} {
		var header []string
		if c.header != "" {
			header = append(header, c.header)
		}
		if a := send("chat:a", tagOf(i), header...); a.status != 201 || a.body["author"] != c.author {
			t.Errorf("%q: %d %s", c.header, a.status, a.text)
		}
	}
	for _, header := range []string{"Roomlog-User: ", "Roomlog-User: service:backend", "Roomlog-User: a%0Ab", "Roomlog-User: %zz", "Roomlog-User: " + strings.Repeat("x", 129)} {
		if a := send("chat:a", tagOf(9), header); a.status != 400 || a.body["field"] != "Roomlog-User" {
			t.Errorf("%q: %d %s", header, a.status, a.text)
		}
	}
	if a := send("game:a", tagOf(9), "Roomlog-User: mira"); a.status != 404 || a.code() != "unknown_room" {
		t.Error("beyond its grants:", a.text)
	}
	for _, c := range []struct {
		name, token string
		status      int
	}{{"a user who names another", f.token("u1"), 403}, {"nobody", "", 401}, {"almost the key", key[1:], 401}} {
		a := f.request("POST", "/v1/rooms/chat:a/events", c.token, `{"tag":"`+tagOf(9)+`","type":"message","data":1}`, "Roomlog-User: mira")
		if a.status != c.status {
			t.Errorf("%s: %d %s", c.name, a.status, a.text)
		}
	}
	// So it is for what a URL has, too.
	for name, proof := range map[string]string{"a token": "token=" + f.token("u1"), "a ticket": "ticket=" + f.pass(f.token("u1"), "")} {
		if a := f.request("GET", "/v1/sse?room=chat:a&"+proof, "", "", "Roomlog-User: mira"); a.status != 403 || a.body["field"] != "Roomlog-User" {
			t.Errorf("%s in the URL beside a name: %d %s", name, a.status, a.text)
		}
	}
	// Its tickets are the user's.
	l := f.opensStream("/v1/sse?room=chat:a&ticket=" + f.pass(key, `{"grants":[{"rooms":"chat:a","can":["read"]}]}`, "Roomlog-User: mira"))
	ready := l.event()
	if a := f.command(ready, `{"op":"send","n":1,"room":"chat:a","tag":"`+tagOf(10)+`","type":"message","data":1}`); a.status != 403 {
		t.Error("a ticket to read only:", a.text)
	}
	// A key is for requests: it says no hello, and no URL has it.
	p := f.dial()
	p.sendf(`{"op":"hello","token":%q}`, key)
	if m := p.expect("error"); m["code"] != "unauthenticated" || strings.Contains(m["title"].(string), canary) {
		t.Error(m)
	}
	p.expectClose(4501)
	if a := f.request("GET", "/v1/sse?room=chat:a&token="+key, "", ""); a.status != 401 || strings.Contains(a.text, canary) {
		t.Error(a.status, a.text)
	}
	if strings.Contains(log.String(), canary) {
		t.Error("the log holds the key")
	}
}

// AUTH-6: without being told to, a server takes no token from a URL.
func TestTokensInURLsAreOff(t *testing.T) {
	f := start(t, options{server: func(c *Config) { c.TokenInURL = false }})
	if a := f.request("GET", "/v1/sse?room=chat:a&token="+f.token("u1"), "", ""); a.status != 401 || a.body["field"] != "token" {
		t.Error(a.status, a.text)
	}
	l := f.listen("/v1/sse?room=chat:a&token=x", f.token("u1")) // a header counts, as it did
	if l.head.StatusCode != 200 {
		t.Error(l.head.Status)
	}
}
