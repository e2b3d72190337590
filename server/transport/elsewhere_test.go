package transport

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

var clusterKey = []byte("the key of a cluster, of 32 bytes or more")

func clustered(c *Config) { c.ClusterKey = clusterKey }

// node is another server on the store of f: its own hub, its own transport, the same keys.
func (f *fixture) node(change func(*Config)) *fixture {
	f.t.Helper()
	h := hub.New(hub.Config{Store: f.store, UnknownAfter: patience, PingEvery: time.Hour})
	h.Start()
	verifier, err := auth.NewVerifier(testKey)
	must(f.t, err)
	cfg := Config{
		Hub: h, Verifier: verifier, Limits: DevLimits(), TokenInURL: true, Version: "test", Store: f.store.Info,
		Access: f.store, Rooms: f.store, ClusterKey: clusterKey,
	}
	if change != nil {
		change(&cfg)
	}
	srv, err := New(cfg)
	must(f.t, err)
	other := &fixture{t: f.t, hub: h, store: f.store, srv: srv, http: httptest.NewServer(srv), signer: f.signer}
	other.addr = other.http.Listener.Addr().String()
	f.t.Cleanup(func() {
		other.stop()
		other.http.Close()
	})
	return other
}

// SESS-7, SESS-8: the sends of a stream go to whatever node they reach, and are stored once and in order.
func TestCommandsReachAStreamByAnyNode(t *testing.T) {
	a := start(t, options{server: clustered})
	b, c := a.node(nil), a.node(nil)
	l := a.listen("/v1/sse?room=chat:a", a.token("u1"))
	ready := l.event()
	nodes := []*fixture{b, a, c, c, a, b, b, a, a}
	for i, at := range nodes {
		for again := range 2 { // the answer was lost: asked again, of another node
			answer := nodes[(i+again)%len(nodes)].command(ready, sendFrame(i, i+1, "chat:a", i, fmt.Sprint(i)))
			if answer.status != 201-again || answer.body["seq"] != float64(i+1) || answer.body["duplicate"] != (again == 1) || answer.body["op"] != "ack" {
				t.Fatalf("n=%d at %s, again %d: %d %s", i+1, at.addr, again, answer.status, answer.text)
			}
		}
	}
	got := a.request("GET", "/v1/rooms/chat:a/events", a.token("u2"), "")
	for i, e := range got.body["events"].([]any) {
		if e := e.(map[string]any); e["author"] != "u1" || e["data"] != float64(i) {
			t.Errorf("event %d is %v", i+1, e)
		}
	}
	// A refusal is told alike, and uses up its n or holds it.
	n := len(nodes)
	for _, at := range []*fixture{b, a} {
		if answer := at.command(ready, sendFrame(1, n+1, "chat:a", 100, `"\u0000"`)); answer.status != 400 || answer.code() != "bad_data" {
			t.Errorf("%d %s", answer.status, answer.text)
		}
	}
	if answer := c.command(ready, sendFrame(1, n+2, "chat:a", 101, `1`)); answer.status != 201 {
		t.Error(answer.text)
	}
	if answer := a.command(ready, sendFrame(1, n+3, "chat:a", 102, `1`)); answer.status != 201 {
		t.Error(answer.text)
	}
	// What is no send.
	for name, want := range map[string]struct {
		frame  string
		status int
		code   room.Code
	}{
		"ping":        {`{"op":"ping"}`, 200, ""},
		"pong":        {`{"op":"pong"}`, 204, ""},
		"join":        {`{"op":"join","room":"chat:b"}`, 400, room.CodeBadRequest},
		"hello":       {`{"op":"hello","token":"x"}`, 400, room.CodeBadRequest},
		"not JSON":    {`{`, 400, room.CodeBadRequest},
		"unknown op":  {`{"op":"dance"}`, 400, room.CodeUnknownOp},
		"without n":   {`{"op":"send","room":"chat:a","tag":"x","type":"message","data":1}`, 400, room.CodeBadRequest},
		"no room":     {`{"op":"send","n":1,"room":"x","tag":"x","type":"message","data":1}`, 400, room.CodeBadRoom},
		"a new token": {fmt.Sprintf(`{"op":"refresh","token":%q}`, a.token("u1")), 503, room.CodeUnavailable},
	} {
		if answer := b.command(ready, want.frame); answer.status != want.status || answer.code() != string(want.code) {
			t.Errorf("%s: %d %s", name, answer.status, answer.text)
		}
	}
}

