package transport

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"roomlog/server/hub"
	"roomlog/server/wire"
)

func named(c *Config) { c.Node = "a1" }

// NODE-1: a node that has a name says it wherever somebody could want to know; one that has none is silent.
func TestANodeSaysItsName(t *testing.T) {
	for _, node := range []string{"a1", ""} {
		f := start(t, options{server: func(c *Config) { c.Node = node }})
		p := f.dial()
		p.sendf(`{"op":"hello","token":%q}`, f.token("u1"))
		var want any // nil: not there
		if node != "" {
			want = node
		}
		if m := p.expect("welcome"); m["node"] != want {
			t.Error(m)
		}
		l := f.listen("/v1/sse?room=chat:a", f.token("u1"))
		if ready := l.event(); ready.data["node"] != want || l.head.Header.Get("Roomlog-Node") != node {
			t.Error(ready.raw, l.head.Header)
		}
		if a := f.request("GET", "/healthz", "", ""); a.body["node"] != want || a.header.Get("Roomlog-Node") != node {
			t.Error(a.text, a.header)
		}
		for _, path := range []string{"/v1/rooms/chat:a/events", "/v1/rooms/chat:a/events?after=x", "/v1/nothing"} {
			if a := f.request("GET", path, f.token("u1"), ""); a.header.Get("Roomlog-Node") != node {
				t.Error(path, a.header)
			}
		}
		a := f.request("GET", "/healthz", "", "", "Origin: https://app.example.com")
		if !strings.Contains(a.header.Get("Access-Control-Expose-Headers"), "Roomlog-Node") {
			t.Error("pages of other origins may not read it:", a.header)
		}
	}
}

var (
	amiss = map[string]any{"parts": []any{"bus"}, "within_ms": 1000.0}
	well  = map[string]any{"parts": []any{}}
)

// told expects the next frame of a connection to say what the server does without.
func told(t *testing.T, want map[string]any, frame map[string]any) {
	t.Helper()
	delete(frame, "op")
	if !reflect.DeepEqual(frame, want) {
		t.Errorf("told %v, want %v", frame, want)
	}
}

// NODE-2, NODE-3: who is there is told each change, who comes while something is amiss after welcome or ready, and who
// asks in the answer.
func TestDegradedIsTold(t *testing.T) {
	f := start(t, options{server: named})
	f.post("u1", "chat:a", 1, `1`, 201)
	socket := f.login("u1")
	stream := f.listen("/v1/sse?room=chat:a", f.token("u1"))
	stream.event()
	eventually(t, "the stream has begun", func() bool {
		f.srv.streams.mu.Lock()
		defer f.srv.streams.mu.Unlock()
		for _, s := range f.srv.streams.of {
			return s.begun.Load()
		}
		return false
	})
	asked := func(want any) {
		t.Helper()
		if a := f.request("GET", "/v1/rooms/chat:a/events", f.token("u1"), ""); a.status != 200 || !reflect.DeepEqual(a.body["degraded"], want) || a.body["seq"] != 1.0 {
			t.Errorf("poll: %d %s", a.status, a.text)
		}
		if a := f.request("GET", "/readyz", "", ""); a.status != 200 || !reflect.DeepEqual(a.body["degraded"], want) {
			t.Errorf("readyz: %d %s", a.status, a.text)
		}
	}
	asked(nil)
	for range 2 { // away, and back
		f.srv.SetDegraded([]string{"bus", "bus"})
		f.srv.SetDegraded([]string{"bus"}) // no change
		told(t, amiss, socket.expect("degraded"))
		e := stream.event()
		if e.name != "degraded" || strings.Contains(e.raw, "id:") {
			t.Errorf("%q", e.raw)
		}
		told(t, amiss, e.data)
		asked([]any{"bus"})

		late := f.login("u2")
		told(t, amiss, late.expect("degraded"))
		lateStream := f.listen("/v1/sse?room=chat:a", f.token("u2"))
		if e := lateStream.event(); e.name != "ready" {
			t.Errorf("%q", e.raw)
		}
		told(t, amiss, lateStream.event().data)

		f.srv.SetDegraded(nil)
		for _, p := range []*peer{socket, late} {
			told(t, well, p.expect("degraded"))
		}
		for _, l := range []*listening{stream, lateStream} {
			told(t, well, l.event().data)
		}
		asked(nil)
	}
	// Nobody who comes when all is well hears of it, and pages go on.
	p := f.login("u3")
	p.sendf(`{"op":"join","id":1,"room":"chat:a"}`)
	p.expect("joined")
	f.post("u1", "chat:a", 2, `2`, 201)
	stream.page("chat:a", 1, 2)
}

