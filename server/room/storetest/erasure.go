package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"roomlog/server/room"
)

func erasureOf(t *testing.T, s room.Store) room.ErasureStore {
	t.Helper()
	x, ok := s.(room.ErasureStore)
	if !ok {
		t.Fatalf("%T erases nobody", s)
	}
	return x
}

// eraseUser erases a user in a room, and fails unless that stored an event at a seq and removed so many events' data.
func eraseUser(t *testing.T, s room.Store, user string, id room.ID, tag room.Tag, want room.Erased) {
	t.Helper()
	e := room.Erasure{User: user, By: "admin"}
	got, err := erasureOf(t, s).EraseIn(within(t), e, id, tag, fmt.Appendf(nil, `{"user":%q}`, user))
	if err != nil || got != want {
		t.Fatalf("ERASE-2: %s in %s: %+v, %v; want %+v", user, id, got, err, want)
	}
}

// testErase takes everything a user said from a room, and leaves tombstones, structure, and what others said (ERASE-2, CHG-7).
func testErase(t *testing.T, f Factory) {
	hs := f.pair(t)
	s, id := hs[0], room.ID("chat:erase")
	mine := say(id, "u1", "canary-mine")   // 1
	theirs := say(id, "u2", "theirs")      // 2
	theirs.Mentions = []string{"u1", "u3"} //
	app := say(id, "u1", "canary-app")     // 8
	app.Type = "app.note"
	join := say(id, "admin", "join") // 9
	join.Type, join.Member = room.TypeMember, &room.MemberChange{User: "u1", Role: "member"}
	sends := []room.Send{
		mine, theirs,
		edit(id, "u1", 1, "canary-edited"),                   // 3
		byModerator(edit(id, "mod", 1, "canary-by-another")), // 4
		edit(id, "u2", 2, "theirs edited"),                   // 5
		byModerator(edit(id, "u1", 2, "canary-of-theirs")),   // 6
		react(id, "u1", 2, "👍"), app, join,                   // 7, 8, 9
		react(id, "u2", 1, "🎉"), react(id, "u3", 2, "👍"), // 10, 11
		say(id, "u1", "canary-deleted"), erase(id, "u1", 12), // 12, 13
	}
	for _, send := range sends {
		mustAppend(t, s, send)
	}
	before := mustLog(t, hs[1], id)
	tag := newTag()
	eraseUser(t, hs[1], "u1", id, tag, room.Erased{Stored: 14, Events: 6})

	log := mustLog(t, s, id)
	last := log[13]
	if last.Type != room.TypeErase || last.Author != "admin" || string(last.Data) != `{"user":"u1"}` || last.Gone != nil {
		t.Fatalf("ERASE-2: the event is %+v", last)
	}
	gone := map[room.Seq]*room.Gone{12: {Seq: 13, By: "u1", At: before[12].At}}
	for _, seq := range []room.Seq{1, 3, 4, 6, 7, 8} {
		gone[seq] = &room.Gone{Seq: 14, By: "admin", At: last.At}
	}
	for i, e := range log[:13] {
		want := before[i]
		if want.Gone = gone[e.Seq]; want.Gone != nil {
			want.Data = []byte("null")
		}
		if why := differs(e, want); why != "" {
			t.Errorf("ERASE-2: event %d is %+v: %s", e.Seq, e, why)
		}
	}
	checkNowhere(t, f, "after an erasure", "canary-mine", "canary-edited", "canary-by-another", "canary-of-theirs", "canary-app")
	checkSumNowhere(t, f, "after an erasure", mine, sends[2], app)
	shown := mustRead(t, s, room.Query{Room: id, Anchor: room.Around, Seq: 2, Limit: 1, Present: true}).Events[0]
	if string(shown.Data) != `{"text":"theirs edited"}` || shown.Edited == nil || shown.Edited.Seq != 5 || len(shown.Reactions) != 1 || !slices.Equal(shown.Reactions[0].Users, []string{"u3"}) {
		t.Errorf("ERASE-2: the message of another is %+v", shown)
	}
	if in := f.Mentions(t, id, "u1"); len(in) > 0 {
		t.Errorf("ERASE-2: they are mentioned in %v", in)
	}
	if in := f.Mentions(t, id, "u3"); len(in) != 1 {
		t.Errorf("ERASE-2: another is mentioned in %v", in)
	}
	if m, is := s.(room.Members); is {
		if _, still, err := m.Member(within(t), id, "u1"); err != nil || still {
			t.Errorf("ERASE-2: they are a member still: %v", err)
		}
	}

	eraseUser(t, s, "u1", id, tag, room.Erased{Stored: 14}) // again: told as it was
	eraseUser(t, s, "u1", id, newTag(), room.Erased{})      // nothing left
	eraseUser(t, s, "nobody", id, newTag(), room.Erased{})
	eraseUser(t, s, "u1", "chat:nowhere", newTag(), room.Erased{})
	if v := mustAppend(t, s, mine).Verdicts[0]; !v.Duplicate || v.Seq != 1 || v.Gone == nil || v.Gone.Seq != 14 {
		t.Errorf("CHG-7: the repeat of an erased send is %+v", v)
	}
	other := mine
	other.Data = []byte(`{"text":"another"}`)
	if v := mustAppend(t, s, other).Verdicts[0]; v.Refused == nil || v.Refused.Code != room.CodeTagConflict {
		t.Errorf("TAG-4: another event with the tag of an erased one is %+v", v)
	}
	if v := mustAppend(t, s, say(id, "u1", "new")).Verdicts[0]; v.Seq != 15 {
		t.Errorf("I3: the next event is %+v", v)
	}
	eraseUser(t, s, "u1", id, newTag(), room.Erased{Stored: 16, Events: 1})
	checkDense(t, mustLog(t, s, id), 1, 16)
}