// SESS-8: on the node that holds a stream, what is under way keeps its order, and what comes late is not stored behind
// what it was to precede.
func TestGapsDoNotBreakTheOrderOfOneNode(t *testing.T) {
	store := stuck{entered: make(chan struct{}, 10), release: make(chan struct{})}
	f := start(t, options{server: clustered, hub: func(c *hub.Config) {
		store.Store = c.Store
		c.Store, c.UnknownAfter = store, patience
	}})
	ready := f.listen("/v1/sse?room=chat:a", f.token("u1")).event()
	first := make(chan answer, 1)
	go func() { first <- f.command(ready, sendFrame(3, 3, "chat:a", 3, `3`)) }() // 1 and 2 went elsewhere
	<-store.entered
	if a := f.command(ready, sendFrame(5, 5, "chat:a", 5, `5`)); a.code() != "out_of_order" {
		t.Errorf("a send past one that is under way: %d %s", a.status, a.text)
	}
	close(store.release)
	if a := <-first; a.status != 201 {
		t.Error(a.text)
	}
	if a := f.command(ready, sendFrame(2, 2, "chat:a", 2, `2`)); a.code() != "bad_request" || a.body["field"] != "n" {
		t.Errorf("one that was overtaken: %d %s", a.status, a.text)
	}
}

// SESS-7: the secret of a stream is as good as its token, and no better; nodes that share no key know nothing of it.
func TestSecretsElsewhereEnd(t *testing.T) {
	t.Parallel()
	a := start(t, options{server: clustered})
	b := a.node(nil)
	stranger := a.node(func(c *Config) { c.ClusterKey = []byte("another key of at least 32 bytes long") })
	alone := a.node(func(c *Config) { c.ClusterKey = nil })
	l := a.listen("/v1/sse?room=chat:a", endsIn(t, "u1", time.Hour))
	ready := l.event()
	other := a.listen("/v1/sse?room=chat:a", a.token("u2")).event()
	refused := func(what string, at *fixture, ready sseEvent) {
		t.Helper()
		if got := at.command(ready, sendFrame(1, 1, "chat:a", 1, `1`)); got.status != 404 || got.code() != "not_found" {
			t.Errorf("%s: %d %s", what, got.status, got.text)
		}
	}
	refused("another key", stranger, ready)
	refused("no key", alone, ready)
	mixed := sseEvent{data: map[string]any{"connection": ready.data["connection"], "secret": other.data["secret"]}}
	refused("the secret of another stream", b, mixed)
	ticket := sseEvent{data: map[string]any{"connection": ready.data["connection"], "secret": a.pass(a.token("u1"), "")}}
	refused("a ticket", b, ticket)
	soon := a.listen("/v1/sse?room=chat:a", endsIn(t, "u1", 3*time.Second)).event()
	eventually(t, "it ends with its token", func() bool { return b.command(soon, `{"op":"ping"}`).status == 404 })
	// Grants are those of the token.
	read := a.listen("/v1/sse?room=chat:a", a.token("u3", auth.Grant{Rooms: "chat:*", Can: []auth.Action{auth.Read}})).event()
	if got := b.command(read, sendFrame(1, 1, "chat:a", 1, `1`)); got.status != 403 || got.code() != "forbidden" {
		t.Error(got.status, got.text)
	}
	// And so is what takes them back: a ban, and an end of all tokens, as soon as the node knows.
	if got := a.request("PUT", "/v1/rooms/chat:a/bans/u1", a.token("admin"), `{}`); got.status != 200 {
		t.Fatal(got.text)
	}
	must(t, b.srv.ReadAccess(context.Background()))
	if got := b.command(ready, sendFrame(1, 1, "chat:a", 1, `1`)); got.status != 404 || got.code() != "unknown_room" {
		t.Error(got.status, got.text)
	}
	if got := a.request("POST", "/v1/users/u2/revoke", a.token("admin"), `{}`); got.status != 200 {
		t.Fatal(got.text)
	}
	must(t, b.srv.ReadAccess(context.Background()))
	refused("a user whose tokens were ended", b, other)
	refused("the same, by the node that held it", a, other)
}

// failingTickets is a store of tickets that does not answer while down.
type failingTickets struct {
	room.TicketStore
	down atomic.Bool
}

