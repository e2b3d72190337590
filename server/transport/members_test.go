package transport

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"roomlog/server/room"
	"roomlog/server/store/sqlite"
	"roomlog/server/transport/auth"
)

// clubs are kinds of rooms that only members may enter.
func clubs() *room.Kinds {
	return room.NewKinds(map[string]room.Policy{
		"chat": {}, "club": {Members: true}, "past": {Members: true, HistorySince: true},
		"crew": {Members: true, Creator: "captain", Roles: map[string][]string{"captain": {"read", "send", "admin"}, "deaf": {"send"}}, RoomsPerUser: 2},
	})
}

// club starts a server whose store knows members.
func club(t *testing.T, o options) *fixture {
	t.Helper()
	was := o
	o.server = func(c *Config) {
		store := c.Rooms.(*sqlite.Store)
		c.Kinds, c.Members, c.Overviews = clubs(), store, store
		c.Services = append(c.Services, clubService(t))
		if was.server != nil {
			was.server(c)
		}
	}
	return start(t, o)
}

const clubKey = "the-key-of-a-service-that-has-every-grant"

func clubService(t *testing.T) auth.Service {
	t.Helper()
	s, err := auth.NewService("app", clubKey, auth.Everything())
	must(t, err)
	return s
}

// enroll makes somebody a member.
func (f *fixture) enroll(id, user, role string) answer {
	f.t.Helper()
	a := f.request("PUT", "/v1/rooms/"+id+"/members/"+user, clubKey, fmt.Sprintf(`{"role":%q}`, role))
	if a.status != 200 && a.status != 201 {
		f.t.Fatalf("enroll %s in %s: %d %s", user, id, a.status, a.text)
	}
	return a
}

// MEM-1, MEM-2, MEM-3
func TestMembersByRequest(t *testing.T) {
	f := club(t, options{})
	if a := f.request("PUT", "/v1/rooms/club:a", f.token("ann"), ""); a.status != 201 || a.body["head"] != 1.0 {
		t.Fatal(a.status, a.text)
	}
	path := "/v1/rooms/club:a/members/"
	a := f.request("PUT", path+"ben", f.token("ann"), `{"role":"member"}`)
	if a.status != 201 || a.body["room"] != "club:a" || a.body["user"] != "ben" || a.body["role"] != "member" || a.body["since_seq"] != 2.0 || a.body["at"] == nil {
		t.Fatal(a.status, a.text)
	}
	if again := f.request("PUT", path+"ben", f.token("ann"), `{"role":"member"}`); again.status != 200 || again.text != a.text {
		t.Error("MEM-2: the same role again:", again.status, again.text)
	}
	if a := f.request("PUT", path+"ben", f.token("ann"), `{"role":"guest"}`); a.status != 200 || a.body["role"] != "guest" || a.body["since_seq"] != 2.0 {
		t.Error("MEM-1: another role:", a.status, a.text)
	}
	events := f.request("GET", "/v1/rooms/club:a/events", f.token("ann"), "").body["events"].([]any)
	var data []string
	for _, e := range events {
		text, err := json.Marshal(e.(map[string]any)["data"])
		must(t, err)
		data = append(data, e.(map[string]any)["type"].(string)+string(text))
	}
	want := []string{`member{"role":"owner","user":"ann"}`, `member{"role":"member","user":"ben"}`, `member{"role":"guest","user":"ben"}`}
	if !slices.Equal(data, want) {
		t.Errorf("MEM-1: the log has %v, want %v", data, want)
	}
	for name, c := range map[string]struct {
		method, path, token, body string
		status                    int
		code                      string
	}{
		"a guest adds":         {"PUT", path + "cleo", f.token("ben"), `{"role":"member"}`, 403, "forbidden"},
		"a guest removes":      {"DELETE", path + "ann", f.token("ben"), ``, 403, "forbidden"},
		"no such role":         {"PUT", path + "cleo", f.token("ann"), `{"role":"king"}`, 400, "bad_request"},
		"no role":              {"PUT", path + "cleo", f.token("ann"), `{}`, 400, "bad_request"},
		"another field":        {"PUT", path + "cleo", f.token("ann"), `{"role":"member","until":1}`, 400, "bad_request"},
		"no user":              {"PUT", path + "..", f.token("ann"), `{"role":"member"}`, 404, "not_found"},
		"a service as a user":  {"PUT", path + "service:x", f.token("ann"), `{"role":"member"}`, 400, "bad_request"},
		"without the grant":    {"PUT", path + "cleo", f.token("ann", auth.Grant{Rooms: "club:*", Can: []auth.Action{"read", "send"}}), `{"role":"member"}`, 403, "forbidden"},
		"without any grant":    {"PUT", path + "cleo", f.token("ann", auth.Grant{Rooms: "chat:*", Can: []auth.Action{"read", "admin"}}), `{"role":"member"}`, 404, "unknown_room"},
		"a stranger adds":      {"PUT", path + "eve", f.token("eve"), `{"role":"owner"}`, 404, "unknown_room"},
		"a stranger leaves":    {"DELETE", path + "eve", f.token("eve"), ``, 404, "unknown_room"},
		"a stranger looks":     {"GET", path + "ann", f.token("eve"), ``, 404, "unknown_room"},
		"a guest looks":        {"GET", path + "ann", f.token("ben"), ``, 200, ""},
		"who is none":          {"GET", path + "eve", f.token("ben"), ``, 404, "not_found"},
		"removed, who is none": {"DELETE", path + "eve", f.token("ann"), ``, 204, ""},
		"of a room of grants":  {"PUT", "/v1/rooms/chat:a/members/ben", f.token("ann"), `{"role":"member"}`, 201, ""},
		"a service looks":      {"GET", path + "ann", clubKey, ``, 200, ""},
		"a room of no kind":    {"GET", "/v1/rooms/none:a/members", f.token("ann"), ``, 404, "unknown_room"},
		"a bad limit":          {"GET", "/v1/rooms/club:a/members?limit=0", f.token("ann"), ``, 400, "bad_request"},
	} {
		if a := f.request(c.method, c.path, c.token, c.body); a.status != c.status || a.code() != c.code {
			t.Errorf("MEM-2: %s: %d %s, want %d %s", name, a.status, a.text, c.status, c.code)
		}
	}
	f.enroll("club:a", "ben", "member")
	f.enroll("club:a", "Zoe", "member")
	if a := f.request("GET", "/v1/rooms/club:a/members?limit=2", f.token("ben"), ""); a.status != 200 || users(a) != "Zoe ann" || a.body["more"] != true {
		t.Error("MEM-3:", a.status, a.text)
	}
	if a := f.request("GET", "/v1/rooms/club:a/members?after=ann", f.token("ben"), ""); users(a) != "ben" || a.body["more"] != false {
		t.Error("MEM-3:", a.text)
	}
	if a := f.request("DELETE", path+"ben", f.token("ben"), ""); a.status != 204 {
		t.Error("MEM-1: to leave:", a.status, a.text)
	}
	if a := f.request("GET", "/v1/rooms/club:a", f.token("ben"), ""); a.code() != "unknown_room" {
		t.Error("MEM-7:", a.status, a.text)
	}
}

