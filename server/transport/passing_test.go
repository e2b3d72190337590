package transport

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"roomlog/server/bus/local"
	"roomlog/server/cluster"
	"roomlog/server/hub"
	"roomlog/server/presence"
	"roomlog/server/room"
	"roomlog/server/signals"
	"roomlog/server/transport/auth"
)

// noPokes is a store that nobody else appends to.
type noPokes struct{}

func (noPokes) Poke(context.Context, []room.Topic) error { return nil }

func (noPokes) Poked(context.Context, string) ([]room.Topic, string, error) { return nil, "", nil }

// neighbour is a node on a bus of this process.
type neighbour struct {
	*fixture
	node *cluster.Node
}

// neighbours are two nodes, of which the first has people, and how the second one is made.
func neighbours(t *testing.T) (holder, other neighbour) {
	t.Helper()
	medium := local.NewMedium()
	kinds := map[string]room.Policy{"chat": {}, "quiet": {Presence: room.ShowNone, NoSignals: true}}
	joins := func(n *neighbour, c *Config) {
		n.node = cluster.New(cluster.Config{
			Bus: medium.Join("main", room.BusOptions{}), Pokes: noPokes{}, Cluster: "main", Key: clusterKey,
			Hears: map[cluster.Part]cluster.Hearer{cluster.PartCommands: func(from cluster.Peer, _ room.ID, body []byte) {
				n.srv.HearFrom(hex.EncodeToString(from[:]), body)
			}},
		})
		self := n.node.Self()
		c.ClusterKey, c.Self = clusterKey, hex.EncodeToString(self[:])
		c.Members, c.Overviews = c.Access.(room.Members), c.Access.(room.Overviews)
		c.SayTo = func(node string, body []byte) {
			to, err := hex.DecodeString(node)
			must(t, err)
			n.node.SayTo(cluster.Peer(to), cluster.PartCommands, body)
		}
	}
	holder.fixture = startPeopleAnd(t, kinds, func(*hub.Config) {}, func(c *Config) { joins(&holder, c) })
	other.fixture = holder.fixture.node(func(c *Config) {
		c.Kinds, c.Presence, c.Signals = room.NewKinds(kinds), presence.New(presence.Config{}), signals.New(signals.Config{})
		joins(&other, c)
	})
	for _, n := range []neighbour{holder, other} {
		n.node.Start(n.hub)
		t.Cleanup(func() { must(t, n.node.Stop(context.Background())) })
	}
	return holder, other
}

// unanswered is how many commands of a node others have not answered.
func (f *fixture) unanswered() int {
	f.srv.passing.mu.Lock()
	defer f.srv.passing.mu.Unlock()
	return len(f.srv.passing.waiting)
}

// SESS-9, PRES-15, SIG-1, SIG-4, SIDE-6, MEM-10: what concerns a stream is done by the node that holds it, whichever it reaches.
func TestAnyNodeTakesWhatConcernsAStream(t *testing.T) {
	a, b := neighbours(t)
	p := a.login("u2")
	p.sendf(`{"op":"join","id":1,"room":"chat:a","with":["signals","presence"]}`)
	p.expect("joined")
	l := a.listen("/v1/sse?room=chat:a&with=presence,signals", a.token("u1"))
	ready := l.event()
	p.until("presence", "user:u1")
	done := func(frame string) {
		t.Helper()
		if got := b.command(ready, frame); got.status != 200 || got.text != `{"op":"done","id":7}` {
			t.Fatalf("%s: %d %s", frame, got.status, got.text)
		}
	}
	done(`{"op":"signal","id":7,"room":"chat:a","type":"typing","data":true}`)
	p.until("signals", "type:typing user:u1")
	for i := range 15 { // with the one above as many as there may be
		done(fmt.Sprintf(`{"op":"signal","id":7,"room":"chat:a","type":"cursor","key":"%d","data":1}`, i))
	}
	if got := b.command(ready, sendFrame(1, 1, "chat:a", 1, `1`)); got.status != 201 {
		t.Fatal(got.text)
	}
	done(`{"op":"signal","id":7,"room":"chat:a","type":"cursor","key":"15","data":1}`) // typing is gone with the send
	p.until("signals", "typing ]")
	done(`{"op":"presence","id":7,"room":"chat:a","data":{"name":"Noor"},"idle":true}`)
	p.until("presence", "name:Noor")
	if got := b.command(ready, `{"op":"presence","room":"chat:a","idle":false}`); got.status != 204 || got.text != "" {
		t.Error("without an id:", got.status, got.text)
	}
	p.until("presence", "idle:false")
	full := func() {
		t.Helper()
		for e := l.event(); e.name != "presence" || e.data["full"] != true; e = l.event() {
		}
	}
	full()
	done(`{"op":"sync","id":7,"room":"chat:a","side":"presence"}`)
	full()
	if got := b.command(ready, `{"op":"me","id":8}`); got.status != 200 || got.body["op"] != "me" || got.body["full"] != true || got.body["id"] != 8.0 {
		t.Error(got.status, got.text)
	}
	if n := b.unanswered(); n != 0 {
		t.Errorf("%d commands are unanswered", n)
	}
}

