package transport

import (
	"fmt"
	"strings"
	"testing"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

func startReporting(t *testing.T, kinds *room.Kinds) *fixture {
	t.Helper()
	return start(t, options{server: func(c *Config) {
		c.Reports = c.Rooms.(room.ReportStore)
		c.Limits.ReportsPerUser = 3
		if kinds != nil {
			c.Kinds, c.Members = kinds, c.Rooms.(room.Members)
		}
	}})
}

// MOD-3, MOD-4: who may read reports an event, once; moderators see the reports and resolve them.
func TestReports(t *testing.T) {
	f := startReporting(t, nil)
	for i := range 4 {
		f.post("u1", "chat:a", i+1, `{"text":"x"}`, 201)
	}
	reader := f.token("u2", auth.Grant{Rooms: "chat:*", Can: []auth.Action{auth.Read}})
	moderator := f.token("mod", auth.Grant{Rooms: "chat:a", Can: []auth.Action{auth.Read, auth.Moderate}})
	if a := f.request("PUT", "/v1/rooms/chat:a/mutes/u2", moderator, ""); a.status != 200 {
		t.Fatal(a.text)
	}
	const path = "/v1/rooms/chat:a/reports"
	one := f.request("POST", path, reader, `{"seq":2,"reason":"<rude>"}`)
	if one.status != 201 || one.body["room"] != "chat:a" || one.body["seq"] != 2.0 || one.body["by"] != "u2" || one.body["reason"] != "<rude>" || one.body["at"] == nil {
		t.Fatalf("MOD-3: %d %s", one.status, one.text)
	}
	if a := f.request("POST", path, reader, `{"seq":2,"reason":"another"}`); a.status != 200 || fmt.Sprint(a.body) != fmt.Sprint(one.body) {
		t.Errorf("MOD-3: a repeat is %d %s", a.status, a.text)
	}
	for _, c := range []struct {
		room, token, body, code, field string
	}{
		{"chat:a", reader, `{"seq":5}`, "unknown_target", "seq"},
		{"chat:none", reader, `{"seq":1}`, "unknown_target", "seq"},
		{"chat:a", reader, `{"seq":0}`, "bad_request", "seq"},
		{"chat:a", reader, ``, "bad_request", "seq"},
		{"chat:a", reader, `{"seq":"1"}`, "bad_request", "seq"},
		{"chat:a", reader, `{"seq":1,"why":"x"}`, "bad_request", "why"},
		{"chat:a", reader, `{"seq":1,"reason":"` + strings.Repeat("x", 501) + `"}`, "bad_request", "reason"},
		{"chat:a", reader, `{"seq":1,"reason":"\u0007"}`, "bad_request", "reason"},
		{"chat:a", f.token("u3", auth.Grant{Rooms: "chat:b", Can: []auth.Action{auth.Read}}), `{"seq":1}`, "unknown_room", "room"},
		{"chat:a", "", `{"seq":1}`, "unauthenticated", ""},
	} {
		a := f.request("POST", "/v1/rooms/"+c.room+"/reports", c.token, c.body)
		if field, _ := a.body["field"].(string); a.code() != c.code || c.field != "" && field != c.field {
			t.Errorf("MOD-3: %s is answered by %d %s", c.body, a.status, a.text)
		}
	}
	if a := f.request("POST", path, reader, `{"seq":3,"reason":"`+strings.Repeat("x", 500)+`"}`); a.status != 201 {
		t.Errorf("MOD-3: a reason of 500 bytes is %s", a.text)
	}
	f.request("POST", path, reader, `{"seq":4}`)
	if a := f.request("POST", path, reader, `{"seq":1}`); a.code() != "limit_exceeded" || a.body["limit"] != 3.0 {
		t.Errorf("MOD-3: one more than may be open is %d %s", a.status, a.text)
	}

	page := f.request("GET", path+"?limit=2", moderator, "")
	list, _ := page.body["reports"].([]any)
	if page.status != 200 || len(list) != 2 || page.body["more"] != true || fmt.Sprint(list[0]) != fmt.Sprint(one.body) {
		t.Fatalf("MOD-4: %d %s", page.status, page.text)
	}
	rest := f.request("GET", fmt.Sprintf("%s?after=%v", path, list[1].(map[string]any)["id"]), moderator, "")
	if left, _ := rest.body["reports"].([]any); len(left) != 1 || rest.body["more"] != false {
		t.Errorf("MOD-4: behind them are %s", rest.text)
	}
	resolve := fmt.Sprintf("%s/%v", path, one.body["id"])
	for _, c := range []struct{ token, code string }{
		{reader, "forbidden"}, {f.token("u3", auth.Grant{Rooms: "chat:b", Can: []auth.Action{auth.Read, auth.Moderate}}), "unknown_room"},
	} {
		for method, path := range map[string]string{"GET": path, "DELETE": resolve} {
			if a := f.request(method, path, c.token, ""); a.code() != c.code {
				t.Errorf("MOD-4: %s is answered by %d %s, want %s", method, a.status, a.text, c.code)
			}
		}
	}
	for range 2 {
		if a := f.request("DELETE", resolve, moderator, ""); a.status != 204 {
			t.Errorf("MOD-4: %d %s", a.status, a.text)
		}
	}
	if a := f.request("DELETE", path+"/x", moderator, ""); a.code() != "bad_request" {
		t.Errorf("MOD-4: %d %s", a.status, a.text)
	}
	if a := f.request("POST", path, reader, `{"seq":2}`); a.status != 201 || a.body["id"] == one.body["id"] {
		t.Errorf("MOD-4: reported again after it was resolved: %d %s", a.status, a.text)
	}
}

// MOD-3, MEM-6: what a member is not given cannot be reported either, and is answered as what is not there.
func TestReportsOfMembers(t *testing.T) {
	f := startReporting(t, room.NewKinds(map[string]room.Policy{"team": {Members: true, HistorySince: true}}))
	f.post("owner", "team:a", 1, `{"text":"before"}`, 201) // 1 is that they are a member, 2 what they say
	if a := f.request("PUT", "/v1/rooms/team:a/members/u2", f.token("owner"), `{"role":"member"}`); a.status != 201 || a.body["since_seq"] != 3.0 {
		t.Fatal(a.text)
	}
	f.post("owner", "team:a", 2, `{"text":"after"}`, 201)
	member := f.token("u2")
	if a := f.request("POST", "/v1/rooms/team:a/reports", member, `{"seq":2}`); a.code() != "unknown_target" {
		t.Errorf("MEM-6: what was before them is %d %s", a.status, a.text)
	}
	if a := f.request("POST", "/v1/rooms/team:a/reports", member, `{"seq":4}`); a.status != 201 {
		t.Errorf("MOD-3: %d %s", a.status, a.text)
	}
	if a := f.request("GET", "/v1/rooms/team:a/reports", member, ""); a.code() != "forbidden" {
		t.Errorf("MOD-4: a member reads %d %s", a.status, a.text)
	}
	if a := f.request("GET", "/v1/rooms/team:a/reports", f.token("owner"), ""); a.status != 200 || !strings.Contains(a.text, `"by":"u2"`) {
		t.Errorf("MOD-4: who may moderate reads %d %s", a.status, a.text)
	}
	if a := f.request("POST", "/v1/rooms/team:a/reports", f.token("u9"), `{"seq":4}`); a.code() != "unknown_room" {
		t.Errorf("MOD-3: who is no member is answered by %d %s", a.status, a.text)
	}
}
