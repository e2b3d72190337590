package transport

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"roomlog/server/hub"
	"roomlog/server/room"
)

// onlyMaps makes rooms of the kind dash keep the map alone.
func onlyMaps(kinds map[string]room.Policy) options {
	return options{
		hub:    func(c *hub.Config) { c.MapOnly = func(kind string) bool { return kinds[kind].State.MapOnly } },
		server: func(c *Config) { c.Kinds = room.NewKinds(kinds) },
	}
}

// set sends a state event over HTTP.
func (f *fixture) set(id string, tag int, data string) answer {
	f.t.Helper()
	a := f.request("POST", "/v1/rooms/"+id+"/events", f.token("u1"), fmt.Sprintf(`{"tag":%q,"type":"state","data":%s}`, tagOf(tag), data))
	if a.status != 201 {
		f.t.Fatalf("set %s: %d %s", data, a.status, a.text)
	}
	return a
}

// inShort is a page or a map in short: its ends, events and keys, such as "2-5 events=[3:message] full=false state=[a=1@5 -b@4]".
func inShort(page map[string]any) string {
	var events, keys []string
	for _, e := range asList(page["events"]) {
		event := e.(map[string]any)
		events = append(events, fmt.Sprintf("%v:%v", event["seq"], event["type"]))
	}
	state, _ := page["state"].(map[string]any)
	for key, e := range state {
		entry := e.(map[string]any)
		value, _ := json.Marshal(entry["value"])
		if entry["deleted"] == true {
			keys = append(keys, fmt.Sprintf("-%s@%v", key, entry["seq"]))
		} else {
			keys = append(keys, fmt.Sprintf("%s=%s@%v", key, value, entry["seq"]))
		}
	}
	slices.Sort(keys)
	return fmt.Sprintf("%v-%v events=%v full=%v state=%v", page["prev"], page["seq"], events, page["full"] == true, keys)
}

func asList(v any) []any { l, _ := v.([]any); return l }

func wantTold(t *testing.T, what string, page map[string]any, want string) {
	t.Helper()
	if got := inShort(page); got != want {
		t.Errorf("%s: %s, want %s", what, got, want)
	}
}

