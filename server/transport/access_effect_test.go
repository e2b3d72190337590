package transport

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
)

// ACC-3, JOIN-9: a socket that is banned from a room keeps its others, and may not come back to that one.
func TestBannedSocketKeepsItsOtherRooms(t *testing.T) {
	f := start(t, options{})
	p := f.login("u1")
	for _, id := range []string{"chat:a", "chat:b"} {
		p.sendf(`{"op":"join","id":1,"room":%q}`, id)
		p.expect("joined")
	}
	f.order("PUT", "/v1/rooms/chat:a/bans/u1", "", 200)
	if e := p.expectError(room.CodeUnknownRoom); e["room"] != "chat:a" || e["id"] != nil || e["retryable"] != false {
		t.Error(e)
	}
	f.post("u2", "chat:a", 1, `1`, 201)
	f.post("u2", "chat:b", 2, `2`, 201)
	if page := p.expect("page"); page["room"] != "chat:b" {
		t.Error(page)
	}
	p.sendf(`{"op":"join","id":2,"room":"chat:a"}`)
	p.expectError(room.CodeUnknownRoom)
	p.sendf(`{"op":"send","id":3,"n":1,"room":"chat:a","tag":%q,"type":"message","data":1}`, tagOf(3))
	p.expectError(room.CodeUnknownRoom)
	f.order("DELETE", "/v1/rooms/chat:a/bans/u1", "", 204)
	p.sendf(`{"op":"join","id":4,"room":"chat:a"}`)
	if joined := p.expect("joined"); joined["head"] != 1.0 {
		t.Error(joined)
	}
	f.order("PUT", "/v1/rooms/chat:c/bans/u1", "", 200) // not joined: nothing is said
	p.sendf(`{"op":"ping"}`)
	p.expect("pong")
}

// ACC-4: a stream ends with any of its rooms, and does not come back.
func TestBannedStreamEnds(t *testing.T) {
	f := start(t, options{})
	l := f.listen("/v1/sse?room=chat:a&room=chat:b", f.token("u1"))
	ready := l.event()
	f.order("PUT", "/v1/rooms/chat:b/bans/u1", "", 200)
	if _, err := l.br.ReadByte(); err == nil {
		t.Error("the stream goes on")
	}
	if a := f.request("GET", "/v1/sse?room=chat:a&room=chat:b", f.token("u1"), "", "Last-Event-ID: "+ready.id); a.status != 404 {
		t.Error(a.status, a.text)
	}
}

// held is a store whose appends wait until they are let go, each saying that it waits.
type held struct {
	room.Store
	waits, goes chan struct{}
}

func (h *held) Append(ctx context.Context, batch []room.Send) (room.Appended, error) {
	select {
	case h.waits <- struct{}{}:
	case <-ctx.Done():
		return room.Appended{}, ctx.Err()
	}
	select {
	case <-h.goes:
		return h.Store.Append(ctx, batch)
	case <-ctx.Done():
		return room.Appended{}, ctx.Err()
	}
}

