package transport

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

// grant is a grant of actions on rooms.
func grant(rooms string, can ...auth.Action) auth.Grant { return auth.Grant{Rooms: rooms, Can: can} }

// TestRoomsNeedGrants holds ROOM-8, ROOM-10, AUTH-5 and I19: what a token may not do with a room is refused,
// and whether the room exists is told to nobody who may not read it.
func TestRoomsNeedGrants(t *testing.T) {
	f := start(t, options{server: func(c *Config) {
		c.Kinds = room.NewKinds(map[string]room.Policy{"chat": {Retention: room.Retention{Age: 36 * time.Hour, Events: 500}}})
	}})
	f.post("u1", "chat:there", 1, `1`, 201)
	reader := f.token("u2", grant("chat:*", auth.Read))
	writer := f.token("u3", grant("chat:*", auth.Read, auth.Send))
	blind := f.token("u4", grant("chat:*", auth.Send, auth.Admin))
	other := f.token("u5", grant("chat:other", auth.Read, auth.Send, auth.Admin))
	for _, id := range []string{"chat:there", "chat:not"} {
		for _, row := range []struct {
			method, token string
			status        int
			code          string
		}{
			{"GET", "", 401, "unauthenticated"}, {"PUT", "", 401, "unauthenticated"}, {"DELETE", "", 401, "unauthenticated"},
			{"GET", reader, 200, ""}, {"PUT", reader, 403, "forbidden"}, {"DELETE", reader, 403, "forbidden"},
			{"DELETE", writer, 403, "forbidden"},
			{"GET", blind, 404, "unknown_room"}, {"PUT", blind, 404, "unknown_room"}, {"DELETE", blind, 404, "unknown_room"},
			{"GET", other, 404, "unknown_room"}, {"PUT", other, 404, "unknown_room"}, {"DELETE", other, 404, "unknown_room"},
		} {
			a := f.request(row.method, "/v1/rooms/"+id, row.token, "")
			if a.status != row.status || a.code() != row.code {
				t.Errorf("%s %s: %d %s, not %d %s", row.method, id, a.status, a.text, row.status, row.code)
			}
		}
	}
	if there, not := f.request("GET", "/v1/rooms/chat:there", other, "").body, f.request("GET", "/v1/rooms/chat:not", other, "").body; there["title"] != not["title"] || there["field"] != not["field"] {
		t.Errorf("I19: a room that exists is refused as %v, one that does not as %v", there, not)
	}
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		if a := f.request(method, "/v1/rooms/board:x", f.token("u1"), ""); a.code() != "unknown_room" {
			t.Errorf("ROOM-3: %s of a room of an undeclared kind: %d %s", method, a.status, a.text)
		}
	}
	kept := f.request("GET", "/v1/rooms/chat:there", reader, "").body["retention"].(map[string]any)
	if kept["age_ms"] != float64(36*60*60*1000) || kept["events"] != float64(500) {
		t.Errorf("ROOM-12: retention is %v", kept)
	}
	if a := f.request("PUT", "/v1/rooms/chat:not", writer, `{"anything":`); a.status != 201 || f.request("GET", "/v1/rooms/chat:not", reader, "").body["created_at"] != a.body["created_at"] {
		t.Errorf("ROOM-8: %d %s", a.status, a.text)
	}
}

