package transport

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

func TestProtocolPingIsAnswered(t *testing.T) { // BEAT-2
	f := start(t, options{})
	for _, p := range []*peer{f.dial(), f.login("u1")} {
		p.write(frame(0x89, []byte("are you there")))
		if op, payload := p.next(); op != 0x8a || string(payload) != "are you there" {
			t.Errorf("frame %#x %q, want its pong", op, payload)
		}
		p.write(frame(0x8a, []byte("a pong nobody asked for")))
		p.sendf(`{"op":"pong"}`)
		p.sendf(`{"op":"ping"}`)
		p.expect("pong")
	}
}

func TestFramesInOneSegmentWithTheHandshake(t *testing.T) {
	f := start(t, options{})
	p := f.dialRaw(handshake + "\r\n" + string(frame(0x81, fmt.Appendf(nil, `{"op":"hello","token":%q}`, f.token("u1")))))
	if resp := p.response(); resp.StatusCode != 101 {
		t.Fatal(resp.Status)
	}
	if m := p.expect("welcome"); m["user"] != "u1" {
		t.Error(m)
	}
}

func TestLargeFrames(t *testing.T) { // CLOSE-5, DATA-2
	f := start(t, options{})
	p := f.login("u1")
	data := `"` + strings.Repeat("x", 65534) + `"`
	p.sendf(`{"op":"send","n":1,"room":"chat:a","tag":%q,"type":"message","data":%s}`, tagOf(1), data)
	p.expect("ack")
	p.sendf(`{"op":"send","n":2,"room":"chat:a","tag":%q,"type":"message","data":"x%s}`, tagOf(2), data[1:])
	if m := p.expectError(room.CodeMessageTooLarge); m["limit"] != float64(65536) {
		t.Error(m)
	}
	p.sendf(`{"op":"send","n":3,"room":"chat:a","tag":%q,"type":"message","data":   %s  %s}`, tagOf(3), strings.Repeat(" ", 900_000), data)
	p.expect("ack")
	p.write([]byte{0x81, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 1})
	if m := p.expectError(room.CodeMessageTooLarge); m["limit"] != float64(1<<20) {
		t.Error(m)
	}
	if reason := p.expectClose(1009); reason != "message_too_large" { // CLOSE-3
		t.Errorf("reason %q", reason)
	}
}

func TestHandshake(t *testing.T) {
	f := start(t, options{})
	for _, c := range handshakes() {
		t.Run(c.name, func(t *testing.T) { c.try(t, f) })
	}
}

// handshakeCase is a handshake, without the empty line at its end, and what it is answered.
type handshakeCase struct {
	name, request string
	status        int
	code          room.Code
}

func handshakes() []handshakeCase {
	key := "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	return []handshakeCase{
		{"good", handshake, 101, ""},
		{"VER-1 subprotocol", handshake + "Sec-WebSocket-Protocol: x, roomlog.v1\r\n", 101, ""},
		{"VER-1 other subprotocol", handshake + "Sec-WebSocket-Protocol: roomlog.v9\r\n", 400, room.CodeUnsupportedVersion},
		{"an extension is not taken", handshake + "Sec-WebSocket-Extensions: permessage-deflate\r\n", 101, ""},
		{"HTTP-7 listed origin", handshake + "Origin: https://app.example.com\r\n", 101, ""},
		{"HTTP-7 other origin", handshake + "Origin: https://evil.example\r\n", 403, room.CodeOriginNotAllowed},
		{"HTTP-7 longer origin", handshake + "Origin: https://app.example.com.evil.io\r\n", 403, room.CodeOriginNotAllowed},
		{"HTTP-7 other port", handshake + "Origin: https://app.example.com:8443\r\n", 403, room.CodeOriginNotAllowed},
		{"HTTP-7 other scheme", handshake + "Origin: http://app.example.com\r\n", 403, room.CodeOriginNotAllowed},
		{"HTTP-7 prefix", handshake + "Origin: https://evilapp.example.com\r\n", 403, room.CodeOriginNotAllowed},
		{"HTTP-7 null", handshake + "Origin: null\r\n", 403, room.CodeOriginNotAllowed},
		{"HTTP-7 two origins", handshake + "Origin: https://app.example.com\r\nOrigin: https://app.example.com\r\n", 403, room.CodeOriginNotAllowed},
		{"no key", strings.Replace(handshake, key, "", 1), 400, room.CodeBadRequest},
		{"short key", strings.Replace(handshake, "dGhlIHNhbXBsZSBub25jZQ==", "dGhl", 1), 400, room.CodeBadRequest},
		{"two keys", handshake + key, 400, room.CodeBadRequest},
		{"version 8", strings.Replace(handshake, "Version: 13", "Version: 8", 1), 400, room.CodeUnsupportedVersion},
		{"no upgrade", strings.Replace(handshake, "Upgrade: websocket\r\n", "", 1), 400, room.CodeBadRequest},
		{"HTTP-6 POST", strings.Replace(handshake, "GET", "POST", 1) + "Content-Length: 0\r\n", 405, room.CodeMethodNotAllowed},
	}
}

