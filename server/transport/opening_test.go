package transport

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"roomlog/server/room"
)

// What an opening is: all that it lets through, net/http would understand alike.
func TestParseOpening(t *testing.T) {
	whole := handshake + "\r\n"
	line := "GET /v1/ws HTTP/1.1\r\n"
	for _, c := range []struct {
		name, head string
		is         bool
	}{
		{"as a client writes it", whole, true},
		{"with what follows", whole + "\x81\x80", true},
		{"a tab before a value", strings.Replace(whole, "Host: ", "Host:\t", 1), true},
		{"no space before a value", strings.Replace(whole, "Host: ", "Host:", 1), true},
		{"our subprotocol", handshake + "Sec-WebSocket-Protocol: x, roomlog.v1\r\n\r\n", true},
		{"our subprotocol in another line", handshake + "Sec-WebSocket-Protocol: x\r\nSec-WebSocket-Protocol: roomlog.v1\r\n\r\n", true},
		{"nothing", "", false},
		{"not all of it", handshake, false},
		{"no fields", line + "\r\n", false},
		{"another path", strings.Replace(whole, "/v1/ws", "/v1/wss", 1), false},
		{"a query", strings.Replace(whole, "/v1/ws", "/v1/ws?ticket=x", 1), false},
		{"an absolute target", strings.Replace(whole, "/v1/ws", "http://roomlog/v1/ws", 1), false},
		{"another method", strings.Replace(whole, "GET", "PUT", 1), false},
		{"HTTP/1.0", strings.Replace(whole, "HTTP/1.1", "HTTP/1.0", 1), false},
		{"two spaces", strings.Replace(whole, "GET ", "GET  ", 1), false},
		{"an empty line before", "\r\n" + whole, false},
		{"bare line feeds", strings.ReplaceAll(whole, "\r\n", "\n"), false},
		{"one bare line feed", handshake + "A: b\nC: d\r\n\r\n", false},
		{"a bare carriage return", handshake + "A: b\rC: d\r\n\r\n", false},
		{"no host", strings.Replace(whole, "Host: roomlog\r\n", "", 1), false},
		{"an empty host", strings.Replace(whole, "Host: roomlog", "Host:", 1), false},
		{"two hosts", handshake + "Host: other\r\n\r\n", false},
		{"an odd host", strings.Replace(whole, "Host: roomlog", "Host: a b", 1), false},
		{"a host with a path", strings.Replace(whole, "Host: roomlog", "Host: roomlog/x", 1), false},
		{"a body", handshake + "Content-Length: 5\r\n\r\nhello", false},
		{"a body of none", handshake + "content-length: 0\r\n\r\n", false},
		{"a body in chunks", handshake + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false},
		{"an expectation", handshake + "Expect: 100-continue\r\n\r\n", false},
		{"a folded line", handshake + "A: b\r\n c\r\n\r\n", false},
		{"a space before the colon", handshake + "A : b\r\n\r\n", false},
		{"no colon", handshake + "A\r\n\r\n", false},
		{"no name", handshake + ": b\r\n\r\n", false},
		{"NUL in a value", handshake + "A: \x00\r\n\r\n", false},
		{"UTF-8 in a value", handshake + "A: é\r\n\r\n", false},
		{"another subprotocol", handshake + "Sec-WebSocket-Protocol: roomlog.v9\r\n\r\n", false},
		{"our subprotocol in another case", handshake + "Sec-WebSocket-Protocol: Roomlog.V1\r\n\r\n", false},
		{"a malformed list", handshake + "Sec-WebSocket-Protocol: roomlog.v1, a b\r\n\r\n", false},
		{"an empty list", handshake + "Sec-WebSocket-Protocol:\r\n\r\n", false},
		{"too many fields", handshake + strings.Repeat("A: b\r\n", 60) + "\r\n", false},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", false},
	} {
		o, size := parseOpening([]byte(c.head))
		if (o != nil) != c.is {
			t.Errorf("%s: an opening: %v", c.name, o != nil)
		}
		if o != nil && (c.head[:size] != c.head[:strings.Index(c.head, "\r\n\r\n")+4] || first(o, "sec-websocket-KEY") != "dGhlIHNhbXBsZSBub25jZQ==") {
			t.Errorf("%s: ends at %d, key %q", c.name, size, first(o, "sec-websocket-KEY"))
		}
	}
}

