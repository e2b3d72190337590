package transport

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/store/sqlite"
	"roomlog/server/streams"
)

// streamNode is a server that takes the parts of streams. Nodes are on one store, and hear each other as far as deaf allows.
type streamNode struct {
	*fixture
	desk  *streams.Desk
	peers []*streamNode
	deaf  atomic.Bool
}

// deskLog is the hub as a desk of streams has it.
type deskLog struct{ *hub.Hub }

func (l deskLog) Append(ctx context.Context, s room.Send) error {
	answered := make(chan hub.Outcome, 1)
	l.Submit(hub.Submit{Send: s}, func(o hub.Outcome) { answered <- o })
	select {
	case o := <-answered:
		if o.Err != nil {
			return o.Err
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// startStreams starts nodes with their desks; cfg changes how those are made.
func startStreams(t *testing.T, n int, cfg func(*streams.Config)) []*streamNode {
	t.Helper()
	var nodes []*streamNode
	var shared *sqlite.Store
	for range n {
		node := &streamNode{}
		node.fixture = start(t, options{
			hub: func(c *hub.Config) {
				if shared == nil {
					shared = c.Store.(*sqlite.Store)
				}
				c.Store = shared
				sc := streams.Config{Store: shared, CheckEvery: 50 * time.Millisecond, SweepEvery: 20 * time.Millisecond}
				sc.Say = func(id room.ID, body []byte) {
					for _, peer := range node.peers {
						if peer != node && !peer.deaf.Load() {
							peer.desk.Hear(id, body)
						}
					}
				}
				if cfg != nil {
					cfg(&sc)
				}
				node.desk = streams.New(sc)
				c.Beside[hub.SideParts] = node.desk
				c.CheckEvery = 100 * time.Millisecond
			},
			server: func(c *Config) {
				c.Streams, c.Access, c.Rooms = node.desk, shared, shared
				c.Kinds = room.NewKinds(map[string]room.Policy{"chat": {}, "quiet": {NoStreams: true}, "fixed": {Changes: room.Changes{Edit: room.ByNobody}}})
			},
		})
		nodes = append(nodes, node)
	}
	for _, node := range nodes {
		node.peers = nodes
		node.desk.Start(deskLog{node.hub})
		t.Cleanup(func() { node.desk.Stop(context.Background()) })
	}
	return nodes
}

func (n *streamNode) as(user, method, path, body string) answer {
	n.t.Helper()
	return n.request(method, path, n.token(user), body, "Content-Type: application/json")
}

// begin begins a stream and gives its path.
func (n *streamNode) begin(user, id string, tag int, data string) string {
	n.t.Helper()
	a := n.as(user, "POST", "/v1/rooms/"+id+"/streams", fmt.Sprintf(`{"tag":%q,"data":%s}`, tagOf(tag), data))
	if a.status != 201 || a.body["lease_ms"] == nil {
		n.t.Fatalf("PART-1: %d %s", a.status, a.text)
	}
	return fmt.Sprintf("/v1/rooms/%s/streams/%.0f", id, a.body["seq"])
}

func (n *streamNode) part(user, path string, offset int, text string) answer {
	n.t.Helper()
	quoted, err := json.Marshal(text)
	must(n.t, err)
	return n.as(user, "POST", path, fmt.Sprintf(`{"offset":%d,"text":%s}`, offset, quoted))
}

// readText takes frames until a reader has the text, each of which has to follow what it has, and returns what it had to begin with.
func (p *peer) readText(had, want string) {
	p.t.Helper()
	for had != want {
		m := p.object()
		if m["op"] != "part" {
			continue
		}
		at := int(m["offset"].(float64))
		if at > len(had) {
			p.t.Fatalf("PART-9: %v does not follow %q", m, had)
		}
		had = had[:at] + m["text"].(string)
		if len(had) > len(want) {
			p.t.Fatalf("PART-9: %q, want %q", had, want)
		}
	}
}

// editOf takes frames until a page has an edit, and gives what it edits to.
func (p *peer) editOf(seq float64) map[string]any {
	p.t.Helper()
	for {
		m := p.object()
		events, _ := m["events"].([]any)
		if m["op"] != "page" {
			continue
		}
		for _, e := range events {
			if e := e.(map[string]any); e["type"] == "edit" && e["target"] == seq {
				return e["data"].(map[string]any)["data"].(map[string]any)
			}
		}
	}
}

// PART-1, PART-2, PART-6, PART-7, PART-9: a text grows before its readers, from where each of them is, and ends as one edit.
func TestAMessageStreams(t *testing.T) {
	n := startStreams(t, 1, nil)[0]
	reader := n.login("u2")
	reader.sendf(`{"op":"join","id":1,"room":"chat:a","with":["parts"]}`)
	reader.expect("joined")
	path := n.begin("u1", "chat:a", 1, `{"text":"So: ","model":"m1"}`)
	if a := n.as("u1", "POST", "/v1/rooms/chat:a/streams", fmt.Sprintf(`{"tag":%q,"data":{"text":"So: ","model":"m1"}}`, tagOf(1))); a.status != 200 || a.body["seq"] != 1.0 || a.body["lease_ms"] != 10000.0 {
		t.Errorf("PART-1: a repeat: %d %s", a.status, a.text)
	}
	if a := n.part("u1", path, 0, "ünd "); a.status != 200 || a.body["offset"] != 5.0 {
		t.Errorf("PART-2: %d %s", a.status, a.text)
	}
	reader.readText("", "ünd ")
	for _, c := range []struct {
		user, path string
		offset     int
		text       string
		code       room.Code
		limit      any
	}{
		{"u1", path, 6, "x", room.CodeBadPosition, 5.0},
		{"u1", path, 4, "é", room.CodeBadPosition, 5.0},
		{"u2", path, 5, "x", room.CodeForbidden, nil},
		{"u1", "/v1/rooms/chat:a/streams/9", 0, "x", room.CodeUnknownTarget, nil},
		{"u1", "/v1/rooms/chat:a/streams/0", 0, "x", room.CodeBadRequest, nil},
		{"u1", "/v1/rooms/quiet:a/streams/1", 0, "x", room.CodeForbidden, nil},
		{"u1", path, -1, "x", room.CodeBadRequest, nil},
		{"u1", path, 5, "\u0000", room.CodeBadData, nil},
	} {
		if a := n.part(c.user, c.path, c.offset, c.text); a.code() != string(c.code) || a.body["limit"] != c.limit {
			t.Errorf("PART-2, PART-3: %+v: %d %s", c, a.status, a.text)
		}
	}
	if a := n.part("u1", path, 0, "ünd so"); a.body["offset"] != 7.0 {
		t.Errorf("PART-2: an overlap: %s", a.text)
	}
	reader.readText("ünd ", "ünd so")
	late := n.login("u3")
	late.sendf(`{"op":"join","id":1,"room":"chat:a","with":["parts"],"parts":{"1":3}}`)
	late.expect("joined")
	if m := late.expect("part"); m["offset"] != 3.0 || m["text"] != "d so" || m["seq"] != 1.0 || m["room"] != "chat:a" {
		t.Errorf("PART-9: %v", m)
	}
	plain := n.login("u4")
	plain.sendf(`{"op":"join","id":1,"room":"chat:a"}`)
	l := n.listen("/v1/sse?room=chat:a&with=parts", n.token("u5"))
	l.event() // ready
	if e := l.event(); e.name != "part" || e.id != "" || e.data["text"] != "ünd so" {
		t.Errorf("PART-9: %s", e.raw)
	}

	a := n.as("u1", "POST", path+"/finish", "")
	if a.status != 201 || a.body["seq"] != 2.0 || a.body["type"] != "edit" || a.body["target"] != 1.0 {
		t.Fatalf("PART-6: %d %s", a.status, a.text)
	}
	for _, p := range []*peer{reader, plain} {
		if data := p.editOf(1); fmt.Sprint(data) != `map[model:m1 text:So: ünd so]` {
			t.Errorf("PART-7: %v", data)
		}
	}
	if a := n.as("u1", "POST", path+"/finish", ""); a.status != 200 || a.body["seq"] != 2.0 || a.body["duplicate"] != true {
		t.Errorf("PART-6: a repeat: %d %s", a.status, a.text)
	}
	for _, a := range []answer{n.part("u1", path, 7, "x"), n.as("u1", "DELETE", path, "")} {
		if a.code() != string(room.CodeUnknownTarget) {
			t.Errorf("PART-6: after the end: %d %s", a.status, a.text)
		}
	}
}

// PART-6: what is given takes the place of the data, with the text that came; a kind that lets nobody edit lets messages end.
func TestAMessageFinishesWithData(t *testing.T) {
	n := startStreams(t, 1, nil)[0]
	path := n.begin("u1", "fixed:a", 1, `{"old":1}`)
	n.part("u1", path, 0, "text")
	a := n.as("u1", "POST", path+"/finish", `{"data":{"tokens":3}}`)
	if a.status != 201 || fmt.Sprint(a.body["data"].(map[string]any)["data"]) != `map[text:text tokens:3]` {
		t.Errorf("PART-6: %d %s", a.status, a.text)
	}
	small := start(t, options{}) // PART-1: without a desk there are no routes
	if a := small.request("POST", "/v1/rooms/chat:a/streams", small.token("u1"), `{}`, "Content-Type: application/json"); a.status != 404 {
		t.Errorf("%d %s", a.status, a.text)
	}
}

// PART-5: a message of which nothing is said any more ends as it is; so does one that its author gives up.
func TestAMessageIsAborted(t *testing.T) {
	t.Parallel()
	n := startStreams(t, 1, func(c *streams.Config) { c.Lease = 3 * time.Second })[0] // which a request and its commit are well within
	reader := n.login("u2")
	reader.sendf(`{"op":"join","id":1,"room":"chat:a","with":["parts"]}`)
	reader.expect("joined")
	path := n.begin("u1", "chat:a", 1, `{}`)
	n.part("u1", path, 0, "half of")
	if data := reader.editOf(1); fmt.Sprint(data) != `map[aborted:true text:half of]` {
		t.Errorf("PART-5: %v", data)
	}
	if a := n.as("u1", "POST", path+"/finish", ""); a.code() != string(room.CodeUnknownTarget) {
		t.Errorf("PART-6: finished after it was aborted: %d %s", a.status, a.text)
	}
	if s := n.desk.Stats(); s.Aborted != 1 || s.Open != 0 {
		t.Errorf("counted are %+v", s)
	}
	path = n.begin("u1", "chat:a", 2, `{}`)
	if a := n.as("u2", "DELETE", path, ""); a.code() != string(room.CodeForbidden) {
		t.Errorf("PART-3: %d %s", a.status, a.text)
	}
	if a := n.as("u1", "DELETE", path, ""); a.status != 201 {
		t.Errorf("PART-5: %d %s", a.status, a.text)
	}
	if data := reader.editOf(3); fmt.Sprint(data) != `map[aborted:true text:]` {
		t.Errorf("PART-5: %v", data)
	}
}

// PART-8: a message that is deleted takes no parts and shows none.
func TestADeletedMessageStreamsNoMore(t *testing.T) {
	n := startStreams(t, 1, nil)[0]
	reader := n.login("u2")
	reader.sendf(`{"op":"join","id":1,"room":"chat:a","with":["parts"]}`)
	reader.expect("joined")
	path := n.begin("u1", "chat:a", 1, `{}`)
	n.part("u1", path, 0, "secret")
	reader.readText("", "secret")
	if a := n.as("u1", "POST", "/v1/rooms/chat:a/events", fmt.Sprintf(`{"tag":%q,"type":"delete","data":{"target":1}}`, tagOf(2))); a.status != 201 {
		t.Fatal(a.text)
	}
	for _, a := range []answer{n.part("u1", path, 6, " more"), n.as("u1", "POST", path+"/finish", "")} {
		if a.code() != string(room.CodeUnknownTarget) {
			t.Errorf("PART-8: %d %s", a.status, a.text)
		}
	}
	late := n.login("u3")
	late.sendf(`{"op":"join","id":1,"room":"chat:a","with":["parts"]}`)
	late.expect("joined")
	late.sendf(`{"op":"sync","id":2,"room":"chat:a","side":"parts"}`)
	late.expect("done")
	late.sendf(`{"op":"ping"}`)
	late.expect("pong") // and no part before it
}

// PART-4, PART-10: any node takes parts and shows them, also where nothing that nodes say arrives; where two take parts of one message,
// the one that keeps them later is told so.
func TestAMessageStreamsOverNodes(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		t.Run(fmt.Sprint("deaf=", deaf), func(t *testing.T) {
			nodes := startStreams(t, 2, nil)
			a, b := nodes[0], nodes[1]
			a.deaf.Store(deaf)
			b.deaf.Store(deaf)
			reader := b.login("u2")
			reader.sendf(`{"op":"join","id":1,"room":"chat:a","with":["parts"]}`)
			reader.expect("joined")
			path := a.begin("u1", "chat:a", 1, `{}`)
			a.part("u1", path, 0, "one ")
			reader.readText("", "one ")
			keptAt(t, a, path, 4)
			if p := b.part("u1", path, 4, "two "); p.status != 200 || p.body["offset"] != 8.0 {
				t.Fatalf("PART-4: it goes on at another node: %d %s", p.status, p.text)
			}
			reader.readText("one ", "one two ")
			keptAt(t, b, path, 8)
			a.part("u1", path, 4, "2") // which a thinks is next
			for {
				p := a.part("u1", path, 8, "three")
				if p.status == 200 {
					break
				}
				if p.code() != string(room.CodeBadPosition) {
					t.Fatalf("PART-4: %d %s", p.status, p.text)
				}
			}
			keptAt(t, a, path, 13)
			if p := b.as("u1", "POST", path+"/finish", ""); p.status != 201 {
				t.Errorf("PART-6: %d %s", p.status, p.text)
			}
			if data := reader.editOf(1); data["text"] != "one two three" {
				t.Errorf("PART-7: %v", data)
			}
		})
	}
}

// PART-2, PART-4: a balancer that deals requests brings each part to another node. One that took parts before, and has heard nothing since,
// never asks again for what a producer was told is kept.
func TestAMessageStreamsOverNodesByTurns(t *testing.T) {
	nodes := startStreams(t, 2, nil)
	for _, n := range nodes {
		n.deaf.Store(true)
	}
	path := nodes[0].begin("u1", "chat:a", 1, `{}`)
	for i := range 6 {
		n := nodes[i%2]
		if p := n.part("u1", path, 5*i, "five "); p.status != 200 || p.body["offset"] != float64(5*i+5) {
			t.Fatalf("PART-2: of %d bytes, which are kept: %d %s", 5*i, p.status, p.text)
		}
		keptAt(t, n, path, float64(5*i+5))
	}
}

// PART-6: an end that names the offset ends nothing that lacks some of the text: what the node had that took it is said again.
func TestAMessageEndsWhole(t *testing.T) {
	nodes := startStreams(t, 2, func(c *streams.Config) { c.KeepEvery = time.Hour })
	a, b := nodes[0], nodes[1]
	a.deaf.Store(true)
	b.deaf.Store(true)
	path := a.begin("u1", "chat:a", 1, `{"text":"So: "}`)
	a.part("u1", path, 0, "half")
	keptAt(t, a, path, 4)
	if p := a.part("u1", path, 4, " and half"); p.body["kept"] != 4.0 {
		t.Fatalf("it is kept too soon for this test: %s", p.text)
	}
	for _, body := range []string{`{"offset":13}`, `{"offset":13,"data":{"n":1}}`} {
		if p := b.as("u1", "POST", path+"/finish", body); p.code() != string(room.CodeBadPosition) || p.body["limit"] != 4.0 {
			t.Errorf("PART-6: finished without what another node had: %d %s", p.status, p.text)
		}
	}
	if p := b.as("u1", "POST", path+"/finish", `{"offset":-1}`); p.code() != string(room.CodeBadRequest) {
		t.Errorf("PART-6: %d %s", p.status, p.text)
	}
	if p := b.part("u1", path, 4, " and half"); p.body["offset"] != 13.0 {
		t.Errorf("PART-2: %d %s", p.status, p.text)
	}
	p := b.as("u1", "POST", path+"/finish", `{"offset":13}`)
	if p.status != 201 || fmt.Sprint(p.body["data"].(map[string]any)["data"]) != `map[text:So: half and half]` {
		t.Errorf("PART-6: %d %s", p.status, p.text)
	}
	if p := a.as("u1", "POST", path+"/finish", `{"offset":13}`); p.status != 200 || p.body["duplicate"] != true {
		t.Errorf("PART-6: a repeat: %d %s", p.status, p.text)
	}
}

// looks counts how often the store is asked for the texts of streams, and to keep them.
type looks struct {
	room.Streams
	found, kept atomic.Int64
	away, blind atomic.Bool // it keeps nothing; it finds nothing
}

func (l *looks) FindStreams(ctx context.Context, ids []room.ID, seq room.Seq) ([]room.Stream, error) {
	defer l.found.Add(1)
	if l.blind.Load() {
		return nil, &room.Error{Code: room.CodeUnavailable}
	}
	return l.Streams.FindStreams(ctx, ids, seq)
}

func (l *looks) KeepStreams(ctx context.Context, pieces []room.Piece, lease time.Duration) ([]room.Kept, error) {
	defer l.kept.Add(1)
	if l.away.Load() {
		return nil, &room.Error{Code: room.CodeUnavailable}
	}
	return l.Streams.KeepStreams(ctx, pieces, lease)
}

// PART-9: a message that takes no parts any more, and of which nobody has stored yet how it ended, is not told again from its beginning.
func TestAMessageThatIsAboutToEndIsNotToldAgain(t *testing.T) {
	var store looks
	n := startStreams(t, 1, func(c *streams.Config) { store.Streams, c.Store = c.Store, &store })[0]
	reader := n.login("u2")
	reader.sendf(`{"op":"join","id":1,"room":"chat:a","with":["parts"]}`)
	reader.expect("joined")
	path := n.begin("u1", "chat:a", 1, `{}`)
	n.part("u1", path, 0, "half of it")
	reader.readText("", "half of it")
	keptAt(t, n, path, 10)
	if _, closed, err := store.CloseStream(t.Context(), "chat:a", 1, time.Minute); err != nil || !closed { // as another node does that ends it
		t.Fatal(closed, err)
	}
	kept := store.kept.Load()
	n.part("u1", path, 10, "")
	eventually(t, "the node is told so", func() bool { return store.kept.Load() > kept })
	found := store.found.Load()
	eventually(t, "it looks again", func() bool { return store.found.Load() > found+3 })
	n.part("u1", n.begin("u1", "chat:a", 2, `{}`), 0, "another")
	for m := reader.object(); m["seq"] != 2.0 || m["op"] != "part"; m = reader.object() {
		if m["op"] == "part" {
			t.Errorf("PART-9: %v", m)
		}
	}
	if a := n.part("u1", path, 10, "x"); a.code() != string(room.CodeUnknownTarget) {
		t.Errorf("PART-3: %d %s", a.status, a.text)
	}
	eventually(t, "what was kept is counted", func() bool { return n.desk.Stats().Kept > 1 })
	if s := n.desk.Stats(); s.Behind != 1 || s.Failures != 0 || s.Open != 1 || s.Parts < 4 {
		t.Errorf("counted are %+v", s)
	}
}

// PART-4: what the store does not keep is tried again.
func TestATextIsKeptOnceTheStoreIsBack(t *testing.T) {
	var store looks
	n := startStreams(t, 1, func(c *streams.Config) { store.Streams, c.Store = c.Store, &store })[0]
	path := n.begin("u1", "chat:a", 1, `{}`)
	store.away.Store(true)
	if a := n.part("u1", path, 0, "text"); a.body["kept"] != 0.0 {
		t.Errorf("PART-2: %d %s", a.status, a.text)
	}
	eventually(t, "it failed", func() bool { return n.desk.Stats().Failures > 1 })
	store.away.Store(false)
	keptAt(t, n, path, 4)
}

// PART-8, PART-9: what another node said of a message and comes late, after its end, shows nothing of it.
func TestAHintThatComesLateShowsNothing(t *testing.T) {
	var store looks
	var hints [][]byte
	var mu sync.Mutex
	nodes := startStreams(t, 2, func(c *streams.Config) {
		store.Streams, c.Store = c.Store, &store
		say := c.Say
		c.Say = func(id room.ID, body []byte) {
			mu.Lock()
			hints = append(hints, body)
			mu.Unlock()
			say(id, body)
		}
	})
	a, b := nodes[0], nodes[1]
	reader := b.login("u2")
	reader.sendf(`{"op":"join","id":1,"room":"chat:a","with":["parts"]}`)
	reader.expect("joined")
	path, other := a.begin("u1", "chat:a", 1, `{}`), a.begin("u1", "chat:a", 2, `{}`)
	a.part("u1", path, 0, "secret")
	reader.readText("", "secret")
	mu.Lock()
	first := hints[0]
	mu.Unlock()
	a.part("u1", other, 0, "1")
	reader.readText("", "1")
	if p := a.as("u1", "POST", path+"/finish", ""); p.status != 201 {
		t.Fatal(p.text)
	}
	eventually(t, "the other node knows that it has ended", func() bool { return b.desk.Stats().Bytes == 1 })
	store.blind.Store(true)
	b.desk.Hear("chat:a", first)
	for i, text := range []string{"2", "3"} { // the second is shown after whatever came before the first
		a.part("u1", other, i+1, text)
		for m := reader.object(); m["op"] != "part" || m["text"] != text; m = reader.object() {
			if m["op"] == "part" {
				t.Errorf("PART-9: %s is shown: %v", first, m)
			}
		}
	}
	store.blind.Store(false)
	eventually(t, "the store is asked, and it is forgotten", func() bool { return b.desk.Stats().Bytes == 3 })
}

// keptAt says nothing until so much is kept.
func keptAt(t *testing.T, n *streamNode, path string, bytes float64) {
	t.Helper()
	for {
		p := n.part("u1", path, int(bytes), "")
		if p.body["kept"] == bytes {
			return
		}
		if p.status != 200 && p.code() != string(room.CodeBadPosition) {
			t.Fatalf("PART-4: %d %s", p.status, p.text)
		}
	}
}

// PART-4, PART-5: what a node that stops was told is kept, and the message goes on at another with those who read it.
func TestAMessageOutlivesItsNode(t *testing.T) {
	nodes := startStreams(t, 2, nil)
	a, b := nodes[0], nodes[1]
	path := a.begin("u1", "chat:a", 1, `{}`)
	a.part("u1", path, 0, "half")
	a.deaf.Store(true)
	b.deaf.Store(true)
	a.desk.Stop(context.Background())
	if p := a.part("u1", path, 4, "x"); p.code() != string(room.CodeGoingAway) {
		t.Errorf("%d %s", p.status, p.text)
	}
	reader := b.login("u2")
	reader.sendf(`{"op":"join","id":1,"room":"chat:a","with":["parts"],"parts":{"1":2}}`)
	reader.expect("joined")
	if m := reader.expect("part"); m["offset"] != 2.0 || m["text"] != "lf" {
		t.Errorf("PART-9: %v", m)
	}
	if p := b.part("u1", path, 4, " and half"); p.body["offset"] != 13.0 {
		t.Errorf("PART-4: %d %s", p.status, p.text)
	}
	reader.readText("half", "half and half")
}

// PART-3, PART-11: a text that is as large as an event may be grows no more and can be finished; a kind may have no streams.
func TestAStreamIsBounded(t *testing.T) {
	n := startStreams(t, 1, nil)[0]
	path := n.begin("u1", "chat:a", 1, `{}`)
	most := n.srv.cfg.Limits.EventBytes
	if a := n.part("u1", path, 0, strings.Repeat("\n", most/2)); a.code() != string(room.CodeMessageTooLarge) || a.body["limit"] != float64(most) {
		t.Errorf("PART-3: %d %s", a.status, a.text)
	}
	for data, code := range map[string]room.Code{`[]`: room.CodeBadData, `{"mentions":[1]}`: room.CodeBadData, fmt.Sprintf(`{"pad":%q}`, strings.Repeat("x", most-11)): room.CodeMessageTooLarge} {
		if a := n.as("u1", "POST", path+"/finish", `{"data":`+data+`}`); a.code() != string(code) {
			t.Errorf("PART-3, PART-6: %d %.200s", a.status, a.text)
		}
	}
	if a := n.part("u1", path, 0, strings.Repeat("\n", most/2-200)); a.status != 200 {
		t.Errorf("PART-3: what ends it otherwise than it may leaves it as it is: %d %s", a.status, a.text)
	}
	if a := n.as("u1", "POST", path+"/finish", ""); a.status != 201 {
		t.Errorf("PART-3: %d %s", a.status, a.text)
	}
	if a := n.as("u1", "POST", "/v1/rooms/quiet:a/streams", fmt.Sprintf(`{"tag":%q,"data":{}}`, tagOf(2))); a.code() != string(room.CodeForbidden) {
		t.Errorf("PART-11: %d %s", a.status, a.text)
	}
}
