package transport

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/search"
	"roomlog/server/transport/auth"
)

// searching starts a server whose messages are indexed.
func startSearch(t *testing.T, policies map[string]room.Policy) (*fixture, *search.Indexer) {
	t.Helper()
	var x *search.Indexer
	kinds := room.NewKinds(policies)
	var grew func(room.ID)
	f := start(t, options{
		hub: func(c *hub.Config) {
			c.Grown = func(id room.ID) { grew(id) }
			x = search.New(search.Config{Store: c.Store.(room.SearchStore), Kinds: kinds, Gather: time.Millisecond})
			grew = x.Grew
		},
		server: func(c *Config) {
			c.Kinds, c.Search, c.Members = kinds, c.Rooms.(room.SearchStore), c.Rooms.(room.Members)
		},
	})
	x.Start()
	t.Cleanup(x.Stop)
	return f, x
}

// search asks, and gives the answer and the rooms and seqs of what it found.
func (f *fixture) search(token, path, q string, more ...string) (answer, []string) {
	f.t.Helper()
	a := f.request("GET", path+"?q="+url.QueryEscape(q)+strings.Join(more, ""), token, "")
	var found []string
	list, _ := a.body["events"].([]any)
	for _, e := range list {
		e := e.(map[string]any)
		found = append(found, fmt.Sprintf("%v %v", e["room"], e["seq"]))
	}
	return a, found
}

// finds waits until a search finds exactly these.
func (f *fixture) finds(token, path, q string, want ...string) answer {
	f.t.Helper()
	var a answer
	var got []string
	eventually(f.t, fmt.Sprintf("FIND-6: %s in %s finds %q", q, path, want), func() bool {
		a, got = f.search(token, path, q)
		return a.status == 200 && slices.Equal(got, want)
	})
	return a
}

// FIND-1, FIND-3, FIND-6: what is sent is found soon, the newest first, a page at a time.
func TestSearchRoom(t *testing.T) {
	f, _ := startSearch(t, nil)
	for i, text := range []string{"the red fox", "a blue whale", "red foxes", "foxglove is red"} {
		f.post("u1", "chat:a", i, fmt.Sprintf(`{"text":%q}`, text), 201)
	}
	token := f.token("u2")
	a := f.finds(token, "/v1/rooms/chat:a/search", "red fox", "chat:a 4", "chat:a 3", "chat:a 1")
	if a.body["head"] != 4.0 || a.body["room"] != "chat:a" || a.body["epoch"] == "" || a.body["next"] != nil {
		t.Errorf("FIND-1: the answer is %s", a.text)
	}
	first := a.body["events"].([]any)[2].(map[string]any)
	if first["author"] != "u1" || first["data"].(map[string]any)["text"] != "the red fox" {
		t.Errorf("FIND-1: an event is %v", first)
	}
	f.finds(token, "/v1/rooms/chat:a/search", `"red fox"`, "chat:a 1")
	f.finds(token, "/v1/rooms/chat:a/search", "green")
	a, got := f.search(token, "/v1/rooms/chat:a/search", "red fox", "&limit=2")
	if !slices.Equal(got, []string{"chat:a 4", "chat:a 3"}) || a.body["next"] != 3.0 {
		t.Errorf("FIND-1: the first two are %v, next %v", got, a.body["next"])
	}
	a, got = f.search(token, "/v1/rooms/chat:a/search", "red fox", "&limit=2&before=3")
	if !slices.Equal(got, []string{"chat:a 1"}) || a.body["next"] != nil {
		t.Errorf("FIND-1: the rest is %v, next %v", got, a.body["next"])
	}
	for query, field := range map[string]string{"q=": "q", "q=a&before=0": "before", "q=a&limit=0": "limit", "before=1": "q"} {
		if a := f.request("GET", "/v1/rooms/chat:a/search?"+query, token, ""); a.status != 400 || a.code() != "bad_request" || a.body["field"] != field {
			t.Errorf("FIND-3: %s is answered by %d %s", query, a.status, a.text)
		}
	}
	if a, got := f.search(token, "/v1/rooms/chat:nobody/search", "fox"); a.status != 200 || got != nil || a.body["head"] != 0.0 {
		t.Errorf("FIND-1: a room that does not exist is answered by %d %s", a.status, a.text)
	}
}

