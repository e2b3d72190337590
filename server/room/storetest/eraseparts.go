package storetest

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"roomlog/server/room"
)

// large fills a room with so many messages of u1 that an erasure has that many parts at least, each followed by one of u2, and what else goes or
// stays with them: u2 mentions u1, and edits each 40th message of u1 as a moderator; u1 reacts to and edits each 40th of u2.
func large(t *testing.T, s room.Store, id room.ID, parts int) {
	t.Helper()
	n := parts * room.EraseMost
	var changes, sends []room.Send
	for i := range n {
		mine, theirs := say(id, "u1", fmt.Sprint("canary ", i)), say(id, "u2", "stays")
		theirs.Mentions = []string{"u1"}
		sends = append(sends, mine, theirs)
		if at := room.Seq(len(sends)); i%40 == 0 {
			changes = append(changes, byModerator(edit(id, "u2", at-1, "canary-by-another")), edit(id, "u2", at, "theirs"),
				byModerator(edit(id, "u1", at, "canary-of-theirs")), react(id, "u1", at, "👍"), react(id, "u3", at, "👍"))
		}
	}
	for batch := range slices.Chunk(append(sends, changes...), 500) {
		for i, v := range mustAppend(t, s, batch...).Verdicts {
			if v.Refused != nil {
				t.Fatalf("%+v is refused: %v", batch[i], v.Refused)
			}
		}
	}
}

// erasing says whether an event is one that the erasure of u1 takes the data of, in a log that is dense from 1.
func erasing(log []room.Event, e room.Event) bool {
	of := e.Author
	if e.Type == room.TypeEdit && log[e.Target-1].Author == "u1" {
		of = "u1"
	}
	return of == "u1" && e.Type != room.TypeDelete && e.Type != room.TypeMember && e.Type != room.TypeErase
}

// checkParts fails unless each event of a room is as it was before, or has gone as one that is erased does; with stored, unless all those have gone by it.
func checkParts(t *testing.T, s room.Store, id room.ID, before []room.Event, stored room.Seq) (gone int64) {
	t.Helper()
	log := mustLog(t, s, id)
	checkDense(t, log, 1, len(log))
	var left room.Gone
	if stored > 0 {
		left = room.Gone{Seq: stored, By: "admin", At: log[stored-1].At}
	}
	for i, want := range before {
		e := log[i]
		if stored > 0 && e.Seq < stored && erasing(log, e) || e.Gone != nil && erasing(log, e) {
			if e.Gone == nil || stored > 0 && *e.Gone != left || stored == 0 && (e.Gone.Seq != 0 || e.Gone.By != "admin" || e.Gone.At.IsZero()) {
				t.Fatalf("ERASE-2: the erase event is %d, event %d is gone by %+v, not %+v", stored, e.Seq, e.Gone, left)
			}
			want.Data, want.Gone, gone = []byte("null"), e.Gone, gone+1
		}
		if why := differs(e, want); why != "" {
			t.Fatalf("ERASE-2: the erase event is %d, event %d is %+v: %s", stored, e.Seq, e, why)
		}
	}
	return gone
}