// ACC-5: a send that waits behind a slow store when access is taken back is not stored; one that was on its way
// is waited for, and where it is not answered in time, that is said (ACC-6). So it is with a mute (MOD-1).
func TestQueuedSendsAreNotStored(t *testing.T) {
	for _, act := range []string{"PUT /v1/rooms/chat:a/bans/u1", "PUT /v1/rooms/chat:a/mutes/u1", "POST /v1/users/u1/revoke"} {
		t.Run(act, func(t *testing.T) {
			slow := &held{waits: make(chan struct{}, 16), goes: make(chan struct{})}
			f := start(t, options{
				hub: func(c *hub.Config) {
					slow.Store, c.Store = c.Store, slow
					c.UnknownAfter = time.Hour
				},
				server: func(c *Config) { c.AccessEvery = time.Hour },
			})
			method, path, _ := strings.Cut(act, " ")
			p := f.login("u1")
			p.sendf(`{"op":"send","id":1,"n":1,"room":"chat:a","tag":%q,"type":"message","data":"in flight"}`, tagOf(1))
			<-slow.waits
			p.sendf(`{"op":"send","id":2,"n":2,"room":"chat:a","tag":%q,"type":"message","data":"canary"}`, tagOf(2))
			posted, token := make(chan answer, 1), f.token("u1")
			go func() {
				posted <- f.request("POST", "/v1/rooms/chat:a/events", token, `{"tag":"`+tagOf(3)+`","type":"message","data":"canary"}`)
			}()
			eventually(t, "both wait", func() bool { return f.hub.Stats().Queued == 2 })
			f.srv.changeWithin = time.Second // the batch in flight is not answered within it
			if a := f.order(method, path, "", 503); a.code() != string(room.CodeOutcomeUnknown) || a.body["retryable"] != true {
				t.Error(a.text)
			}
			f.srv.changeWithin = patience
			answered := make(chan answer, 1)
			go func() { answered <- f.request(method, path, f.token("admin"), "") }()
			slow.goes <- struct{}{}
			if a := <-answered; a.status != 200 {
				t.Errorf("%d %s", a.status, a.text)
			}
			want := room.CodeUnknownRoom
			switch {
			case method == "POST":
				want = room.CodeRevoked
			case strings.Contains(path, "/mutes/"):
				want = room.CodeForbidden
			}
			if a := <-posted; a.code() != string(want) {
				t.Errorf("the post: %d %s", a.status, a.text)
			}
			page, err := f.store.Read(t.Context(), room.Query{Room: "chat:a", Limit: 10})
			must(t, err)
			if len(page.Events) != 1 || string(page.Events[0].Data) != `"in flight"` {
				t.Errorf("stored: %+v", page.Events)
			}
		})
	}
}

// A stalled client is cut as well: what it has begun to take is not gone on with.
func TestRevokeCutsWhoTakesNothing(t *testing.T) { // ACC-4
	f := start(t, options{})
	backlog := make([]room.Send, 1000)
	for round := range 30 {
		for i := range backlog {
			backlog[i] = numbered("chat:a", int64(round))
		}
		_, err := f.store.Append(t.Context(), backlog)
		must(t, err)
	}
	p := f.login("deaf")
	p.sendf(`{"op":"join","room":"chat:a","position":"0"}`)
	eventually(t, "it is stalled", func() bool { return f.hub.Stats().Stalls > 0 })
	f.order("POST", "/v1/users/deaf/revoke", "", 200)
	eventually(t, "it is gone", func() bool { return len(f.srv.roster.of("deaf")) == 0 && f.hub.Stats().Connections == 0 })
	if a := f.order("GET", "/v1/connections?user=deaf", "", 200); a.body["total"] != 0.0 {
		t.Error(a.text)
	}
}

// slowReads is a store whose reads of a room wait until they are let go.
type slowReads struct {
	room.Store
	id   room.ID
	goes chan struct{}
}

func (s *slowReads) Read(ctx context.Context, q room.Query) (room.Page, error) {
	if q.Room == s.id {
		select {
		case <-s.goes:
		case <-ctx.Done():
		}
	}
	return s.Store.Read(ctx, q)
}

// ACC-4: a stream whose rooms were still being read when access was taken back is answered by the reason.
func TestStreamIsCutBeforeItBegins(t *testing.T) {
	for act, want := range map[string]room.Code{"PUT /v1/rooms/chat:a/bans/u1": room.CodeUnknownRoom, "POST /v1/users/u1/revoke": room.CodeRevoked} {
		slow := &slowReads{id: "chat:a", goes: make(chan struct{})}
		f := start(t, options{hub: func(c *hub.Config) { slow.Store, c.Store = c.Store, slow }})
		answered := make(chan answer, 1)
		go func() { answered <- f.request("GET", "/v1/sse?room=chat:a", f.token("u1"), "") }()
		eventually(t, "the stream is listed", func() bool { return len(f.srv.roster.of("u1")) == 1 })
		method, path, _ := strings.Cut(act, " ")
		f.order(method, path, "", 200)
		close(slow.goes)
		if a := <-answered; a.code() != string(want) || a.body["request_id"] == "" {
			t.Errorf("%s: %d %s, want %s", act, a.status, a.text, want)
		}
	}
}

