package transport

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"roomlog/server/erasure"
	"roomlog/server/room"
)

// ERASE-2, MEM-7: whose membership goes with their data is told nothing more of the room, by whatever node has heard of it.
func TestErasureEndsMembership(t *testing.T) {
	var x *erasure.Eraser
	f := club(t, options{server: func(c *Config) {
		h := c.Hub
		x = erasure.New(erasure.Config{Store: c.Rooms.(erasure.Store), Told: func(ctx context.Context, id room.ID) error { h.CheckRooms(ctx, []room.ID{id}); return nil }})
		c.Erasures = x
	}})
	x.Start()
	t.Cleanup(x.Stop)
	const id = "club:a"
	f.enroll(id, "ann", "owner")
	f.enroll(id, "ben", "member")
	p := f.login("ben")
	p.sendf(`{"op":"join","room":%q}`, id)
	p.expect("joined")
	if a := f.request("DELETE", "/v1/users/ben/data", f.token("admin"), ""); a.status != 202 {
		t.Fatal(a.text)
	}
	eventually(t, "ERASE-1: all rooms are done", func() bool {
		return f.request("GET", "/v1/users/ben/data", f.token("admin"), "").body["done_at"] != nil
	})
	f.post("ann", id, 1, `"canary"`, 201)
	for {
		m := p.object()
		if m["op"] == "error" && m["code"] == string(room.CodeUnknownRoom) && m["room"] == id {
			break
		}
		if strings.Contains(fmt.Sprint(m), "canary") {
			t.Fatalf("ERASE-2: who is no member any more is given %v", m)
		}
	}
	if a := f.request("GET", "/v1/rooms/"+id+"/events", f.token("ben"), ""); a.code() != "unknown_room" {
		t.Errorf("ERASE-2: who is no member any more reads %s", a.text)
	}
}

// ERASE-2, ERASE-3: the marks of who was erased are shown to nobody who comes later, and are gone for who is there.
func TestErasureTakesMarksAway(t *testing.T) {
	f := keeping(t, 100, map[string]room.Policy{"chat": {}})
	x := erasure.New(erasure.Config{Store: f.store, Told: func(ctx context.Context, id room.ID) error { f.hub.CheckRooms(ctx, []room.ID{id}); return nil }})
	x.Start()
	t.Cleanup(x.Stop)
	const id = "chat:a"
	f.says("u1", id, 2)
	p := f.login("u1")
	p.sendf(`{"op":"join","room":%q,"with":["receipts"]}`, id)
	p.expect("joined")
	if a := f.request("PUT", "/v1/rooms/"+id+"/receipt", f.token("u2"), `{"read":2}`); a.status != 200 {
		t.Fatal(a.text)
	}
	until(p, "the mark is shown", func(m map[string]any) bool {
		return m["op"] == "receipts" && strings.Contains(fmt.Sprint(m["set"]), "u2")
	})
	if _, err := x.Ask(t.Context(), "u2", "admin", now()); err != nil {
		t.Fatal(err)
	}
	until(p, "ERASE-2: it is gone", func(m map[string]any) bool {
		return m["op"] == "receipts" && strings.Contains(fmt.Sprint(m["gone"]), "u2")
	})
	late := f.login("u3")
	late.sendf(`{"op":"join","room":%q,"with":["receipts"]}`, id)
	until(late, "the first frame", func(m map[string]any) bool {
		if m["op"] == "receipts" && strings.Contains(fmt.Sprint(m), "u2") {
			t.Errorf("ERASE-3: who comes later is given %v", m)
		}
		return m["op"] == "receipts"
	})
}

// until takes frames up to one.
func until(p *peer, what string, is func(map[string]any) bool) {
	p.t.Helper()
	for m := p.object(); !is(m); m = p.object() {
		if m["op"] == "ping" {
			p.t.Fatal(what)
		}
	}
}
