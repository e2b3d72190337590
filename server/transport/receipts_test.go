package transport

import (
	"context"
	"fmt"
	"reflect"
	"testing"

	"roomlog/server/hub"
	"roomlog/server/receipts"
	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

// keeping is a server that keeps receipts of rooms of these kinds; counts: in rooms of more users with marks than that nobody is named.
func keeping(t *testing.T, counts int, policies map[string]room.Policy) *fixture {
	t.Helper()
	var desk *receipts.Desk
	kinds := room.NewKinds(policies)
	f := start(t, options{
		hub: func(c *hub.Config) {
			desk = receipts.New(receipts.Config{Store: c.Store.(room.Receipts), Kinds: kinds, Named: counts})
			c.Beside[hub.SideReceipts] = desk
		},
		server: func(c *Config) {
			c.Kinds = kinds
			c.Receipts = kept{desk, c.Rooms.(room.Receipts)}
		},
	})
	desk.Start(f.hub)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		desk.Stop(ctx)
	})
	return f
}

type kept struct {
	*receipts.Desk
	store room.Receipts
}

func (k kept) Readers(ctx context.Context, id room.ID, seq room.Seq, limit int) (room.Readers, error) {
	return k.store.Readers(ctx, id, seq, limit)
}

// says appends messages of a user.
func (f *fixture) says(user string, id room.ID, n int) {
	f.t.Helper()
	for range n {
		send := numbered(id, 1)
		send.Author = user
		_, err := f.store.Append(context.Background(), []room.Send{send})
		must(f.t, err)
	}
}

// standingOf is a marked without an id.
func standingOf(id string, delivered, read, head, unread, first float64) map[string]any {
	m := map[string]any{"op": "marked", "room": id, "delivered": delivered, "read": read, "head": head, "unread": unread, "more": false, "mentions": 0.0}
	if first > 0 {
		m["first_unread"] = first
	}
	return m
}

func (p *peer) expectSame(want map[string]any) {
	p.t.Helper()
	if got := p.expect(want["op"].(string)); !reflect.DeepEqual(got, want) {
		p.t.Errorf("got  %v\nwant %v", got, want)
	}
}

// expectEach takes as many frames, which come in any order, each of which is the one of its op.
func (p *peer) expectEach(want ...map[string]any) {
	p.t.Helper()
	of := map[any]map[string]any{}
	for _, w := range want {
		of[w["op"]] = w
	}
	for range want {
		got := p.object()
		if !reflect.DeepEqual(got, of[got["op"]]) {
			p.t.Errorf("got  %v\nwant %v", got, of[got["op"]])
		}
		delete(of, got["op"])
	}
}

// sideOf is the first frame of a room's receipts.
func sideOf(id string) map[string]any {
	return map[string]any{"op": "receipts", "room": id, "full": true, "version": 1.0, "set": []any{}}
}

// RCPT-2, RCPT-3, RCPT-4, RCPT-5, RCPT-6, RCPT-8: whoever joins is told where they stand; who marks is answered, and all of a user's tabs and
// streams are told, others of the mark alone.
func TestMarksReachAllOfAUsersTabs(t *testing.T) {
	f := keeping(t, 100, map[string]room.Policy{"chat": {}})
	f.says("u1", "chat:a", 3)
	f.says("u2", "chat:a", 1)
	join := `{"op":"join","id":1,"room":"chat:a","limit":1,"with":["receipts"]}`
	tab, other, theirs := f.login("u2"), f.login("u2"), f.login("u1")
	for _, p := range []*peer{tab, other} {
		p.sendf("%s", join)
		p.expect("joined")
		p.expectEach(standingOf("chat:a", 0, 0, 4, 3, 1), sideOf("chat:a"))
	}
	theirs.sendf("%s", join)
	theirs.expect("joined")
	theirs.expectEach(standingOf("chat:a", 0, 0, 4, 1, 4), sideOf("chat:a"))
	stream := f.listen("/v1/sse?room=chat:a&with=receipts", f.token("u2"))
	ready := stream.event()
	for range 2 {
		if e := stream.event(); e.name != "receipts" && e.name != "marked" || e.id != "" || e.name == "marked" && e.data["unread"] != 3.0 {
			t.Error(e.raw)
		}
	}

	tab.sendf(`{"op":"read","id":7,"room":"chat:a","delivered":4,"read":2}`)
	told := standingOf("chat:a", 4, 2, 4, 1, 3)
	mark := map[string]any{"op": "receipts", "room": "chat:a", "prev": 1.0, "version": 2.0, "gone": []any{}, "set": []any{map[string]any{"user": "u2", "delivered": 4.0, "read": 2.0}}}
	other.expectEach(told, mark)
	theirs.expectSame(mark)
	for range 2 {
		if e := stream.event(); e.name == "marked" && (e.data["read"] != 2.0 || e.data["first_unread"] != 3.0) {
			t.Error(e.raw)
		}
	}
	answered := false
	for range 3 { // the answer, and what all tabs are told
		m := tab.object()
		switch {
		case m["op"] == "marked" && m["id"] == 7.0:
			delete(m, "id")
			answered = reflect.DeepEqual(m, told)
		case m["op"] == "marked" && !reflect.DeepEqual(m, told), m["op"] == "receipts" && !reflect.DeepEqual(m, mark):
			t.Error(m)
		}
	}
	if !answered {
		t.Error("RCPT-3: a read with an id was not answered")
	}
	// Late and again, over the stream: nothing changes, and it is answered.
	if a := f.command(ready, `{"op":"read","id":8,"room":"chat:a","read":1}`); a.status != 200 || a.body["id"] != 8.0 || a.body["read"] != 2.0 || a.body["delivered"] != 4.0 {
		t.Error(a.status, a.text)
	}
	// Without an id it is not answered; beyond the head is the head.
	tab.sendf(`{"op":"read","room":"chat:a","read":9007199254740991}`)
	read := map[string]any{"op": "receipts", "room": "chat:a", "prev": 2.0, "version": 3.0, "gone": []any{}, "set": []any{map[string]any{"user": "u2", "delivered": 4.0, "read": 4.0}}}
	tab.expectEach(standingOf("chat:a", 4, 4, 4, 0, 0), read)
	other.expectEach(standingOf("chat:a", 4, 4, 4, 0, 0), read)
}

