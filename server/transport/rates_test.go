package transport

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

// LIM-1: an address that sends tokens that are no good is not listened to for a while, others are; expired
// tokens of ours do not count.
func TestBadTokensOfAnAddress(t *testing.T) {
	f := start(t, options{server: func(c *Config) {
		c.Limits.FailuresPerSecond, c.Limits.FailureBurst = 0.001, 3
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	}})
	get := func(token, from string) answer {
		return f.request("GET", "/v1/rooms/chat:a/events", token, "", "X-Forwarded-For: "+from)
	}
	for range 10 {
		if a := get(endsIn(t, "u1", -time.Minute), "192.0.2.1"); a.code() != string(room.CodeTokenExpired) {
			t.Fatal(a.text)
		}
	}
	for range 3 {
		if a := get("wrong", "192.0.2.1"); a.code() != string(room.CodeUnauthenticated) {
			t.Fatal(a.text)
		}
	}
	for _, token := range []string{"wrong", f.token("u1")} {
		a := get(token, "192.0.2.1")
		if a.status != 429 || a.code() != string(room.CodeRateLimited) || a.header.Get("Retry-After") == "" || a.body["retry_after_ms"].(float64) < 1000 {
			t.Errorf("%d %s", a.status, a.text)
		}
	}
	if a := get(f.token("u1"), "192.0.2.2"); a.status != 200 {
		t.Error("another address:", a.text)
	}
	if n := f.srv.Refused()[limitFailures]; n != 2 {
		t.Errorf("%d refusals counted, want 2", n)
	}
}

// LIM-1 on a WebSocket: the connection is ended, to come again (CLOSE-1).
func TestBadTokensOfAHello(t *testing.T) {
	f := start(t, options{server: func(c *Config) { c.Limits.FailuresPerSecond, c.Limits.FailureBurst = 0.001, 1 }})
	p := f.dial()
	p.sendf(`{"op":"hello","token":"wrong"}`)
	p.expectError(room.CodeUnauthenticated)
	p.expectClose(4501)
	p = f.dial()
	p.sendf(`{"op":"hello","token":%q}`, f.token("u1"))
	if e := p.expectError(room.CodeRateLimited); e["retryable"] != true || e["retry_after_ms"].(float64) < 1 {
		t.Error(e)
	}
	if reason := p.expectClose(4002); reason != "rate_limited" {
		t.Error(reason)
	}
}

// LIM-2: a room has a rate of its own, over all its senders and transports; other rooms have theirs.
func TestSendsToOneRoom(t *testing.T) {
	f := start(t, options{server: func(c *Config) { c.Limits.RoomSendsPerSecond, c.Limits.RoomSendBurst = 0.001, 2 }})
	f.post("u1", "chat:a", 1, `1`, 201)
	f.post("u2", "chat:a", 2, `1`, 201)
	if a := f.post("u3", "chat:a", 3, `1`, 429); a.code() != string(room.CodeRateLimited) || a.body["field"] != "room" || a.body["retry_after_ms"] == nil {
		t.Error(a.text)
	}
	p := f.login("u4")
	p.sendf(`{"op":"send","id":1,"n":1,"room":"chat:a","tag":%q,"type":"message","data":1}`, tagOf(4))
	if e := p.expectError(room.CodeRateLimited); e["retry_after_ms"] == nil {
		t.Error(e)
	}
	f.post("u3", "chat:b", 5, `1`, 201)
}