// What a ticket and the commands of a stream may do is judged anew as well (ACC-4, TICK-5).
func TestTicketsAndCommandsOfWhoIsKeptOut(t *testing.T) {
	f := start(t, options{})
	forStream, forSocket, opened := f.pass(f.token("u1"), ""), f.pass(f.token("u1"), ""), f.pass(f.token("u1"), "")
	l := f.listen("/v1/sse?room=chat:a&ticket="+opened, "")
	ready := l.event()
	f.order("PUT", "/v1/rooms/chat:b/bans/u1", "", 200)
	if a := f.command(ready, sendFrame(1, 1, "chat:b", 1, `1`)); a.code() != string(room.CodeUnknownRoom) {
		t.Error(a.status, a.text)
	}
	if a := f.command(ready, sendFrame(2, 1, "chat:a", 2, `1`)); a.status != 201 {
		t.Error(a.status, a.text)
	}
	l.page("chat:a", 0, 1)
	f.order("POST", "/v1/users/u1/revoke", "", 200)
	if _, err := l.br.ReadByte(); err == nil {
		t.Error("the stream goes on")
	}
	eventually(t, "the session has ended", func() bool { return f.command(ready, `{"op":"ping"}`).status == 404 })
	for _, ticket := range []string{forStream, opened} {
		if a := f.request("GET", "/v1/sse?room=chat:a&ticket="+ticket, "", "", "Last-Event-ID: "+ready.id); a.code() != string(room.CodeRevoked) {
			t.Error(a.status, a.text)
		}
	}
	p := f.dialRaw(strings.Replace(handshake, "/v1/ws", "/v1/ws?ticket="+forSocket, 1) + "\r\n")
	if resp := p.response(); resp.StatusCode != 101 {
		t.Fatal(resp)
	}
	p.sendf(`{"op":"hello"}`)
	p.expectError(room.CodeRevoked)
	p.expectClose(4503)
}

// slowRooms are rooms that are looked for slowly: each look waits until it is let go.
type slowRooms struct {
	room.Rooms
	came, goes chan struct{}
}

func (s *slowRooms) wait() { s.came <- struct{}{}; <-s.goes }

func (s *slowRooms) Find(ctx context.Context, id room.ID) (room.Record, error) {
	s.wait()
	return s.Rooms.Find(ctx, id)
}

func (s *slowRooms) List(ctx context.Context, prefix string, after room.ID, limit int) ([]room.Record, room.ID, error) {
	s.wait()
	return s.Rooms.List(ctx, prefix, after, limit)
}

// ACC-4: what was being looked for when access was taken back is not told.
func TestRoomsAreJudgedAgain(t *testing.T) {
	slow := &slowRooms{came: make(chan struct{}), goes: make(chan struct{})}
	f := start(t, options{server: func(c *Config) { slow.Rooms, c.Rooms = c.Rooms, slow }})
	f.post("u1", "chat:a", 1, `1`, 201)
	for i, row := range []struct {
		act, path string
		want      room.Code
	}{
		{"PUT /v1/rooms/chat:a/bans/USER", "/v1/rooms/chat:a", room.CodeUnknownRoom},
		{"POST /v1/users/USER/revoke", "/v1/rooms/chat:a", room.CodeRevoked},
		{"POST /v1/users/USER/revoke", "/v1/rooms", room.CodeRevoked},
	} {
		user := fmt.Sprint("reader", i)
		token, answered := f.token(user), make(chan answer, 1)
		go func() { answered <- f.request("GET", row.path, token, "") }()
		<-slow.came
		method, path, _ := strings.Cut(strings.Replace(row.act, "USER", user, 1), " ")
		f.order(method, path, "", 200)
		slow.goes <- struct{}{}
		if a := <-answered; a.code() != string(row.want) {
			t.Errorf("%s, then %s: %d %s, want %s", row.path, row.act, a.status, a.text, row.want)
		}
	}
}