// STATE-2, STATE-5, STATE-7 to STATE-13: one room whose events are kept and one of which only the map is, read by every way and from
// everywhere; the reads that need the store and those that memory answers.
func TestStateIsGivenByEveryWay(t *testing.T) {
	f := start(t, onlyMaps(map[string]room.Policy{"board": {}, "dash": {State: room.StatePolicy{MapOnly: true}}}))
	token := f.token("u2")
	for _, c := range []struct{ id, after, afterAll, at3 string }{
		{
			"board:a", "0-6 events=[1:message 2:state 3:state 4:message 5:state 6:state] full=false state=[]", "",
			"3-6 events=[4:message 5:state 6:state] full=false state=[]",
		},
		{
			"dash:a", "0-6 events=[1:message 4:message] full=false state=[-b@5 a=2@3 c=4@6]", "",
			"3-6 events=[4:message] full=false state=[-b@5 c=4@6]",
		},
	} {
		f.post("u1", c.id, 1, `{"text":"hi"}`, 201)
		f.set(c.id, 2, `{"a":1,"b":1}`)
		third := f.set(c.id, 3, `{"a":2}`)
		f.post("u1", c.id, 4, `{"text":"ho"}`, 201)
		f.set(c.id, 5, `{"b":null}`)
		f.set(c.id, 6, `{"c":4}`)
		get := func(path string) map[string]any {
			t.Helper()
			a := f.request("GET", "/v1/rooms/"+c.id+path, token, "")
			if a.status != 200 {
				t.Fatalf("%s%s: %d %s", c.id, path, a.status, a.text)
			}
			return a.body
		}
		wantTold(t, c.id+" polled from 0", get("/events?after=0"), c.after)
		wantTold(t, c.id+" polled from 3", get("/events?after=3"), c.at3)
		wantTold(t, c.id+" before", get("/events?before=100&limit=1"), "3-6 events=[4:message] full=false state=[]")
		wantTold(t, c.id+" around", get("/events?around=1&limit=4"), "0-6 events=[1:message 4:message] full=false state=[]")
		all := f.request("GET", "/v1/rooms/"+c.id+"/state", token, "")
		wantTold(t, c.id+" map", all.body, "<nil>-6 events=[] full=true state=[a=2@3 c=4@6]")
		if tag := all.header.Get("ETag"); tag != `"6"` {
			t.Errorf("STATE-13: ETag %s", tag)
		}
		at3 := fmt.Sprintf("%v:3", third.body["epoch"])
		wantTold(t, c.id+" since", get("/state?since="+at3), "<nil>-6 events=[] full=false state=[-b@5 c=4@6]")
		wantTold(t, c.id+" since elsewhere", get("/state?since=other:3"), "<nil>-6 events=[] full=true state=[a=2@3 c=4@6]")
		wantTold(t, c.id+" since beyond", get("/state?since=99"), "<nil>-6 events=[] full=true state=[a=2@3 c=4@6]")

		p := f.login("u2")
		p.sendf(`{"op":"join","id":1,"room":%q,"limit":1}`, c.id)
		joined := p.expect("joined")
		wantTold(t, c.id+" joined", joined["page"].(map[string]any), "3-6 events=[4:message] full=true state=[a=2@3 c=4@6]")
		p.sendf(`{"op":"join","id":2,"room":%q,"position":%q}`, c.id, "other:1")
		reset := p.expect("joined")
		if reset["reset"] == nil {
			t.Errorf("JOIN-7: %v", reset)
		}
		wantTold(t, c.id+" joined by reset", reset["page"].(map[string]any), "0-6 events=[1:message 4:message] full=true state=[a=2@3 c=4@6]")
		p.sendf(`{"op":"join","id":3,"room":%q,"position":%q}`, c.id, at3)
		wantTold(t, c.id+" joined at 3", p.expect("joined")["page"].(map[string]any), c.at3)

		f.set(c.id, 7, `{"d":1}`)
		wantTold(t, c.id+" live", p.expect("page"), "6-7 events=[7:state] full=false state=[]")
		l := f.listen("/v1/sse?room="+c.id+"&after="+at3, token)
		l.event() // ready
		var state, events []string
		for at := 3.0; at < 7; {
			e := l.event()
			page := inShort(e.data)
			events = append(events, page)
			state = append(state, e.id)
			at = e.data["seq"].(float64)
		}
		if len(state) == 0 || !strings.Contains(state[len(state)-1], ":7:") {
			t.Errorf("SSE-4: a stream from 3 gives %v with ids %v", events, state)
		}
	}
	empty := f.request("GET", "/v1/rooms/board:none/state", token, "")
	wantTold(t, "no map", empty.body, "<nil>-0 events=[] full=true state=[]")
	if position := empty.body["position"]; position != fmt.Sprint(empty.body["epoch"], ":0") {
		t.Errorf("POS-2: %v", position)
	}
	for _, bad := range []string{"/v1/rooms/board:a/state?since=x", "/v1/rooms/board:a/state?since=1&since=2"} {
		if a := f.request("GET", bad, token, ""); a.status != 400 || a.body["field"] != "since" {
			t.Errorf("%s: %d %s", bad, a.status, a.text)
		}
	}
	only := f.login("u2")
	f.set("dash:only", 1, `{"x":1}`)
	only.sendf(`{"op":"join","id":1,"room":"dash:only"}`)
	if j := only.expect("joined"); j["floor"] != 2.0 || inShort(j["page"].(map[string]any)) != "0-1 events=[] full=true state=[x=1@1]" {
		t.Errorf("STATE-11: a room of state only is joined as %v", j)
	}
	if a := f.request("GET", "/v1/rooms/dash:only/events?after=0", token, ""); a.body["floor"] != 2.0 || inShort(a.body) != "0-1 events=[] full=false state=[x=1@1]" {
		t.Errorf("STATE-11: and polled as %s", a.text)
	}
	f.set("board:only", 1, `{"x":1}`)
	if a := f.request("GET", "/v1/rooms/board:only/events", token, ""); a.body["floor"] != 1.0 || inShort(a.body) != "0-1 events=[1:state] full=false state=[]" {
		t.Errorf("STATE-11: where the events are kept: %s", a.text)
	}
}