// SESS-9: a refusal is that of the node that holds the stream, or that of the one that was asked, which judges access.
func TestRefusalsOfTheNodeThatHoldsAStream(t *testing.T) {
	a, b := neighbours(t)
	ready := a.listen("/v1/sse?room=chat:a&room=quiet:a&with=presence,signals", a.token("u1")).event()
	plain := a.listen("/v1/sse?room=chat:a", a.token("u1")).event()
	reads := a.listen("/v1/sse?room=chat:a&with=signals", a.token("u3", auth.Grant{Rooms: "chat:*", Can: []auth.Action{auth.Read}})).event()
	for _, c := range []struct {
		of    sseEvent
		frame string
		code  room.Code
	}{
		{ready, `{"op":"signal","id":1,"room":"chat:b","type":"cursor","data":1}`, room.CodeBadRequest},
		{plain, `{"op":"signal","id":1,"room":"chat:a","type":"cursor","data":1}`, room.CodeBadRequest},
		{plain, `{"op":"presence","id":1,"room":"chat:a","idle":true}`, room.CodeBadRequest},
		{reads, `{"op":"signal","id":1,"room":"chat:a","type":"cursor","data":1}`, room.CodeForbidden},
		{reads, `{"op":"signal","id":1,"room":"game:a","type":"cursor","data":1}`, room.CodeUnknownRoom},
		{ready, `{"op":"signal","id":1,"room":"quiet:a","type":"cursor","data":1}`, room.CodeForbidden},
		{ready, `{"op":"presence","id":1,"room":"quiet:a","idle":true}`, room.CodeForbidden},
		{ready, `{"op":"presence","id":1,"room":"chat:a","data":[]}`, room.CodeBadData},
		{ready, `{"op":"signal","id":1,"room":"chat:a","type":"A","data":1}`, room.CodeBadType},
		{ready, `{"op":"signal","id":1,"room":"chat:a","type":"cursor","data":"` + strings.Repeat("x", 3<<10) + `"}`, room.CodeMessageTooLarge},
		{ready, `{"op":"signal","id":1,"room":"chat:a","type":"cursor","data":"` + strings.Repeat("x", passedBytes) + `"}`, room.CodeMessageTooLarge},
	} {
		got, direct := b.command(c.of, c.frame), a.command(c.of, c.frame)
		if got.code() != string(c.code) || got.body["op"] != "error" || got.body["id"] != 1.0 {
			t.Errorf("%.80s: %d %s", c.frame, got.status, got.text)
		}
		if len(c.frame) < passedBytes && got.text != direct.text {
			t.Errorf("%.80s: %s, and where it is held %s", c.frame, got.text, direct.text)
		}
	}
	for i := range 16 {
		if got := b.command(ready, fmt.Sprintf(`{"op":"signal","room":"chat:a","type":"cursor","key":"%d","data":1}`, i)); got.status != 204 {
			t.Fatal(got.text)
		}
	}
	if got := b.command(ready, `{"op":"signal","room":"chat:a","type":"cursor","key":"one more","data":1}`); got.code() != "limit_exceeded" || got.body["limit"] != 16.0 {
		t.Error("SIG-3:", got.status, got.text)
	}
	limited := answer{}
	for range 400 {
		if limited = b.command(ready, `{"op":"signal","room":"chat:a","type":"cursor","key":"1","data":1}`); limited.status != 204 {
			break
		}
	}
	if limited.code() != "rate_limited" || limited.body["retry_after_ms"] == nil {
		t.Error("SIG-3:", limited.status, limited.text)
	}
}

// SESS-9, SESS-2: a stream that has ended is not found, and is told as such; a node that does not answer any more is waited for
// less than a second, and nothing of that is left.
func TestTheNodeThatHoldsAStreamIsGone(t *testing.T) {
	a, b := neighbours(t)
	const frame = `{"op":"signal","id":1,"room":"chat:a","type":"typing","data":true}`
	l := a.listen("/v1/sse?room=chat:a&with=signals", a.token("u1"))
	ended := l.event()
	must(t, l.nc.Close())
	eventually(t, "the stream ends", func() bool { return a.command(ended, frame).status == 404 })
	if got := b.command(ended, frame); got.status != 404 || got.code() != "not_found" || got.body["op"] != nil {
		t.Error("one that has ended:", got.status, got.text)
	}
	ready := a.listen("/v1/sse?room=chat:a&with=signals", a.token("u1")).event()
	must(t, a.node.Stop(context.Background()))
	began := time.Now()
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			if got := b.command(ready, frame); got.status != 503 || got.code() != "unavailable" || got.body["id"] != 1.0 || got.body["retry_after_ms"] == nil {
				t.Error(got.status, got.text)
			}
		})
	}
	wait.Wait()
	if took := time.Since(began); took < passedWithin || took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	if n := b.unanswered(); n != 0 {
		t.Errorf("%d commands are unanswered", n)
	}
}

