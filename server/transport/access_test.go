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
		{"PUT /v1/rooms/chat:a/bans/u2", `{"for":""}`, "for", 400}, // what is empty is not what is absent: it would be for good
		{"PUT /v1/rooms/chat:a/bans/u2", `{"for":null}`, "for", 400},
		{"PUT /v1/rooms/chat:a/bans/u2", `{"For":"1h"}`, "For", 400}, // another field
		{"PUT /v1/rooms/chat:a/bans/u2", `{"for":"1h","for":"2h"}`, "for", 400},
		{"POST /v1/users/u2/revoke", `{"jti":""}`, "jti", 400}, // it would end every token
		{"POST /v1/users/u2/revoke", `{"jti":null}`, "jti", 400},
		{"POST /v1/users/u2/revoke", `{"jti":"a\u0000"}`, "jti", 400},
		{"POST /v1/users/u2/revoke", `{"for":""}`, "for", 400},
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
	read := func() { must(t, f.srv.ReadAccess(t.Context())) }

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