// testErasures keeps jobs, one per user, the oldest first, and how far each has come (ERASE-1, ERASE-4).
func testErasures(t *testing.T, f Factory) {
	hs := f.pair(t)
	a, b := erasureOf(t, hs[0]), erasureOf(t, hs[1])
	if _, found, err := a.NextErasure(within(t)); err != nil || found {
		t.Fatalf("a new store has a job: %t, %v", found, err)
	}
	first := room.Erasure{User: "u1", By: "admin", Job: newTag(), Asked: noon}
	begin := func(s room.ErasureStore, e, want room.Erasure) {
		t.Helper()
		if got, err := s.BeginErasure(within(t), e); err != nil || got != want {
			t.Fatalf("ERASE-1: begun as %+v, %v; want %+v", got, err, want)
		}
	}
	begin(a, first, first)
	again := first
	again.By, again.Job, again.Asked = "another", newTag(), noon.Add(time.Hour)
	begin(b, again, first)
	second := room.Erasure{User: "u2", By: "admin", Job: newTag(), Asked: noon.Add(-time.Hour)}
	begin(b, second, second)
	next := func(s room.ErasureStore, want room.Erasure) {
		t.Helper()
		if got, found, err := s.NextErasure(within(t)); err != nil || !found || got != want {
			t.Fatalf("ERASE-4: next is %+v, %t, %v; want %+v", got, found, err, want)
		}
	}
	move := func(s room.ErasureStore, e room.Erasure, upto room.ID, rooms int64, done bool) {
		t.Helper()
		must(t, "move", s.MoveErasure(within(t), e, upto, rooms, done))
	}
	next(a, second)
	move(a, second, "chat:b", 1, false)
	move(b, second, "chat:b", 1, false) // told twice
	move(b, second, "chat:a", 1, false) // late
	move(b, again, "chat:z", 1, false)  // of no job that there is
	second.Upto, second.Rooms = "chat:b", 1
	next(b, second)
	move(a, second, "chat:c", 1, false)
	move(a, second, "", 0, true)
	next(a, first)
	got, found, err := b.FindErasure(within(t), "u2")
	if err != nil || !found || got.Done.IsZero() || got.Rooms != 2 || got.Upto != "chat:c" {
		t.Fatalf("ERASE-1: done as %+v, %t, %v", got, found, err)
	}
	if _, found, err := a.FindErasure(within(t), "u3"); err != nil || found {
		t.Fatalf("a job of nobody: %t, %v", found, err)
	}
	third := room.Erasure{User: "u2", By: "u9", Job: newTag(), Asked: noon.Add(2 * time.Hour)}
	begin(a, third, third) // it was done; it begins again
	move(b, second, "chat:x", 1, true)
	next(a, first)
}