// RCPT-2, RCPT-9: what is no mark is refused with its field, over each way, and marks nothing.
func TestMarksThatAreNone(t *testing.T) {
	f := keeping(t, 100, map[string]room.Policy{"chat": {}, "none": {Receipts: room.ShowNone}})
	f.says("u1", "chat:a", 3)
	f.says("u1", "none:a", 1)
	p := f.login("u2")
	for _, c := range []struct {
		marks string
		field string
	}{
		{`"read":-1`, "read"}, {`"delivered":-5,"read":2`, "delivered"}, {`"read":9007199254740992`, "read"}, {`"read":1.5`, "read"}, {`"read":"3"`, "read"},
		{`"delivered":1e99`, "delivered"}, {`"read":99999999999999999999`, "read"}, {`"read":{}`, "read"},
	} {
		p.sendf(`{"op":"read","id":3,"room":"chat:a",%s}`, c.marks)
		if e := p.expectError(room.CodeBadRequest); e["field"] != c.field || e["id"] != 3.0 {
			t.Errorf("RCPT-2: %s: %v", c.marks, e)
		}
		if a := f.request("PUT", "/v1/rooms/chat:a/receipt", f.token("u2"), "{"+c.marks+"}"); a.status != 400 || a.code() != "bad_request" || a.body["field"] != c.field {
			t.Errorf("RCPT-11: %s: %d %s", c.marks, a.status, a.text)
		}
	}
	for _, body := range []string{`[]`, `null`, `7`, `{"read":`} {
		if a := f.request("PUT", "/v1/rooms/chat:a/receipt", f.token("u2"), body); a.status != 400 || a.code() != "bad_request" {
			t.Errorf("RCPT-11: %s: %d %s", body, a.status, a.text)
		}
	}
	for path, want := range map[string]int{
		"chat:a/receipts": 400, "chat:a/receipts?seq=0": 400, "chat:a/receipts?seq=-1": 400, "chat:a/receipts?seq=1&seq=2": 400, "chat:a/receipts?seq=x": 400,
		"none:a/receipts?seq=1": 403, "other:a/receipts?seq=1": 404, "chat:a/receipts?seq=1": 200,
	} {
		if a := f.request("GET", "/v1/rooms/"+path, f.token("u2"), ""); a.status != want {
			t.Errorf("RCPT-12: %s: %d %s", path, a.status, a.text)
		}
	}
	p.sendf(`{"op":"read","id":3,"room":"none:a","read":1}`)
	p.expectError(room.CodeForbidden)
	p.sendf(`{"op":"read","id":3,"room":"other:a","read":1}`)
	p.expectError(room.CodeUnknownRoom)
	p.sendf(`{"op":"read","id":4,"room":"chat:a"}`)
	if m := p.expect("marked"); m["read"] != 0.0 || m["unread"] != 3.0 {
		t.Errorf("RCPT-2: something was marked: %v", m)
	}
}

// RCPT-11, RCPT-12, RCPT-9: over HTTP; who has read, by name, in counts, or not at all.
func TestReceiptsOverHTTP(t *testing.T) {
	f := keeping(t, 100, map[string]room.Policy{"chat": {}, "vote": {Receipts: room.ShowCounts}, "diary": {Receipts: room.ShowPrivate}})
	for _, id := range []string{"chat:a", "vote:a", "diary:a"} {
		f.says("u1", room.ID(id), 3)
		for i, user := range []string{"u1", "u2", "u3"} {
			a := f.request("PUT", "/v1/rooms/"+id+"/receipt", f.token(user), fmt.Sprintf(`{"delivered":3,"read":%d}`, i+1))
			if a.status != 200 || a.body["read"] != float64(i+1) || a.body["delivered"] != 3.0 || a.body["head"] != 3.0 || a.body["op"] != nil {
				t.Errorf("RCPT-11: %d %s", a.status, a.text)
			}
		}
	}
	for id, want := range map[string]string{
		"chat:a": `{"read":["u2","u3"],"delivered":["u1","u2","u3"],"read_count":2,"delivered_count":3}`,
		"vote:a": `{"read":[],"delivered":[],"read_count":2,"delivered_count":3}`,
	} {
		if a := f.request("GET", "/v1/rooms/"+id+"/receipts?seq=2", f.token("u2"), ""); a.status != 200 || a.text != want {
			t.Errorf("RCPT-12: %s: %d %s", id, a.status, a.text)
		}
	}
	if a := f.request("GET", "/v1/rooms/diary:a/receipts?seq=2", f.token("u2"), ""); a.code() != "forbidden" {
		t.Errorf("RCPT-9: %s", a.text)
	}
}

