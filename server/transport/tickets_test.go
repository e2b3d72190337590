package transport

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/room/storetest"
	"roomlog/server/transport/auth"
)

// pass gets a ticket over HTTP.
func (f *fixture) pass(token, body string, header ...string) string {
	f.t.Helper()
	a := f.request("POST", "/v1/tickets", token, body, header...)
	if a.status != 201 {
		f.t.Fatalf("get a ticket: %d %s", a.status, a.text)
	}
	return a.body["ticket"].(string)
}

// withClock makes the tickets of a fixture go by a clock that stands still until it is moved.
func (f *fixture) withClock() *atomic.Int64 {
	var seconds atomic.Int64
	began := time.Now()
	f.srv.tickets.now = func() time.Time { return began.Add(time.Duration(seconds.Load()) * time.Second) }
	return &seconds
}

// TICK-1: what a ticket is, and that it lives for 30 s, and not longer than its token.
func TestTicketsAreIssued(t *testing.T) {
	f := start(t, options{})
	a := f.request("POST", "/v1/tickets", f.token("u1"), "")
	text, _ := a.body["ticket"].(string)
	raw, err := base64.RawURLEncoding.DecodeString(text)
	until, errUntil := time.Parse(time.RFC3339, fmt.Sprint(a.body["expires_at"]))
	if a.status != 201 || err != nil || len(raw) < 16 || errUntil != nil || len(a.body) != 2 {
		t.Fatal(a.status, a.text)
	}
	if left := time.Until(until); left > ticketLives || left < ticketLives-10*time.Second {
		t.Errorf("it lives %v", left)
	}
	if a.header.Get("Cache-Control") != "no-store" {
		t.Error(a.header)
	}
	a = f.request("POST", "/v1/tickets", endsIn(t, "u1", 10*time.Second), "")
	if until, err = time.Parse(time.RFC3339, fmt.Sprint(a.body["expires_at"])); err != nil || time.Until(until) > 10*time.Second {
		t.Error(a.text)
	}
	for name, c := range map[string]struct {
		token, body string
		status      int
		code        room.Code
	}{
		"no token":       {"", "", 401, room.CodeUnauthenticated},
		"an expired one": {expired(t), "", 401, room.CodeTokenExpired},
		"not JSON":       {f.token("u1"), "{", 400, room.CodeBadRequest},
		"null":           {f.token("u1"), "null", 400, room.CodeBadRequest},
		"a bad grant":    {f.token("u1"), `{"grants":[{"rooms":"**","can":["read"]}]}`, 400, room.CodeBadRequest},
		"a wider grant":  {f.token("u1", auth.Grant{Rooms: "chat:*", Can: []auth.Action{auth.Read}}), `{"grants":[{"rooms":"chat:*","can":["read","send"]}]}`, 403, room.CodeForbidden},
	} {
		if a := f.request("POST", "/v1/tickets", c.token, c.body); a.status != c.status || a.code() != string(c.code) {
			t.Errorf("%s: %d %s", name, a.status, a.text)
		}
	}
	if a := f.request("GET", "/v1/tickets", f.token("u1"), ""); a.status != 405 {
		t.Error(a.text)
	}
}

// opensStream expects a stream to begin, and returns the id of its ready.
func (f *fixture) opensStream(path string, header ...string) *listening {
	f.t.Helper()
	l := f.listen(path, "", header...)
	if l.head.StatusCode != 200 {
		f.t.Fatalf("%s: status %d: %v", path, l.head.StatusCode, decode(f.t, l.head))
	}
	return l
}

// refusesTicket expects the one answer that every ticket gets that lets nobody in.
func (f *fixture) refusesTicket(what, path string, header ...string) {
	f.t.Helper()
	a := f.request("GET", path, "", "", header...)
	if a.status != 401 || a.code() != "unauthenticated" || a.body["field"] != "ticket" || a.body["title"] != usedTicket().Title {
		f.t.Errorf("%s: %d %s", what, a.status, a.text)
	}
}

