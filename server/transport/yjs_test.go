package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"roomlog/server/docs"
	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/transport/auth"
	"roomlog/server/yjs"
	"roomlog/server/ysync"
)

// yjsPeer is a client of y-websocket, message by message.
type yjsPeer struct {
	t    *testing.T
	ctx  context.Context
	conn *websocket.Conn
}

func (f *fixture) yjs(path, token string) *yjsPeer {
	f.t.Helper()
	return f.yjsBy(nil, patience, path, token)
}

func (f *fixture) yjsBy(by *http.Client, within time.Duration, path, token string) *yjsPeer {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), within)
	f.t.Cleanup(cancel)
	conn, _, err := websocket.Dial(ctx, "ws://"+f.addr+"/v1/yjs/"+path, &websocket.DialOptions{HTTPClient: by, Subprotocols: []string{yjsSubprotocol, yjsToken + token}})
	must(f.t, err)
	conn.SetReadLimit(-1)
	f.t.Cleanup(func() { _ = conn.CloseNow() })
	return &yjsPeer{f.t, ctx, conn}
}

func (p *yjsPeer) say(message []byte) {
	p.t.Helper()
	must(p.t, p.conn.Write(p.ctx, websocket.MessageBinary, message))
}

// hears waits for a message; others are passed over.
func (p *yjsPeer) hears(what string, want []byte) {
	p.t.Helper()
	for {
		typ, got, err := p.conn.Read(p.ctx)
		if err != nil {
			p.t.Fatalf("%s: %v", what, err)
		}
		if typ != websocket.MessageBinary {
			p.t.Fatalf("%s: a text message", what)
		}
		if bytes.Equal(got, want) {
			return
		}
	}
}

// ended waits for the end, and says what was heard until then.
func (p *yjsPeer) ended(what string, code websocket.StatusCode, reason string) (heard []string) {
	p.t.Helper()
	for {
		_, got, err := p.conn.Read(p.ctx)
		if err == nil {
			heard = append(heard, string(got))
			continue
		}
		if c := websocket.CloseStatus(err); c != code || !strings.Contains(err.Error(), reason) {
			p.t.Errorf("%s: %v, want %d %s", what, err, code, reason)
		}
		return heard
	}
}

