package storetest

import (
	"fmt"
	"slices"
	"testing"

	"roomlog/server/room"
)

// hooksOf is the store as one that keeps the cursors of webhooks.
func hooksOf(t *testing.T, s room.Store) room.HookStore {
	t.Helper()
	h, ok := s.(room.HookStore)
	if !ok {
		t.Fatalf("%T keeps no cursors of webhooks", s)
	}
	return h
}

func hookAt(t *testing.T, s room.HookStore, hook string, id room.ID) room.Position {
	t.Helper()
	p, err := s.HookCursor(within(t), hook, id)
	if err != nil {
		t.Fatalf("cursor of %s in %s: %v", hook, id, err)
	}
	return p
}

func moveHook(t *testing.T, s room.HookStore, hook string, id room.ID, from *room.Position, to room.Position, want bool) {
	t.Helper()
	if moved, err := s.MoveHookCursor(within(t), hook, id, from, to); err != nil || moved != want {
		t.Fatalf("move %s in %s from %v to %v: %t, %v; want %t", hook, id, from, to, moved, err, want)
	}
}

func begin(t *testing.T, s room.HookStore, hook, kind string, fromStart bool) {
	t.Helper()
	if err := s.BeginHook(within(t), hook, kind, fromStart); err != nil {
		t.Fatalf("begin %s: %v", hook, err)
	}
}

// HOOK-11: a hook begins once, at the heads of that moment or at the beginning.
func testHookBegins(t *testing.T, f Factory) {
	hs := f.pair(t)
	a, b := hooksOf(t, hs[0]), hooksOf(t, hs[1])
	fill(t, a, "chat:old", 3)
	fill(t, a, "chatter:old", 1)
	head := mustHead(t, a, "chat:old").Position()

	begin(t, a, "app", "chat", false)
	begin(t, a, "all", "chat", true)
	fill(t, a, "chat:old", 1)
	fill(t, a, "chat:new", 2)
	begin(t, b, "app", "chat", false) // again: it changes nothing
	begin(t, b, "all", "chat", false)
	for _, c := range []struct {
		hook string
		id   room.ID
		want room.Position
	}{
		{"app", "chat:old", head}, {"app", "chat:new", room.Position{}}, {"all", "chat:old", room.Position{}},
		{"app", "chatter:old", room.Position{}}, {"app", "chat:nowhere", room.Position{}}, {"other", "chat:old", room.Position{}},
	} {
		if got := hookAt(t, b, c.hook, c.id); got != c.want {
			t.Errorf("HOOK-11: %s begins at %v in %s, not at %v", c.hook, got, c.id, c.want)
		}
	}
	begin(t, b, "app", "chatter", false) // a kind that it had not
	if got, want := hookAt(t, a, "app", "chatter:old"), mustHead(t, a, "chatter:old").Position(); got != want {
		t.Errorf("HOOK-11: it begins at %v of another kind, not at %v", got, want)
	}
}

// HOOK-12: a cursor moves only from where it was seen, so that a delivery that ends late does not undo a replay.
func testHookMoves(t *testing.T, f Factory) {
	hs := f.pair(t)
	a, b := hooksOf(t, hs[0]), hooksOf(t, hs[1])
	id := room.ID("chat:moves")
	fill(t, a, id, 5)
	head := mustHead(t, a, id).Position()
	third := room.Position{Epoch: head.Epoch, Seq: 3, Mark: mustLog(t, a, id)[2].Mark}
	back := room.Position{Epoch: head.Epoch, Seq: 1}

	moveHook(t, a, "app", id, &third, head, false) // it stands at the beginning
	moveHook(t, a, "app", id, &room.Position{}, third, true)
	moveHook(t, b, "app", id, &room.Position{}, head, false)
	if got := hookAt(t, b, "app", id); got != third {
		t.Fatalf("HOOK-12: it stands at %v, not at %v", got, third)
	}
	moveHook(t, b, "app", id, nil, back, true)
	moveHook(t, a, "app", id, &third, head, false) // a delivery from before the replay
	moveHook(t, a, "app", id, &back, head, true)
	moveHook(t, a, "app", "chat:nowhere", nil, back, false)
	if got := hookAt(t, a, "other", id); got != (room.Position{}) {
		t.Errorf("HOOK-12: another hook was moved to %v", got)
	}
}

// HOOK-13: what a hook lacks is found, in pages that look at a bounded number of rooms.
func testHooksBehind(t *testing.T, f Factory) {
	s := hooksOf(t, f.open(t))
	var want []room.ID
	for i := range 10 {
		id := room.ID(fmt.Sprintf("chat:r%d", i))
		fill(t, s, id, 2)
		if i%3 == 0 { // at its head
			moveHook(t, s, "app", id, nil, mustHead(t, s, id).Position(), true)
			continue
		}
		if i%3 == 1 {
			moveHook(t, s, "app", id, nil, room.Position{Epoch: mustHead(t, s, id).Epoch, Seq: 1}, true)
		}
		want = append(want, id)
	}
	fill(t, s, "chat-2:a", 1)
	fill(t, s, "chatter:a", 1)
	forked := mustHead(t, s, "chat:r0").Position()
	forked.Mark ^= 1
	moveHook(t, s, "app", "chat:r0", nil, forked, true)
	elsewhere := mustHead(t, s, "chat:r3").Position()
	elsewhere.Epoch = "another"
	moveHook(t, s, "app", "chat:r3", nil, elsewhere, true)
	want = append(want, "chat:r0", "chat:r3")
	slices.Sort(want)
	for _, limit := range []int{1, 3, 10, 100} {
		var got []room.ID
		calls := 0
		for after := room.ID(""); ; calls++ {
			some, next, err := s.HooksBehind(within(t), "app", "chat", after, limit)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, some...)
			if after = next; next == "" {
				break
			}
		}
		if !slices.Equal(got, want) || calls != 10/limit {
			t.Errorf("HOOK-13: by %d: behind in %v after %d calls, want %v after %d", limit, got, calls, want, 10/limit)
		}
	}
	testDeletedIsBehind(t, s)
}