func users(a answer) string {
	var names []string
	list, _ := a.body["members"].([]any)
	for _, m := range list {
		names = append(names, m.(map[string]any)["user"].(string))
	}
	return strings.Join(names, " ")
}

// MEM-4: to who is no member a room that exists is as unknown as one that does not, by every request; and what a member may do is
// what both the token and the role allow.
func TestWhoIsNoMemberKnowsNothing(t *testing.T) {
	f := club(t, options{})
	f.enroll("club:a", "ann", "owner")
	f.enroll("club:a", "gus", "guest")
	f.enroll("club:a", "moe", "moderator")
	reader := f.token("eve", auth.Grant{Rooms: "*", Can: []auth.Action{"read", "admin"}})
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/v1/rooms/club:%s", ""},
		{"GET", "/v1/rooms/club:%s/events", ""},
		{"GET", "/v1/rooms/club:%s/events?wait=1", ""},
		{"GET", "/v1/rooms/club:%s/events?before=9", ""},
		{"GET", "/v1/rooms/club:%s/events?after=e:9:00000001", ""},
		{"POST", "/v1/rooms/club:%s/events", `{"tag":"` + tagOf(1) + `","type":"message","data":1}`},
		{"PUT", "/v1/rooms/club:%s", ""},
		{"DELETE", "/v1/rooms/club:%s", ""},
		{"GET", "/v1/rooms/club:%s/members", ""},
		{"GET", "/v1/rooms/club:%s/bans", ""},
		{"PUT", "/v1/rooms/club:%s/bans/ann", "{}"},
		{"GET", "/v1/sse?room=club:%s", ""},
	} {
		var got [2]answer
		for i, name := range []string{"a", "none"} {
			got[i] = f.request(c.method, fmt.Sprintf(c.path, name), reader, c.body, "X-Request-Id: same")
		}
		if got[0].code() != "unknown_room" || got[0].text != got[1].text || got[0].status != got[1].status {
			t.Errorf("MEM-4: %s %s: %s, and of one that does not exist %s", c.method, c.path, got[0].text, got[1].text)
		}
	}
	if a := f.request("GET", "/v1/rooms", f.token("eve"), ""); strings.Contains(a.text, "club:a") {
		t.Error("MEM-4:", a.text)
	}
	if a := f.request("GET", "/v1/rooms", f.token("gus"), ""); !strings.Contains(a.text, "club:a") {
		t.Error("ROOM-11:", a.text)
	}
	p := f.login("eve")
	p.sendf(`{"op":"join","room":"club:a"}`)
	p.expectError(room.CodeUnknownRoom)
	p.sendf(`{"op":"send","id":1,"n":1,"room":"club:a","tag":%q,"type":"message","data":1}`, tagOf(2))
	p.expectError(room.CodeUnknownRoom)

	send := `{"tag":"` + tagOf(3) + `","type":"message","data":1}`
	if a := f.request("POST", "/v1/rooms/club:a/events", f.token("gus"), send); a.code() != "forbidden" {
		t.Error("MEM-4: a guest sends:", a.status, a.text)
	}
	if a := f.request("POST", "/v1/rooms/club:a/events", f.token("ann", auth.Grant{Rooms: "club:*", Can: []auth.Action{"read"}}), send); a.code() != "forbidden" {
		t.Error("MEM-4: an owner sends by a token that only reads:", a.status, a.text)
	}
	if a := f.request("PUT", "/v1/rooms/club:a/bans/eve", f.token("moe"), "{}"); a.code() != "forbidden" {
		t.Error("MEM-4: a moderator bans:", a.status, a.text)
	}
	if a := f.request("PUT", "/v1/rooms/club:a/bans/eve", f.token("ann"), "{}"); a.status != 200 {
		t.Error("MEM-4: an owner bans:", a.status, a.text)
	}
	if a := f.request("POST", "/v1/rooms/club:a/events", clubKey, send); a.status != 201 {
		t.Error("MEM-4: a service sends for itself:", a.status, a.text)
	}
	if a := f.request("POST", "/v1/rooms/club:a/events", clubKey, send, "Roomlog-User: eve"); a.code() != "unknown_room" {
		t.Error("MEM-4: a service sends for who is no member:", a.status, a.text)
	}
	f.enroll("crew:a", "dan", "deaf")
	if a := f.request("POST", "/v1/rooms/crew:a/events", f.token("dan"), send); a.code() != "unknown_room" {
		t.Error("MEM-4: who may not read sends:", a.status, a.text)
	}
}

