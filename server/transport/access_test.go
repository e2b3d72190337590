package transport

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

// tokenWith makes a token with claims of its own; nil takes one away.
func (f *fixture) tokenWith(user string, change map[string]any) string {
	f.t.Helper()
	claims := jwt.MapClaims{
		"sub": user, "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(),
		"grants": []any{map[string]any{"rooms": "*", "can": []string{"read", "send"}}},
	}
	for name, value := range change {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(testKey)
	must(f.t, err)
	return text
}

// order does what an admin does, and wants a status.
func (f *fixture) order(method, path, body string, status int) answer {
	f.t.Helper()
	a := f.request(method, path, f.token("admin"), body)
	if a.status != status {
		f.t.Fatalf("%s %s: %d %s, want %d", method, path, a.status, a.text, status)
	}
	return a
}

// reads wants the answer that a token gets for a room; "": it may read it.
func (f *fixture) reads(token, id string, code room.Code) {
	f.t.Helper()
	if a := f.request("GET", "/v1/rooms/"+id+"/events", token, ""); a.code() != string(code) {
		f.t.Errorf("%s: %d %s, want %q", id, a.status, a.text, code)
	}
}

func TestBans(t *testing.T) {
	f := start(t, options{})
	token := f.token("mira ü/x")
	path := "/v1/rooms/chat:a/bans/" + url.PathEscape("mira ü/x")
	f.reads(token, "chat:a", "")
	a := f.order("PUT", path, `{"for":"1h","reason":"spam"}`, 200) // ACC-7
	at, err := time.Parse(time.RFC3339, a.body["at"].(string))
	must(t, err)
	if until := at.Add(time.Hour).Format("2006-01-02T15:04:05.000000Z"); a.body["room"] != "chat:a" || a.body["user"] != "mira ü/x" || a.body["reason"] != "spam" || a.body["by"] != "admin" || a.body["until"] != until {
		t.Error(a.text)
	}
	unknown := f.request("GET", "/v1/rooms/game:never/events", f.token("u2", auth.Grant{Rooms: "chat:*", Can: []auth.Action{auth.Read}}), "")
	banned := f.request("GET", "/v1/rooms/chat:a/events", token, "")
	delete(unknown.body, "request_id")
	delete(banned.body, "request_id")
	if fmt.Sprint(unknown.body) != fmt.Sprint(banned.body) || banned.status != 404 { // ACC-3: they look the same
		t.Errorf("banned: %v, unknown: %v", banned.body, unknown.body)
	}
	for _, try := range []string{"POST /v1/rooms/chat:a/events", "GET /v1/rooms/chat:a/events?before=9", "GET /v1/rooms/chat:a/events?wait=9", "GET /v1/sse?room=chat:b&room=chat:a"} {
		method, path, _ := strings.Cut(try, " ")
		if a := f.request(method, path, token, `{"tag":"`+tagOf(1)+`","type":"message","data":1}`); a.code() != string(room.CodeUnknownRoom) {
			t.Errorf("%s: %d %s", try, a.status, a.text)
		}
	}
	f.reads(token, "chat:b", "") // one room is not another
	f.reads(f.token("mira"), "chat:a", "")
	f.order("PUT", path, "", 200) // without end, in place of the first
	f.order("PUT", "/v1/rooms/chat:a/bans/b", "", 200)
	f.order("PUT", "/v1/rooms/chat:b/bans/a", "", 200)
	list := f.order("GET", "/v1/rooms/chat:a/bans?limit=1", "", 200)
	if bans := list.body["bans"].([]any); len(bans) != 1 || bans[0].(map[string]any)["user"] != "b" || list.body["more"] != true {
		t.Error(list.text)
	}
	list = f.order("GET", "/v1/rooms/chat:a/bans?after=b", "", 200)
	if bans := list.body["bans"].([]any); len(bans) != 1 || bans[0].(map[string]any)["user"] != "mira ü/x" || bans[0].(map[string]any)["until"] != nil || list.body["more"] != false {
		t.Error(list.text)
	}
	for range 2 {
		if a := f.order("DELETE", path, "", 204); a.text != "" {
			t.Error(a.text)
		}
	}
	f.reads(token, "chat:a", "")
}

// A ban ends by itself.
func TestBanEnds(t *testing.T) { // ACC-7
	f := start(t, options{})
	must(t, f.srv.makeChanges(t.Context(), banning(room.Ban{Room: "chat:a", User: "u1", Until: now().Add(-time.Microsecond), At: now()})))
	f.reads(f.token("u1"), "chat:a", "")
	if list := f.order("GET", "/v1/rooms/chat:a/bans", "", 200); len(list.body["bans"].([]any)) != 0 {
		t.Error(list.text)
	}
}

func TestRevokedTokens(t *testing.T) {
	f := start(t, options{})
	second := int64(0) // in which u1 was revoked
	for same := false; !same; {
		second = time.Now().Unix()
		f.order("POST", "/v1/users/u1/revoke", `{"reason":"lost phone"}`, 200)
		same = second == time.Now().Unix()
	}
	f.order("POST", "/v1/users/u2/revoke", `{"jti":"t-1"}`, 200)
	status := f.order("GET", "/v1/users/u1/revoke", "", 200)
	if status.body["user"] != "u1" || status.body["blocked"] != false || status.body["reason"] != "lost phone" || status.body["by"] != "admin" || status.body["before"] != time.Unix(second+1, 0).UTC().Format("2006-01-02T15:04:05.000000Z") {
		t.Error(status.text)
	}
	for _, c := range []struct {
		name, user string
		claims     map[string]any
		code       room.Code
	}{
		{"ACC-2 of an earlier second", "u1", map[string]any{"iat": second - 1}, room.CodeRevoked},
		{"ACC-2 of the same second", "u1", map[string]any{"iat": second}, room.CodeRevoked},
		{"ACC-2 of the same second, with a fraction", "u1", map[string]any{"iat": float64(second) + 0.999}, room.CodeRevoked},
		{"ACC-2 of the next second", "u1", map[string]any{"iat": second + 1}, ""},
		{"ACC-2 without iat", "u1", map[string]any{"iat": nil}, room.CodeRevoked},
		{"of another user", "u3", map[string]any{"iat": nil}, ""},
		{"of a user whose name begins alike", "u11", map[string]any{"iat": nil}, ""},
		{"ACC-2 by its id", "u2", map[string]any{"jti": "t-1"}, room.CodeRevoked},
		{"another id", "u2", map[string]any{"jti": "t-2"}, ""},
		{"without id", "u2", nil, ""},
		{"the id at another user", "u3", map[string]any{"jti": "t-1"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			token := f.tokenWith(c.user, c.claims)
			f.reads(token, "chat:a", c.code)
			p := f.dial()
			p.sendf(`{"op":"hello","token":%q}`, token)
			if c.code == "" {
				p.expect("welcome")
				return
			}
			p.expectError(room.CodeRevoked) // CLOSE-1
			if reason := p.expectClose(4503); reason != "revoked" {
				t.Error(reason)
			}
		})
	}
	good := f.dial()
	good.sendf(`{"op":"hello","token":%q}`, f.tokenWith("u1", map[string]any{"iat": second + 1}))
	good.expect("welcome")
	good.sendf(`{"op":"refresh","token":%q}`, f.tokenWith("u1", map[string]any{"iat": second})) // AUTH-10: the first stays
	good.expectError(room.CodeRevoked)
	good.sendf(`{"op":"join","room":"chat:a"}`)
	good.expect("joined")
}

func TestBlock(t *testing.T) { // ACC-2
	f := start(t, options{})
	later := map[string]any{"iat": time.Now().Add(10 * time.Second).Unix()}
	a := f.order("POST", "/v1/users/u1/revoke", `{"for":"24h"}`, 200)
	if a.body["blocked"] != true || a.body["until"] == nil || a.body["before"] == nil {
		t.Error(a.text)
	}
	f.reads(f.tokenWith("u1", later), "chat:a", room.CodeRevoked)
	f.order("POST", "/v1/users/u1/revoke", `{"block":true}`, 200)
	if status := f.order("GET", "/v1/users/u1/revoke", "", 200); status.body["blocked"] != true || status.body["until"] != nil {
		t.Error(status.text)
	}
	for range 2 {
		f.order("DELETE", "/v1/users/u1/revoke", "", 204)
	}
	f.reads(f.tokenWith("u1", later), "chat:a", "")
	f.reads(f.tokenWith("u1", map[string]any{"iat": nil}), "chat:a", room.CodeRevoked) // what was revoked stays so
	if status := f.order("GET", "/v1/users/u1/revoke", "", 200); status.body["blocked"] != false || status.body["before"] == nil {
		t.Error(status.text)
	}
}

// ACC-1: only admins, and others learn nothing.
func TestAccessIsForAdmins(t *testing.T) {
	f := start(t, options{})
	can := func(rooms string, actions ...auth.Action) string {
		return f.token("u1", auth.Grant{Rooms: rooms, Can: actions})
	}
	user, ofChat := can("*", auth.Read, auth.Send), can("chat:*", auth.Admin)
	for _, c := range []struct {
		try, token, body string
		status           int
		code             room.Code
	}{
		{"PUT /v1/rooms/chat:a/bans/u2", "", "", 401, room.CodeUnauthenticated},
		{"PUT /v1/rooms/chat:a/bans/u2", user, "", 403, room.CodeForbidden},
		{"PUT /v1/rooms/chat:a/bans/u2", can("game:*", auth.Read, auth.Admin), "", 404, room.CodeUnknownRoom},
		{"PUT /v1/rooms/chat:a/bans/u2", ofChat, "", 200, ""},
		{"PUT /v1/rooms/game:a/bans/u2", ofChat, "", 404, room.CodeUnknownRoom},
		{"PUT /v1/rooms/chat/bans/u2", ofChat, "", 400, room.CodeBadRoom},
		{"GET /v1/rooms/chat:a/bans", user, "", 403, room.CodeForbidden},
		{"GET /v1/rooms/chat:a/bans", ofChat, "", 200, ""},
		{"DELETE /v1/rooms/chat:a/bans/nobody", user, "", 403, room.CodeForbidden},
		{"DELETE /v1/rooms/chat:a/bans/nobody", ofChat, "", 204, ""},
		{"POST /v1/users/u2/revoke", "", "", 401, room.CodeUnauthenticated},
		{"POST /v1/users/u2/revoke", user, "", 403, room.CodeForbidden},
		{"POST /v1/users/u2/revoke", ofChat, "", 403, room.CodeForbidden},
		{"POST /v1/users/%00/revoke", user, "", 403, room.CodeForbidden},
		{"GET /v1/users/u2/revoke", ofChat, "", 403, room.CodeForbidden},
		{"DELETE /v1/users/u2/revoke", ofChat, "", 403, room.CodeForbidden},
		{"GET /v1/connections", ofChat, "", 403, room.CodeForbidden},
		{"DELETE /v1/connections/nobody", ofChat, "", 403, room.CodeForbidden},
		{"PATCH /v1/users/u2/revoke", ofChat, "", 405, room.CodeMethodNotAllowed},
	} {
		method, path, _ := strings.Cut(c.try, " ")
		if a := f.request(method, path, c.token, c.body); a.status != c.status || a.code() != string(c.code) {
			t.Errorf("%s: %d %s, want %d %s", c.try, a.status, a.text, c.status, c.code)
		}
	}
}

// ACC-8: an order that is not understood is not carried out.
func TestOrdersAreReadStrictly(t *testing.T) {
	f := start(t, options{})
	for _, c := range []struct {
		try, body, field string
		status           int
	}{
		{"PUT /v1/rooms/chat:a/bans/u2", `{"for":"24"}`, "for", 400},
		{"PUT /v1/rooms/chat:a/bans/u2", `{"for":"-1h"}`, "for", 400},
		{"PUT /v1/rooms/chat:a/bans/u2", `{"for":"999999h"}`, "for", 400},
		{"PUT /v1/rooms/chat:a/bans/u2", `{"for":24}`, "for", 400},
		{"PUT /v1/rooms/chat:a/bans/u2", `{"fro":"24h"}`, "fro", 400},
		{"PUT /v1/rooms/chat:a/bans/u2", `{"reason":"a\nb"}`, "reason", 400},
		{"PUT /v1/rooms/chat:a/bans/u2", `{"reason":"` + strings.Repeat("x", 501) + `"}`, "reason", 400},
		{"PUT /v1/rooms/chat:a/bans/u2", `null`, "", 400},
		{"PUT /v1/rooms/chat:a/bans/u2", `{} {}`, "", 400},
		{"PUT /v1/rooms/chat:a/bans/u%0A2", ``, "user", 400},
		{"PUT /v1/rooms/chat:a/bans/" + strings.Repeat("u", 129), ``, "user", 400},
		{"PUT /v1/rooms/chat:a/bans/%FF", ``, "user", 400},
		{"POST /v1/users/u2/revoke", `{"blok":true}`, "blok", 400},
		{"POST /v1/users/u2/revoke", `{"jti":"t","block":true}`, "jti", 400},
		{"POST /v1/users/u2/revoke", `{"jti":"` + strings.Repeat("t", 257) + `"}`, "jti", 400},
		{"POST /v1/users/%20%0A/revoke", ``, "user", 400},
		{"GET /v1/connections?limit=0", ``, "limit", 400},
		{"GET /v1/connections?user=", ``, "user", 400},
		{"GET /v1/connections?room=chat", ``, "room", 400},
		{"DELETE /v1/connections/nobody", ``, "id", 404},
	} {
		method, path, _ := strings.Cut(c.try, " ")
		a := f.order(method, path, c.body, c.status)
		if field, _ := a.body["field"].(string); field != c.field {
			t.Errorf("%s %s: %s, want the field %q", c.try, c.body, a.text, c.field)
		}
	}
	f.reads(f.token("u2"), "chat:a", "")
	if a := f.request("PUT", "/v1/rooms/chat:a/bans/u2", f.token("admin"), `{}`, "Content-Type: text/plain"); a.status != 415 {
		t.Error(a.text)
	}
}

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
	h.waits <- struct{}{}
	<-h.goes
	return h.Store.Append(ctx, batch)
}

