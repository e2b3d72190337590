package transport

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

// mine is what a client knows of its rooms by the frames of a feed.
type mine struct {
	t      *testing.T
	next   func() map[string]any // the next frame
	rooms  map[string]map[string]any
	frames int
}

func (f *fixture) follows(user string, grants ...auth.Grant) *mine {
	f.t.Helper()
	p := f.login(user, grants...)
	p.sendf(`{"op":"me","id":7}`)
	m := &mine{t: f.t, next: func() map[string]any { return p.expect("me") }, rooms: map[string]map[string]any{}}
	first := m.take()
	if first["id"] != 7.0 || first["full"] != true {
		f.t.Fatalf("MEM-10: the answer is %v", first)
	}
	for more := first["more"] == true; more; {
		more = m.take()["more"] == true
	}
	return m
}

// take takes a frame as a client does.
func (m *mine) take() map[string]any {
	m.t.Helper()
	frame := m.next()
	if m.frames++; frame["full"] == true {
		clear(m.rooms)
	}
	for _, o := range frame["rooms"].([]any) {
		o := o.(map[string]any)
		m.rooms[o["room"].(string)] = o
	}
	for _, id := range frame["gone"].([]any) {
		if m.rooms[id.(string)] == nil {
			m.t.Errorf("MEM-11: %s is gone, of which nothing was said", id)
		}
		delete(m.rooms, id.(string))
	}
	return frame
}

// until takes frames until something is so.
func (m *mine) until(what string, ok func() bool) {
	m.t.Helper()
	for !ok() {
		m.take()
	}
}

func (m *mine) names() string { return strings.Join(slices.Sorted(maps.Keys(m.rooms)), " ") }

// MEM-8, MEM-9
func TestMyRooms(t *testing.T) {
	f := club(t, options{})
	for _, id := range []string{"club:b", "chat:z", "club:a", "past:x", "club:none"} {
		f.enroll(id, "ann", "owner")
	}
	f.enroll("club:a", "ben", "member")
	f.post("ann", "club:a", 1, `{"text":"hi"}`, 201)
	f.post("ann", "past:x", 2, `1`, 201)
	f.enroll("past:x", "ben", "member")
	f.enroll("club:b", "ben", "guest")
	if a := f.request("DELETE", "/v1/rooms/club:none", clubKey, ""); a.status != 200 {
		t.Fatal(a.text)
	}
	get := func(token, query string) (names []string, a answer) {
		a = f.request("GET", "/v1/me/rooms"+query, token, "")
		list, _ := a.body["rooms"].([]any)
		for _, o := range list {
			names = append(names, o.(map[string]any)["room"].(string))
		}
		return names, a
	}
	names, a := get(f.token("ben"), "")
	if fmt.Sprint(names) != "[club:a club:b past:x]" || a.body["next"] != nil {
		t.Fatal("MEM-8:", a.status, a.text)
	}
	o := a.body["rooms"].([]any)[0].(map[string]any)
	last := o["last"].(map[string]any)
	if o["head"] != 3.0 || o["role"] != "member" || o["unread"] != 1.0 || o["more"] != false || o["first_unread"] != 3.0 || o["mentions"] != 0.0 ||
		o["read"] != 0.0 || o["epoch"] == nil || last["author"] != "ann" || last["seq"] != 3.0 {
		t.Error("MEM-9:", o)
	}
	if o := a.body["rooms"].([]any)[2].(map[string]any); o["last"] != nil || o["unread"] != 0.0 {
		t.Error("MEM-6: an overview tells what was before:", o)
	}
	if names, a := get(f.token("ben"), "?limit=2"); fmt.Sprint(names) != "[club:a club:b]" || a.body["next"] != "club:b" {
		t.Error("MEM-8:", a.text)
	}
	if names, a := get(f.token("ben"), "?after=club:b&limit=2"); fmt.Sprint(names) != "[past:x]" || a.body["next"] != nil {
		t.Error("MEM-8:", a.text)
	}
	if names, a := get(f.token("ben", auth.Grant{Rooms: "club:b", Can: []auth.Action{"read"}}), ""); fmt.Sprint(names) != "[club:b]" {
		t.Error("MEM-11:", a.text)
	}
	if names, a := get(f.token("eve"), ""); len(names) != 0 || a.status != 200 || !strings.HasPrefix(a.text, `{"rooms":[]`) {
		t.Error("MEM-8:", a.text)
	}
	for query, code := range map[string]string{"?limit=0": "bad_request", "?after=%20": "bad_request", "?limit=x": "bad_request"} {
		if _, a := get(f.token("ben"), query); a.code() != code {
			t.Errorf("MEM-8: %s: %s", query, a.text)
		}
	}
	if a := f.request("GET", "/v1/me/rooms", "", ""); a.code() != "unauthenticated" {
		t.Error(a.text)
	}
}

