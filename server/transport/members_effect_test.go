package transport

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/store/sqlite"
	"roomlog/server/transport/auth"
)

// cable joins hubs in one process: what one appends, the others are told.
type cable struct{ others []*hub.Hub }

func (c *cable) Follow(context.Context, room.ID) {}
func (c *cable) Unfollow(room.ID)                {}
func (c *cable) Changed(room.Head)               {}

func (c *cable) Appended(g room.Growth, events []room.Event) {
	for _, h := range c.others {
		h.Hint(g, events)
	}
}

// clubPair starts two nodes on one store, joined by a cable.
func clubPair(t *testing.T) [2]*fixture {
	t.Helper()
	var ends [2]*cable
	ends[0], ends[1] = &cable{}, &cable{}
	var store *sqlite.Store
	a := club(t, options{
		hub:    func(c *hub.Config) { store, c.Link = c.Store.(*sqlite.Store), ends[0] },
		server: clustered,
	})
	h := hub.New(hub.Config{Store: store, Link: ends[1], UnknownAfter: patience, PingEvery: time.Hour})
	h.Start()
	ends[0].others, ends[1].others = []*hub.Hub{h}, []*hub.Hub{a.hub}
	verifier, err := auth.NewVerifier(testKey)
	must(t, err)
	srv, err := New(Config{
		Hub: h, Verifier: verifier, Limits: DevLimits(), TokenInURL: true, Store: store.Info, Access: store, Rooms: store, Members: store, Overviews: store,
		Kinds: clubs(), Services: auth.Services{clubService(t)}, ClusterKey: clusterKey,
	})
	must(t, err)
	b := &fixture{t: t, hub: h, store: a.store, srv: srv, http: httptest.NewServer(srv), signer: a.signer}
	b.addr = b.http.Listener.Addr().String()
	t.Cleanup(func() {
		b.stop()
		b.http.Close()
	})
	return [2]*fixture{a, b}
}

