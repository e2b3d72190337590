package transport

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"roomlog/server/erasure"
	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

// startErasing starts a server that erases.
func startErasing(t *testing.T) *fixture {
	t.Helper()
	var x *erasure.Eraser
	f := start(t, options{server: func(c *Config) {
		h := c.Hub
		x = erasure.New(erasure.Config{Store: c.Rooms.(erasure.Store), Told: func(ctx context.Context, id room.ID) error { h.CheckRooms(ctx, []room.ID{id}); return nil }})
		c.Erasures = x
	}})
	x.Start()
	t.Cleanup(x.Stop)
	return f
}

// ERASE-1, ERASE-2, ERASE-3: what a user said is gone from every room and from what is in memory; what others said stays.
func TestErasure(t *testing.T) {
	f := startErasing(t)
	rooms := []string{"chat:a", "chat:b", "chat:c"}
	for i, id := range rooms {
		f.post("u1", id, 10*i, `{"text":"canary of u1"}`, 201)
		f.post("u2", id, 10*i+1, `{"text":"of u2"}`, 201)
	}
	f.post("u2", "chat:d", 90, `{"text":"of u2"}`, 201)
	p := f.dial()
	p.sendf(`{"op":"hello","token":%q}`, f.token("u2"))
	p.expect("welcome")
	p.sendf(`{"op":"join","id":1,"room":"chat:a","position":"0"}`)
	if got := fmt.Sprint(p.expect("joined")); !strings.Contains(got, "canary") {
		t.Fatalf("join: %s", got)
	}
	admin := f.token("admin")
	if a := f.request("GET", "/v1/users/u1/data", admin, ""); a.status != 404 || a.code() != "not_found" {
		t.Errorf("ERASE-1: nobody has asked: %d %s", a.status, a.text)
	}
	asked := f.request("DELETE", "/v1/users/u1/data", admin, "")
	if asked.status != 202 || asked.body["user"] != "u1" || asked.body["by"] != "admin" {
		t.Fatalf("ERASE-1: %d %s", asked.status, asked.text)
	}
	eventually(t, "ERASE-1: all rooms are done", func() bool {
		a := f.request("GET", "/v1/users/u1/data", admin, "")
		return a.status == 200 && a.body["done_at"] != nil && a.body["rooms"] == 3.0 && a.body["events"] == 3.0
	})
	page := p.expect("page")
	if got := fmt.Sprint(page["events"]); page["seq"] != 3.0 || !strings.Contains(got, "type:erase") || !strings.Contains(got, "data:map[user:u1]") || !strings.Contains(got, "author:admin") {
		t.Errorf("ERASE-3: who follows the room is given %s", got)
	}
	for _, id := range rooms {
		for _, query := range []string{"after=0", "before=9", "around=1"} {
			a := f.request("GET", "/v1/rooms/"+id+"/events?"+query, admin, "")
			if strings.Contains(a.text, "canary") || strings.Count(a.text, "of u2") != 1 || !strings.Contains(a.text, `"deleted":{"seq":3,"by":"admin"`) {
				t.Errorf("ERASE-3: %s of %s is %s", query, id, a.text)
			}
		}
	}
	if a := f.request("GET", "/v1/rooms/chat:d/events", admin, ""); a.body["head"] != 1.0 {
		t.Errorf("ERASE-2: a room that had nothing of them is %s", a.text)
	}
	if a := f.post("u1", "chat:a", 0, `{"text":"canary of u1"}`, 200); a.body["duplicate"] != true || a.body["data"] != nil {
		t.Errorf("ERASE-3: the repeat of a send is %s", a.text)
	}
}

// ERASE-1, ERASE-5: who may not ask, and what nobody sends.
func TestErasureRefused(t *testing.T) {
	f := startErasing(t)
	roomAdmin := f.token("u1", auth.Grant{Rooms: "chat:*", Can: []auth.Action{auth.Read, auth.Send, auth.Admin}})
	for _, method := range []string{"GET", "DELETE"} {
		if a := f.request(method, "/v1/users/u2/data", roomAdmin, ""); a.status != 403 || a.code() != "forbidden" {
			t.Errorf("ERASE-1: %s by who is no admin of all is %d %s", method, a.status, a.text)
		}
	}
	a := f.request("POST", "/v1/rooms/chat:a/events", f.token("u1"), `{"tag":"`+tagOf(1)+`","type":"erase","data":{"user":"u2"}}`)
	if a.code() != "forbidden" || a.body["field"] != "type" {
		t.Errorf("ERASE-5: a send of it is %d %s", a.status, a.text)
	}
}
