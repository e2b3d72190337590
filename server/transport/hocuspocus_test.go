package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"roomlog/server/docs"
	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/transport/auth"
	"roomlog/server/ysync"
)

// hocus opens a connection as a client of Hocuspocus does.
func (f *fixture) hocus() *yjsPeer {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	f.t.Cleanup(cancel)
	conn, _, err := websocket.Dial(ctx, "ws://"+f.addr+"/v1/hocuspocus", nil)
	must(f.t, err)
	conn.SetReadLimit(-1)
	f.t.Cleanup(func() { _ = conn.CloseNow() })
	return &yjsPeer{f.t, ctx, conn}
}

// introduction is the message that brings a token for a document.
func introduction(document, token string) []byte {
	text := func(dst []byte, s string) []byte { return append(binary.AppendUvarint(dst, uint64(len(s))), s...) }
	return text(text(append(text(nil, document), 2, 0), token), "4.8.0")
}

// leaving is the message that closes a document.
func leaving(document string) []byte {
	return append(append([]byte{byte(len(document))}, document...), 7)
}

// opens a document, and wants to be told what may be done with it.
func (p *yjsPeer) opens(document, token string, writes bool) {
	p.t.Helper()
	p.say(introduction(document, token))
	p.hears("HOC-2: let in to "+document, ysync.AppendAuthenticated(nil, document, writes))
}

// syncs asks for what there is, answers that it has nothing itself, and is told that this is stored.
func (p *yjsPeer) syncs(document string, has []byte) {
	p.t.Helper()
	p.say(ysync.AppendTo(nil, document, ysync.AppendAsk(nil, []byte{0})))
	p.hears("HOC-4: what there is", ysync.AppendTo(nil, document, ysync.AppendAnswer(nil, has)))
	p.say(ysync.AppendTo(nil, document, ysync.AppendAnswer(nil, []byte{0, 0})))
	p.hears("HOC-5: all is stored", ysync.AppendStatus(nil, document, true))
}

func (p *yjsPeer) changes(document string, update []byte) {
	p.t.Helper()
	p.say(ysync.AppendTo(nil, document, ysync.AppendUpdate(nil, update)))
}

// HOC-1 to HOC-5, HOC-8: documents of one connection, each with its own token; what is stored comes to all, and is said to be.
func TestHocuspocusMessages(t *testing.T) {
	o := withDocs()
	o.hub = func(c *hub.Config) { c.PingEvery = 50 * time.Millisecond }
	f := start(t, o)
	reading := f.token("u3", auth.Grant{Rooms: "pad:*", Can: []auth.Action{auth.Read}})
	a, b, r, y := f.hocus(), f.hocus(), f.hocus(), f.yjs("pad:a", f.token("u4"))
	y.say(ysync.AppendAsk(nil, []byte{0}))
	y.hears("an empty document", ysync.AppendAnswer(nil, []byte{0, 0}))
	a.opens("pad:a", f.token("u1"), true)
	b.opens("pad:a/main\x00session", f.token("u2"), true) // the same document
	b.opens("pad:a\x00other", f.token("u2"), true)        // and again, on the same connection
	r.opens("pad:a", reading, false)
	a.syncs("pad:a", []byte{0, 0})
	b.syncs("pad:a/main\x00session", []byte{0, 0})
	r.syncs("pad:a", []byte{0, 0})
	text := written(7, "hello")
	a.changes("pad:a", text)
	a.hears("HOC-5: stored", ysync.AppendStatus(nil, "pad:a", true))
	y.hears("YWS-3: what was stored", ysync.AppendUpdate(nil, text))
	b.say(ysync.AppendTo(nil, "pad:a\x00other", ysync.AppendAsk(nil, []byte{0})))
	b.hears("HOC-4: it is in the answer", ysync.AppendTo(nil, "pad:a\x00other", ysync.AppendAnswer(nil, text)))
	a.changes("pad:a", text)
	a.hears("HOC-5: what is known is stored", ysync.AppendStatus(nil, "pad:a", true))

	r.changes("pad:a", written(8, "no"))
	r.hears("HOC-6: not stored", ysync.AppendStatus(nil, "pad:a", false))
	r.changes("pad:a", text)
	r.hears("HOC-6: it is there already", ysync.AppendStatus(nil, "pad:a", true))
	r.syncs("pad:a", text)

	// Changes behind the question are in the answer to it: they are stored with it, and counted then.
	a.say(ysync.AppendTo(nil, "pad:a", ysync.AppendAsk(nil, []byte{0})))
	a.hears("HOC-4: all of it", ysync.AppendTo(nil, "pad:a", ysync.AppendAnswer(nil, text)))
	more := written(9, "more")
	a.changes("pad:a", more)
	a.changes("pad:a", more)
	a.say(ysync.AppendTo(nil, "pad:a", ysync.AppendAnswer(nil, more)))
	y.hears("HOC-5: stored once", ysync.AppendUpdate(nil, more))
	for range 3 {
		a.hears("HOC-5: each is answered", ysync.AppendStatus(nil, "pad:a", true))
	}

	// One that is closed leaves the others, and can be opened again.
	b.say(leaving("pad:a\x00other"))
	b.opens("pad:a\x00other", f.token("u2"), true)
	b.opens("pad:b/notes", f.token("u5"), true)
	b.syncs("pad:b/notes", []byte{0, 0})
	a.hears("HOC-8: a ping", []byte{9})
	a.say([]byte{10})
	a.say([]byte{9})
	a.hears("HOC-8: a pong", []byte{10})
	a.say(append([]byte{5, 'p', 'a', 'd', ':', 'a'}, 5, 2, 'h', 'i')) // HOC-9: stateless, which says nothing here
	a.changes("pad:never", text)                                      // a document that is not open
	a.changes("pad:a", written(10, strings.Repeat("last", 5_000)))
	a.hears("HOC-9: it goes on", ysync.AppendStatus(nil, "pad:a", true))
}