// I17, I19, MEM-7: when the change has been answered, nothing that is committed later reaches who is no member any more, by any
// transport; on the other node nothing that comes after the event does, and a read of it ends by itself.
func TestNothingReachesWhoIsNoMemberAnyMore(t *testing.T) {
	nodes := clubPair(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for name, read := range victims {
		for at, node := range []string{"same node", "other node"} {
			t.Run(name+" "+node, func(t *testing.T) {
				t.Parallel()
				rng := rand.New(rand.NewPCG(seed, uint64(len(name)*10+at)))
				for round := range 2 {
					nodes[at].disenroll(t, nodes[0], fmt.Sprintf("%s-%d-%d", strings.ReplaceAll(name, " ", "-"), at, round), read, int64(1+rng.IntN(12)), at == 0 || name != "history")
				}
			})
		}
	}
}

// disenroll reads at f and ends the membership at another node, which the room is written by. exact: f follows the room meanwhile, and
// gives nothing that comes after; else it asks the store twice a second, and the read has to end by itself.
func (f *fixture) disenroll(t *testing.T, at *fixture, name string, read victim, after int64, exact bool) {
	t.Helper()
	id, other, user := room.ID("club:"+name), room.ID("chat:other-"+name), "victim-"+name
	at.enroll(string(id), user, "member")
	if strings.Contains(name, "replay") {
		backlog := make([]room.Send, 1000)
		for i := range backlog {
			backlog[i] = numbered(id, 0)
		}
		if _, err := at.store.Append(t.Context(), backlog); err != nil {
			t.Fatal(err)
		}
	}
	var last, fence atomic.Int64
	fence.Store(math.MaxInt64)
	type end struct {
		code room.Code
		err  error
	}
	ended := make(chan end, 1)
	reads := read(f, user, id, other)
	go func() {
		defer close(ended)
		code, err := reads(func(n int64) bool {
			last.Store(max(last.Load(), n))
			return n <= fence.Load() || !exact
		})
		ended <- end{code, err}
	}()
	w := at.flow(id)
	w.reach(after)
	var a answer
	for a.status == 0 || a.status == 503 { // a machine under load may not say in time what became of it
		a = at.request("DELETE", "/v1/rooms/"+string(id)+"/members/"+user, clubKey, "")
	}
	fence.Store(w.n.Load())
	if a.status != 204 {
		t.Errorf("%d %s", a.status, a.text)
	}
	w.reach(fence.Load() + 15)
	w.stop()
	(&flow{f: at, room: other}).write()
	e, ok := <-ended
	if !ok || e.err != nil || e.code != room.CodeUnknownRoom {
		t.Errorf("MEM-7: %s: ended by %q, %v", name, e.code, e.err)
	}
	if n := last.Load(); n > fence.Load() && exact {
		t.Errorf("I17: %s: event %d was given, although only %d were begun when the change was answered", name, n, fence.Load())
	}
}

// MEM-7: another role takes effect as well, for sends; and who comes back is let in.
func TestAnotherRoleTakesEffectAtOnce(t *testing.T) {
	nodes := clubPair(t)
	for i, at := range nodes {
		id := fmt.Sprint("club:role", i)
		nodes[0].enroll(id, "ben", "member")
		p := at.login("ben")
		p.sendf(`{"op":"join","room":%q}`, id)
		p.expect("joined")
		p.sendf(`{"op":"send","id":1,"n":1,"room":%q,"tag":%q,"type":"message","data":1}`, id, tagOf(i))
		seen := map[any]bool{}
		for range 2 {
			seen[p.object()["op"]] = true
		}
		if !seen["ack"] || !seen["page"] {
			t.Fatal(seen)
		}
		nodes[0].enroll(id, "ben", "guest")
		p.expect("page")
		p.sendf(`{"op":"send","id":2,"n":2,"room":%q,"tag":%q,"type":"message","data":1}`, id, tagOf(10+i))
		p.expectError(room.CodeForbidden)
		nodes[0].enroll(id, "ben", "owner")
		p.expect("page")
		p.sendf(`{"op":"send","id":3,"n":3,"room":%q,"tag":%q,"type":"message","data":1}`, id, tagOf(20+i))
		for range 2 {
			if m := p.object(); m["op"] == "error" {
				t.Error(m)
			}
		}
		if a := at.request("DELETE", "/v1/rooms/"+id+"/members/ben", at.token("ben"), ""); a.status != 204 {
			t.Error(a.text)
		}
		if e := p.expectError(room.CodeUnknownRoom); e["room"] != id || e["id"] != nil {
			t.Error("MEM-7:", e)
		}
		p.sendf(`{"op":"join","room":%q}`, id)
		p.expectError(room.CodeUnknownRoom)
		nodes[1-i].enroll(id, "ben", "guest")
		eventually(t, "who comes back is let in", func() bool {
			p.sendf(`{"op":"join","room":%q}`, id)
			return p.object()["op"] == "joined"
		})
	}
}

// MEM-6: who joined late reads nothing from before, whichever way they ask.
func TestWhoJoinedLateReadsNothingFromBefore(t *testing.T) {
	f := club(t, options{})
	const id = "past:a"
	f.enroll(id, "ann", "owner")
	for i := range 10 {
		f.post("ann", id, i, fmt.Sprint(i), 201)
	}
	f.enroll(id, "ben", "member") // seq 12
	for i := range 3 {
		f.post("ann", id, 20+i, fmt.Sprint(i), 201)
	}
	get := func(user, query string) answer { return f.request("GET", "/v1/rooms/"+id+query, f.token(user), "") }
	seqs := func(a answer) (list []float64) {
		events, _ := a.body["events"].([]any)
		for _, e := range events {
			list = append(list, e.(map[string]any)["seq"].(float64))
		}
		return list
	}
	if a := get("ann", "/events"); len(seqs(a)) != 15 || a.body["floor"] != 1.0 {
		t.Error("MEM-6: the first of all:", a.text)
	}
	if a := get("ben", ""); a.body["floor"] != 12.0 || a.body["head"] != 15.0 {
		t.Error("MEM-6:", a.text)
	}
	for query, want := range map[string]string{
		"/events?before=9007199254740991":         "[12 13 14 15] 11",
		"/events?before=14":                       "[12 13] 11",
		"/events?before=12":                       "[] 11",
		"/events?before=5":                        "[] 11",
		"/events?around=13&limit=3":               "[12 13 14] 11",
		"/events?around=12&limit=3":               "[12 13 14] 11",
		"/events?around=3&limit=3":                "[12 13 14] 11",
		"/events?after=11":                        "[12 13 14 15] 11",
		"/events?after=13":                        "[14 15] 13",
		"/events?after=15&wait=0":                 "[] 15",
		"/events?before=9007199254740991&limit=2": "[14 15] 13",
	} {
		a := get("ben", query)
		if got := fmt.Sprint(seqs(a), " ", a.body["prev"]); a.status != 200 || got != want || a.body["floor"] != 12.0 {
			t.Errorf("MEM-6: %s gives %s, want %s (%d %s)", query, got, want, a.status, a.text)
		}
		if position, _ := a.body["position"].(string); strings.Count(position, ":") != 2 {
			t.Errorf("POS-2: %s: position %q", query, position)
		}
	}
	for _, query := range []string{"/events", "/events?after=0", "/events?after=10", "/events?after=0&wait=1"} {
		if a := get("ben", query); a.status != 410 || a.body["reason"] != "pruned" || a.body["floor"] != 12.0 {
			t.Errorf("MEM-6: %s: %d %s", query, a.status, a.text)
		}
	}
	p := f.login("ben")
	for frame, want := range map[string]string{
		`{"op":"join","room":"past:a"}`:               " 11 4",
		`{"op":"join","room":"past:a","limit":2}`:     " 13 2",
		`{"op":"join","room":"past:a","position":0}`:  "pruned 11 4",
		`{"op":"join","room":"past:a","position":12}`: " 12 3",
	} {
		p.sendf("%s", frame)
		m := p.expect("joined")
		why := ""
		if r, is := m["reset"].(map[string]any); is {
			why = r["reason"].(string)
		}
		page := m["page"].(map[string]any)
		if got := fmt.Sprint(why, " ", page["prev"], " ", len(page["events"].([]any))); got != want || m["floor"] != 12.0 {
			t.Errorf("MEM-6: %s: %v", frame, m)
		}
	}
	l := f.listen("/v1/sse?room="+id+"&after=0", f.token("ben"))
	l.event()
	if e := l.event(); e.name != "reset" || e.data["reason"] != "pruned" || e.data["floor"] != 12.0 {
		t.Error("MEM-6:", e)
	}
	if e := l.event(); e.name != "page" || e.data["prev"] != 11.0 {
		t.Error("MEM-6:", e)
	}
	// Who ended and began anew begins anew.
	if a := f.request("DELETE", "/v1/rooms/"+id+"/members/ben", clubKey, ""); a.status != 204 {
		t.Fatal(a.text)
	}
	f.enroll(id, "ben", "member")
	if a := get("ben", "/events?before=9007199254740991"); fmt.Sprint(seqs(a)) != "[17]" {
		t.Error("MEM-6:", a.text)
	}
}