// said is what a node says to others, in place of a bus.
type said struct {
	mu    sync.Mutex
	notes []note
}

func (s *said) take(_ string, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	head, _, _ := strings.Cut(string(body), "\n")
	var n note
	if err := json.Unmarshal([]byte(head), &n); err != nil {
		panic(err)
	}
	s.notes = append(s.notes, n)
}

// answers waits until a node has said so much, and gives it.
func (s *said) answers(t *testing.T, n int) []note {
	t.Helper()
	var notes []note
	eventually(t, fmt.Sprint(n, " answers"), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		notes = s.notes
		return len(notes) >= n
	})
	return notes
}

// SESS-9, SIG-5: nobody does anything with the connection of another, and what a bus repeats or brings late is not done again. A node
// does so many commands of others at a time.
func TestWhatANodeIsAskedForAStream(t *testing.T) {
	var out said
	f := startPeopleAnd(t, map[string]room.Policy{"chat": {}}, func(*hub.Config) {}, func(c *Config) { c.Self, c.SayTo = "a", out.take })
	ready := f.listen("/v1/sse?room=chat:a&with=signals", f.token("u1")).event()
	connection := ready.data["connection"].(string)
	asks := func(from string, number uint64, connection, user, data string) {
		head, err := json.Marshal(note{Number: number, Connection: connection, User: user})
		must(t, err)
		f.srv.HearFrom(from, append(head, "\n"+`{"op":"signal","room":"chat:a","type":"typing","data":`+data+`}`...))
	}
	asks("b", 2, connection, "u1", "true")
	if got := out.answers(t, 1)[0]; got.Number != 2 || got.Err != nil || got.Connection != "" {
		t.Errorf("%+v", got)
	}
	asks("b", 2, connection, "u1", "true")
	asks("b", 1, connection, "u1", "true")
	for i, who := range [][2]string{{connection, "u2"}, {"nobody", "u1"}} {
		asks("c", uint64(i+1), who[0], who[1], "true")
		if got := out.answers(t, 2+i)[1+i]; got.Err == nil || got.Err.Code != room.CodeNotFound {
			t.Errorf("%v: %+v", who, got)
		}
	}
	f.srv.passing.mu.Lock()
	if f.srv.passing.doing != 0 {
		t.Errorf("%d are under way", f.srv.passing.doing)
	}
	f.srv.passing.doing = doneAtOnce
	f.srv.passing.mu.Unlock()
	asks("b", 3, connection, "u1", "true")
	if got := out.answers(t, 4)[3]; got.Err == nil || got.Err.Code != room.CodeOverloaded || got.Number != 3 {
		t.Errorf("%+v", got)
	}
	for _, body := range []string{"", "\n", "{", "{}\n", `{"n":9}` + "\n{}", "[]\n"} { // of another version, or an answer to nothing
		f.srv.HearFrom("b", []byte(body))
	}
	if n := len(out.answers(t, 4)); n != 4 {
		t.Errorf("%d answers", n)
	}
}

// SESS-9: so many commands of a node may be unanswered. Each is answered once: by whom it was asked of, or when the time is up.
func TestUnansweredCommandsAreBounded(t *testing.T) {
	var out said
	f := start(t, options{server: func(c *Config) { c.Self, c.SayTo = "b", out.take }})
	c := command{srv: f.srv, id: "connection", who: &auth.Identity{User: "u1"}, holder: "a", frame: []byte(`{"op":"me"}`)}
	codes := make(chan room.Code, 10)
	pass := func() {
		c.pass(func(_ []byte, err error) {
			if err == nil {
				codes <- ""
			} else {
				codes <- room.AsError(err).Code
			}
		})
	}
	pass()
	f.srv.HearFrom("c", []byte(`{"n":1,"e":{"Code":"internal"}}`+"\n")) // of whom nothing was asked
	f.srv.HearFrom("a", []byte(`{"n":1}`+"\n"))
	f.srv.HearFrom("a", []byte(`{"n":1}`+"\n"))
	if code := <-codes; code != "" || len(codes) != 0 {
		t.Error(code, len(codes))
	}
	p := &f.srv.passing
	for n := range uint64(passedAtOnce) {
		p.mu.Lock()
		p.waiting[n+100] = &passed{holder: "a"}
		p.mu.Unlock()
	}
	pass()
	if code := <-codes; code != room.CodeOverloaded {
		t.Error(code)
	}
	p.take(100, "a")
	pass()
	if code := <-codes; code != room.CodeUnavailable {
		t.Error(code)
	}
	if n := f.unanswered(); n != passedAtOnce-1 || len(codes) != 0 {
		t.Errorf("%d are unanswered, %d answered twice", n, len(codes))
	}
}