// LIM-3: joins are counted by user, over all connections and the rooms of streams; the connection goes on.
func TestJoinsOfAUser(t *testing.T) {
	f := start(t, options{server: func(c *Config) { c.Limits.JoinsPerSecond, c.Limits.JoinBurst = 0.001, 3 }})
	p, q := f.login("u1"), f.login("u1")
	p.sendf(`{"op":"join","id":1,"room":"chat:a"}`)
	p.expect("joined")
	q.sendf(`{"op":"join","id":1,"room":"chat:a"}`)
	q.expect("joined")
	if a := f.request("GET", "/v1/sse?room=chat:a&room=chat:b", f.token("u1"), ""); a.status != 429 || a.code() != string(room.CodeRateLimited) {
		t.Error(a.status, a.text)
	}
	q.sendf(`{"op":"join","id":2,"room":"chat:b"}`)
	q.expect("joined")
	q.sendf(`{"op":"join","id":3,"room":"chat:c"}`)
	if e := q.expectError(room.CodeRateLimited); e["id"] != 3.0 || e["retry_after_ms"].(float64) < 1 {
		t.Error(e)
	}
	q.sendf(`{"op":"ping"}`)
	q.expect("pong")
	other := f.login("u2")
	other.sendf(`{"op":"join","id":1,"room":"chat:c"}`)
	other.expect("joined")
}

// LIM-4: reads are counted by user, those that are refused for their query too.
func TestReadsOfAUser(t *testing.T) {
	f := start(t, options{server: func(c *Config) { c.Limits.ReadsPerSecond, c.Limits.ReadBurst = 0.001, 3 }})
	for i, query := range []string{"?after=0", "?before=9", "?limit=x", "?after=0"} {
		a := f.request("GET", "/v1/rooms/chat:a/events"+query, f.token("u1"), "")
		if want := []int{200, 200, 400, 429}[i]; a.status != want {
			t.Errorf("read %d: %d %s, want %d", i, a.status, a.text, want)
		}
	}
	if a := f.request("GET", "/v1/rooms/chat:a/events", f.token("u2"), ""); a.status != 200 {
		t.Error("another user:", a.text)
	}
	stranger := f.token("u3", grant("chat:other", auth.Read))
	for i, path := range []string{"/v1/rooms", "/v1/rooms/chat:other", "/v1/rooms/chat:a", "/v1/rooms/chat:b"} {
		a := f.request("GET", path, stranger, "")
		if want := []int{200, 200, 404, 429}[i]; a.status != want { // whether a room exists is asked for at this rate, too
			t.Errorf("GET %s: %d %s, want %d", path, a.status, a.text, want)
		}
	}
}

// SEND-9: rooms are created and deleted at the rate of sends.
func TestRoomsAreMadeAtTheRateOfSends(t *testing.T) {
	f := start(t, options{server: func(c *Config) { c.Limits.SendsPerSecond, c.Limits.SendBurst = 0.001, 3 }})
	for i, request := range []string{"PUT", "DELETE", "PUT", "DELETE", "PUT"} {
		a := f.request(request, "/v1/rooms/chat:a", f.token("u1"), "")
		if want := []int{201, 200, 201, 429, 429}[i]; a.status != want {
			t.Errorf("%d, %s: %d %s, want %d", i, request, a.status, a.text, want)
		}
	}
	if a := f.request("GET", "/v1/rooms/chat:a", f.token("u1"), ""); a.body["created_at"] == nil {
		t.Errorf("SEND-9: a deletion that was refused: %s", a.text)
	}
}