func (s *failingTickets) UseTicket(ctx context.Context, id, user string, until time.Time) (bool, error) {
	if s.down.Load() {
		return false, &room.Error{Code: room.CodeUnavailable, Title: "The store does not answer."}
	}
	return s.TicketStore.UseTicket(ctx, id, user, until)
}

func (s *failingTickets) TryTicket(ctx context.Context, id string) ([]byte, int, error) {
	if s.down.Load() {
		return nil, 0, &room.Error{Code: room.CodeUnavailable, Title: "The store does not answer."}
	}
	return s.TicketStore.TryTicket(ctx, id)
}

// TICK-8: a ticket opens one stream in the whole cluster, which is taken up again by whatever node.
func TestTicketsAreTakenByAnyNode(t *testing.T) {
	used := &failingTickets{TicketStore: newUsedTickets(time.Now)}
	shared := func(c *Config) { c.ClusterKey, c.Tickets = clusterKey, used }
	a := start(t, options{server: shared})
	b := a.node(shared)
	stranger := a.node(func(c *Config) { shared(c); c.ClusterKey = []byte("another key of at least 32 bytes long") })
	nodes := []*fixture{a, b}
	for i := range 3 {
		a.post("u2", "chat:a", i, `1`, 201)
	}
	path := "/v1/sse?room=chat:a&ticket=" + a.pass(a.token("u1"), "")
	stranger.refusesTicket("another key", path)
	l := b.opensStream(path)
	l.event()
	for _, f := range nodes {
		f.refusesTicket("twice", path)
	}
	a.post("u2", "chat:a", 3, `2`, 201)
	b.request("GET", "/v1/rooms/chat:a/events?after=3&seen=4", b.token("u2"), "") // these nodes have no bus
	seen := l.page("chat:a", 3, 4)
	for range 2 {
		for _, f := range nodes {
			if ready := f.opensStream(path, "Last-Event-ID: "+seen.id).event(); ready.id != seen.id {
				t.Error(ready.raw)
			}
		}
	}
	parts := strings.Split(seen.id, ":")
	forged := "Last-Event-ID: " + parts[0] + ":4:" + flip(parts[2])
	for i := range ticketMisses {
		nodes[i%2].refusesTicket(fmt.Sprint("try ", i), path, forged)
	}
	for _, f := range nodes {
		f.refusesTicket("after too many tries, counted by all nodes together", path, "Last-Event-ID: "+seen.id)
	}

	// However many try at once, one gets in.
	path = "/v1/sse?room=chat:a&ticket=" + b.pass(b.token("u1"), "")
	var wait sync.WaitGroup
	var in atomic.Int64
	for i := range 8 {
		p := nodes[i%2].dialRaw("GET " + path + " HTTP/1.1\r\nHost: roomlog\r\n\r\n")
		wait.Go(func() {
			if p.response().StatusCode == 200 {
				in.Add(1)
			}
		})
	}
	wait.Wait()
	if in.Load() != 1 {
		t.Errorf("%d of 8 streams began", in.Load())
	}

	// A WebSocket; and a store that is away: nobody is let in on trust, and nothing is used up.
	ticket := a.pass(a.token("u1"), "")
	hello := func(f *fixture) *peer {
		return f.dialRaw(strings.Replace(handshake, "/v1/ws", "/v1/ws?ticket="+ticket, 1) + "\r\n")
	}
	used.down.Store(true)
	for range 2 {
		if resp := hello(b).response(); resp.StatusCode != 503 {
			t.Error(resp)
		}
		if got := b.request("GET", path, "", "", "Last-Event-ID: "+seen.id); got.status != 503 || got.code() != "unavailable" {
			t.Error(got.status, got.text)
		}
	}
	used.down.Store(false)
	p := hello(b)
	if resp := p.response(); resp.StatusCode != 101 {
		t.Fatal(resp)
	}
	p.sendf(`{"op":"hello"}`)
	p.expect("welcome")
	if resp := hello(a).response(); resp.StatusCode != 401 {
		t.Error("a WebSocket's ticket was taken twice:", resp)
	}
	// What is taken back is, wherever the ticket came from.
	ticket = a.pass(a.token("u1"), "")
	if got := a.request("POST", "/v1/users/u1/revoke", a.token("admin"), `{}`); got.status != 200 {
		t.Fatal(got.text)
	}
	must(t, b.srv.ReadAccess(context.Background()))
	p = hello(b)
	p.response()
	p.sendf(`{"op":"hello"}`)
	p.expectError(room.CodeRevoked)
}
