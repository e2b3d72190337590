package storetest

import (
	"crypto/sha256"
	"slices"
	"testing"
	"time"

	"roomlog/server/room"
)

// everyRead reads a room in every way that there is, present content too.
func everyRead(id room.ID, head room.Seq) []room.Query {
	var all []room.Query
	for _, shown := range []bool{false, true} {
		for _, anchor := range []room.Anchor{room.After, room.Before, room.Around, room.Latest} {
			for _, seq := range []room.Seq{0, 1, head / 2, head, head + 1} {
				for _, limit := range []int{3, 1000} {
					all = append(all, room.Query{Room: id, Anchor: anchor, Seq: seq, Limit: limit, Present: shown})
				}
			}
		}
	}
	return all
}

// checkGone fails unless every read of a room shows those events, and no others, as deleted: without data, and with all the rest.
func checkGone(t *testing.T, s room.Store, id room.ID, log []room.Event, gone map[room.Seq]*room.Gone, when string) {
	t.Helper()
	for _, q := range everyRead(id, room.Seq(len(log))) {
		for _, e := range mustRead(t, s, q).Events {
			want := log[e.Seq-1]
			if want.Gone = gone[e.Seq]; want.Gone == nil {
				if e.Gone != nil {
					t.Errorf("CHG-7: %s, %+v reads event %d as deleted by %d", when, q, e.Seq, e.Gone.Seq)
				}
				continue
			}
			want.Data = []byte(`null`)
			if why := differs(e, want); why != "" {
				t.Errorf("CHG-7: %s, %+v reads event %d as %+v: %s", when, q, e.Seq, e, why)
			}
		}
	}
}

// checkNowhere fails if any table of the database has the text, or its sum without a key, by which who guesses it is proved right.
func checkNowhere(t *testing.T, f Factory, when string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if in := f.Holds(t, []byte(text)); len(in) > 0 {
			t.Errorf("CHG-7: %s, %q is in %v", when, text, in)
		}
	}
}

func checkSumNowhere(t *testing.T, f Factory, when string, sends ...room.Send) {
	t.Helper()
	for _, s := range sends {
		whole, data := s.AsSent(), sha256.Sum256(s.Data)
		if in := append(f.Holds(t, whole[:]), f.Holds(t, data[:])...); len(in) > 0 {
			t.Errorf("CHG-7: %s, the sum without a key of a deleted %s is in %v", when, s.Type, in)
		}
	}
}