// LIM-5: a connection that sends nothing but pings and nonsense is ended, whatever kind of each it is and
// whether it has said hello; sends, joins and leaves are not counted with them.
func TestAFloodOfPings(t *testing.T) {
	const burst = 20
	f := start(t, options{server: func(c *Config) { c.Limits.FramesPerSecond, c.Limits.FrameBurst = 0.001, burst }})
	text := func(s string) []byte { return frame(0x81, []byte(s)) }
	for name, one := range map[string][]byte{
		"ping": text(`{"op":"ping"}`), "pong": text(`{"op":"pong"}`), "unknown op": text(`{"op":"dance"}`), "no JSON": text(`hello?`),
		"protocol ping": frame(0x89, []byte("x")), "protocol pong": frame(0x8a, nil),
	} {
		t.Run(name, func(t *testing.T) {
			p := f.login("u1")
			p.write([]byte(strings.Repeat(string(one), burst-1))) // the hello was one of them
			for i := range 3 {
				p.sendf(`{"op":"join","id":%d,"room":"chat:a"}`, i)
				p.sendf(`{"op":"leave","room":"chat:a"}`)
			}
			joined := 0
			for joined < 3 {
				op, payload := p.next()
				if op == 0x88 {
					t.Fatalf("closed too soon: %q", payload)
				}
				if strings.Contains(string(payload), `"joined"`) {
					joined++
				}
			}
			p.write(one)
			if reason := p.expectClose(4002); reason != "rate_limited" {
				t.Errorf("reason %q", reason)
			}
		})
	}
	t.Run("empty fragments", func(t *testing.T) {
		p := f.login("u1")
		p.write(frame(0x01, nil))
		p.write([]byte(strings.Repeat(string(frame(0x00, nil)), burst)))
		if reason := p.expectClose(4002); reason != "rate_limited" {
			t.Errorf("reason %q", reason)
		}
	})
	t.Run("stranger", func(t *testing.T) {
		p := f.dial()
		p.write([]byte(strings.Repeat(string(text(`{"op":"ping"}`)), burst+1)))
		for range burst {
			p.expect("pong")
		}
		if e := p.expectError(room.CodeRateLimited); e["retry_after_ms"] == nil {
			t.Error(e)
		}
		p.expectClose(4002)
	})
}

// LIM-6: requests that wait have places of their own, by user and in all.
func TestPlacesOfPolls(t *testing.T) {
	q := newQuotas(Limits{Polls: 3, PollsPerUser: 2}.withDefaults())
	seatOf := func(user string) *seat {
		s, err := q.arrive(netip.MustParsePrefix("192.0.2.1/32"), false)
		must(t, err)
		must(t, q.name(s, user))
		return s
	}
	a := seatOf("u1")
	must(t, q.park(a))
	must(t, q.park(a))
	if e := room.AsError(q.park(a)); e.Code != room.CodeLimitExceeded || e.Limit != 2 {
		t.Error(e)
	}
	b := seatOf("u2")
	must(t, q.park(b))
	if e := room.AsError(q.park(seatOf("u3"))); e.Code != room.CodeOverloaded || e.RetryAfter == 0 {
		t.Error(e)
	}
	q.unpark(a)
	must(t, q.park(b))
	q.unpark(b)
	q.unpark(b)
	q.unpark(a)
	if q.polls.all != 0 || len(q.polls.of) != 0 {
		t.Errorf("places are left: %+v", q.polls)
	}
}

// A bucket fills at its rate up to its burst, takes what it has of more than that, and is forgotten when full.
func TestBuckets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBuckets[string](10, 5)
		if wait := b.take("a", 9); wait != 0 {
			t.Errorf("more than the burst, of a full one: wait %v", wait)
		}
		if wait := b.take("a", 1); wait != 100*time.Millisecond {
			t.Errorf("wait %v, want 100ms", wait)
		}
		if wait := b.wait("a"); wait != 100*time.Millisecond {
			t.Errorf("wait %v, want 100ms", wait)
		}
		if wait := b.take("a", 3); wait != 300*time.Millisecond {
			t.Errorf("wait %v, want 300ms: a refusal takes nothing", wait)
		}
		time.Sleep(300 * time.Millisecond)
		if wait := b.take("a", 3); wait != 0 {
			t.Errorf("wait %v", wait)
		}
		if b.wait("b") != 0 || len(b.of) != 1 {
			t.Error("asking makes a bucket")
		}
		b.sweep(time.Now(), 0)
		if len(b.of) != 1 {
			t.Error("one that is not full was forgotten")
		}
		time.Sleep(time.Second)
		b.sweep(time.Now(), 0)
		if len(b.of) != 0 {
			t.Error("one that is full was kept")
		}
	})
}