// HOC-3, HOC-7: what is refused ends its document alone.
func TestHocuspocusRefusals(t *testing.T) {
	f := start(t, withDocs())
	reading := f.token("u3", auth.Grant{Rooms: "pad:*", Can: []auth.Action{auth.Read}})
	p := f.hocus()
	p.opens("pad:a", f.token("u1"), true)
	for _, c := range []struct {
		name, document, token string
		code                  room.Code
	}{
		{"no token", "pad:b", "", room.CodeUnauthenticated},
		{"no good token", "pad:b", "none", room.CodeUnauthenticated},
		{"a token that is over", "pad:b", expired(t), room.CodeTokenExpired},
		{"a token longer than a frame", "pad:b", strings.Repeat("x", 20_000), room.CodeMessageTooLarge},
		{"a room that is none", "pad", f.token("u1"), room.CodeBadRoom},
		{"a room that it may not read", "chat:a", reading, room.CodeUnknownRoom},
		{"a document without a name", "pad:b/", f.token("u1"), room.CodeBadRequest},
		{"a document with a long name", "pad:b/" + strings.Repeat("x", 65), f.token("u1"), room.CodeBadRequest},
	} {
		p.say(introduction(c.document, c.token))
		p.hears(c.name, ysync.AppendRefused(nil, c.document, string(c.code)))
	}
	for _, c := range []struct {
		name, document string
		message        []byte
		code           room.Code
	}{
		{"no update", "pad:c", ysync.AppendUpdate(nil, []byte{1}), room.CodeBadUpdate},
		{"no state vector", "pad:c", ysync.AppendAsk(nil, []byte{1}), room.CodeBadRequest},
		{"too large a document", "small:a", ysync.AppendUpdate(nil, written(1, strings.Repeat("x", 99))), room.CodeLimitExceeded},
		{"a room without documents", "off:a", ysync.AppendUpdate(nil, written(1, "x")), room.CodeBadType},
	} {
		p.opens(c.document, f.token("u1"), true)
		p.say(ysync.AppendTo(nil, c.document, c.message))
		p.hears(c.name, ysync.AppendRefused(nil, c.document, string(c.code)))
		p.hears(c.name, ysync.AppendClosed(nil, c.document, string(c.code)))
	}
	p.syncs("pad:a", []byte{0, 0}) // the others are none the worse

	many := f.hocus()
	for i := range hocusMost {
		many.opens("pad:"+strconv.Itoa(i), f.token("u1"), true)
	}
	many.say(introduction("pad:more", f.token("u1")))
	many.hears("HOC-7: as many as there may be", ysync.AppendRefused(nil, "pad:more", string(room.CodeLimitExceeded)))
	many.say(leaving("pad:0"))
	many.opens("pad:more", f.token("u1"), true)

	for _, c := range []struct {
		name   string
		typ    websocket.MessageType
		says   []byte
		code   websocket.StatusCode
		reason string
	}{
		{"HOC-7: no message", websocket.MessageBinary, []byte{1, 'x', 99}, yjsBadRequest, "no type"},
		{"HOC-7: no awareness", websocket.MessageBinary, []byte("\x05pad:a\x01\x02\x01\x01"), yjsBadRequest, "middle"},
		{"HOC-7: text", websocket.MessageText, []byte("text"), closeUnsupportedData, "binary"},
	} {
		p := f.hocus()
		p.opens("pad:a", f.token("u1"), true)
		must(t, p.conn.Write(p.ctx, c.typ, c.says))
		p.ended(c.name, c.code, c.reason)
	}
	for most, before := range map[int][]byte{helloBytes: nil, yjsMessage: frame(0x82, introduction("pad:a", f.token("u1")))} {
		p := f.dialRaw(strings.Replace(handshake, "/v1/ws", "/v1/hocuspocus", 1) + "\r\n")
		p.response()
		p.write(before)
		p.write(binary.BigEndian.AppendUint64([]byte{0x82, 0x80 | 127}, uint64(most)+1))
		if reason := p.expectClose(closeTooLarge); reason != "message_too_large" {
			t.Errorf("HOC-1: %d bytes and one: %q", most, reason)
		}
	}
	if a := f.request("GET", "/v1/hocuspocus?token="+f.token("u1"), "", "", "Connection: Upgrade", "Upgrade: websocket"); a.code() != "unauthenticated" {
		t.Errorf("HOC-2: a token in the URL: %d %s", a.status, a.text)
	}
	if a := f.request("GET", "/v1/hocuspocus", "", "", "Origin: https://evil.example.com"); a.code() != "origin_not_allowed" {
		t.Errorf("HOC-1: another origin: %d %s", a.status, a.text)
	}
}