// Both ways in say the same to every handshake: that of the gate, and that of net/http.
func TestHandshakesAtTheGate(t *testing.T) {
	f := start(t, options{})
	f.gated(0)
	for _, c := range handshakes() {
		t.Run(c.name, func(t *testing.T) { c.try(t, f) })
		t.Run(c.name+", byte by byte", func(t *testing.T) {
			p := f.dialRaw("")
			for _, b := range []byte(c.request + "\r\n") {
				p.write([]byte{b})
			}
			c.check(t, p.response())
		})
	}
}

func TestRFC6455AtTheGate(t *testing.T) {
	f := start(t, options{})
	f.gated(0)
	for group, cases := range rfc6455() {
		for _, c := range cases {
			t.Run(group+"/"+c.name, func(t *testing.T) { f.run(t, c) })
		}
	}
}

// Frames may come with the head, however that is cut: all of it is there for who serves the connection.
func TestFramesWithAnOpening(t *testing.T) {
	f := start(t, options{})
	f.gated(0)
	hello := string(frame(0x81, fmt.Appendf(nil, `{"op":"hello","token":%q}`, f.token("u1"))))
	for name, head := range map[string]string{
		"at the gate": handshake, "by net/http": handshake + "Content-Length: 0\r\n",
		"by net/http, in a large head": handshake + "A: " + strings.Repeat("é", 3000) + "\r\n",
	} {
		p := f.dialRaw(head + "\r\n" + hello)
		if resp := p.response(); resp.StatusCode != 101 {
			t.Fatal(name, resp.Status)
		}
		if m := p.expect("welcome"); m["user"] != "u1" {
			t.Error(name, m)
		}
	}
}

// What is refused at the gate is told by net/http, and counted once. LIM-8, HTTP-9
func TestRefusedOpenings(t *testing.T) {
	f := start(t, options{server: func(c *Config) {
		c.Limits.Unauthenticated = 4 // one of one address
	}})
	f.gated(0)
	f.dial()
	resp := f.dialRaw(handshake + "X-Request-Id: mine\r\n\r\n").response()
	body := decode(t, resp)
	if resp.StatusCode != 503 || body["code"] != string(room.CodeOverloaded) || body["request_id"] != "mine" || resp.Header.Get("X-Request-Id") != "mine" {
		t.Errorf("%v %v", resp, body)
	}
	if n := f.srv.Refused()[limitStrangers]; n != 1 {
		t.Errorf("%d refusals counted, want one", n)
	}
}

// HTTP-10, LIM-7: an opening has its name, and its line in the log; what a trusted proxy says of its address counts.
func TestAnOpeningHasItsNameAndItsAddress(t *testing.T) {
	var log journal
	f := start(t, options{server: func(c *Config) {
		c.Log = log.logger()
		c.Limits.Unauthenticated = 4 // one of one address
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	}})
	f.gated(0)
	for i, from := range []string{"192.0.2.1", "192.0.2.2", "203.0.113.9, 192.0.2.3"} { // each has a place of its own
		id := fmt.Sprintf("opening-%d", i)
		p := f.dialRaw(handshake + "X-Request-Id: " + id + "\r\nX-Forwarded-For: " + from + "\r\n\r\n")
		if resp := p.response(); resp.StatusCode != 101 || resp.Header.Get("X-Request-Id") != id {
			t.Errorf("%s: %v", from, resp)
		}
		eventually(t, "it is logged", func() bool { return log.of(id) != nil })
		if line := log.of(id); line["route"] != "/v1/ws" || line["method"] != "GET" || line["code"] != nil {
			t.Errorf("logged %v", line)
		}
	}
	if resp := f.dialRaw(handshake + "X-Forwarded-For: 192.0.2.99, 192.0.2.3\r\n\r\n").response(); resp.StatusCode != 503 {
		t.Errorf("a second of one address: %v", resp.Status)
	}
}