// MEM-10, MEM-11: badges live, of rooms that nobody has joined, on the node that stores and on another.
func TestTheFeedFollowsWhatHappens(t *testing.T) {
	nodes := clubPair(t)
	nodes[0].srv.cfg.SayMe = nodes[1].srv.HearMe // as Config would have it; nothing is said yet
	for i, at := range nodes {
		t.Run([]string{"same node", "other node"}[i], func(t *testing.T) {
			user, a, b := fmt.Sprint("ben", i), fmt.Sprint("club:a", i), fmt.Sprint("club:b", i)
			nodes[0].enroll(a, user, "member")
			m := at.follows(user)
			if m.names() != a || m.rooms[a]["unread"] != 0.0 {
				t.Fatal("MEM-10:", m.rooms)
			}
			nodes[0].enroll(a, "ann", "member")
			nodes[0].post("ann", a, 10*i+1, `1`, 201)
			nodes[0].post("ann", a, 10*i+2, `2`, 201)
			at.srv.Grew(room.ID(a)) // as the beat of another node says
			m.until("what was sent is told", func() bool { return m.rooms[a]["unread"] == 2.0 })
			if last := m.rooms[a]["last"].(map[string]any); last["data"] != 2.0 || m.rooms[a]["first_unread"] != 3.0 {
				t.Error("MEM-9:", m.rooms[a])
			}
			nodes[0].enroll(b, user, "guest") // of a room that this node knows nothing of
			m.until("a new room is told", func() bool { return m.rooms[b] != nil && m.rooms[b]["role"] == "guest" })
			if a := nodes[0].request("DELETE", "/v1/rooms/"+a+"/members/"+user, clubKey, ""); a.status != 204 {
				t.Fatal(a.text)
			}
			m.until("a room is gone", func() bool { return m.names() == b })
		})
	}
}

// MEM-10: many changes are few frames, and what is no news is not told.
func TestTheFeedIsCoalesced(t *testing.T) {
	f := club(t, options{})
	f.enroll("club:a", "ann", "owner")
	f.enroll("club:a", "ben", "member")
	m := f.follows("ben")
	before, began := m.frames, time.Now()
	for i := range 300 {
		f.post("ann", "club:a", i, `1`, 201)
	}
	m.until("all is told", func() bool { return m.rooms["club:a"]["unread"] == 300.0 })
	if n, most := m.frames-before, 2+int(time.Since(began)/feedEvery); n > most {
		t.Errorf("MEM-10: %d frames, more than one in %v", n, feedEvery)
	}
	f.srv.feed.again("") // nothing has changed
	f.enroll("club:b", "ben", "member")
	if frame := m.take(); len(frame["rooms"].([]any)) != 1 || m.rooms["club:b"] == nil {
		t.Error("MEM-10: told again what it was told:", frame)
	}
}

// MEM-10: more rooms than a frame has are told by several, and none is missing.
func TestTheFeedIsPaged(t *testing.T) {
	f := club(t, options{})
	const n = 250
	var batch []room.Send
	for i := range n {
		batch = append(batch, memberSend("ann", room.ID(fmt.Sprintf("club:%03d", i)), "ben", "member"))
	}
	for _, s := range batch {
		if _, err := f.srv.store(t.Context(), s, nil); err != nil {
			t.Fatal(err)
		}
	}
	m := f.follows("ben")
	if len(m.rooms) != n || m.frames < 3 {
		t.Errorf("MEM-10: %d rooms by %d frames", len(m.rooms), m.frames)
	}
}

// I19, MEM-11: of a room that a user may not read, whatever keeps them from it, the feed says nothing, nor that it goes.
func TestTheFeedSaysNothingOfOtherRooms(t *testing.T) {
	f := club(t, options{})
	clubs := []string{"club:banned", "club:deaf", "club:granted", "club:left", "club:other", "club:secret"}
	for _, id := range clubs {
		f.enroll(id, "ann", "owner")
		if id != "club:other" {
			f.enroll(id, "ben", "member")
		}
	}
	f.enroll("crew:deaf", "ann", "captain")
	f.enroll("crew:deaf", "ben", "deaf")
	if a := f.request("PUT", "/v1/rooms/club:banned/bans/ben", clubKey, "{}"); a.status != 200 {
		t.Fatal(a.text)
	}
	m := f.follows("ben", auth.Grant{Rooms: "club:granted", Can: []auth.Action{"read"}}, auth.Grant{Rooms: "club:left", Can: []auth.Action{"read"}},
		auth.Grant{Rooms: "club:banned", Can: []auth.Action{"read"}}, auth.Grant{Rooms: "club:other", Can: []auth.Action{"read"}}, auth.Grant{Rooms: "crew:deaf", Can: []auth.Action{"read"}})
	if m.names() != "club:granted club:left" {
		t.Fatal("I19:", m.names())
	}
	tag := 0
	say := func() {
		for _, id := range append(clubs, "crew:deaf") {
			tag++
			f.post("ann", id, tag, `"canary"`, 201)
		}
	}
	say()
	m.until("a message", func() bool { return m.rooms["club:granted"]["unread"] == 1.0 && m.rooms["club:left"]["unread"] == 1.0 })
	if a := f.request("DELETE", "/v1/rooms/club:left/members/ben", clubKey, ""); a.status != 204 {
		t.Fatal(a.text)
	}
	if a := f.request("DELETE", "/v1/rooms/club:secret/members/ben", clubKey, ""); a.status != 204 {
		t.Fatal(a.text)
	}
	say()
	m.until("a room is gone", func() bool { return m.names() == "club:granted" && m.rooms["club:granted"]["unread"] == 2.0 })
	// A ban takes a room away, and gives it back when it is lifted.
	if a := f.request("PUT", "/v1/rooms/club:granted/bans/ben", clubKey, "{}"); a.status != 200 {
		t.Fatal(a.text)
	}
	say()
	m.until("what is banned is gone", func() bool { return m.names() == "" })
	if a := f.request("DELETE", "/v1/rooms/club:granted/bans/ben", clubKey, ""); a.status != 204 {
		t.Fatal(a.text)
	}
	m.until("it is back", func() bool { return m.names() == "club:granted" })
}