// MEM-5: a room is its creator's, whichever way they create it, and one alone has it however many try at once.
func TestWhoCreatesARoomOwnsIt(t *testing.T) {
	f := club(t, options{})
	role := func(id, user string) string {
		a := f.request("GET", "/v1/rooms/"+id+"/members/"+user, clubKey, "")
		text, _ := a.body["role"].(string)
		return text
	}
	f.post("ann", "club:http", 1, `1`, 201)
	p := f.login("ann")
	p.sendf(`{"op":"send","id":1,"n":1,"room":"club:ws","tag":%q,"type":"message","data":1}`, tagOf(1))
	if ack := p.expect("ack"); ack["seq"] != 2.0 {
		t.Error("MEM-5:", ack)
	}
	if a := f.request("PUT", "/v1/rooms/crew:put", f.token("ann"), ""); a.status != 201 {
		t.Error(a.text)
	}
	for id, want := range map[string]string{"club:http": "owner", "club:ws": "owner", "crew:put": "captain"} {
		if got := role(id, "ann"); got != want {
			t.Errorf("MEM-5: the creator of %s is %q, want %q", id, got, want)
		}
	}
	if a := f.post("ann", "club:http", 1, `1`, 200); a.body["seq"] != 2.0 {
		t.Error("TAG-3:", a.text)
	}
	// What is refused creates nothing.
	for _, body := range []string{`{"tag":"x","type":"message","data":1}`, `{"tag":"` + tagOf(9) + `","type":"message"}`} {
		if a := f.request("POST", "/v1/rooms/club:bad/events", f.token("ann"), body); a.status != 400 {
			t.Error(a.text)
		}
	}
	if a := f.request("GET", "/v1/rooms/club:bad", clubKey, ""); a.body["created_at"] != nil {
		t.Error("MEM-5: a send that was refused created a room:", a.text)
	}
	if a := f.request("PUT", "/v1/rooms/crew:2", f.token("ann"), ""); a.status != 201 {
		t.Error(a.text)
	}
	if a := f.request("PUT", "/v1/rooms/crew:3", f.token("ann"), ""); a.code() != "limit_exceeded" {
		t.Error("ROOM-9:", a.text)
	}
	// Many at once.
	var wait sync.WaitGroup
	var mu sync.Mutex
	won := map[string]bool{}
	for i := range 8 {
		wait.Go(func() {
			user := fmt.Sprint("u", i)
			a := f.request("POST", "/v1/rooms/club:race/events", f.token(user), `{"tag":"`+tagOf(100+i)+`","type":"message","data":1}`)
			if a.status == 201 {
				mu.Lock()
				won[user] = true
				mu.Unlock()
			} else if a.code() != "unknown_room" {
				t.Error(a.status, a.text)
			}
		})
	}
	wait.Wait()
	a := f.request("GET", "/v1/rooms/club:race/members", clubKey, "")
	if len(won) != 1 || !won[users(a)] {
		t.Errorf("MEM-5: %v were answered 201, the members are %q", won, users(a))
	}
	// A server that was killed between the creation and the event.
	if _, _, err := f.store.Create(t.Context(), "club:half", "kim", 0); err != nil {
		t.Fatal(err)
	}
	if a := f.request("PUT", "/v1/rooms/club:half", f.token("eve"), ""); a.code() != "unknown_room" {
		t.Error("MEM-5: a room that another has created:", a.text)
	}
	f.post("kim", "club:half", 200, `1`, 201)
	if role("club:half", "kim") != "owner" {
		t.Error("MEM-5: the creator did not get the room that is theirs")
	}
	// And nobody gets back what they have left.
	if a := f.request("DELETE", "/v1/rooms/club:half/members/kim", f.token("kim"), ""); a.status != 204 {
		t.Error(a.text)
	}
	if a := f.request("PUT", "/v1/rooms/club:half", f.token("kim"), ""); a.code() != "unknown_room" {
		t.Error("MEM-5: who left has the room again:", a.text)
	}
}