// YWS-1 to YWS-5, YWS-8, YWS-9: what is stored comes to all, and what a client does wrong ends itself alone.
func TestYWebsocketMessages(t *testing.T) {
	o := withDocs()
	o.hub = func(c *hub.Config) { c.PingEvery = 50 * time.Millisecond }
	f := start(t, o)
	reading := f.token("u3", auth.Grant{Rooms: "pad:*", Can: []auth.Action{auth.Read}})
	a, b, r := f.yjs("pad:a", f.token("u1")), f.yjs("pad:a/main", f.token("u2")), f.yjs("pad:a", reading)
	for _, p := range []*yjsPeer{a, b, r} {
		p.say(ysync.AppendAsk(nil, []byte{0}))
		p.hears("YWS-3: an empty document", ysync.AppendAnswer(nil, []byte{0, 0}))
	}
	a.hears("YWS-3: what the server asks", ysync.AppendAsk(nil, []byte{0}))
	text := written(7, "hello")
	a.say(ysync.AppendUpdate(nil, text))
	for _, p := range []*yjsPeer{a, b, r} {
		p.hears("YWS-4: what was stored", ysync.AppendUpdate(nil, text))
	}
	late := f.yjs("pad:a", reading)
	late.say(ysync.AppendAsk(nil, []byte{0}))
	late.hears("YWS-3: the document", ysync.AppendAnswer(nil, text))
	r.say(ysync.AppendUpdate(nil, written(8, "no")))
	r.hears("YWS-5: not permitted", ysync.AppendDenied(nil, "The token does not grant this in this room."))
	r.say(ysync.AppendAsk(nil, []byte{0}))
	r.hears("YWS-5: nothing changed, and it reads on", ysync.AppendAnswer(nil, text))
	a.hears("YWS-8: something at each ping", ysync.AppendAwareness(nil, nil))

	for _, c := range []struct {
		name, path, token string
		says              []byte
		code              websocket.StatusCode
		reason            string
		denied            bool
	}{
		{"no token", "pad:a", "none", nil, yjsUnauthenticated, "unauthenticated", false},
		{"a room that is none", "pad", f.token("u1"), nil, yjsBadRequest, "bad_room", false},
		{"a room that it may not read", "chat:a", reading, nil, yjsForbidden, "unknown_room", false},
		{"no message", "pad:a", f.token("u1"), []byte{9}, yjsBadRequest, "no type", false},
		{"no awareness", "pad:a", f.token("u1"), []byte{1, 2, 1, 1}, yjsBadRequest, "middle", false},
		{"no update", "pad:a", f.token("u1"), ysync.AppendUpdate(nil, []byte{1}), yjsBadRequest, "bad_update", true},
		{"no state vector", "pad:a", f.token("u1"), ysync.AppendAsk(nil, []byte{1}), yjsBadRequest, "bad_request", true},
		{"too large a document", "small:a", f.token("u1"), ysync.AppendUpdate(nil, written(1, strings.Repeat("x", 99))), yjsBadRequest, "limit_exceeded", true},
		{"too large a message", "pad:a", f.token("u1"), make([]byte, room.MaxDocUpdate+1025), closeTooLarge, "message_too_large", false},
	} {
		p := f.yjs(c.path, c.token)
		if c.says != nil {
			_ = p.conn.Write(p.ctx, websocket.MessageBinary, c.says) // the end may come before all is written
		}
		told := false
		for _, m := range p.ended(c.name, c.code, c.reason) {
			told = told || strings.HasPrefix(m, "\x02\x00")
		}
		if told != c.denied {
			t.Errorf("YWS-5: %s: told %t, want %t", c.name, told, c.denied)
		}
	}
	p := f.yjs("pad:a", f.token("u1"))
	must(t, p.conn.Write(p.ctx, websocket.MessageText, []byte("text")))
	p.ended("YWS-1: text", closeUnsupportedData, "binary")
	a.say(ysync.AppendAsk(nil, []byte{0}))
	a.hears("the others are none the worse", ysync.AppendAnswer(nil, text))
}

// YWS-3, DOC-12: a client that reads nothing for a while is given what was left out as one update, and lacks nothing.
func TestYWebsocketSlow(t *testing.T) {
	o := withDocs()
	o.hub = func(c *hub.Config) { c.TailBytes = 96 << 10 } // less than one update: who is behind is given a page without them
	o.server = func(c *Config) {
		c.Docs = docs.New(docs.Config{Store: c.Access.(room.DocStore), CompactBytes: 64 << 20})
		c.Kinds = room.NewKinds(map[string]room.Policy{"pad": {}})
		c.Limits.WriteDeadline = time.Minute // it is slow, not gone
	}
	f := start(t, o)
	narrow := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err == nil {
			err = nc.(*net.TCPConn).SetReadBuffer(64 << 10)
		}
		return nc, err
	}}}
	p := f.yjsBy(narrow, time.Minute, "pad:slow", f.token("u1"))
	p.say(ysync.AppendAsk(nil, []byte{0}))
	p.hears("YWS-3: an empty document", ysync.AppendAnswer(nil, []byte{0, 0}))
	const writers, size = 32, 256 << 10 // more than the system takes for a client
	for client := byte(1); client <= writers; client++ {
		a := f.request("POST", "/v1/rooms/pad:slow/docs/main", f.token("u2"), string(written(client, strings.Repeat("x", size))), "Content-Type: application/octet-stream")
		if a.status != 201 {
			t.Fatalf("DOC-7: update %d: %d %.200s", client, a.status, a.text)
		}
	}
	has, heard := map[uint64]uint64{}, 0
	for len(has) < writers {
		_, got, err := p.conn.Read(p.ctx)
		if err != nil {
			t.Fatalf("DOC-12: %v after %d updates, of which %d writers were", err, heard, len(has))
		}
		m, err := ysync.Parse(got)
		if err != nil || m.Kind != ysync.Update {
			continue
		}
		heard++
		v, err := yjs.StateVector(m.Body)
		must(t, err)
		for client, clock := range v {
			has[client] = max(has[client], clock)
		}
	}
	for client, clock := range has {
		if clock != size {
			t.Errorf("DOC-12: of writer %d there are %d characters", client, clock)
		}
	}
	if heard >= writers {
		t.Errorf("%d updates were heard one by one: nothing was put to the test", heard)
	}
	more := written(writers+1, "live")
	p.say(ysync.AppendUpdate(nil, more))
	p.hears("YWS-4: what comes then", ysync.AppendUpdate(nil, more))
}