// HOC-3: who brings no token that is good is not waited for, nor who has closed all documents; a flood ends the connection.
func TestHocuspocusIdle(t *testing.T) {
	o := withDocs()
	also := o.server
	o.server = func(c *Config) {
		also(c)
		c.Limits.HelloWithin, c.Limits.FramesPerSecond, c.Limits.FrameBurst = 2*time.Second, 0.001, 20
	}
	f := start(t, o)
	gone := f.hocus()
	gone.opens("pad:a", f.token("u1"), true)
	gone.say(leaving("pad:a"))
	silent, stranger := f.hocus(), f.hocus()
	stranger.say(introduction("pad:a", "none"))
	stranger.hears("HOC-3: refused", ysync.AppendRefused(nil, "pad:a", "unauthenticated"))
	for _, p := range []*yjsPeer{silent, stranger, gone} {
		p.ended("HOC-3: nothing is open", closeUnauthenticated, "auth_timeout")
	}
	flood := f.hocus()
	flood.opens("pad:a", f.token("u1"), true)
	for range 30 {
		_ = flood.conn.Write(flood.ctx, websocket.MessageBinary, []byte{9})
	}
	flood.ended("LIM-5", closeOverloaded, "rate_limited")
	eventually(t, "places are given back", func() bool {
		f.srv.quotas.mu.Lock()
		defer f.srv.quotas.mu.Unlock()
		return len(f.srv.quotas.users) == 0 && len(f.srv.quotas.addresses) == 0 && f.srv.quotas.strangers.all == 0
	})
}

