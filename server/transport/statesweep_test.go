package transport

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"roomlog/server/room"
)

// STATE-10, STATE-11: when the events of state are gone, who comes back from one of them is given the whole map: by a reset where the room has
// messages, and without one where it has nothing but state. Who stands at an event that is there goes on. It is so also after a restart of the
// room in memory, and a repeat of what is forgotten is another event.
func TestStateThatIsSwept(t *testing.T) {
	kinds := map[string]room.Policy{"dash": {State: room.StatePolicy{MapOnly: true}}}
	f := start(t, onlyMaps(kinds))
	token := f.token("u1")
	f.set("dash:only", 1, `{"a":1,"b":1}`)
	second := f.set("dash:only", 2, `{"a":2}`)
	f.set("dash:only", 3, `{"b":null}`)
	f.post("u1", "dash:both", 1, `1`, 201)
	f.set("dash:both", 2, `{"a":2}`)
	f.set("dash:both", 3, `{"a":3}`)
	f.post("u1", "dash:both", 4, `1`, 201)
	for id, floor := range map[string]float64{"dash:only": 4, "dash:both": 1, "dash:none": 1} {
		if a := f.request("GET", "/v1/rooms/"+id, token, ""); a.status != 200 || a.body["floor"] != floor {
			t.Errorf("STATE-11, ROOM-12: %s: %d %s, want the floor %v", id, a.status, a.text, floor)
		}
	}
	page := f.request("GET", "/v1/rooms/dash:both/events?after=0&limit=1", token, "")
	atMessage := fmt.Sprint(page.body["position"])
	if page.body["seq"] != 1.0 {
		t.Fatalf("POLL-2: %s", page.text)
	}
	read := func(id string, seq room.Seq) room.Mark { // as a client that followed the room has it
		t.Helper()
		p, err := f.store.Read(t.Context(), room.Query{Room: room.ID(id), Anchor: room.After, Seq: seq - 1, Limit: 1})
		must(t, err)
		return p.Events[0].Mark
	}
	epoch := fmt.Sprint(second.body["epoch"])
	atOnly, atState := fmt.Sprintf("%s:2:%s", epoch, read("dash:only", 2)), fmt.Sprintf("%s:2:%s", epoch, read("dash:both", 2))
	forged := fmt.Sprintf("%s:2:0badbad0", epoch)

	join := func(id, position, reset, want string) {
		t.Helper()
		p := f.login("u2")
		p.sendf(`{"op":"join","id":1,"room":%q,"position":%q}`, id, position)
		j := p.expect("joined")
		why, _ := j["reset"].(map[string]any)
		if got := fmt.Sprint(why["reason"]); got != reset {
			t.Errorf("a join of %s at %s: reset %s, want %s", id, position, got, reset)
		}
		wantTold(t, "a join of "+id+" at "+position, j["page"].(map[string]any), want)
		must(t, p.nc.Close())
	}
	poll := func(id, position, want string) {
		t.Helper()
		a := f.request("GET", "/v1/rooms/"+id+"/events?after="+position, token, "")
		if a.status == 410 {
			if got := fmt.Sprint("410 ", a.body["reason"]); got != want {
				t.Errorf("a poll of %s at %s: %s, want %s", id, position, got, want)
			}
			return
		}
		wantTold(t, "a poll of "+id+" at "+position, a.body, want)
	}
	join("dash:only", atOnly, "<nil>", "2-3 events=[] full=false state=[-b@3]")
	join("dash:both", atState, "<nil>", "2-4 events=[4:message] full=false state=[a=3@3]")
	join("dash:both", forged, "diverged", "0-4 events=[1:message 4:message] full=true state=[a=3@3]")
	poll("dash:both", forged, "410 diverged")

	next, n, err := f.store.SweepState(t.Context(), "dash", time.Nanosecond, 30*24*time.Hour, "", 100)
	if must(t, err); n != 5 || next != "" {
		t.Fatalf("STATE-11: the sweep removed %d, then %q", n, next)
	}
	for range 2 {
		eventually(t, "the rooms to be let go of", func() bool { // they are read anew, by what the store has now
			f.hub.Forget()
			return f.hub.Stats().Rooms == 0
		})
		join("dash:only", atOnly, "<nil>", "2-3 events=[] full=true state=[a=2@2]")
		join("dash:both", atState, "pruned", "0-4 events=[1:message 4:message] full=true state=[a=3@3]")
		join("dash:both", atMessage, "<nil>", "1-4 events=[4:message] full=false state=[a=3@3]")
		poll("dash:only", atOnly, "2-3 events=[] full=true state=[a=2@2]")
		poll("dash:both", atState, "410 pruned")
		poll("dash:both", atMessage, "1-4 events=[4:message] full=false state=[a=3@3]")
		var at struct{ State map[string]any }
		a := f.request("GET", "/v1/rooms/dash:both/state?since="+atState, token, "")
		must(t, json.Unmarshal([]byte(a.text), &at))
		wantTold(t, "STATE-13", a.body, "<nil>-4 events=[] full=true state=[a=3@3]")
		l := f.listen("/v1/sse?room=dash:only&after="+atOnly, token)
		l.event() // ready
		wantTold(t, "a stream", l.event().data, "2-3 events=[] full=false state=[-b@3]")
		must(t, l.nc.Close())
	}
	f.set("dash:only", 1, `{"a":1,"b":1}`)
	wantTold(t, "STATE-11: a repeat that is not known any more", f.request("GET", "/v1/rooms/dash:only/state", token, "").body, "<nil>-4 events=[] full=true state=[a=1@4 b=1@4]")
}