// HOOK-14: a hook that was given something of a room that is deleted lacks the news of it, before anybody writes
// there again; one that was given nothing lacks none.
func testDeletedIsBehind(t *testing.T, s room.HookStore) {
	behind := func() []room.ID {
		t.Helper()
		got, _, err := s.HooksBehind(within(t), "app", "gone", "", 10)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	for _, id := range []room.ID{"gone:told", "gone:untold"} {
		fill(t, s, id, 2)
	}
	if err := s.BeginHook(within(t), "app", "none", false); err != nil { // it is known
		t.Fatal(err)
	}
	moveHook(t, s, "app", "gone:told", nil, mustHead(t, s, "gone:told").Position(), true)
	mustDelete(t, s, "gone:told")
	mustDelete(t, s, "gone:untold")
	if got := behind(); !slices.Equal(got, []room.ID{"gone:told"}) {
		t.Errorf("HOOK-14: behind in %v, want the room that it was told of", got)
	}
	moveHook(t, s, "app", "gone:told", nil, mustHead(t, s, "gone:told").Position(), true)
	if got := behind(); len(got) != 0 {
		t.Errorf("HOOK-14: behind in %v after it was told", got)
	}
}

// HOOK-6: what was rewritten is known by what its author sent, in any batch and on any node.
func testRewritten(t *testing.T, f Factory) {
	hs := f.pair(t)
	id := room.ID("chat:rewritten")
	plain, sent := say(id, "u1", "as it is"), say(id, "u1", "drat")
	as := func(s room.Send, typ, data string) room.Send {
		s.Sent = room.FingerprintOf(s.Type, s.Data)
		s.Type, s.Data = typ, []byte(data)
		return s
	}
	stored := as(sent, "softer", `{"text":"d**t"}`)
	out := mustAppend(t, hs[0], plain, stored, as(sent, "softer", `"twice in a batch"`))
	if v := out.Verdicts; v[1].Seq != 2 || v[1].Duplicate || v[2] != duplicateOf(v[1]) {
		t.Fatalf("HOOK-6: a rewritten event, and its repeat in the batch: %+v", v)
	}
	log := mustLog(t, hs[1], id)
	checkDense(t, log, 1, 2)
	checkStored(t, log[1], stored, out.Verdicts[1])
	ask := sent
	ask.Repeat = true
	other := sent
	other.Data = []byte(`{"text":"other"}`)
	again := func(when string) {
		t.Helper()
		for name, s := range map[string]room.Send{
			"what was sent": sent, "the question for it": ask, "another rewriting": as(sent, "softer", `"other"`), "as the hook left it": as(sent, sent.Type, string(sent.Data)),
		} {
			if v := mustAppend(t, hs[1], s).Verdicts[0]; v != duplicateOf(out.Verdicts[1]) {
				t.Errorf("HOOK-6: %s again, %s: %+v", name, when, v)
			}
		}
		if v := mustAppend(t, hs[1], as(plain, "softer", `"rewritten at the second try"`)).Verdicts[0]; v != duplicateOf(out.Verdicts[0]) {
			t.Errorf("HOOK-6: an event that was stored as it was sent, %s: %+v", when, v)
		}
		for name, s := range map[string]room.Send{"other data": other, "other data, rewritten": as(other, "softer", `{"text":"o"}`)} {
			if v := mustAppend(t, hs[1], s).Verdicts[0]; v.Refused == nil || v.Refused.Code != room.CodeTagConflict {
				t.Errorf("TAG-4: %s with the tag, %s: %+v", name, when, v)
			}
		}
	}
	again("while it is kept")
	kept := stored
	kept.Sent = room.Fingerprint{}
	for _, batch := range [][]room.Send{{sent, kept}, {kept, sent}, {sent, other, kept}} {
		v := mustAppend(t, hs[0], batch...).Verdicts
		if v[0] != duplicateOf(out.Verdicts[1]) || v[len(v)-1] != v[0] || len(v) == 3 && v[1].Refused == nil {
			t.Errorf("HOOK-6: what was sent and what is stored in its place, in one batch: %+v", v)
		}
	}
	checkDense(t, mustLog(t, hs[0], id), 1, 2)
	mustAppend(t, hs[0], say(id, "u1", "what stays"))
	mustPrune(t, hs[0], id, room.Retention{Events: 1}, 10)
	again("when it was pruned")
	mustDelete(t, hs[0], id)
	if v := mustAppend(t, hs[1], as(other, "softer", `{"text":"o"}`)).Verdicts[0]; v.Seq != 1 || v.Duplicate {
		t.Errorf("ROOM-10: a tag of the room before: %+v", v)
	}
}