// STATE-1, STATE-3, STATE-4, STATE-6, STATE-14: what is refused, by HTTP, in batches and by PATCH, and what PATCH answers.
func TestStateIsJudged(t *testing.T) {
	f := start(t, onlyMaps(map[string]room.Policy{"board": {}, "small": {State: room.StatePolicy{Keys: 2, Bytes: 100}}}))
	token := f.token("u1")
	long := strings.Repeat("k", room.MaxStateKey+1)
	many, _ := json.Marshal(make(map[string]int))
	for i, data := range []string{
		`1`, `null`, `[]`, string(many), `{"":1}`, `{"a\n":1}`, `{"` + long + `":1}`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`,
		`{"a":` + strings.Repeat("[", 33) + strings.Repeat("]", 33) + `}`, `{"\ud800":1}`,
	} {
		a := f.request("POST", "/v1/rooms/board:a/events", token, fmt.Sprintf(`{"tag":%q,"type":"state","data":%s}`, tagOf(100+i), data))
		if a.status != 400 || a.code() != "bad_data" || !strings.HasPrefix(fmt.Sprint(a.body["field"]), "data") {
			t.Errorf("STATE-1: %s: %d %s", data, a.status, a.text)
		}
	}
	for _, bad := range []string{`"type":"message","data":1,"if_seq":1`, `"type":"state","data":{"a":1},"if_seq":-1`, `"type":"state","data":{"a":1},"if_seq":"1"`, `"type":"state","data":{"a":1},"if_seq":1.5`} {
		body := fmt.Sprintf(`{"tag":%q,%s}`, tagOf(200), bad)
		if a := f.request("POST", "/v1/rooms/board:a/events", token, body); a.code() != "bad_request" || a.body["field"] != "if_seq" {
			t.Errorf("STATE-3: %s: %s", bad, a.text)
		}
		a := f.request("POST", "/v1/rooms/board:a/events", token, `{"events":[`+body+`]}`)
		if one := asList(a.body["results"])[0].(map[string]any); one["code"] != "bad_request" || one["field"] != "if_seq" {
			t.Errorf("STATE-3: %s in a batch: %s", bad, a.text)
		}
	}
	p := f.login("u1")
	p.sendf(`{"op":"send","id":1,"n":1,"room":"board:a","tag":%q,"type":"message","data":1,"if_seq":0}`, tagOf(201))
	if e := p.expectError(room.CodeBadRequest); e["field"] != "if_seq" {
		t.Errorf("STATE-3: %v", e)
	}
	p.sendf(`{"op":"send","id":2,"n":2,"room":"board:a","tag":%q,"type":"message","data":1}`, tagOf(202))
	p.expect("ack") // SEND-5: the refusal has used up its n

	if a := f.request("PATCH", "/v1/rooms/small:a/state", token, `{"a":1,"b":2,"c":3}`); a.code() != "limit_exceeded" || a.body["field"] != "keys" || a.body["limit"] != 2.0 {
		t.Errorf("STATE-6: %s", a.text)
	}
	if a := f.request("PATCH", "/v1/rooms/small:a/state", token, `{"a":"`+strings.Repeat("x", 98)+`"}`); a.code() != "limit_exceeded" || a.body["field"] != "bytes" || a.body["limit"] != 100.0 {
		t.Errorf("STATE-6: %s", a.text)
	}
	merge := "Content-Type: application/merge-patch+json"
	first := f.request("PATCH", "/v1/rooms/small:a/state", token, `{"a":1,"b":2}`, merge, "Idempotency-Key: "+tagOf(1))
	if first.status != 201 || first.body["seq"] != 1.0 || first.body["type"] != "state" || first.body["tag"] != tagOf(1) {
		t.Fatalf("STATE-14: %d %s", first.status, first.text)
	}
	if a := f.request("PATCH", "/v1/rooms/small:a/state", token, `{"a":1,"b":2}`, merge, `Idempotency-Key: "`+tagOf(1)+`"`, `If-Match: "0"`); a.status != 200 || a.body["duplicate"] != true {
		t.Errorf("STATE-4: a repeat is %d %s", a.status, a.text)
	}
	if a := f.request("PATCH", "/v1/rooms/small:a/state", token, `{"c":1}`); a.code() != "limit_exceeded" {
		t.Errorf("STATE-6: a third key: %s", a.text)
	}
	if a := f.request("PATCH", "/v1/rooms/small:a/state", token, `{"c":1,"a":null}`); a.status != 201 {
		t.Errorf("STATE-6: one for another: %s", a.text)
	}
	lost := f.request("PATCH", "/v1/rooms/small:a/state", token, `{"b":3,"c":2}`, `If-Match: "1"`)
	if lost.status != 409 || lost.code() != "conflict" || lost.body["retryable"] != false {
		t.Errorf("STATE-3: %d %s", lost.status, lost.text)
	}
	wantTold(t, "in the way", map[string]any{"state": lost.body["current"]}, "<nil>-<nil> events=[] full=false state=[c=1@2]")
	for _, c := range []struct{ header, field string }{
		{"If-Match: *", "If-Match"}, {"If-Match: 1", "If-Match"}, {`If-Match: "1", "2"`, "If-Match"}, {`If-Match: W/"1"`, "If-Match"}, {"Idempotency-Key: x", "Idempotency-Key"},
	} {
		if a := f.request("PATCH", "/v1/rooms/small:a/state", token, `{"b":3}`, c.header); a.status != 400 || a.body["field"] != c.field {
			t.Errorf("STATE-14: %s: %d %s", c.header, a.status, a.text)
		}
	}
	if a := f.request("PATCH", "/v1/rooms/small:a/state", token, `{"b":3}`, "Content-Type: text/plain"); a.status != 415 {
		t.Errorf("HTTP-3: %d", a.status)
	}
	wantTold(t, "in the end", f.request("GET", "/v1/rooms/small:a/state", token, "").body, "<nil>-2 events=[] full=true state=[b=2@1 c=1@2]")
}

// STATE-9, STATE-12: who is far behind is given the messages and each key once; the latest page looks back over any number of state events.
func TestStateIsFolded(t *testing.T) {
	f := start(t, onlyMaps(map[string]room.Policy{"dash": {State: room.StatePolicy{MapOnly: true}}, "board": {}}))
	for _, id := range []string{"board:much", "dash:much"} {
		f.post("u1", id, 1, `{"text":"one"}`, 201)
		first := f.post("u1", id, 2, `{"text":"two"}`, 201)
		const sets = 1200
		for i := 0; i < sets; i += 100 {
			var events []string
			for j := range 100 {
				events = append(events, fmt.Sprintf(`{"tag":%q,"type":"state","data":{"k%d":%d}}`, tagOf(1000+i+j), j%5, i+j))
			}
			f.request("POST", "/v1/rooms/"+id+"/events", f.token("u1"), `{"events":[`+strings.Join(events, ",")+`]}`)
		}
		f.post("u1", id, 3, `{"text":"three"}`, 201)
		p := f.login("u2")
		p.sendf(`{"op":"join","id":1,"room":%q,"limit":2}`, id)
		keys := "state=[k0=1195@1198 k1=1196@1199 k2=1197@1200 k3=1198@1201 k4=1199@1202]"
		wantTold(t, "STATE-12 in "+id, p.expect("joined")["page"].(map[string]any), "1-1203 events=[2:message 1203:message] full=true "+keys)
		p.sendf(`{"op":"join","id":2,"room":%q,"position":"%v:2","replay":1}`, id, first.body["epoch"])
		wantTold(t, "STATE-9 in "+id, p.expect("joined")["page"].(map[string]any), "2-1203 events=[1203:message] full=false "+keys)
		l := f.listen("/v1/sse?room="+id+"&after="+fmt.Sprint(first.body["epoch"], ":2"), f.token("u2"))
		l.event() // ready
		wantTold(t, "STATE-9 by a stream of "+id, l.event().data, "2-1203 events=[1203:message] full=false "+keys)
	}
}

// I15: clients set keys by compare-and-set over WebSockets, HTTP and PATCH; what they were answered is one order of a register per key (STATE-3).
func TestCompareAndSetIsLinearizable(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	f := start(t, options{})
	const clients, each, keys = 6, 60, 2
	type input struct {
		key   int
		read  bool
		ifSeq int64 // -1: whatever there is
		value int
	}
	type output struct {
		seq      int64 // of what was stored, or what there is
		value    int
		conflict bool
	}
	var mu sync.Mutex
	var ops []porcupine.Operation
	began := time.Now()
	var group sync.WaitGroup
	for c := range clients {
		rnd := rand.New(rand.NewPCG(seed, uint64(c)))
		token := f.token(fmt.Sprintf("u%d", c))
		group.Go(func() {
			var seen [keys]int64
			for i := range each {
				in := input{key: rnd.IntN(keys), value: c*1000 + i + 1, ifSeq: -1}
				switch rnd.IntN(6) {
				case 0, 1:
					in.read = true
				case 2:
				default:
					in.ifSeq = seen[in.key]
				}
				key := fmt.Sprintf("k%d", in.key)
				call := time.Since(began)
				var a answer
				var out output
				if in.read {
					a = f.request("GET", "/v1/rooms/board:cas/state", token, "")
				} else {
					header := []string{"Idempotency-Key: " + tagOf(c*1000+i)}
					if in.ifSeq >= 0 {
						header = append(header, fmt.Sprintf(`If-Match: "%d"`, in.ifSeq))
					}
					a = f.request("PATCH", "/v1/rooms/board:cas/state", token, fmt.Sprintf(`{%q:%d}`, key, in.value), header...)
				}
				end := time.Since(began)
				entry := func(of string) {
					state, _ := a.body[of].(map[string]any)
					if e, has := state[key].(map[string]any); has {
						out.seq, out.value = int64(e["seq"].(float64)), int(e["value"].(float64))
					}
				}
				switch {
				case in.read && a.status == 200:
					entry("state")
				case a.status == 201:
					out.seq = int64(a.body["seq"].(float64))
				case a.code() == "conflict":
					out.conflict = true
					entry("current")
				default:
					t.Errorf("%+v: %d %s", in, a.status, a.text)
					return
				}
				seen[in.key] = out.seq
				mu.Lock()
				ops = append(ops, porcupine.Operation{ClientId: c, Input: in, Call: int64(call), Output: out, Return: int64(end)})
				mu.Unlock()
			}
		})
	}
	group.Wait()
	type register struct {
		seq   int64
		value int
	}
	model := porcupine.Model{
		Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
			parts := make([][]porcupine.Operation, keys)
			for _, op := range all {
				k := op.Input.(input).key
				parts[k] = append(parts[k], op)
			}
			return parts
		},
		Init: func() any { return register{} },
		Step: func(state, in, out any) (bool, any) {
			r, i, o := state.(register), in.(input), out.(output)
			lost := i.ifSeq == 0 && r.seq != 0 || i.ifSeq > 0 && r.seq > i.ifSeq
			switch {
			case i.read:
				return o.seq == r.seq && o.value == r.value, r
			case o.conflict:
				return lost && o.seq == r.seq && o.value == r.value, r
			}
			return !lost && o.seq > r.seq, register{o.seq, i.value}
		},
		Equal: func(a, b any) bool { return reflect.DeepEqual(a, b) },
	}
	if got := porcupine.CheckOperationsTimeout(model, ops, 5*time.Minute); got != porcupine.Ok {
		t.Errorf("I15: the answers are not those of a register: %v", got)
	}
	conflicts := 0
	for _, op := range ops {
		if op.Output.(output).conflict {
			conflicts++
		}
	}
	if len(ops) != clients*each || conflicts == 0 {
		t.Fatalf("%d operations, %d conflicts: nothing was put to the test", len(ops), conflicts)
	}
}