func (c handshakeCase) try(t *testing.T, f *fixture) {
	c.check(t, f.dialRaw(c.request+"\r\n").response())
}

func (c handshakeCase) check(t *testing.T, resp *http.Response) {
	if resp.StatusCode != c.status {
		t.Fatalf("status %s, want %d", resp.Status, c.status)
	}
	if c.code != "" {
		if body := decode(t, resp); body["code"] != string(c.code) {
			t.Errorf("%v, want %s", body, c.code)
		}
		return
	}
	want := ""
	if strings.Contains(c.name, "subprotocol") {
		want = "roomlog.v1"
	}
	if got := resp.Header.Get("Sec-Websocket-Protocol"); got != want || resp.Header.Get("Sec-Websocket-Extensions") != "" {
		t.Errorf("subprotocol %q, extensions %q", got, resp.Header.Get("Sec-Websocket-Extensions"))
	}
}

func TestHello(t *testing.T) {
	f := start(t, options{})
	t.Run("AUTH-7 welcome", func(t *testing.T) {
		p := f.dial()
		p.sendf(`{"op":"hello","token":%q,"version":1,"client":"test/1"}`, f.token("u1"))
		m := p.expect("welcome")
		if m["user"] != "u1" || m["ping_ms"] != float64(10000) || m["version"] != float64(1) || m["connection"] == "" || m["limits"].(map[string]any)["event_bytes"] != float64(65536) {
			t.Error(m)
		}
		p.sendf(`{"op":"hello","id":4,"token":%q}`, f.token("u1"))
		if m := p.expectError(room.CodeBadRequest); m["id"] != float64(4) {
			t.Error(m)
		}
	})
	for _, op := range []string{
		`{"op":"join","id":1,"room":"chat:a"}`, `{"op":"send","id":1,"room":"chat:a","n":1}`, `{"op":"send","id":1}`,
		`{"op":"leave","id":1,"room":"chat:a"}`, `{"op":"refresh","id":1,"token":""}`, `{"op":"hello","id":1,"token":"x"}`,
		`{"op":"hello","id":1}`, `{"op":"dance","id":1}`, `{"op":"ping","id":1,"limit":"x"}`,
	} {
		t.Run("AUTH-7 "+op, func(t *testing.T) {
			p := f.dial()
			p.t = t
			p.sendf("%s", op)
			if m := p.expectError(room.CodeUnauthenticated); m["id"] != float64(1) {
				t.Error(m)
			}
			if reason := p.expectClose(4501); reason != "unauthenticated" { // CLOSE-3
				t.Errorf("reason %q", reason)
			}
		})
	}
	t.Run("ERR-7 ERR-8 the connection goes on", func(t *testing.T) {
		p := f.login("u1")
		for _, text := range []string{``, `[]`, `{"op":"join","room":7}`} {
			p.sendf("%s", text)
			p.expectError(room.CodeBadRequest)
		}
		p.sendf(`{"op":"dance"}`)
		p.expectError(room.CodeUnknownOp)
		p.sendf(`{"op":"ping"}`)
		p.expect("pong")
	})
	t.Run("VER-2", func(t *testing.T) {
		p := f.dial()
		p.sendf(`{"op":"hello","version":99,"token":%q}`, f.token("u1"))
		p.expectError(room.CodeUnsupportedVersion)
		p.expectClose(4510)
	})
	t.Run("AUTH-3 expired", func(t *testing.T) {
		p := f.dial()
		p.sendf(`{"op":"hello","token":%q}`, expired(t))
		p.expectError(room.CodeTokenExpired)
		p.expectClose(4501)
	})
}