// RCPT-8, RCPT-9: nobody is named in rooms of many readers and where the policy says so; by policy private nobody else is told anything.
func TestCountsNameNobody(t *testing.T) {
	f := keeping(t, 2, map[string]room.Policy{"chat": {}, "vote": {Receipts: room.ShowCounts}, "diary": {Receipts: room.ShowPrivate}, "none": {Receipts: room.ShowNone}})
	p := f.login("u0")
	for _, id := range []string{"chat:a", "vote:a", "diary:a", "none:a"} {
		f.says("u1", room.ID(id), 3)
		for i := range 3 {
			f.request("PUT", "/v1/rooms/"+id+"/receipt", f.token(fmt.Sprint("u", i+1)), fmt.Sprintf(`{"delivered":3,"read":%d}`, i+1))
		}
		p.sendf(`{"op":"join","id":1,"room":%q,"limit":1,"with":["receipts"]}`, id)
		p.expect("joined")
		if id == "none:a" {
			break
		}
		if id == "diary:a" {
			p.expectSame(standingOf(id, 0, 0, 3, 3, 1))
			continue
		}
		p.expectEach(standingOf(id, 0, 0, 3, 3, 1), map[string]any{
			"op": "receipts", "room": id, "full": true, "version": 2.0, "set": []any{}, "counts": true,
			"delivered": map[string]any{"any": 3.0, "all": 3.0}, "read": map[string]any{"any": 3.0, "all": 1.0},
		})
	}
	f.request("PUT", "/v1/rooms/diary:a/receipt", f.token("u3"), `{"read":3}`)
	f.request("PUT", "/v1/rooms/diary:a/receipt", f.token("u0"), `{"read":1}`)
	p.expectSame(standingOf("diary:a", 1, 1, 3, 2, 2)) // and nothing of u3 before it
	f.request("PUT", "/v1/rooms/chat:a/receipt", f.token("u1"), `{"read":3}`)
	if m := p.expect("receipts"); m["room"] != "chat:a" || !reflect.DeepEqual(m["read"], map[string]any{"any": 3.0, "all": 2.0}) || len(m["set"].([]any)) != 0 {
		t.Errorf("RCPT-8: %v", m)
	}
}

// RCPT-2, SIDE-5: receipts of a room never reach who may not read it, though they could a moment ago.
func TestReceiptsStayInTheirRoom(t *testing.T) {
	f := keeping(t, 100, map[string]room.Policy{"chat": {}})
	f.says("u1", "chat:a", 1)
	f.says("u1", "chat:b", 1)
	in, out := f.login("u2"), f.dial()
	out.sendf(`{"op":"hello","token":%q}`, f.token("u3", auth.Grant{Rooms: "chat:b", Can: []auth.Action{auth.Read}}))
	out.expect("welcome")
	out.sendf(`{"op":"join","id":1,"room":"chat:a","with":["receipts"]}`)
	out.expectError(room.CodeUnknownRoom)
	out.sendf(`{"op":"read","id":1,"room":"chat:a","read":1}`)
	out.expectError(room.CodeUnknownRoom)
	for _, path := range []string{"/v1/rooms/chat:a/receipts?seq=1"} {
		if a := f.request("GET", path, f.token("u3", auth.Grant{Rooms: "chat:b", Can: []auth.Action{auth.Read}}), ""); a.code() != "unknown_room" {
			t.Errorf("%s: %s", path, a.text)
		}
	}
	for _, p := range []*peer{in, out} {
		p.sendf(`{"op":"join","id":1,"room":"chat:b","limit":1,"with":["receipts"]}`)
		p.expect("joined")
		p.expectEach(standingOf("chat:b", 0, 0, 1, 1, 1), sideOf("chat:b"))
	}
	if a := f.request("PUT", "/v1/rooms/chat:b/bans/u3", f.token("u1"), `{}`); a.status != 200 {
		t.Fatal(a.text)
	}
	out.expectError(room.CodeUnknownRoom)
	f.request("PUT", "/v1/rooms/chat:b/receipt", f.token("u2"), `{"read":1}`)
	in.expectEach(standingOf("chat:b", 1, 1, 1, 0, 0), map[string]any{
		"op": "receipts", "room": "chat:b", "prev": 1.0, "version": 2.0, "gone": []any{}, "set": []any{map[string]any{"user": "u2", "delivered": 1.0, "read": 1.0}},
	})
	out.sendf(`{"op":"ping"}`)
	out.expect("pong") // and nothing before it
}