// MEM-12
func TestTheFeedOfAStream(t *testing.T) {
	f := club(t, options{})
	f.enroll("club:a", "ann", "owner")
	f.enroll("club:a", "ben", "member")
	l := f.listen("/v1/sse?me=true", f.token("ben"))
	if e := l.event(); e.name != "ready" {
		t.Fatal(e)
	}
	m := &mine{t: t, rooms: map[string]map[string]any{}, next: func() map[string]any {
		e := l.event()
		if e.name != "me" || e.id != "" {
			t.Fatal("MEM-12:", e)
		}
		return e.data
	}}
	if first := m.take(); first["full"] != true || first["op"] != nil || m.names() != "club:a" {
		t.Error("MEM-12:", first)
	}
	f.post("ann", "club:a", 1, `1`, 201)
	m.until("a message", func() bool { return m.rooms["club:a"]["unread"] == 1.0 })
	for query, code := range map[string]string{"": "bad_request", "?me=yes": "bad_request", "?me=false": "bad_request", "?me=true&room=club:none": "unknown_room"} {
		if a := f.request("GET", "/v1/sse"+query, f.token("ben"), ""); a.code() != code {
			t.Errorf("MEM-12: %s: %s", query, a.text)
		}
	}
}

// A peer that takes nothing costs its marks, and hears of the latest when it takes again. A connection that ends is forgotten.
func TestTheFeedForgetsWhoIsGone(t *testing.T) {
	f := club(t, options{hub: func(*hub.Config) {}})
	f.enroll("club:a", "ben", "member")
	p := f.login("ben")
	p.sendf(`{"op":"me","id":1}`)
	p.expect("me")
	p.sendf(`{"op":"me","id":2}`)
	if again := p.expect("me"); again["id"] != 2.0 || again["full"] != true || len(again["rooms"].([]any)) != 1 {
		text, _ := json.Marshal(again)
		t.Errorf("MEM-10: asked anew: %s", text)
	}
	_ = p.nc.Close()
	eventually(t, "it is forgotten", func() bool {
		f.srv.feed.mu.Lock()
		defer f.srv.feed.mu.Unlock()
		return len(f.srv.feed.of)+len(f.srv.feed.users)+len(f.srv.feed.rooms) == 0
	})
}

// MEM-10: a mark of the user, by whichever of their connections and nodes, is told.
func TestTheFeedTellsOfMarks(t *testing.T) {
	nodes := clubPair(t)
	var said [][]byte
	nodes[0].srv.cfg.SayMe = func(body []byte) { said = append(said, body) }
	nodes[0].enroll("club:a", "ann", "member")
	nodes[0].enroll("club:a", "ben", "member")
	nodes[0].post("ann", "club:a", 1, `1`, 201)
	m := nodes[1].follows("ben")
	if m.rooms["club:a"]["unread"] != 1.0 {
		t.Fatal(m.rooms)
	}
	out, err := nodes[0].store.Mark(t.Context(), []room.Marking{{Room: "club:a", User: "ben", Read: 3}})
	must(t, err)
	said = nil
	nodes[0].srv.Marked(out)
	if len(said) != 1 {
		t.Fatalf("said %q", said)
	}
	nodes[1].srv.HearMe(said[0])
	m.until("it is read", func() bool { return m.rooms["club:a"]["unread"] == 0.0 && m.rooms["club:a"]["read"] == 3.0 })
	for _, odd := range []string{"", " ", "mark", "mark club:a", "dance club:a ben", "mark  ", "\n\n", "member club:a " + strings.Repeat("x", 1<<16)} {
		nodes[1].srv.HearMe([]byte(odd)) // of a newer node
	}
}