func TestHelloTimeout(t *testing.T) { // AUTH-8
	t.Parallel()
	f := start(t, options{server: func(c *Config) { c.Limits.HelloWithin = 300 * time.Millisecond }})
	p := f.dial()
	p.expectError(room.CodeAuthTimeout)
	if reason := p.expectClose(4501); reason != "auth_timeout" {
		t.Errorf("reason %q", reason)
	}
	f.stop()
	if q := f.srv.quotas; q.strangers.all != 0 || len(q.addresses) != 0 {
		t.Error("the place of the stranger is still taken")
	}
}

func TestTokenExpiryEndsTheConnection(t *testing.T) { // AUTH-9
	t.Parallel()
	f := start(t, options{})
	p := f.dial()
	p.sendf(`{"op":"hello","token":%q}`, endsIn(t, "u1", 3*time.Second))
	p.expect("welcome")
	p.expectError(room.CodeTokenExpired)
	p.expectClose(4501)
}

func TestRefresh(t *testing.T) { // AUTH-10
	f := start(t, options{})
	t.Run("same user", func(t *testing.T) {
		p := f.dial()
		p.sendf(`{"op":"hello","token":%q}`, endsIn(t, "u1", patience))
		p.expect("welcome")
		p.sendf(`{"op":"join","id":1,"room":"chat:a"}`)
		p.expect("joined")
		p.sendf(`{"op":"join","id":2,"room":"chat:b"}`)
		p.expect("joined")
		p.sendf(`{"op":"refresh","token":%q}`, f.token("u1", auth.Grant{Rooms: "chat:a", Can: []auth.Action{auth.Read, auth.Send}}))
		if m := p.expectError(room.CodeUnknownRoom); m["room"] != "chat:b" {
			t.Error(m)
		}
		p.sendf(`{"op":"send","id":3,"n":1,"room":"chat:b","tag":%q,"type":"message","data":1}`, tagOf(1))
		p.expectError(room.CodeUnknownRoom)
		f.post("u2", "chat:b", 2, `"not for u1 any more"`, 201)
		f.post("u2", "chat:a", 3, `"for u1"`, 201)
		if m := p.expect("page"); m["room"] != "chat:a" {
			t.Error(m)
		}
	})
	t.Run("other user", func(t *testing.T) {
		p := f.login("u1")
		p.sendf(`{"op":"refresh","id":5,"token":%q}`, f.token("u2"))
		p.expectError(room.CodeUnauthenticated)
		p.expectClose(4501)
	})
	t.Run("bad token", func(t *testing.T) {
		p := f.login("u1")
		p.sendf(`{"op":"refresh","id":5,"token":"x.y.z"}`)
		p.expectError(room.CodeUnauthenticated)
		p.sendf(`{"op":"refresh","id":6,"token":%q}`, expired(t))
		if m := p.expectError(room.CodeTokenExpired); m["id"] != 6.0 {
			t.Error(m)
		}
		p.sendf(`{"op":"join","id":7,"room":"chat:a"}`)
		p.expect("joined")
	})
}

func TestFrameReaderTakesAnySplit(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 300 {
		var all []byte
		var want []string
		for range rng.IntN(8) {
			msg := strings.Repeat("é漢x", rng.IntN(200))
			want = append(want, msg)
			for first := true; ; first = false {
				n := rng.IntN(len(msg) + 1)
				fin := n == len(msg)
				head := byte(0)
				if first {
					head |= 1
				}
				if fin {
					head |= 0x80
				}
				all = append(all, frame(head, []byte(msg[:n]))...)
				if rng.IntN(3) == 0 {
					all = append(all, frame(0x89, []byte("p"))...)
				}
				if msg = msg[n:]; fin {
					break
				}
			}
		}
		r, heard := frameReader{max: 1 << 20}, collector{}
		for len(all) > 0 {
			n := 1 + rng.IntN(min(len(all), 700))
			must(t, r.feed(bytes.Clone(all[:n]), &heard))
			all = all[n:]
		}
		if strings.Join(heard.texts, "|") != strings.Join(want, "|") || r.rest != nil || r.msg != nil {
			t.Fatalf("seed %d: messages differ, or bytes are held", seed)
		}
	}
}