// NODE-2: whoever takes nothing meanwhile is told the last of many changes, in one frame's room.
func TestASlowConsumerHearsTheLatest(t *testing.T) {
	f := start(t, options{})
	p := f.login("u1")
	p.sendf(`{"op":"join","id":1,"room":"chat:a"}`)
	p.expect("joined")
	large := `"` + strings.Repeat("x", 60_000) + `"`
	n := 0
	for ; f.hub.Stats().Stalls == 0 && n < 1000; n++ { // until its buffers are full
		f.post("u2", "chat:a", n, large, 201)
	}
	if f.hub.Stats().Stalls == 0 {
		t.Fatal("a peer that reads nothing is not full after 60 MB")
	}
	const flaps = 5000
	for i := range flaps {
		f.srv.SetDegraded([]string{fmt.Sprintf("part%d", i)})
	}
	var changes int
	var last any
	for seq := 0.0; seq < float64(n) || !reflect.DeepEqual(last, []any{fmt.Sprintf("part%d", flaps-1)}); {
		switch m := p.object(); m["op"] {
		case "page":
			seq = m["seq"].(float64)
		case "degraded":
			changes++
			last = m["parts"]
		default:
			t.Fatal(m)
		}
	}
	if changes > 2 {
		t.Errorf("%d changes were kept for it", changes)
	}
}

// TestWhoComesDuringAChangeIsTold: whatever the order of a change and of somebody's coming, the last thing they are told
// is how it is.
func TestWhoComesDuringAChangeIsTold(t *testing.T) {
	f := start(t, options{})
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-quit:
				return
			default:
				f.srv.SetDegraded([][]string{{"bus"}, nil}[i%2])
			}
		}
	}()
	peers := make([]*peer, 20)
	streams := make([]*listening, 20)
	for i := range peers {
		peers[i] = f.login("u1")
		streams[i] = f.listen("/v1/sse?room=chat:a", f.token("u1"))
	}
	close(quit)
	<-done
	f.srv.SetDegraded([]string{"end"})
	for i := range peers {
		for m := map[string]any(nil); m["parts"] == nil || !reflect.DeepEqual(m["parts"], []any{"end"}); {
			m = peers[i].expect("degraded")
		}
		for e := (sseEvent{}); !reflect.DeepEqual(e.data["parts"], []any{"end"}); {
			e = streams[i].event()
		}
		peers[i].sendf(`{"op":"ping"}`) // and nothing else comes after it
		peers[i].expect("pong")
	}
}

// NODE-4: a join and a poll take the claim; what is none is refused.
func TestSeenOnTheWire(t *testing.T) {
	f := start(t, options{})
	elsewhere := hub.New(hub.Config{Store: f.store, UnknownAfter: patience}) // another node of the same store
	elsewhere.Start()
	t.Cleanup(func() { must(t, elsewhere.Stop(context.Background())) })
	f.post("u1", "chat:a", 1, `1`, 201)
	f.request("GET", "/v1/rooms/chat:a/events", f.token("u1"), "") // in memory from now on
	position := f.request("GET", "/v1/rooms/chat:a/events", f.token("u1"), "").body["position"].(string)
	answered := make(chan hub.Outcome, 1)
	elsewhere.Submit(hub.Submit{Send: numbered("chat:a", 2)}, func(o hub.Outcome) { answered <- o })
	if o := <-answered; o.Err != nil || o.Verdict.Seq != 2 {
		t.Fatal(o)
	}
	path := "/v1/rooms/chat:a/events?after=" + position
	if a := f.request("GET", path+"&seen=2&wait=30", f.token("u1"), ""); a.status != 200 || a.body["seq"] != 2.0 || a.body["head"] != 2.0 {
		t.Error(a.status, a.text)
	}
	elsewhere.Submit(hub.Submit{Send: numbered("chat:a", 3)}, func(o hub.Outcome) { answered <- o })
	<-answered
	p := f.login("u1")
	p.sendf(`{"op":"join","id":1,"room":"chat:a","position":%q,"seen":3}`, position)
	if m := p.expect("joined"); m["head"] != 3.0 {
		t.Error(m)
	}
	p.sendf(`{"op":"join","id":2,"room":"chat:a","position":%q,"seen":9007199254740991}`, position)
	if m := p.expect("joined"); m["head"] != 3.0 || m["reset"] != nil {
		t.Error(m)
	}
	for _, bad := range []string{"-1", "x", "9007199254740992", "01", ""} {
		if a := f.request("GET", path+"&seen="+bad, f.token("u1"), ""); a.status != 400 || a.code() != "bad_request" || a.body["field"] != "seen" {
			t.Errorf("%q: %d %s", bad, a.status, a.text)
		}
	}
}

// The frames of a change are made once, for all.
func TestDegradationFrames(t *testing.T) {
	d := newDegradation([]string{"store", "bus", "store"})
	_, payload, _ := strings.Cut(string(d.frames[wire.EventStream]), "data: ")
	var got map[string]any
	must(t, json.Unmarshal([]byte(payload), &got))
	told(t, map[string]any{"parts": []any{"bus", "store"}, "within_ms": 1000.0}, got)
}
