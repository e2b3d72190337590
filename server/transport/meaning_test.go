package transport

import (
	"fmt"
	"testing"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

// Where members alone may come in, who may change what is what both the token grants and the role allows; by a socket as by a request.
func TestRolesChangeMessagesAndMembers(t *testing.T) { // CHG-4, MEM-1, MEM-4
	all := []auth.Action{auth.Read, auth.Send, auth.Moderate, auth.Admin}
	const remove = `{"target":2}`
	for name, c := range map[string]struct {
		role      string
		can       []auth.Action
		typ, data string
		code      room.Code // "": it is stored
		field     string
	}{
		"a moderator deletes":                {"moderator", all, "delete", remove, "", ""},
		"one whose token does not grant it":  {"moderator", all[:2], "delete", remove, room.CodeForbidden, "target"},
		"a member whose token does":          {"member", all, "delete", remove, room.CodeForbidden, "target"},
		"a member reacts":                    {"member", all[:2], "reaction", `{"target":2,"emoji":"x"}`, "", ""},
		"an owner makes members":             {"owner", all, "member", `{"user":"u3","role":"guest"}`, "", ""},
		"a moderator does not":               {"moderator", all, "member", `{"user":"u3","role":"guest"}`, room.CodeForbidden, "type"},
		"a role that there is not":           {"owner", all, "member", `{"user":"u3","role":"king"}`, room.CodeBadData, "data/role"},
		"everybody may leave":                {"member", all[:2], "member", `{"user":"u2","role":null}`, "", ""},
		"nobody else out":                    {"member", all[:2], "member", `{"user":"u1","role":null}`, room.CodeForbidden, "type"},
		"a role of their own is not leaving": {"member", all[:2], "member", `{"user":"u2","role":"owner"}`, room.CodeForbidden, "type"},
	} {
		t.Run(name, func(t *testing.T) {
			f := club(t, options{})
			first := f.request("POST", "/v1/rooms/club:a/events", f.token("u1"), `{"tag":"`+tagOf(1)+`","type":"message","data":"m"}`)
			if first.status != 201 || first.body["seq"] != 2.0 { // behind the member event of who founded it
				t.Fatal(first.text)
			}
			f.enroll("club:a", "u2", c.role)
			token, event := f.token("u2", auth.Grant{Rooms: "club:*", Can: c.can}), fmt.Sprintf(`{"tag":%q,"type":%q,"data":%s}`, tagOf(2), c.typ, c.data)
			p := f.login("u2", auth.Grant{Rooms: "club:*", Can: c.can})
			p.sendf(`{"op":"send","id":1,"n":1,"room":"club:a",%s`, event[1:])
			if m := p.object(); (m["op"] == "ack") != (c.code == "") || m["op"] == "error" && (m["code"] != string(c.code) || m["field"] != c.field) {
				t.Errorf("by a socket: %v", m)
			}
			a := f.request("POST", "/v1/rooms/club:a/events", token, event)
			switch {
			case name == "everybody may leave":
				if a.status != 404 || a.code() != string(room.CodeUnknownRoom) {
					t.Errorf("who has left: %d %s", a.status, a.text)
				}
			case a.status != 200 && c.code == "", c.code != "" && (a.code() != string(c.code) || a.body["field"] != c.field):
				t.Errorf("by a request: %d %s", a.status, a.text)
			}
		})
	}
}