// MEM-1, MEM-4, CHG-4: a member event that is sent does what the routes do, and roles decide who may moderate and administer.
func TestMemberEventsAreJudged(t *testing.T) {
	f := club(t, options{})
	for user, role := range map[string]string{"ann": "owner", "moe": "moderator", "ben": "member", "gus": "guest"} {
		f.enroll("club:a", user, role)
	}
	tag := 0
	send := func(user, typ, data string, grants ...auth.Grant) answer {
		tag++
		return f.request("POST", "/v1/rooms/club:a/events", f.token(user, grants...), fmt.Sprintf(`{"tag":%q,"type":%q,"data":%s}`, tagOf(tag), typ, data))
	}
	message := send("ann", "message", `"to be changed"`).body["seq"]
	for name, c := range map[string]struct {
		user, typ, data string
		status          int
		field           string
	}{
		"a moderator adds":       {"moe", "member", `{"user":"eve","role":"member"}`, 403, "type"},
		"a member adds":          {"ben", "member", `{"user":"eve","role":"owner"}`, 403, "type"},
		"a member promotes":      {"ben", "member", `{"user":"ben","role":"owner"}`, 403, "type"},
		"a member removes":       {"ben", "member", `{"user":"gus","role":null}`, 403, "type"},
		"a stranger enters":      {"eve", "member", `{"user":"eve","role":"member"}`, 404, "room"},
		"a role of another kind": {"ann", "member", `{"user":"eve","role":"captain"}`, 400, "data/role"},
		"no user":                {"ann", "member", `{"user":"","role":"member"}`, 400, "data/user"},
		"a member deletes":       {"ben", "delete", fmt.Sprintf(`{"target":%v}`, message), 403, "target"},
	} {
		if a := send(c.user, c.typ, c.data); a.status != c.status || a.body["field"] != c.field {
			t.Errorf("MEM-1: %s: %d %s, want %d %s", name, a.status, a.text, c.status, c.field)
		}
	}
	if a := send("ann", "member", `{"user":"eve","role":"guest"}`, auth.Grant{Rooms: "*", Can: []auth.Action{"read", "send"}}); a.status != 403 {
		t.Error("MEM-4: an owner whose token has no admin grant:", a.status, a.text)
	}
	if a := send("ann", "member", `{"user":"eve","role":"guest"}`); a.status != 201 {
		t.Error("MEM-1: an owner adds:", a.status, a.text)
	}
	if a := f.request("GET", "/v1/rooms/club:a/members/eve", f.token("eve"), ""); a.body["role"] != "guest" {
		t.Error("MEM-1:", a.text)
	}
	if a := send("moe", "delete", fmt.Sprintf(`{"target":%v}`, message)); a.status != 201 {
		t.Error("CHG-4: a moderator deletes:", a.status, a.text)
	}
	if a := send("ben", "member", `{"user":"ben","role":null}`); a.status != 201 {
		t.Error("MEM-1: to leave by an event:", a.status, a.text)
	}
	if a := send("ben", "message", `1`); a.code() != "unknown_room" {
		t.Error("MEM-7:", a.status, a.text)
	}
}