// TestListRooms holds ROOM-11 and I19: the rooms of the grants, page by page, and none besides.
func TestListRooms(t *testing.T) {
	kinds := room.NewKinds(nil)
	f := start(t, options{server: func(c *Config) { c.Kinds = kinds }})
	ids := []string{"board:a", "chat:a", "chat:a1", "chat:a2", "chat:b", "chat:c", "chats:a", "old:a"}
	for i, id := range ids {
		f.post("u1", id, i, `1`, 201)
	}
	kinds.Replace(map[string]room.Policy{"board": {}, "chat": {}, "chats": {}})
	all := func(prefix string, limit int, grants ...auth.Grant) []string {
		t.Helper()
		var got []string
		after := ""
		for page := range 20 {
			a := f.request("GET", fmt.Sprintf("/v1/rooms?prefix=%s&after=%s&limit=%d", prefix, after, limit), f.token("u9", grants...), "")
			rooms, isList := a.body["rooms"].([]any)
			if a.status != 200 || !isList || len(rooms) > limit {
				t.Fatalf("ROOM-11: page %d of %q: %d %s", page, prefix, a.status, a.text)
			}
			for _, r := range rooms {
				got = append(got, r.(map[string]any)["room"].(string))
			}
			next, more := a.body["next"].(string)
			if !more {
				return got
			}
			if after = next; !slices.Contains(ids, next) {
				t.Errorf("I19: next is %q", next)
			}
		}
		t.Fatal("ROOM-11: it does not end")
		return nil
	}
	read := func(pattern string) auth.Grant { return grant(pattern, auth.Read) }
	for _, row := range []struct {
		prefix string
		grants []auth.Grant
		want   string
	}{
		{"", []auth.Grant{read("*")}, "board:a chat:a chat:a1 chat:a2 chat:b chat:c chats:a"},
		{"chat", []auth.Grant{read("*")}, "chat:a chat:a1 chat:a2 chat:b chat:c chats:a"},
		{"chat:", []auth.Grant{read("*")}, "chat:a chat:a1 chat:a2 chat:b chat:c"},
		{"", []auth.Grant{read("chat:b"), read("chat:a*"), read("chat:a1"), read("chat:a1"), read("board:*")}, "board:a chat:a chat:a1 chat:a2 chat:b"},
		{"chat:a", []auth.Grant{read("chat:b"), read("chat:a*"), read("chat:a1")}, "chat:a chat:a1 chat:a2"},
		{"chat:a1", []auth.Grant{read("chat:*")}, "chat:a1"},
		{"", []auth.Grant{read("chat:a"), read("chat:a1*")}, "chat:a chat:a1"},
		{"", []auth.Grant{read("chat:not"), read("old:*"), read("nonsense"), grant("chat:b", auth.Send, auth.Admin)}, ""},
		{"old", []auth.Grant{read("*")}, ""},
		{"", []auth.Grant{}, ""},
	} {
		for _, limit := range []int{1, 2, 100} {
			if got := strings.Join(all(row.prefix, limit, row.grants...), " "); got != row.want {
				t.Errorf("ROOM-11: %q by %v, %d at a time, gives %q, not %q", row.prefix, row.grants, limit, got, row.want)
			}
		}
	}
	for query, field := range map[string]string{
		"?limit=0": "limit", "?limit=x": "limit", "?prefix=a&prefix=b": "prefix", "?prefix=a%00": "prefix", "?after=%C3%A9": "prefix",
		"?prefix=" + strings.Repeat("a", 201): "prefix",
	} {
		if a := f.request("GET", "/v1/rooms"+query, f.token("u9"), ""); a.status != 400 || a.code() != "bad_request" || a.body["field"] != field {
			t.Errorf("ROOM-11: %s: %d %s", query, a.status, a.text)
		}
	}
	if a := f.request("GET", "/v1/rooms", "", ""); a.status != 401 {
		t.Errorf("AUTH-6: %d", a.status)
	}
}

// TestRoomLimit holds ROOM-9: one room too many is refused for good, and nothing else.
func TestRoomLimit(t *testing.T) {
	f := start(t, options{server: func(c *Config) {
		c.Kinds = room.NewKinds(map[string]room.Policy{"chat": {RoomsPerUser: 2}, "feed": {}})
	}})
	f.post("u1", "chat:1", 1, `1`, 201)
	if a := f.request("PUT", "/v1/rooms/chat:2", f.token("u1"), ""); a.status != 201 {
		t.Fatalf("%d %s", a.status, a.text)
	}
	a := f.request("POST", "/v1/rooms/chat:3/events", f.token("u1"), `{"tag":"`+tagOf(2)+`","type":"message","data":1}`)
	if a.code() != "limit_exceeded" || a.body["field"] != "room" || a.body["limit"] != float64(2) || a.body["retryable"] != false {
		t.Errorf("ROOM-9: a third room by a send: %d %s", a.status, a.text)
	}
	if a := f.request("PUT", "/v1/rooms/chat:3", f.token("u1"), ""); a.code() != "limit_exceeded" || a.body["field"] != "room" {
		t.Errorf("ROOM-9: a third room by PUT: %d %s", a.status, a.text)
	}
	if a := f.request("GET", "/v1/rooms/chat:3", f.token("u1"), ""); a.status != 200 || a.body["created_at"] != nil {
		t.Errorf("ROOM-9: the room that was refused: %s", a.text)
	}
	f.post("u1", "chat:1", 3, `1`, 201)
	f.post("u1", "feed:1", 4, `1`, 201)
	f.post("u2", "chat:3", 5, `1`, 201)
	f.post("u1", "chat:3", 6, `1`, 201)
	if a := f.request("DELETE", "/v1/rooms/chat:2", f.token("u9"), ""); a.body["deleted"] != true {
		t.Fatalf("%d %s", a.status, a.text)
	}
	f.post("u1", "chat:4", 7, `1`, 201)
	if n := f.srv.Deleted(); n != 1 {
		t.Errorf("%d rooms counted as deleted", n)
	}
}