// FIND-4: one's own rooms are those that are named, as far as they may be read.
func TestSearchMine(t *testing.T) {
	f, _ := startSearch(t, map[string]room.Policy{"chat": {}, "secret": {NoSearch: true}})
	for i, id := range []string{"chat:a", "chat:b", "chat:c", "chat:a", "secret:a"} {
		f.post("u1", id, i, `{"text":"needle"}`, 201)
	}
	read := []auth.Action{auth.Read}
	token := f.token("u2", auth.Grant{Rooms: "chat:a", Can: read}, auth.Grant{Rooms: "chat:b", Can: read}, auth.Grant{Rooms: "secret:a", Can: read},
		auth.Grant{Rooms: "chat:c", Can: []auth.Action{auth.Send}})
	a := f.finds(token, "/v1/me/search", "needle", "chat:a 2", "chat:b 1", "chat:a 1")
	if a.body["more"] != false {
		t.Errorf("FIND-4: more of %s", a.text)
	}
	if a, got := f.search(token, "/v1/me/search", "needle", "&limit=1"); !slices.Equal(got, []string{"chat:a 2"}) || a.body["more"] != true {
		t.Errorf("FIND-4: the first of several is %v of %s", got, a.text)
	}
	f.finds(f.token("u3", auth.Grant{Rooms: "chat:*", Can: read}), "/v1/me/search", "needle")
	if a, _ := f.search(token, "/v1/rooms/secret:a/search", "needle"); a.code() != "forbidden" || a.body["field"] != "room" {
		t.Errorf("FIND-7: a kind without search is answered by %s", a.text)
	}
	if a := f.request("PUT", "/v1/rooms/chat:a/bans/u2", f.token("admin"), ""); a.status != 200 {
		t.Fatal(a.text)
	}
	f.finds(token, "/v1/me/search", "needle", "chat:b 1")
}

// FIND-5: what is gone with its room is not found from the answer on.
func TestSearchGone(t *testing.T) {
	f, _ := startSearch(t, nil)
	token := f.token("u1")
	f.post("u1", "chat:a", 1, `{"text":"needle"}`, 201)
	f.finds(token, "/v1/rooms/chat:a/search", "needle", "chat:a 1")
	if a := f.request("DELETE", "/v1/rooms/chat:a", token, ""); a.status != 200 {
		t.Fatal(a.text)
	}
	if a, got := f.search(token, "/v1/rooms/chat:a/search", "needle"); a.status != 200 || got != nil {
		t.Errorf("FIND-5: a deleted room is searched: %s", a.text)
	}
}

// FIND-7: whatever is asked, by whomever, a canary of a room reaches nobody who may not read it (I19).
func TestSearchCanaries(t *testing.T) {
	f, _ := startSearch(t, nil)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	rooms := []string{"chat:a", "chat:a:b", "chat:a_b", "chat:ab", "chat:A", "chat2:a"}
	canaries := make(map[string]string)
	for i, id := range rooms {
		canaries[id] = fmt.Sprintf("canary%d", r.Uint64())
		f.post("u1", id, i, fmt.Sprintf(`{"text":"word %s"}`, canaries[id]), 201)
	}
	for _, id := range rooms {
		f.finds(f.token("u1"), "/v1/rooms/"+id+"/search", "word", id+" 1")
	}
	patterns := append([]string{"chat:a*", "chat:*", "chat*", "*"}, rooms...)
	for range 60 {
		var grants []auth.Grant
		for range 1 + r.IntN(3) {
			can := [][]auth.Action{{auth.Read}, {auth.Send}, {auth.Read, auth.Send}}[r.IntN(3)]
			grants = append(grants, auth.Grant{Rooms: patterns[r.IntN(len(patterns))], Can: can})
		}
		who := auth.Grants(grants)
		token := f.token("reader", grants...)
		paths := []string{"/v1/me/search"}
		for _, id := range rooms {
			paths = append(paths, "/v1/rooms/"+id+"/search")
		}
		for _, path := range paths {
			for _, q := range []string{"word", "can", canaries[rooms[r.IntN(len(rooms))]], `"word canary"`} {
				a, _ := f.search(token, path, q)
				for id, canary := range canaries {
					if strings.Contains(a.text, canary) && !who.Allow(auth.Read, room.ID(id)) {
						t.Fatalf("FIND-7: %v get %s from %s?q=%s: %s", grants, id, path, q, a.text)
					}
				}
				if id, is := strings.CutSuffix(strings.TrimPrefix(path, "/v1/rooms/"), "/search"); is && id != path && !strings.Contains(path, "/me/") {
					if may := who.Allow(auth.Read, room.ID(id)); (a.code() == "unknown_room") == may {
						t.Fatalf("FIND-7: %v are answered %d %s by %s", grants, a.status, a.code(), path)
					}
				}
			}
		}
	}
}

