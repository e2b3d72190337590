package storetest

import (
	"fmt"
	"maps"
	"testing"

	"roomlog/server/room"
)

// Each event keeps how many messages its room had up to it, and the room's row how many it has: unread is a difference of two of them
// (rule RCPT). Deletes take nothing away, refusals and repeats add nothing.
func testOrdinals(t *testing.T, f Factory) {
	hs := f.pair(t)
	id, other := room.ID("chat:ordinal"), room.ID("chat:ordinal2")
	if events, messages := f.Ordinals(t, id); len(events) != 0 || messages != 0 {
		t.Errorf("a room that nobody wrote to counts %v, %d", events, messages)
	}
	app := func(id room.ID) room.Send {
		s := say(id, "u1", "app")
		s.Type = "poll"
		return s
	}
	message := say(id, "u1", "m")
	var want []int64 // of the event with seq i+1
	appended := func(ordinals []int64, batch ...room.Send) {
		t.Helper()
		mustAppend(t, hs[len(want)%2], batch...)
		want = append(want, ordinals...)
		events, messages := f.Ordinals(t, id)
		if len(events) != len(want) || messages != want[len(want)-1] {
			t.Fatalf("the room counts %d events and %d messages, not %d and %d", len(events), messages, len(want), want[len(want)-1])
		}
		for i, n := range want {
			if events[room.Seq(i+1)] != n {
				t.Errorf("the ordinal of event %d is %d, not %d", i+1, events[room.Seq(i+1)], n)
			}
		}
	}
	appended([]int64{0}, app(id))
	appended([]int64{1, 1, 2, 3}, message, app(id), say(id, "u2", "m"), app(other), say(id, "u1", "m"))
	appended([]int64{3, 3}, message, edit(id, "u1", 2, "e"), erase(id, "u2", 2), react(id, "u1", 2, "👍"), message)
	appended([]int64{4, 4, 4}, say(id, "u1", "m"), erase(id, "u1", 2), edit(id, "u1", 2, "gone"), member(id, "u1", "u2", "member"), message)
	mustPrune(t, hs[0], id, room.Retention{Events: 2}, 100)
	mustAppend(t, hs[1], say(id, "u1", "m"))
	if events, messages := f.Ordinals(t, id); messages != 5 || events[room.Seq(len(want)+1)] != 5 {
		t.Errorf("after a prune the room counts %d messages, %v", messages, events)
	}
	if _, messages := f.Ordinals(t, other); messages != 0 {
		t.Errorf("a room without a message counts %d", messages)
	}
}

// Mentions are kept by user, as long as the message is there: those that are stored, not those that are refused or repeated.
func testMentions(t *testing.T, f Factory) {
	s := f.open(t)
	id := room.ID("chat:mention")
	names := func(text string, users ...string) room.Send {
		s := say(id, "u1", text)
		s.Mentions = users
		return s
	}
	check := func(when string, of map[string]map[room.Seq]int64) {
		t.Helper()
		for user, want := range of {
			if got := f.Mentions(t, id, user); !maps.Equal(got, want) {
				t.Errorf("%s, %s is mentioned by %v, not %v", when, user, got, want)
			}
		}
	}
	first := names("1", "u2", "u3")
	mustAppend(t, s, say(id, "u1", "0"), first, first, names("2", "u2"))
	again := first
	again.Mentions = []string{"u9"}
	conflict := names("3", "u8")
	conflict.Tag = first.Tag
	mustAppend(t, s, again, conflict)
	asked := names("4", "u7")
	asked.Repeat = true
	mustAppend(t, s, asked, react(id, "u2", 1, "👍"), names("5", "u3", "u2"))
	check("sent", map[string]map[room.Seq]int64{"u2": {2: 2, 3: 3, 5: 4}, "u3": {2: 2, 5: 4}, "u1": {}, "u7": {}, "u8": {}, "u9": {}})
	mustAppend(t, s, erase(id, "u1", 2))
	check("deleted", map[string]map[room.Seq]int64{"u2": {3: 3, 5: 4}, "u3": {5: 4}})
	mustPrune(t, s, id, room.Retention{Events: 3}, 100)
	check("pruned", map[string]map[room.Seq]int64{"u2": {5: 4}, "u3": {5: 4}})
	var many []string
	for i := range 50 {
		many = append(many, fmt.Sprint("m", i))
	}
	mustAppend(t, s, names("6", many...))
	check("fifty at once", map[string]map[room.Seq]int64{"m0": {7: 5}, "m49": {7: 5}, "u2": {5: 4}})
	mustDelete(t, s, id)
	check("of a deleted room", map[string]map[room.Seq]int64{"m0": {}, "u2": {}})
}