// testEraseParts takes what a user said from a large room in parts, over two handles, each of which may be the last that a node does; others and the
// user append in between. What went is gone at once, the event comes with the last, and only then is told what it took (ERASE-2, ERASE-4).
func testEraseParts(t *testing.T, f Factory) {
	hs := f.pair(t)
	id, tag := room.ID("chat:parts"), newTag()
	large(t, hs[0], id, 2)
	log := mustLog(t, hs[0], id)
	e := room.Erasure{User: "u1", By: "admin", Job: newTag(), Asked: noon}
	_, err := erasureOf(t, hs[0]).BeginErasure(within(t), e)
	must(t, "begin", err)
	var events int64
	var stored room.Seq
	parts := 0
	for more := true; more; parts++ {
		head := mustHead(t, hs[0], id).Seq
		out, err := erasureOf(t, hs[parts%2]).EraseIn(within(t), e, id, tag, []byte(`{"user":"u1"}`))
		events += out.Events
		if more, stored = out.More, out.Stored; err != nil || out.Events > room.EraseMost || more != (stored == 0) || parts > 20 {
			t.Fatalf("ERASE-2: part %d is %+v, %v", parts, out, err)
		}
		if more && mustHead(t, hs[0], id).Seq != head {
			t.Fatalf("ERASE-4: part %d stored an event", parts)
		}
		if n := checkParts(t, hs[1-parts%2], id, log, stored); n != events {
			t.Fatalf("ERASE-2: after part %d %d events have gone, %d by what it says", parts, n, events)
		}
		if got, _, err := erasureOf(t, hs[0]).FindErasure(within(t), "u1"); err != nil || got.Events != events {
			t.Fatalf("ERASE-1: after part %d the job counts %d events, %v; not %d", parts, got.Events, err, events)
		}
		if more {
			if parts == 0 {
				first := room.Send{Room: id, Author: "u1", Tag: log[0].Tag, Type: log[0].Type, Data: log[0].Data}
				if v := mustAppend(t, hs[0], first, edit(id, "u1", 1, "late")).Verdicts; !v[0].Duplicate || v[0].Gone == nil || v[0].Gone.Seq != 0 || !refusedAs(v[1], room.UnknownTarget()) {
					t.Fatalf("CHG-7: the repeat of an erased send, and an edit of it, are answered with %+v", v)
				}
			}
			mustAppend(t, hs[0], say(id, "u1", "canary between"), say(id, "u2", "between"))
			log = append(log, mustLog(t, hs[0], id)[len(log):]...)
		}
	}
	if parts < 3 {
		t.Fatalf("it took %d parts", parts)
	}
	for _, i := range []int{0, 1} {
		eraseUser(t, hs[i], "u1", id, tag, room.Erased{Stored: stored})
	}
	after := say(id, "u1", "said since")
	mustAppend(t, hs[0], after)
	eraseUser(t, hs[1], "u1", id, tag, room.Erased{Stored: stored})
	checkNowhere(t, f, "after the last part", "canary")
	if in := f.Mentions(t, id, "u1"); len(in) > 0 {
		t.Errorf("ERASE-2: they are mentioned in %d messages", len(in))
	}
	if b, each := f.Beside(t), int64(2*room.EraseMost/40); b != (Beside{Edits: each, Reactions: each, Redactions: events}) {
		t.Errorf("ERASE-2: %+v is kept beside events, of %d that went", b, events)
	}
	for _, shown := range mustRead(t, hs[1], room.Query{Room: id, Limit: 100, Present: true}).Events {
		if shown.Author == "u2" && shown.Edited != nil && (!strings.Contains(string(shown.Data), `"theirs"`) || len(shown.Reactions) != 1) {
			t.Fatalf("ERASE-2: a message of another is %+v", shown)
		}
	}
	mustPrune(t, hs[0], id, room.Retention{Events: 3}, 10_000)
	first := room.Send{Room: id, Author: "u1", Tag: log[0].Tag, Type: log[0].Type, Data: log[0].Data}
	if v := mustAppend(t, hs[1], first).Verdicts[0]; !v.Duplicate || v.Gone == nil || v.Gone.Seq != stored || v.Gone.By != "admin" {
		t.Errorf("CHG-7: the repeat of an erased send that was pruned is answered with %+v", v)
	}
}

// testEraseLooks looks at a large room part by part, and leaves one that has nothing of the user as it was (ERASE-2).
func testEraseLooks(t *testing.T, f Factory) {
	hs := f.pair(t)
	id, tag := room.ID("chat:looks"), newTag()
	batch := make([]room.Send, 1000)
	for range room.EraseLook/len(batch) + 1 {
		for i := range batch {
			batch[i] = say(id, "u2", "theirs")
		}
		mustAppend(t, hs[0], batch...)
	}
	head := mustHead(t, hs[0], id)
	eraseUser(t, hs[0], "u1", id, tag, room.Erased{More: true})
	eraseUser(t, hs[1], "u1", id, tag, room.Erased{})
	if got := mustHead(t, hs[1], id); got != head {
		t.Errorf("ERASE-2: the head of a room without anything of them is %+v, it was %+v", got, head)
	}
	mustAppend(t, hs[0], say(id, "u1", "late"))
	eraseUser(t, hs[1], "u1", id, tag, room.Erased{More: true}) // nothing was kept: it begins again
	eraseUser(t, hs[0], "u1", id, tag, room.Erased{Stored: head.Seq + 2, Events: 1})
}