// CHG-7: a deleted message and each edit of it have no data in any read, the rest stays, and what was sent is nowhere. The repeat of
// their sends is a duplicate still, and says what is left; another event with the tag is refused.
func testRedaction(t *testing.T, f Factory) {
	hs := f.pair(t)
	s, id := hs[0], room.ID("chat:redact")
	other := fill(t, s, id, 3)
	message := say(id, "u1", "canary-message")
	message.Mentions = []string{"u2"}
	first := edit(id, "u1", 4, "canary-edit")
	second := byModerator(edit(id, "mod", 4, "canary-by-another"))
	kept := edit(id, "u1", 3, "kept")
	mustAppend(t, s, message, first, react(id, "u2", 4, "👍"), kept, second, react(id, "u2", 3, "👍"))
	before := mustLog(t, s, id)
	if in := f.Holds(t, []byte("canary-by-another")); !slices.Contains(in, "events") {
		t.Fatalf("the text of an event is found in %v", in)
	}
	whole := present(t, s, id)
	deleting := byModerator(erase(id, "mod", 4))
	deleted := one(t, hs[1], deleting)
	left := goneBy("mod", deleted)
	gone := map[room.Seq]*room.Gone{4: left, 5: left, 8: left}
	log := append(slices.Clone(before), mustLog(t, s, id)[9:]...)
	checkDense(t, log, 1, 10)
	if e := log[9]; e.Gone != nil || e.Target != 4 || string(e.Data) != string(deleting.Data) {
		t.Errorf("CHG-7: the delete is read as %+v", e)
	}
	check := func(s room.Store, when string) {
		t.Helper()
		checkGone(t, s, id, log, gone, when)
		checkNowhere(t, f, when, "canary-message", "canary-edit", "canary-by-another")
		checkSumNowhere(t, f, when, message, first, second)
		after := present(t, s, id)
		for _, seq := range []room.Seq{1, 2, 3} {
			if why := differs(after[seq-1], whole[seq-1]); why != "" {
				t.Errorf("CHG-7: %s, event %d changed: %s", when, seq, why)
			}
		}
		for _, send := range []room.Send{message, first, second} {
			asked := send
			asked.Repeat = true
			for i, v := range mustAppend(t, s, send, asked, send).Verdicts {
				at := slices.IndexFunc(log, func(e room.Event) bool { return e.Tag == send.Tag })
				if e := log[at]; !v.Duplicate || v.Refused != nil || v.Seq != e.Seq || v.Mark != e.Mark || !v.At.Equal(e.At) || v.Target != e.Target || !sameGone(v.Gone, left) {
					t.Errorf("CHG-7: %s, repeat %d of a deleted %s is answered with %+v, left is %+v", when, i, send.Type, v, v.Gone)
				}
			}
			for _, data := range []string{`{"text":"another"}`, `null`, `"canary-message"`} { // null is what is stored now
				another, typed := send, send
				another.Data, typed.Type = []byte(data), "other"
				for _, send := range []room.Send{another, typed} {
					if v := mustAppend(t, s, send).Verdicts[0]; !refusedAs(v, room.TagConflict()) {
						t.Errorf("TAG-4: %s, another event with the tag of a deleted one is answered with %+v", when, v)
					}
				}
			}
		}
		for _, send := range []room.Send{other[0], kept} {
			if v := mustAppend(t, s, send).Verdicts[0]; !v.Duplicate || v.Gone != nil {
				t.Errorf("CHG-7: %s, the repeat of what was not deleted is answered with %+v", when, v)
			}
		}
		if v := mustAppend(t, s, deleting).Verdicts[0]; v != duplicateOf(deleted) {
			t.Errorf("TAG-3: %s, the repeat of the delete is answered with %+v", when, v)
		}
		if b := f.Beside(t); b.Edits != 1 || b.Reactions != 1 || b.Mentions != 0 || b.Redactions != 3 {
			t.Errorf("CHG-7: %s, the database has %+v", when, b)
		}
		checkDense(t, mustLog(t, s, id), 1, 10)
	}
	check(hs[1], "deleted")
	if f.Single != "" {
		return // RedactionPruned reopens
	}
	check(f.open(t), "by a new handle")
}

// HOOK-6, CHG-7: of what a webhook rewrote, neither what was stored nor what was sent is kept, nor a sum of it without a key; its
// repeat is known all the same.
func testRedactionRewritten(t *testing.T, f Factory) {
	s := f.open(t)
	id := room.ID("chat:softer")
	sent := say(id, "u1", "canary-drat")
	stored := sent
	stored.Sent = room.FingerprintOf(sent.Type, sent.Data)
	stored.Data = []byte(`{"text":"canary-d**t"}`)
	twice := edit(id, "u1", 1, "canary-edited")
	softer := twice
	softer.Sent = room.FingerprintOf(twice.Type, twice.Data)
	softer.Data = []byte(`{"target":1,"data":{"text":"canary-softer"}}`)
	softer.Change = &room.Change{Target: 1, Own: true, Data: []byte(`{"text":"canary-softer"}`)}
	mustAppend(t, s, stored, softer)
	if e := present(t, s, id)[0]; string(e.Data) != `{"text":"canary-softer"}` {
		t.Errorf("CHG-5: an edit that was rewritten reads as %s", e.Data)
	}
	del := erase(id, "u1", 1)
	left := goneBy("u1", one(t, s, del))
	check := func(when string) {
		t.Helper()
		checkNowhere(t, f, when, "canary")
		checkSumNowhere(t, f, when, sent, stored, twice, softer)
		for i, v := range mustAppend(t, s, sent, stored, twice, softer).Verdicts {
			if !v.Duplicate || v.Seq != room.Seq(i/2+1) || v.Target != room.Seq(i/2) || !sameGone(v.Gone, left) {
				t.Errorf("HOOK-6: %s, repeat %d of what was rewritten and deleted is answered with %+v", when, i, v)
			}
		}
		asStored := stored // by one who sends what the hook made of it
		asStored.Sent = room.Fingerprint{}
		if v := mustAppend(t, s, asStored).Verdicts[0]; v.Seq > 3 || v.NotStored {
			t.Errorf("HOOK-6: %s, what was stored in its place is answered with %+v", when, v)
		}
		if rows, _ := f.Rows(t); rows > 3 {
			t.Errorf("TAG-3: %s, %d events are stored", when, rows)
		}
	}
	check("deleted")
	mustAppend(t, s, say(id, "u1", "what stays"))
	mustPrune(t, s, id, room.Retention{Events: 1}, 10)
	checkNowhere(t, f, "pruned", "canary")
	checkSumNowhere(t, f, "pruned", sent, stored, twice, softer)
	for i, v := range mustAppend(t, s, sent, stored, twice, softer).Verdicts {
		if !v.Duplicate || v.Seq != room.Seq(i/2+1) || v.Target != room.Seq(i/2) || !sameGone(v.Gone, left) {
			t.Errorf("HOOK-6: pruned, repeat %d of what was rewritten and deleted is answered with %+v", i, v)
		}
	}
}

