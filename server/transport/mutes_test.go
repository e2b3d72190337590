package transport

import (
	"fmt"
	"testing"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

// MOD-1, MOD-2: who is muted reads and sends nothing, by HTTP and by a socket that was open before, until it is lifted.
func TestMutes(t *testing.T) {
	f := start(t, options{})
	moderator := f.token("mod", auth.Grant{Rooms: "chat:*", Can: []auth.Action{auth.Read, auth.Moderate}})
	f.post("u1", "chat:a", 1, `{"text":"1"}`, 201)
	p := f.login("u1")
	p.sendf(`{"op":"join","id":1,"room":"chat:a"}`)
	p.expect("joined")
	a := f.request("PUT", "/v1/rooms/chat:a/mutes/u1", moderator, `{"for":"1h","reason":"noise"}`)
	if a.status != 200 || a.body["user"] != "u1" || a.body["by"] != "mod" || a.body["until"] == nil || a.body["reason"] != "noise" {
		t.Fatalf("MOD-2: %d %s", a.status, a.text)
	}
	for i, typ := range []string{"message", "reaction", "app.note"} {
		p.sendf(`{"op":"send","id":%d,"n":%d,"room":"chat:a","tag":%q,"type":%q,"data":{"target":1,"emoji":"x"}}`, i+2, i+1, tagOf(i+2), typ)
		if e := p.expectError("forbidden"); e["field"] != "room" {
			t.Errorf("MOD-1: a send of %s is answered by %v", typ, e)
		}
	}
	body := fmt.Sprintf(`{"tag":%q,"type":"message","data":1}`, tagOf(9))
	if a := f.request("POST", "/v1/rooms/chat:a/events", f.token("u1"), body); a.status != 403 || a.code() != "forbidden" || a.body["field"] != "room" {
		t.Errorf("MOD-1: a send over HTTP is answered by %d %s", a.status, a.text)
	}
	f.post("u1", "chat:b", 10, `1`, 201)
	f.post("u2", "chat:a", 11, `{"text":"of another"}`, 201)
	if page := p.expect("page"); page["seq"] != 2.0 {
		t.Errorf("MOD-1: they do not read on: %v", page)
	}
	if a := f.request("GET", "/v1/rooms/chat:a/mutes", moderator, ""); a.status != 200 || len(a.body["mutes"].([]any)) != 1 || a.body["more"] != false {
		t.Errorf("MOD-2: the list is %s", a.text)
	}
	for _, c := range []struct {
		grants []auth.Grant
		code   string
	}{
		{[]auth.Grant{{Rooms: "chat:a", Can: []auth.Action{auth.Read, auth.Send}}}, "forbidden"},
		{[]auth.Grant{{Rooms: "chat:b", Can: []auth.Action{auth.Read, auth.Admin}}}, "unknown_room"},
	} {
		for method, path := range map[string]string{"GET": "", "PUT": "/u2", "DELETE": "/u1"} {
			if a := f.request(method, "/v1/rooms/chat:a/mutes"+path, f.token("u3", c.grants...), ""); a.code() != c.code {
				t.Errorf("MOD-2: %s with %v is answered by %d %s", method, c.grants, a.status, a.text)
			}
		}
	}
	if a := f.request("DELETE", "/v1/rooms/chat:a/mutes/u1", moderator, ""); a.status != 204 {
		t.Fatalf("MOD-2: %d %s", a.status, a.text)
	}
	f.post("u1", "chat:a", 12, `{"text":"again"}`, 201)
}

// ACC-3, MOD-2, MOD-4: who is banned moderates the room no more, whatever their token grants; who administers it may lift the ban.
func TestWhoIsBannedModeratesNothing(t *testing.T) {
	f := start(t, options{server: func(c *Config) { c.Reports = c.Rooms.(room.ReportStore) }})
	const id = "/v1/rooms/chat:a/"
	f.post("u1", "chat:a", 1, `"x"`, 201)
	admin := f.token("u2")
	if a := f.request("PUT", id+"bans/u2", admin, `{}`); a.status != 200 {
		t.Fatal(a.text)
	}
	for _, c := range []struct{ method, path, body string }{
		{"GET", "reports", ""}, {"DELETE", "reports/1", ""}, {"GET", "mutes", ""}, {"PUT", "mutes/u1", `{}`}, {"DELETE", "mutes/u1", ""},
	} {
		if a := f.request(c.method, id+c.path, admin, c.body); a.code() != string(room.CodeUnknownRoom) {
			t.Errorf("ACC-3: %+v by who is banned: %d %s", c, a.status, a.text)
		}
	}
	if a := f.request("DELETE", id+"bans/u2", admin, ""); a.status != 204 {
		t.Errorf("%d %s", a.status, a.text)
	}
	if a := f.request("GET", id+"mutes", admin, ""); a.status != 200 || len(a.body["mutes"].([]any)) != 0 {
		t.Errorf("MOD-2: %d %s", a.status, a.text)
	}
}