// HOC-3, HOC-6, HOC-10, AUTH-9, AUTH-10, ACC-4, CLOSE-7: tokens that end or are renewed, access that is taken back, a server that goes away.
func TestHocuspocusAccess(t *testing.T) {
	o := withDocs()
	o.hub = func(c *hub.Config) { c.PingEvery = 50 * time.Millisecond }
	f := start(t, o)
	p := f.hocus()
	p.opens("pad:a", endsIn(t, "u1", 5*time.Second), true)
	p.opens("pad:b", endsIn(t, "u1", 5*time.Second), true)
	p.hears("HOC-10: asked for another token", ysync.AppendTokenAsked(nil, "pad:a"))
	p.say(introduction("pad:a", f.token("u1", auth.Grant{Rooms: "pad:*", Can: []auth.Action{auth.Read}})))
	p.hears("HOC-10: taken", ysync.AppendAuthenticated(nil, "pad:a", false))
	p.say(introduction("pad:a", "none"))
	p.hears("HOC-10: not taken", ysync.AppendRefused(nil, "pad:a", "unauthenticated"))
	p.hears("AUTH-9", ysync.AppendRefused(nil, "pad:b", "token_expired"))
	p.hears("AUTH-9", ysync.AppendClosed(nil, "pad:b", "token_expired"))
	p.syncs("pad:a", []byte{0, 0}) // by its new token
	p.say(introduction("pad:a", f.token("u2")))
	p.hears("AUTH-10: another user", ysync.AppendRefused(nil, "pad:a", "unauthenticated"))
	p.hears("AUTH-10: another user", ysync.AppendClosed(nil, "pad:a", "unauthenticated"))

	p.opens("pad:a", f.token("u1"), true)
	p.opens("pad:b", f.token("u1"), true)
	p.opens("pad:c", f.token("u9"), true)
	f.order("PUT", "/v1/rooms/pad:a/bans/u1", "", 200)
	p.hears("ACC-4: a ban", ysync.AppendRefused(nil, "pad:a", "unknown_room"))
	p.syncs("pad:b", []byte{0, 0})
	f.order("POST", "/v1/users/u1/revoke", "", 200)
	p.hears("ACC-4: a revocation", ysync.AppendRefused(nil, "pad:b", "revoked"))
	p.syncs("pad:c", []byte{0, 0})
	empty := f.hocus()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	must(t, f.hub.Stop(ctx))
	p.ended("CLOSE-7", closeGoingAway, "going_away")
	must(t, f.srv.Close(ctx))
	empty.ended("CLOSE-7: without a document", closeGoingAway, "going_away")
}

// HOC-8, YWS-6, YWS-7: awareness goes to all, ends with its document, and is its user's.
func TestHocuspocusAwareness(t *testing.T) {
	f := startPeopleAnd(t, map[string]room.Policy{"pad": {}}, func(*hub.Config) {}, func(c *Config) {
		c.Docs = docs.New(docs.Config{Store: c.Access.(room.DocStore)})
	})
	a, b := f.hocus(), f.yjs("pad:a", f.token("u2"))
	a.opens("pad:a", f.token("u1"), true)
	b.say(ysync.AppendAsk(nil, []byte{0}))
	b.hears("in sync", ysync.AppendAnswer(nil, []byte{0, 0}))
	state := []ysync.Entry{{Client: 5, Clock: 1, State: []byte(`{"x":1}`)}}
	a.say(ysync.AppendTo(nil, "pad:a", ysync.AppendAwareness(nil, state)))
	b.hears("YWS-6: seen", ysync.AppendAwareness(nil, state))
	thief := []ysync.Entry{{Client: 5, Clock: 9, State: []byte(`{"thief":1}`)}, {Client: 6, Clock: 1, State: []byte(`{}`)}}
	b.say(ysync.AppendAwareness(nil, thief))
	a.hears("YWS-7: its own alone", ysync.AppendTo(nil, "pad:a", ysync.AppendAwareness(nil, thief[1:])))
	a.say(leaving("pad:a"))
	b.hears("HOC-8: gone", ysync.AppendAwareness(nil, []ysync.Entry{{Client: 5, Clock: 2}}))
}

// HOC-5: a change counts as stored when it is, not before.
func TestHocuspocusStatusFollowsTheCommit(t *testing.T) {
	slow := &held{waits: make(chan struct{}, 16), goes: make(chan struct{})}
	o := withDocs()
	o.hub = func(c *hub.Config) {
		slow.Store, c.Store = c.Store, slow
		c.UnknownAfter = time.Hour
	}
	f := start(t, o)
	p := f.hocus()
	p.opens("pad:a", f.token("u1"), true)
	p.opens("pad:b", f.token("u2"), true)
	p.changes("pad:a", written(7, "hello"))
	<-slow.waits
	for _, g := range f.srv.roster.of("u2") { // a revocation would wait for the store
		g.link.cut(&room.Error{Code: room.CodeRevoked, Title: "Over."})
	}
	status := ysync.AppendStatus(nil, "pad:a", true)
	for said := false; !said; { // what comes after the change has reached the store
		_, got, err := p.conn.Read(p.ctx)
		must(t, err)
		if bytes.Equal(got, status) {
			t.Fatal("HOC-5: stored, it is said, before it is")
		}
		said = bytes.Equal(got, ysync.AppendRefused(nil, "pad:b", "revoked"))
	}
	close(slow.goes)
	p.hears("HOC-5: stored", status)
}