// TICK-3, TICK-4: one use, within 30 s, with the grants that it was given.
func TestATicketOpensOneStream(t *testing.T) {
	f := start(t, options{})
	seconds := f.withClock()
	f.post("u2", "chat:a", 1, `1`, 201)
	path := "/v1/sse?room=chat:a&ticket=" + f.pass(f.token("u1"), "")
	f.opensStream(path).event()
	f.refusesTicket("twice", path)
	f.refusesTicket("twice, with a position in the URL", path+"&after=1")
	f.refusesTicket("made up", "/v1/sse?room=chat:a&ticket=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.refusesTicket("empty", "/v1/sse?room=chat:a&ticket=")

	late := f.pass(f.token("u1"), "")
	seconds.Add(31)
	f.refusesTicket("after its time", "/v1/sse?room=chat:a&ticket="+late)

	narrow := f.pass(f.token("u1"), `{"grants":[{"rooms":"chat:a","can":["read"]}]}`) // TICK-2
	if a := f.request("GET", "/v1/sse?room=chat:b&ticket="+narrow, "", ""); a.status != 404 || a.code() != "unknown_room" {
		t.Error(a.status, a.text)
	}
	f.refusesTicket("used up by a request that was refused", "/v1/sse?room=chat:a&ticket="+narrow)
	for _, two := range []string{"&token=" + f.token("u1"), "&ticket=x"} {
		if a := f.request("GET", "/v1/sse?room=chat:a&ticket="+f.pass(f.token("u1"), "")+two, "", ""); a.status != 400 {
			t.Error(two, a.status, a.text)
		}
	}
	if a := f.request("GET", "/v1/sse?room=chat:a&ticket="+f.pass(f.token("u1"), ""), f.token("u2"), ""); a.status != 400 || a.body["field"] != "ticket" {
		t.Error(a.status, a.text)
	}

	// However many try at once, one gets in.
	path = "/v1/sse?room=chat:a&ticket=" + f.pass(f.token("u1"), "")
	var wait sync.WaitGroup
	var in atomic.Int64
	for range 8 {
		p := f.dialRaw("GET " + path + " HTTP/1.1\r\nHost: roomlog\r\n\r\n")
		wait.Go(func() {
			if p.response().StatusCode == 200 {
				in.Add(1)
			}
		})
	}
	wait.Wait()
	if in.Load() != 1 {
		t.Errorf("%d of 8 streams began", in.Load())
	}
}

// TICK-5: an EventSource that comes back has its URL and the id of the last event; a URL alone is of no use.
func TestAUsedTicketTakesUpItsStream(t *testing.T) {
	f := start(t, options{})
	for i := range 3 {
		f.post("u2", "chat:a", i, `1`, 201)
	}
	path := "/v1/sse?room=chat:a&ticket=" + f.pass(f.token("u1"), "")
	l := f.opensStream(path)
	l.event()
	f.post("u2", "chat:a", 3, `2`, 201)
	seen := l.page("chat:a", 3, 4)
	old := f.request("GET", "/v1/rooms/chat:a/events?limit=2", f.token("u1"), "").body["position"].(string)
	must(t, l.nc.Close())
	f.post("u2", "chat:a", 4, `3`, 201)

	l = f.opensStream(path, "Last-Event-ID: "+seen.id)
	if ready := l.event(); ready.id != seen.id {
		t.Error(ready.raw)
	}
	seen = l.page("chat:a", 4, 5)
	// The server may not have noticed yet that the first is gone: it is taken up beside it, and again.
	f.opensStream(path, "Last-Event-ID: "+seen.id).event()

	parts := strings.Split(seen.id, ":")
	forged := parts[0] + ":5:" + flip(parts[2])
	for _, c := range []struct{ name, id string }{
		{"no id", ""},
		{"seq alone", "5"},
		{"no mark", parts[0] + ":5"},
		{"a mark that is made up", forged},
		{"the beginning", parts[0] + ":0"},
		{"another epoch", "other:5:" + parts[2]},
		{"ahead", parts[0] + ":9:" + parts[2]},
		{"from before the stream began", old},
		{"not a position", "abc"},
		{"of another room", "chat:b=" + seen.id},
	} {
		var header []string
		if c.id != "" {
			header = append(header, "Last-Event-ID: "+c.id)
		}
		f.refusesTicket(c.name, path, header...)
		f.opensStream(path, "Last-Event-ID: "+seen.id).event() // what is right still is, and is forgiven what was wrong
	}
	f.refusesTicket("the id in the URL", path+"&after="+seen.id)
	for what, other := range map[string]string{
		"another room": strings.Replace(path, "chat:a", "chat:b", 1), "one more room": path + "&room=chat:b",
	} {
		f.refusesTicket(what, other, "Last-Event-ID: "+seen.id)
	}
	f.opensStream(path, "Last-Event-ID: "+seen.id).event()
	if a := f.request("GET", "/v1/ws?ticket="+path[strings.LastIndexByte(path, '=')+1:], "", "", "Connection: Upgrade", "Upgrade: websocket",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="); a.status != 401 {
		t.Error("a used ticket opens a WebSocket:", a.status, a.text)
	}
	for i := range ticketMisses { // TICK-6: nobody finds a mark by trying
		f.refusesTicket(fmt.Sprint("try ", i), path, "Last-Event-ID: "+forged)
	}
	f.refusesTicket("what is right, after too many tries", path, "Last-Event-ID: "+seen.id)
}

// flip changes the last digit of a mark.
func flip(mark string) string {
	last := byte('0')
	if mark[7] == '0' {
		last = '1'
	}
	return mark[:7] + string(last)
}

// TICK-5: rooms that nobody wrote to have no mark to know, and the whole stream is named.
func TestAUsedTicketOfSeveralAndOfEmptyRooms(t *testing.T) {
	f := start(t, options{})
	f.post("u2", "chat:a", 1, `1`, 201)
	path := "/v1/sse?room=chat:a&room=chat:b&ticket=" + f.pass(f.token("u1"), "")
	ready := f.opensStream(path).event()
	f.opensStream(path, "Last-Event-ID: "+ready.id).event()
	one, two, _ := strings.Cut(ready.id, ",")
	for _, id := range []string{one, two, strings.TrimPrefix(one, "chat:a="), one + "," + one} {
		f.refusesTicket(id, path, "Last-Event-ID: "+id)
		f.opensStream(path, "Last-Event-ID: "+ready.id).event()
	}

	path = "/v1/sse?room=chat:empty&ticket=" + f.pass(f.token("u1"), "")
	ready = f.opensStream(path).event()
	f.opensStream(path, "Last-Event-ID: "+ready.id).event()
	kept := f.srv.tickets.used.(*usedTickets)
	kept.mu.Lock()
	for _, k := range kept.of {
		var d ticketed
		must(t, json.Unmarshal(k.kept, &d))
		d.From = netip.MustParsePrefix("192.0.2.1/32") // as if the first had come from elsewhere
		k.kept, _ = json.Marshal(d)
	}
	kept.mu.Unlock()
	f.refusesTicket("an epoch is no secret", path, "Last-Event-ID: "+ready.id)
	f.post("u2", "chat:empty", 1, `1`, 201)
	got := f.request("GET", "/v1/rooms/chat:empty/events", f.token("u2"), "").body["position"].(string)
	f.opensStream(path, "Last-Event-ID: "+got).event() // a mark is one, wherever it comes from
}

// TICK-4, AUTH-9: a used ticket ends with its token, and so does the stream.
func TestAUsedTicketEndsWithItsToken(t *testing.T) {
	f := start(t, options{})
	seconds := f.withClock()
	f.post("u2", "chat:a", 1, `1`, 201)
	path := "/v1/sse?room=chat:a&ticket=" + f.pass(endsIn(t, "u1", 20*time.Minute), "")
	ready := f.opensStream(path).event()
	seconds.Add(19 * 60)
	f.opensStream(path, "Last-Event-ID: "+ready.id).event()
	seconds.Add(2 * 60)
	f.refusesTicket("after its token", path, "Last-Event-ID: "+ready.id)
}

// TICK-7: a WebSocket of a ticket says hello without a token.
func TestATicketOpensAWebSocket(t *testing.T) {
	f := start(t, options{})
	open := func(ticket string) *peer {
		return f.dialRaw(strings.Replace(handshake, "/v1/ws", "/v1/ws?ticket="+url.QueryEscape(ticket), 1) + "\r\n")
	}
	ticket := f.pass(f.token("u1"), `{"grants":[{"rooms":"chat:a","can":["read"]}]}`)
	p := open(ticket)
	if resp := p.response(); resp.StatusCode != 101 {
		t.Fatal(resp)
	}
	p.sendf(`{"op":"hello"}`)
	if m := p.expect("welcome"); m["user"] != "u1" {
		t.Error(m)
	}
	p.sendf(`{"op":"join","id":1,"room":"chat:a"}`)
	p.expect("joined")
	p.sendf(`{"op":"send","id":2,"n":1,"room":"chat:a","tag":%q,"type":"message","data":1}`, tagOf(1))
	p.expectError(room.CodeForbidden)
	for _, bad := range []string{ticket, "x", ""} {
		p := open(bad)
		if resp := p.response(); resp.StatusCode != 401 || decode(t, resp)["field"] != "ticket" {
			t.Errorf("%q: %v", bad, resp)
		}
	}
	p = open(f.pass(f.token("u1"), ""))
	p.response()
	p.sendf(`{"op":"hello","token":%q}`, f.token("u2"))
	p.expectError(room.CodeBadRequest)
	p.expectClose(1011)
	p = f.dial() // and without either it is no hello
	p.sendf(`{"op":"hello"}`)
	p.expectError(room.CodeUnauthenticated)
	p.expectClose(4501)
	f.srv.quotas.mu.Lock()
	defer f.srv.quotas.mu.Unlock()
	if n := f.srv.quotas.users["u2"]; n != 0 {
		t.Errorf("%d places of a user who never came in", n)
	}
}

// What an only node keeps of used tickets is bounded: one user pushes out only their own, and none that could still be
// used first is forgotten.
func TestUsedTicketsAreBounded(t *testing.T) {
	alone := newUsedTickets(time.Now)
	storetest.Tickets(t, alone, alone)
	now := time.Now()
	u := newUsedTickets(func() time.Time { return now })
	u.inAll = room.TicketsKept + 10
	use := func(id, user string) error {
		first, err := u.UseTicket(t.Context(), id, user, now.Add(ticketLives))
		if err == nil && !first {
			t.Errorf("%s was used before", id)
		}
		return err
	}
	must(t, use("mine", "mine"))
	for i := range u.inAll - 1 {
		must(t, use(fmt.Sprint("flood", i), "flood"))
	}
	if e := room.AsError(use("late", "flood")); e == nil || e.Code != room.CodeOverloaded {
		t.Errorf("%v, want overloaded: all that is kept could be used first", e)
	}
	if first, err := u.UseTicket(t.Context(), "flood0", "flood", now.Add(ticketLives)); err != nil || first {
		t.Error("one was taken twice:", err)
	}
	must(t, u.KeepTicket(t.Context(), "mine", []byte("x"), now.Add(time.Hour)))
	now = now.Add(ticketLives + time.Second)
	must(t, use("late", "flood"))
	if kept, _, _ := u.TryTicket(t.Context(), "mine"); kept == nil {
		t.Error("another user's is gone")
	}
	if len(u.of) != len(u.users["flood"])+1 || len(u.of) > u.inAll {
		t.Errorf("%d tickets are kept, %d of one user", len(u.of), len(u.users["flood"]))
	}
	_, _ = u.ForgetTickets(t.Context(), now.Add(2*time.Hour))
	if len(u.of) != 0 || len(u.users) != 0 {
		t.Errorf("%d tickets outlive their time, of %d users", len(u.of), len(u.users))
	}
}

// TICK-4: a service's key does not end; what it got a ticket for does.
func TestATicketOfAServiceEnds(t *testing.T) {
	f := start(t, options{})
	f.withClock()
	service := auth.Identity{User: "mira", Service: "backend", Until: time.Now().Add(1e6 * time.Hour)}
	text, _ := f.srv.tickets.issue(service)
	_, who, _, err := f.srv.tickets.use(t.Context(), text, false)
	if err != nil || who == nil || !who.Until.Equal(f.srv.tickets.now().Add(serviceTicketLives)) {
		t.Errorf("it lasts until %v, %v", who, err)
	}
}

// ERR-6: neither a ticket nor the secret of a stream is in the log or in an answer, however it is used.
func TestTicketsAndSecretsAreNotLogged(t *testing.T) {
	var log journal
	f := start(t, options{server: func(c *Config) { c.Log = log.logger() }, hub: func(c *hub.Config) { c.Log = log.logger() }})
	ticket := f.pass(f.token("u1"), "")
	path := "/v1/sse?room=chat:a&ticket=" + ticket
	ready := f.opensStream(path).event()
	secret := ready.data["secret"].(string)
	var answers strings.Builder
	for _, a := range []answer{
		f.request("GET", path, "", ""), f.request("GET", path, "", "", "Last-Event-ID: x"), f.request("GET", path+"&token="+ticket, "", ""),
		f.request("GET", "/v1/rooms/chat:a/events?ticket="+ticket, ticket, ""), f.request("GET", "/v1/ws?ticket="+ticket, "", ""),
		f.command(ready, `{"op":"ping"}`), f.command(ready, `{"op":"refresh","token":"`+secret+`"}`), f.command(ready, secret),
		f.request("POST", "/v1/connections/"+secret, secret, `{"op":"ping"}`), f.request("POST", "/v1/connections/x?secret="+secret, secret, ``),
	} {
		answers.WriteString(a.text)
	}
	eventually(t, "the last request is logged", func() bool { return strings.Count(log.String(), `"msg":"request"`) >= 12 })
	for _, s := range []string{ticket, secret} {
		if strings.Contains(log.String(), s) || strings.Contains(answers.String(), s) {
			t.Errorf("%s is told: %s %s", s, log.String(), answers.String())
		}
	}
}