// testErasePartsOfDeletedRoom: what was done of a room that is deleted counts for nothing in the one that begins anew, and nothing of it is left (ROOM-10).
func testErasePartsOfDeletedRoom(t *testing.T, f Factory) {
	hs := f.pair(t)
	id, tag := room.ID("chat:parts"), newTag()
	large(t, hs[0], id, 1)
	eraseUser(t, hs[0], "u1", id, tag, room.Erased{More: true, Events: room.EraseMost})
	mustDelete(t, hs[1], id)
	mustAppend(t, hs[1], say(id, "u1", "canary anew"), say(id, "u2", "theirs"))
	eraseUser(t, hs[1], "u1", id, tag, room.Erased{Stored: 3, Events: 1})
	if log := mustLog(t, hs[0], id); log[0].Gone == nil || log[0].Gone.Seq != 3 || log[1].Gone != nil {
		t.Errorf("ERASE-2: the log is %+v", log)
	}
	for i, more := 0, true; more; i++ {
		out, err := hs[0].(room.Pruner).Sweep(within(t), month, 1000)
		if more = out.More; err != nil || i > 100 {
			t.Fatalf("sweep %d: %+v, %v", i, out, err)
		}
	}
	if b := f.Beside(t); b != (Beside{Redactions: 1}) {
		t.Errorf("ROOM-10: %+v is left beside events", b)
	}
	checkNowhere(t, f, "after the sweep", "canary")
}

// testErasePartsUnderLoad has two nodes erase a user in a large room at once, while the user and others say, edit and delete: whatever comes before the event is
// gone, what comes after it stays, and there is one (ERASE-2, ERASE-4).
func testErasePartsUnderLoad(t *testing.T, f Factory) {
	hs, ctx := f.pair(t), within(t)
	id, tag := room.ID("chat:parts"), newTag()
	large(t, hs[0], id, 2)
	e := room.Erasure{User: "u1", By: "admin"}
	var stored [2]room.Seq
	var busy atomic.Int32
	busy.Store(2)
	together(t, 6, func(i int) error {
		if i < 2 {
			defer busy.Add(-1)
		}
		for n := room.Seq(1); ; n++ {
			switch {
			case i < 2:
				out, err := erasureOf(t, hs[i]).EraseIn(ctx, e, id, tag, []byte(`{"user":"u1"}`))
				if err != nil {
					return err
				}
				if stored[i] = out.Stored; !out.More {
					return nil
				}
				continue
			case busy.Load() == 0:
				return nil
			}
			batch := []room.Send{
				say(id, "u1", "canary"), say(id, "u2", "theirs"), byModerator(erase(id, "mod", 4*n-1)),
				byModerator(edit(id, "u2", 4*n+1, "canary-by-another")), byModerator(edit(id, "u1", 2*n, "canary-of-theirs")), react(id, "u1", 2*n, "👍"),
			}
			if _, err := hs[i%2].Append(ctx, batch); err != nil {
				return err
			}
		}
	})
	if stored[0] == 0 || stored[0] != stored[1] {
		t.Fatalf("ERASE-4: the erase events are %d", stored)
	}
	log := mustLog(t, hs[1], id)
	checkDense(t, log, 1, len(log))
	after := 0
	for _, e := range log {
		switch {
		case e.Type == room.TypeErase && e.Seq != stored[0]:
			t.Errorf("ERASE-4: another erase event is %d", e.Seq)
		case e.Seq < stored[0] && erasing(log, e) && (e.Gone == nil || string(e.Data) != "null" || e.Gone.Seq == 0):
			t.Errorf("ERASE-2: event %d, before the erase event %d, is %+v, gone by %+v", e.Seq, stored[0], e, e.Gone)
		case e.Seq > stored[0] && e.Author == "u1":
			after++
		}
	}
	for _, shown := range mustRead(t, hs[0], room.Query{Room: id, Limit: len(log), Present: true}).Events {
		if shown.Seq < stored[0] && (shown.Edited != nil && shown.Edited.Seq < stored[0] && strings.Contains(string(shown.Data), "canary") ||
			slices.ContainsFunc(shown.Reactions, func(r room.Reaction) bool { return slices.Contains(r.Users, "u1") })) {
			late := slices.ContainsFunc(log[stored[0]:], func(e room.Event) bool { return e.Target == shown.Seq && e.Author == "u1" })
			if !late {
				t.Errorf("ERASE-2: a message of another is %+v", shown)
			}
		}
	}
	t.Logf("%d events, the erase event is %d, %d of the user after it", len(log), stored[0], after)
}