// A flood of keys has bounded memory.
func TestBucketsAreBounded(t *testing.T) {
	b := newBuckets[string](0.001, 1)
	for i := range 2*maxBuckets + 100 {
		b.take(fmt.Sprint(i), 1)
	}
	if len(b.of) != maxBuckets {
		t.Errorf("%d buckets, want %d", len(b.of), maxBuckets)
	}
}

func TestPace(t *testing.T) {
	var p pace
	const start = int64(time.Hour)
	took := func(now int64) (n int) {
		for p.take(now, 20, 10) {
			n++
		}
		return n
	}
	if n := took(start); n != 10 {
		t.Errorf("%d at once, want 10", n)
	}
	if n := took(start + int64(200*time.Millisecond)); n != 4 {
		t.Errorf("%d after 200 ms, want 4", n)
	}
	if n := took(start + int64(time.Hour)); n != 10 {
		t.Errorf("%d after an hour, want 10", n)
	}
}

// LIM-7: only what proxies of ours say is believed, and of that only the last address that is not theirs.
func TestForwardedAddress(t *testing.T) {
	s := &Server{cfg: Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}}
	for _, c := range []struct {
		from string
		said []string
		want string
	}{
		{"192.0.2.9:1", nil, "192.0.2.9/32"},
		{"192.0.2.9:1", []string{"198.51.100.1"}, "192.0.2.9/32"},
		{"10.1.1.1:1", nil, "10.1.1.1/32"},
		{"10.1.1.1:1", []string{"198.51.100.1"}, "198.51.100.1/32"},
		{"10.1.1.1:1", []string{"203.0.113.5, 198.51.100.1"}, "198.51.100.1/32"},
		{"10.1.1.1:1", []string{"203.0.113.5, 198.51.100.1, 10.2.2.2"}, "198.51.100.1/32"},
		{"10.1.1.1:1", []string{"203.0.113.5", "198.51.100.1 ,10.2.2.2"}, "198.51.100.1/32"},
		{"10.1.1.1:1", []string{"10.3.3.3"}, "10.3.3.3/32"},
		{"10.1.1.1:1", []string{"198.51.100.1, unknown"}, "10.1.1.1/32"},
		{"10.1.1.1:1", []string{""}, "10.1.1.1/32"},
		{"[fd00::1]:1", []string{"2001:db8:1:2:3:4:5:6"}, "2001:db8:1:2::/64"},
		{"[::ffff:10.1.1.1]:1", []string{"::ffff:198.51.100.1"}, "198.51.100.1/32"},
	} {
		r := &http.Request{RemoteAddr: c.from, Header: http.Header{"X-Forwarded-For": c.said}}
		if got := s.addressOf(r); got.String() != c.want {
			t.Errorf("from %s, %q: %v, want %s", c.from, c.said, got, c.want)
		}
	}
}

// SEND-9, LIM-4: whoever may administer a single room bans and lists bans at the rates of any user, since the server
// keeps them all in memory and makes one change after the other.
func TestBansHaveARate(t *testing.T) {
	f := start(t, options{server: func(c *Config) {
		c.Limits.SendsPerSecond, c.Limits.SendBurst = 0.001, 2
		c.Limits.ReadsPerSecond, c.Limits.ReadBurst = 0.001, 1
	}})
	token := f.token("moderator", grant("chat:a", auth.Read, auth.Admin))
	for _, row := range []struct {
		method, path string
		status       int
	}{
		{"PUT", "/u1", 200}, {"DELETE", "/u1", 204}, {"PUT", "/u2", 429}, {"DELETE", "/u2", 429}, {"GET", "", 200}, {"GET", "", 429},
	} {
		a := f.request(row.method, "/v1/rooms/chat:a/bans"+row.path, token, "")
		if a.status != row.status || a.status == 429 && a.body["retry_after_ms"] == nil {
			t.Errorf("%s %s: %d %s, want %d", row.method, row.path, a.status, a.text, row.status)
		}
	}
	if bans, _ := f.srv.access.bansOf("chat:a", "", 9); len(bans) != 0 {
		t.Error("refused, and made nevertheless:", bans)
	}
}
