package transport

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"roomlog/server/ysync"
)

// YWS-2, YWS-9, AUTH-9, ACC-4, TICK-3, CLOSE-7: how a connection of y-websocket begins and ends.
func TestYWebsocketAccess(t *testing.T) {
	f := start(t, withDocs())
	over := f.yjs("pad:a", endsIn(t, "u1", 3*time.Second))
	over.say(ysync.AppendAsk(nil, []byte{0}))
	over.hears("let in", ysync.AppendAnswer(nil, []byte{0, 0}))
	over.ended("AUTH-9", yjsUnauthenticated, "token_expired")
	ticket, _ := f.request("POST", "/v1/tickets", f.token("u1"), "").body["ticket"].(string)
	dial := func() *yjsPeer {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		t.Cleanup(cancel)
		conn, _, err := websocket.Dial(ctx, "ws://"+f.addr+"/v1/yjs/pad:a?ticket="+ticket, nil)
		must(t, err)
		t.Cleanup(func() { _ = conn.CloseNow() })
		return &yjsPeer{t, ctx, conn}
	}
	first, second := dial(), (*yjsPeer)(nil)
	first.say(ysync.AppendAsk(nil, []byte{0}))
	first.hears("TICK-3", ysync.AppendAnswer(nil, []byte{0, 0}))
	second = dial()
	second.ended("TICK-3: used", yjsUnauthenticated, "unauthenticated")
	f.order("PUT", "/v1/rooms/pad:a/bans/u1", "", 200)
	first.ended("ACC-4: a ban", yjsForbidden, "unknown_room")
	p := f.yjs("pad:b", f.token("u1"))
	p.say(ysync.AppendAsk(nil, []byte{0}))
	p.hears("let in", ysync.AppendAnswer(nil, []byte{0, 0}))
	f.order("POST", "/v1/users/u1/revoke", "", 200)
	p.ended("ACC-4: a revocation", yjsForbidden, "revoked")
	p = f.yjs("pad:b", f.token("u2"))
	p.say(ysync.AppendAsk(nil, []byte{0}))
	p.hears("let in", ysync.AppendAnswer(nil, []byte{0, 0}))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	must(t, f.hub.Stop(ctx))
	p.ended("CLOSE-7", closeGoingAway, "going_away")
}

// A room that began anew sends its clients away, to come back and sync; HOC-7, YWS-9.
func TestYjsReset(t *testing.T) {
	f := start(t, withDocs())
	p, y := f.hocus(), f.yjs("pad:a", f.token("u2"))
	p.opens("pad:a", f.token("u1"), true)
	p.changes("pad:a", written(7, "hello"))
	p.hears("stored", ysync.AppendStatus(nil, "pad:a", true))
	y.say(ysync.AppendAsk(nil, []byte{0}))
	y.hears("there", ysync.AppendAnswer(nil, written(7, "hello")))
	f.order("DELETE", "/v1/rooms/pad:a", "", 200)
	for _, peer := range []*yjsPeer{p, y} {
		heard := peer.ended("RESET", closeGoingAway, "reset")
		for _, m := range heard {
			if strings.HasPrefix(m, "\x05pad:a\x07") {
				t.Errorf("HOC-7: the document is closed, though its client is to come back: %q", m)
			}
		}
	}
}