// FIND-4, FIND-5, FIND-7: a member finds what is in the rooms of theirs, as it is now, and nothing from before they joined, nor how much that was.
func TestSearchMembers(t *testing.T) {
	f, _ := startSearch(t, map[string]room.Policy{"past": {Members: true, HistorySince: true}, "chat": {}})
	send := func(user, id, typ, data string, tag int) {
		t.Helper()
		a := f.request("POST", "/v1/rooms/"+id+"/events", f.token(user), fmt.Sprintf(`{"tag":%q,"type":%q,"data":%s}`, tagOf(tag), typ, data))
		if a.status != 201 {
			t.Fatalf("send: %d %s", a.status, a.text)
		}
	}
	send("owner", "past:a", "message", `{"text":"needle early"}`, 1) // behind the founding event
	send("owner", "past:a", "message", `{"text":"needle early too"}`, 2)
	send("owner", "past:a", "member", `{"user":"late","role":"member"}`, 3)
	send("owner", "past:a", "message", `{"text":"needle of now"}`, 4)
	send("owner", "past:a", "message", `{"text":"needle to be edited"}`, 5)
	send("owner", "past:a", "message", `{"text":"needle to be deleted"}`, 6)
	all := []string{"past:a 7", "past:a 6", "past:a 5", "past:a 3", "past:a 2"}
	owner, late := f.token("owner"), f.token("late")
	for _, path := range []string{"/v1/rooms/past:a/search", "/v1/me/search"} {
		f.finds(owner, path, "needle", all...)
		f.finds(late, path, "needle", all[:3]...)
		if a, got := f.search(late, path, "needle", "&limit=3"); len(got) != 3 || a.body["next"] != nil || a.body["more"] == true {
			t.Errorf("FIND-7: %s says that there was more before they joined: %s", path, a.text)
		}
	}
	f.finds(f.token("stranger"), "/v1/me/search", "needle")
	if a, _ := f.search(f.token("stranger"), "/v1/rooms/past:a/search", "needle"); a.code() != "unknown_room" {
		t.Errorf("FIND-7: a stranger is answered by %s", a.text)
	}

	send("owner", "past:a", "delete", `{"target":7}`, 7)
	if _, got := f.search(owner, "/v1/rooms/past:a/search", "needle"); slices.Contains(got, "past:a 7") { // at once
		t.Errorf("FIND-5: a deleted message is found: %v", got)
	}
	send("owner", "past:a", "edit", `{"target":6,"data":{"text":"haystack"}}`, 8)
	a := f.finds(owner, "/v1/rooms/past:a/search", "haystack", "past:a 6")
	if e := a.body["events"].([]any)[0].(map[string]any); e["data"].(map[string]any)["text"] != "haystack" || e["edited"] == nil {
		t.Errorf("FIND-1: it is shown as %v", e)
	}
	f.finds(owner, "/v1/rooms/past:a/search", "needle", "past:a 5", "past:a 3", "past:a 2")
	send("owner", "past:a", "member", `{"user":"late","role":null}`, 9)
	f.finds(late, "/v1/me/search", "needle")
}

// FIND-4, FIND-7: what one may not read keeps nothing out of what is found elsewhere.
func TestSearchIsNotCrowded(t *testing.T) {
	f, _ := startSearch(t, map[string]room.Policy{"past": {Members: true, HistorySince: true}, "club": {Members: true}, "chat": {}})
	f.post("owner", "chat:mine", 1, `{"text":"needle that is mine"}`, 201)
	for i := range searchDefault + 5 {
		f.post("owner", "past:a", 100+i, `{"text":"needle from before"}`, 201)
		f.post("owner", "club:b", 100+i, `{"text":"needle of others"}`, 201)
	}
	a := f.request("POST", "/v1/rooms/past:a/events", f.token("owner"), fmt.Sprintf(`{"tag":%q,"type":"member","data":{"user":"late","role":"member"}}`, tagOf(1)))
	if a.status != 201 {
		t.Fatal(a.text)
	}
	var grants []auth.Grant
	for _, id := range []string{"chat:mine", "past:a", "club:b"} {
		grants = append(grants, auth.Grant{Rooms: id, Can: []auth.Action{auth.Read, auth.Send}})
	}
	late := f.token("late", grants...)
	eventually(t, "the others are indexed", func() bool {
		_, found := f.search(f.token("owner"), "/v1/rooms/past:a/search", "needle", "&limit=100")
		_, others := f.search(f.token("owner"), "/v1/rooms/club:b/search", "needle", "&limit=100")
		return len(found) == searchDefault+5 && len(others) == searchDefault+5
	})
	f.finds(late, "/v1/me/search", "needle", "chat:mine 1")
}