// TAG-7, CHG-7: when a deleted message is pruned, the repeat of its send is a duplicate still, and says what is left; so for the changes of it.
func testRedactionPruned(t *testing.T, f Factory) {
	s := f.Open(t)
	id := room.ID("chat:pruned")
	message, mine := say(id, "u1", "canary-message"), say(id, "u1", "mine")
	edited, reacted, del := edit(id, "u1", 1, "canary-edit"), react(id, "u2", 1, "👍"), erase(id, "u1", 1)
	out := mustAppend(t, s, message, mine, edited, reacted, del, say(id, "u1", "stays")).Verdicts
	left := goneBy("u1", out[4])
	sends := []room.Send{message, mine, edited, reacted, del}
	check := func(s room.Store, when string) {
		t.Helper()
		again := mustAppend(t, s, sends...).Verdicts
		for i, want := range out[:5] {
			want.Duplicate = true
			if i == 0 || i == 2 {
				want.Gone = left
			}
			v := again[i]
			if v.Seq != want.Seq || v.Mark != want.Mark || !v.At.Equal(want.At) || !v.Duplicate || v.Refused != nil || v.Target != want.Target || !sameGone(v.Gone, want.Gone) {
				t.Errorf("TAG-7: %s, the repeat of a %s is answered with %+v (left: %+v), not %+v", when, sends[i].Type, v, v.Gone, want)
			}
			for _, data := range []string{`{"text":"another"}`, `null`} {
				other := sends[i]
				other.Data = []byte(data)
				if v := mustAppend(t, s, other).Verdicts[0]; !refusedAs(v, room.TagConflict()) {
					t.Errorf("TAG-4: %s, another event with the tag of a %s is answered with %+v", when, sends[i].Type, v)
				}
			}
		}
		if h := mustHead(t, s, id); h.Seq != 6 {
			t.Errorf("ROOM-5: %s, repeats moved the head to %d", when, h.Seq)
		}
		checkNowhere(t, f, when, "canary")
	}
	check(s, "deleted")
	for keep := int64(5); keep > 0; keep-- { // one event at a time: message and edits go apart
		mustPrune(t, s, id, room.Retention{Events: keep}, 100)
		check(s, "pruned")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = f.open(t)
	check(s, "after reopening")
	if v := mustAppend(t, s, ofTag(erase(id, "u1", 0), mine.Tag)).Verdicts[0]; !refusedAs(v, room.UnknownTarget()) {
		t.Errorf("CHG-3: a change of a message that was pruned is answered with %+v", v)
	}
	if v := mustAppend(t, s, erase(id, "u1", 2)).Verdicts[0]; !refusedAs(v, room.UnknownTarget()) {
		t.Errorf("CHG-3: a change of a message that was pruned is answered with %+v", v)
	}
}

// filled has messages with everything that a message can have beside it.
func filled(t *testing.T, s room.Store, id room.ID, n int) {
	t.Helper()
	for range n {
		message, doomed := say(id, "u1", "message"), say(id, "u1", "doomed")
		message.Mentions, doomed.Mentions = []string{"u2", "u3"}, []string{"u2"}
		mustAppend(t, s, message, doomed,
			ofTag(edit(id, "u1", 0, "edited"), message.Tag), ofTag(edit(id, "u1", 0, "edited"), doomed.Tag),
			ofTag(react(id, "u1", 0, "👍"), message.Tag), ofTag(react(id, "u1", 0, "👎"), message.Tag), ofTag(react(id, "u1", 0, "👍"), doomed.Tag),
			ofTag(erase(id, "u1", 0), doomed.Tag))
	}
}

// each is what filled stores beside the events of one round.
var each = Beside{Edits: 1, Reactions: 2, Redactions: 2, Mentions: 2}

// RET-1: what is pruned takes along what was kept beside it, and nothing else; members stay.
func testChangesPruned(t *testing.T, f Factory) {
	s := f.open(t)
	id, other := room.ID("chat:prune"), room.ID("chat:stays")
	filled(t, s, other, 1)
	filled(t, s, id, 4) // 8 events each
	one(t, s, member(id, "u1", "u2", "member"))
	count := func(rounds, members int64) Beside {
		return Beside{each.Edits * rounds, each.Reactions * rounds, each.Redactions * rounds, each.Mentions * rounds, members}
	}
	for _, step := range []struct{ keep, rounds int64 }{{33, 5}, {25, 4}, {17, 3}, {1, 1}} {
		mustPrune(t, s, id, room.Retention{Events: step.keep}, 100)
		if b, want := f.Beside(t), count(step.rounds, 1); b != want {
			t.Errorf("RET-1: pruned to %d events, %+v is kept beside, not %+v", step.keep, b, want)
		}
	}
	if m, found := memberOf(t, s, id, "u2"); !found || m.Since != 33 {
		t.Errorf("RET-1: after a prune the member is %+v, %t", m, found)
	}
	f.Backdate(t, id, 33, 34, 2*time.Hour)
	mustPrune(t, s, id, room.Retention{Age: time.Hour}, 100)
	if m, found := memberOf(t, s, id, "u2"); !found || m.Since != 33 {
		t.Errorf("RET-1: after the event that made them one was pruned, the member is %+v, %t", m, found)
	}
	if events, _ := f.Ordinals(t, other); len(events) != 8 {
		t.Errorf("RET-1: %d events are left of another room", len(events))
	}
	// A prune between a message and its changes: they are of no message any more, and harmless.
	id = "chat:between"
	filled(t, s, id, 1)
	mustPrune(t, s, id, room.Retention{Events: 7}, 100)
	checkDense(t, present(t, s, id), 2, 7)
	mustPrune(t, s, id, room.Retention{Events: 6}, 100)
	checkDense(t, present(t, s, id), 3, 6)
	mustPrune(t, s, id, room.Retention{Events: 1}, 100)
	if b, want := f.Beside(t), count(1, 1); b != want {
		t.Errorf("RET-1: pruned to one event, %+v is kept beside, not %+v", b, want)
	}
}

// ROOM-10: of a room that was deleted nothing is known; what was kept beside its events is swept, in steps.
func testChangesOfDeletedRoom(t *testing.T, f Factory) {
	s := f.open(t)
	id, other := room.ID("chat:gone"), room.ID("chat:stays")
	filled(t, s, other, 1)
	one(t, s, member(other, "u1", "u2", "member"))
	want := f.Beside(t)
	for range 2 {
		filled(t, s, id, 3)
		mustAppend(t, s, member(id, "u1", "u1", "owner"), member(id, "u1", "u2", "member"))
		mustPrune(t, s, id, room.Retention{Events: 20}, 100)
		mustDelete(t, s, id)
		if _, found := memberOf(t, s, id, "u2"); found {
			t.Error("ROOM-10: a deleted room has a member")
		}
		if rooms := roomsOf(t, s, "u2", "", 10); len(rooms) != 1 || rooms[0].Room != other {
			t.Errorf("ROOM-10: a deleted room is among those of a member: %+v", rooms)
		}
		mustAppend(t, s, say(id, "u1", "1"), say(id, "u1", "2"))
		for _, e := range present(t, s, id) {
			if e.Gone != nil || e.Edited != nil || e.Reactions != nil || e.Target != 0 {
				t.Errorf("ROOM-10: event %d of the next generation is %+v", e.Seq, e)
			}
		}
		if events, messages := f.Ordinals(t, id); messages != 2 || events[1] != 1 || events[2] != 2 {
			t.Errorf("ROOM-10: the messages of the next generation are counted as %v, %d", events, messages)
		}
		mustDelete(t, s, id)
	}
	for i, more := 0, true; more; i++ {
		out, err := s.(room.Pruner).Sweep(within(t), month, 7)
		if more = out.More; err != nil || i > 100 {
			t.Fatalf("sweep %d: %+v, %v", i, out, err)
		}
	}
	if b := f.Beside(t); b != want {
		t.Errorf("ROOM-10: %+v is left beside events, not %+v", b, want)
	}
	if events, others := f.Rows(t); events != 9 || others != 0 {
		t.Errorf("ROOM-10: %d events and %d other rows are left", events, others)
	}
}