// YWS-7: whose an id is, as one connection sees it.
func TestCarets(t *testing.T) {
	c := newCarets("main")
	c.connection = "me"
	state := json.RawMessage(`{"x":1}`)
	value := func(connection, user, key, clock string) json.RawMessage {
		return json.RawMessage(`{"user":"` + user + `","connection":"` + connection + `","type":"awareness","key":"` + key +
			`","data":{"doc":"main","clock":` + clock + `,"state":{"x":1}}}`)
	}
	says := func(name string, want int, entries ...ysync.Entry) {
		t.Helper()
		if got := c.own("pad:a", "ada", entries); len(got) != want {
			t.Errorf("%s: %v, want %d signals", name, got, want)
		}
	}
	shown := func(name string, set []json.RawMessage, gone []string, full bool, want ...ysync.Entry) {
		t.Helper()
		got := c.shown(set, gone, full)
		if len(got) != len(want) {
			t.Fatalf("%s: %v, want %v", name, got, want)
		}
		for i, e := range got {
			if e.Client != want[i].Client || e.Clock != want[i].Clock || (e.State == nil) != (want[i].State == nil) {
				t.Errorf("%s: %v, want %v", name, got, want)
			}
		}
	}
	says("its own", 1, ysync.Entry{Client: 1, Clock: 1, State: state})
	says("the end of what it never said", 0, ysync.Entry{Client: 9, Clock: 1})
	shown("another's", []json.RawMessage{value("b", "ben", "5", "3")}, nil, true, ysync.Entry{Client: 5, Clock: 3, State: state})
	says("what it heard", 0, ysync.Entry{Client: 5, Clock: 3, State: state})
	says("another user's id", 0, ysync.Entry{Client: 5, Clock: 99, State: state})
	shown("a thief of another's and of mine", []json.RawMessage{value("x", "eve", "5", "9"), value("x", "eve", "1", "9")}, nil, false)
	shown("what is no entry", []json.RawMessage{value("b", "ben", "-1", "1"), value("b", "ben", "7", `"x"`), json.RawMessage(`{"type":"typing"}`)}, nil, false)
	shown("not its end", nil, []string{"x awareness 5", "nonsense"}, false)
	shown("its end", nil, []string{"b awareness 5"}, false, ysync.Entry{Client: 5, Clock: 4})
	says("a late echo of who is gone", 0, ysync.Entry{Client: 5, Clock: 3, State: state})
	shown("back with the same clock, which has to rise", []json.RawMessage{value("b2", "ben", "5", "3")}, nil, false, ysync.Entry{Client: 5, Clock: 5, State: state})
	shown("and goes on rising", []json.RawMessage{value("b2", "ben", "5", "4")}, nil, false, ysync.Entry{Client: 5, Clock: 6, State: state})
	shown("all there is, without it", nil, nil, true, ysync.Entry{Client: 5, Clock: 7})
	shown("my own from before", []json.RawMessage{value("old", "ada", "8", "3")}, nil, false, ysync.Entry{Client: 8, Clock: 3, State: state})
	says("taken over by the same user", 1, ysync.Entry{Client: 8, Clock: 4, State: state})
	shown("the old one's end is not mine", nil, []string{"old awareness 8"}, false)
	says("its end", 1, ysync.Entry{Client: 1, Clock: 1})
}