// ACC-5: a send that waits behind a slow store when access is taken back is not stored; one that was on its way
// is waited for, and where it is not answered in time, that is said (ACC-6).
func TestQueuedSendsAreNotStored(t *testing.T) {
	for _, act := range []string{"PUT /v1/rooms/chat:a/bans/u1", "POST /v1/users/u1/revoke"} {
		t.Run(act, func(t *testing.T) {
			slow := &held{waits: make(chan struct{}), goes: make(chan struct{})}
			f := start(t, options{hub: func(c *hub.Config) {
				slow.Store, c.Store = c.Store, slow
				c.UnknownAfter = time.Hour
			}})
			method, path, _ := strings.Cut(act, " ")
			p := f.login("u1")
			p.sendf(`{"op":"send","id":1,"n":1,"room":"chat:a","tag":%q,"type":"message","data":"in flight"}`, tagOf(1))
			<-slow.waits
			p.sendf(`{"op":"send","id":2,"n":2,"room":"chat:a","tag":%q,"type":"message","data":"canary"}`, tagOf(2))
			posted := make(chan answer, 1)
			go func() {
				posted <- f.request("POST", "/v1/rooms/chat:a/events", f.token("u1"), `{"tag":"`+tagOf(3)+`","type":"message","data":"canary"}`)
			}()
			eventually(t, "both wait", func() bool { return f.hub.Stats().Queued == 2 })
			f.srv.changeWithin = time.Second // the batch in flight is not answered within it
			if a := f.order(method, path, "", 503); a.code() != string(room.CodeOutcomeUnknown) || a.body["retryable"] != true {
				t.Error(a.text)
			}
			f.srv.changeWithin = patience
			answered := make(chan answer, 1)
			go func() { answered <- f.order(method, path, "", 200) }()
			slow.goes <- struct{}{}
			<-answered
			want := room.CodeUnknownRoom
			if method == "POST" {
				want = room.CodeRevoked
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

// ACC-9: what was taken back stays so when the server starts again, and another node hears of it.
func TestAccessIsKept(t *testing.T) {
	f := start(t, options{server: func(c *Config) { c.AccessEvery = 10 * time.Millisecond }})
	f.order("PUT", "/v1/rooms/chat:a/bans/u1", "", 200)
	f.order("POST", "/v1/users/u2/revoke", "", 200)
	again, err := New(Config{Hub: f.hub, Verifier: f.srv.cfg.Verifier, Access: f.store})
	must(t, err)
	defer again.Close(context.Background())
	u1, u2 := &auth.Identity{User: "u1", Grants: auth.Everything(), IssuedAt: time.Now()}, &auth.Identity{User: "u2", IssuedAt: time.Now().Add(-time.Minute)}
	if err := again.allowed(u1, "chat:a", auth.Read); room.AsError(err).Code != room.CodeUnknownRoom {
		t.Errorf("after a restart: %v", err)
	}
	if err := again.admitted(u2); room.AsError(err).Code != room.CodeRevoked {
		t.Errorf("after a restart: %v", err)
	}
	p := f.login("u3")
	p.sendf(`{"op":"join","room":"chat:a"}`)
	p.expect("joined")
	must(t, f.store.PutBan(t.Context(), room.Ban{Room: "chat:a", User: "u3", At: now()})) // as another node does
	p.expectError(room.CodeUnknownRoom)
	must(t, f.store.PutBan(t.Context(), room.Ban{User: "u3", At: now()}))
	p.expectClose(4503)
	must(t, f.store.DropBan(t.Context(), "chat:a", "u1"))
	eventually(t, "the ban is lifted", func() bool { return f.srv.allowed(u1, "chat:a", auth.Read) == nil })
}

// A server that cannot learn who is kept out does not start.
func TestNoStartWithoutAccess(t *testing.T) { // ACC-9
	f := start(t, options{})
	store := brokenAccess{f.store}
	if s, err := New(Config{Hub: f.hub, Verifier: f.srv.cfg.Verifier, Access: store}); err == nil {
		_ = s.Close(t.Context())
		t.Error("it started")
	}
}

type brokenAccess struct{ room.AccessStore }

func (brokenAccess) Access(context.Context, time.Time) (room.Access, error) {
	return room.Access{}, &room.Error{Code: room.CodeUnavailable, Title: "Not now."}
}

// ACC-10
func TestConnections(t *testing.T) {
	f := start(t, options{})
	p := f.login("u1")
	for _, id := range []string{"chat:b", "chat:a"} {
		p.sendf(`{"op":"join","id":1,"room":%q}`, id)
		p.expect("joined")
	}
	l := f.listen("/v1/sse?room=chat:a", f.token("u2"))
	ready := l.event()
	polled := make(chan answer, 1)
	go func() { polled <- f.request("GET", "/v1/rooms/chat:c/events?wait=50", f.token("u3"), "") }()
	eventually(t, "the poll waits", func() bool { return len(f.srv.roster.of("")) == 3 })

	list := func(query string) []any {
		a := f.order("GET", "/v1/connections"+query, "", 200)
		if n := a.body["total"].(float64); query != "?limit=2" && int(n) != len(a.body["connections"].([]any)) || n > 3 {
			t.Errorf("%s: %s", query, a.text)
		}
		return a.body["connections"].([]any)
	}
	all := list("")
	if len(all) != 3 || len(list("?limit=2")) != 2 || len(list("?user=u1")) != 1 || len(list("?room=chat:a")) != 2 || len(list("?room=chat:a&user=u2")) != 1 || len(list("?user=nobody")) != 0 {
		t.Fatal(all)
	}
	socket, stream, poll := all[0].(map[string]any), all[1].(map[string]any), all[2].(map[string]any)
	if socket["user"] != "u1" || socket["transport"] != "websocket" || fmt.Sprint(socket["rooms"]) != "[chat:a chat:b]" || socket["behind"] != 0.0 || !strings.HasPrefix(socket["address"].(string), "127.0.0.1:") {
		t.Error(socket)
	}
	if stream["user"] != "u2" || stream["transport"] != "sse" || stream["id"] != ready.data["connection"] || fmt.Sprint(stream["rooms"]) != "[chat:a]" {
		t.Error(stream)
	}
	if poll["user"] != "u3" || poll["transport"] != "poll" || fmt.Sprint(poll["rooms"]) != "[chat:c]" {
		t.Error(poll)
	}

	f.order("DELETE", "/v1/connections/"+socket["id"].(string), "", 204) // CLOSE-2: the client comes back
	if e := p.expectError(room.CodeGoingAway); e["retry_after_ms"] != 1000.0 {
		t.Error(e)
	}
	p.expectClose(1012)
	f.order("DELETE", "/v1/connections/"+stream["id"].(string), "", 204)
	if rest := l.any(); !strings.Contains(rest.raw, "retry: 1000\n") {
		t.Errorf("%q", rest.raw)
	}
	f.order("DELETE", "/v1/connections/"+poll["id"].(string), "", 204)
	if a := <-polled; a.status != http.StatusOK {
		t.Error(a.text)
	}
	eventually(t, "all are gone", func() bool { return len(f.srv.roster.of("")) == 0 })
	f.order("DELETE", "/v1/connections/"+socket["id"].(string), "", 404)
	if n := f.srv.Errors()[room.CodeGoingAway]; n != 2 {
		t.Errorf("%d were told going_away, want 2", n)
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
		<-s.goes
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

// failing is an access store that answers changes with an error; with commit they are made nevertheless.
type failing struct {
	room.AccessStore
	err    error
	commit bool
}

func (f *failing) fail(do func() error) error {
	if f.err == nil || f.commit {
		if err := do(); err != nil {
			return err
		}
	}
	return f.err
}

func (f *failing) PutBan(ctx context.Context, b room.Ban) error {
	return f.fail(func() error { return f.AccessStore.PutBan(ctx, b) })
}

func (f *failing) DropBan(ctx context.Context, id room.ID, user string) error {
	return f.fail(func() error { return f.AccessStore.DropBan(ctx, id, user) })
}

// ACC-6: a store that refuses a change leaves all as it was; one that does not say whether it made it is asked
// again, and keeps people out meanwhile.
func TestStoreThatDoesNotKeepAccess(t *testing.T) {
	store := &failing{}
	f := start(t, options{server: func(c *Config) {
		store.AccessStore, c.Access = c.Access, store
		c.AccessEvery = time.Hour
	}})
	path, token := "/v1/rooms/chat:a/bans/u1", f.token("u1")
	refuses := &room.Error{Code: room.CodeUnavailable, Title: "Not now."}
	read := func() { must(t, f.srv.readAccess(t.Context())) }

	store.err = refuses
	if a := f.order("PUT", path, "", 503); a.code() != string(room.CodeUnavailable) {
		t.Error(a.text)
	}
	f.reads(token, "chat:a", "")
	store.err = room.ErrOutcomeUnknown
	if a := f.order("PUT", path, "", 503); a.code() != string(room.CodeOutcomeUnknown) || a.body["retryable"] != true {
		t.Error(a.text)
	}
	f.reads(token, "chat:a", room.CodeUnknownRoom)
	read() // the store did not make it
	f.reads(token, "chat:a", "")
	store.commit = true
	f.order("PUT", path, "", 503)
	read()
	f.reads(token, "chat:a", room.CodeUnknownRoom)
	f.order("DELETE", path, "", 503)
	f.reads(token, "chat:a", room.CodeUnknownRoom) // until the store has said so
	read()
	f.reads(token, "chat:a", "")
	store.err = nil
	f.order("PUT", path, "", 200)
	f.reads(token, "chat:a", room.CodeUnknownRoom)
}
