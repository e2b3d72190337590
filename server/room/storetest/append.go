package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"roomlog/server/room"
)

func testEmptyRoom(t *testing.T, f Factory) {
	s := f.open(t)
	id := room.ID("chat:empty")
	h := mustHead(t, s, id)
	if h.Room != id || h.Seq != 0 || h.Mark != 0 || h.Floor != 1 || h.FloorMark != 0 {
		t.Errorf("ROOM-4: the head of a room nobody wrote to is %+v", h)
	}
	if _, err := room.ParsePosition(h.Position().String()); err != nil || h.Epoch == "" {
		t.Errorf("ROOM-4: the epoch %q of an empty room is not one: %v", h.Epoch, err)
	}
	for _, a := range []room.Anchor{room.After, room.Before, room.Around, room.Latest} {
		p := mustRead(t, s, room.Query{Room: id, Anchor: a, Seq: 7, Limit: 10})
		if p.Head != h || p.Prev != 0 || p.PrevMark != 0 || len(p.Events) != 0 {
			t.Errorf("PAGE-2: anchor %d reads %+v of an empty room", a, p)
		}
	}
	if rows, _, _ := f.Count(t, id); rows != 0 {
		t.Errorf("ROOM-4: reading stored %d rows", rows)
	}
	out, err := s.Append(within(t), nil)
	if err != nil || len(out.Verdicts) != 0 || len(out.Rooms) != 0 {
		t.Errorf("a batch of nothing gives %+v, %v", out, err)
	}
}

func testFirstAppend(t *testing.T, f Factory) {
	s := f.open(t)
	id := room.ID("chat:first")
	epoch := mustHead(t, s, id).Epoch
	before := time.Now().Add(-time.Minute)
	send := say(id, "u1", "hello")
	out := mustAppend(t, s, send)
	v := out.Verdicts[0]
	if v.Seq != 1 || v.Mark == 0 || v.Duplicate || v.NotStored || v.Refused != nil {
		t.Errorf("ROOM-5: the first verdict is %+v", v)
	}
	if v.At.Before(before) || v.At.After(time.Now().Add(time.Minute)) || v.At.Location() != time.UTC || v.At.Nanosecond()%1000 != 0 {
		t.Errorf("ROOM-6: stored at %s", v.At)
	}
	h := mustHead(t, s, id)
	if h.Epoch != epoch {
		t.Errorf("ROOM-4: the first event changed the epoch from %s to %s", epoch, h.Epoch)
	}
	if h.Seq != 1 || h.Mark != v.Mark || h.Floor != 1 || h.FloorMark != 0 {
		t.Errorf("POS-4: the head after %+v is %+v", v, h)
	}
	p := mustRead(t, s, room.Query{Room: id, Anchor: room.Latest, Limit: 10})
	checkDense(t, p.Events, 1, 1)
	checkStored(t, p.Events[0], send, v)
	if p.Head != h {
		t.Errorf("PAGE-1: the page's head is %+v, the room's %+v", p.Head, h)
	}
	if other := mustHead(t, s, "chat:other"); other.Epoch != epoch {
		t.Errorf("two new rooms of one store have the epochs %s and %s", epoch, other.Epoch)
	}
}

func testBatchOrder(t *testing.T, f Factory) {
	s := f.open(t)
	var batch []room.Send
	for i := range 60 {
		batch = append(batch, say(room.ID(fmt.Sprintf("chat:%c", "cab"[i%3])), fmt.Sprint("u", i%4), fmt.Sprint(i)))
	}
	for round := range 2 {
		if round == 1 {
			for i := range batch {
				batch[i].Tag = newTag()
			}
		}
		out := mustAppend(t, s, batch...)
		logs := map[room.ID][]room.Event{}
		for i, v := range out.Verdicts {
			id := batch[i].Room
			if logs[id] == nil {
				logs[id] = mustLog(t, s, id)
				checkDense(t, logs[id], 1, 20*(round+1))
			}
			if want := room.Seq(20*round + i/3 + 1); v.Seq != want {
				t.Fatalf("SEND-8: send %d of the batch has seq %d in its room, not %d", i, v.Seq, want)
			}
			checkStored(t, logs[id][v.Seq-1], batch[i], v)
		}
	}
}

func testTags(t *testing.T, f Factory) {
	hs := f.pair(t)
	first := say("chat:tags", "u1", "hello")
	stored := mustAppend(t, hs[0], first).Verdicts[0]

	again := mustAppend(t, hs[1], first).Verdicts[0]
	if want := duplicateOf(stored); again != want {
		t.Errorf("TAG-3: the repeat is answered with %+v, not %+v", again, want)
	}
	otherData, otherType := first, first
	otherData.Data = []byte(`{"text":"bye"}`)
	otherType.Type = "edit"
	for _, s := range []room.Send{otherData, otherType} {
		v := mustAppend(t, hs[1], s).Verdicts[0]
		if v.Refused == nil || v.Refused.Code != room.CodeTagConflict || v.Seq != 0 || v.Duplicate {
			t.Errorf("TAG-4: another event with the tag is answered with %+v", v)
		}
	}
	otherAuthor, otherRoom := first, first
	otherAuthor.Author = "u2"
	otherRoom.Room = "chat:tags2"
	if v := mustAppend(t, hs[1], otherAuthor).Verdicts[0]; v.Seq != 2 || v.Duplicate || v.Refused != nil {
		t.Errorf("TAG-5: another author's event with the tag is answered with %+v", v)
	}
	if v := mustAppend(t, hs[1], otherRoom).Verdicts[0]; v.Seq != 1 || v.Duplicate || v.Refused != nil {
		t.Errorf("TAG-5: another room's event with the tag is answered with %+v", v)
	}
	log := mustLog(t, hs[0], "chat:tags")
	checkDense(t, log, 1, 2)
	checkStored(t, log[0], first, stored)
}

// duplicateOf is the verdict that a repeat of v's event gets.
func duplicateOf(v room.Verdict) room.Verdict {
	v.Duplicate = true
	return v
}

func testTagsWithinBatch(t *testing.T, f Factory) {
	s := f.open(t)
	id := room.ID("chat:within")
	old := say(id, "u1", "old")
	mustAppend(t, s, old)
	a, b := say(id, "u1", "a"), say(id, "u1", "b")
	conflict, theirs := a, a
	conflict.Data = []byte(`"other"`)
	theirs.Author = "u2"
	out := mustAppend(t, s, a, a, old, b, conflict, theirs, a, b)
	seqs := []room.Seq{2, 2, 1, 3, 0, 4, 2, 3}
	duplicate := []bool{false, true, true, false, false, false, true, true}
	for i, v := range out.Verdicts {
		if v.Seq != seqs[i] || v.Duplicate != duplicate[i] || v.NotStored || (v.Refused != nil) != (i == 4) {
			t.Errorf("TAG-3: send %d of the batch is answered with %+v, not seq %d, duplicate %t", i, v, seqs[i], duplicate[i])
		}
	}
	if r := out.Verdicts[4].Refused; r == nil || r.Code != room.CodeTagConflict {
		t.Errorf("TAG-4: the conflict within the batch is answered with %v", r)
	}
	if out.Verdicts[1] != duplicateOf(out.Verdicts[0]) {
		t.Errorf("TAG-3: the repeat within the batch has %+v, the first %+v", out.Verdicts[1], out.Verdicts[0])
	}
	checkDense(t, mustLog(t, s, id), 1, 4)
}

func testRepeat(t *testing.T, f Factory) {
	s := f.open(t)
	id := room.ID("chat:repeat")
	send := say(id, "u1", "hello")
	ask := send
	ask.Repeat = true

	out := mustAppend(t, s, ask)
	if v := out.Verdicts[0]; v != (room.Verdict{NotStored: true}) {
		t.Errorf("SEND-6: the repeat of nothing is answered with %+v", v)
	}
	if len(out.Rooms) != 0 {
		t.Errorf("SEND-6: the repeat of nothing made a room: %+v", out.Rooms)
	}
	out = mustAppend(t, s, ask, send, ask)
	if v := out.Verdicts; !v[0].NotStored || v[1].Seq != 1 || v[1].Duplicate || v[2] != duplicateOf(v[1]) {
		t.Errorf("SEND-6: asked, sent, asked: %+v", v)
	}
	if v := mustAppend(t, s, ask).Verdicts[0]; v != duplicateOf(out.Verdicts[1]) {
		t.Errorf("SEND-6: the repeat is answered with %+v, not with the first result %+v", v, out.Verdicts[1])
	}
	ask.Data = []byte(`"other"`)
	if v := mustAppend(t, s, ask).Verdicts[0]; v.Refused == nil || v.Refused.Code != room.CodeTagConflict {
		t.Errorf("TAG-4: the repeat of another event is answered with %+v", v)
	}
	ask.Tag = newTag()
	if v := mustAppend(t, s, ask).Verdicts[0]; !v.NotStored {
		t.Errorf("SEND-6: the repeat of a new tag in a room with events is answered with %+v", v)
	}
	checkDense(t, mustLog(t, s, id), 1, 1)
}

func testRetryBurnsNothing(t *testing.T, f Factory) {
	hs := f.pair(t)
	id := room.ID("chat:retry")
	send := say(id, "u1", "hello")
	conflict := send
	conflict.Type = "edit"
	ask := say(id, "u1", "never sent")
	ask.Repeat = true
	mustAppend(t, hs[0], send)
	for i := range 10 {
		mustAppend(t, hs[i%2], send, conflict, ask, send)
	}
	if h := mustHead(t, hs[0], id); h.Seq != 1 {
		t.Errorf("ROOM-5: retries moved the head to %d", h.Seq)
	}
	if v := mustAppend(t, hs[1], send, say(id, "u1", "next")).Verdicts[1]; v.Seq != 2 {
		t.Errorf("ROOM-5: the event after the retries has seq %d", v.Seq)
	}
	checkDense(t, mustLog(t, hs[0], id), 1, 2)
}

func testMarks(t *testing.T, f Factory) {
	hs := f.pair(t)
	seen := map[room.Mark]bool{}
	for i := range 20 {
		id := room.ID(fmt.Sprintf("chat:marks%d", i%2))
		out := mustAppend(t, hs[i%2], say(id, "u1", "a"), say(id, "u1", "b"), say("chat:marks-too", "u1", "c"))
		v := out.Verdicts
		if v[0].Mark != v[1].Mark {
			t.Fatalf("POS-4: two events of one append have the marks %s and %s", v[0].Mark, v[1].Mark)
		}
		if v[0].Mark == 0 || seen[v[0].Mark] || v[2].Mark == 0 {
			t.Fatalf("POS-4: append %d drew the mark %s", i, v[0].Mark)
		}
		seen[v[0].Mark] = true
		if h := mustHead(t, hs[0], id); h.Mark != v[1].Mark {
			t.Fatalf("POS-2: the head's mark is %s, that of its event %s", h.Mark, v[1].Mark)
		}
		log := mustLog(t, hs[1], id) // checks every page's PrevMark as well
		if e := log[v[0].Seq-1]; e.Mark != v[0].Mark {
			t.Fatalf("POS-4: event %d has mark %s, its verdict %s", e.Seq, e.Mark, v[0].Mark)
		}
	}
}

func testGrowth(t *testing.T, f Factory) {
	hs := f.pair(t)
	ids := []room.ID{"chat:b", "chat:a", "chat:c"}
	at := map[room.ID]room.Position{}
	old := say("chat:c", "u1", "once")
	mustAppend(t, hs[0], old)
	at["chat:c"] = mustHead(t, hs[0], "chat:c").Position()
	for round := range 6 {
		batch := []room.Send{old}
		for i, id := range ids[:2] {
			for range i + round%2 + 1 {
				batch = append(batch, say(id, "u1", "x"))
			}
		}
		out := mustAppend(t, hs[round%2], batch...)
		var order []string
		for _, g := range out.Rooms {
			order = append(order, string(g.Head.Room))
			was := at[g.Head.Room]
			if g.Before != was.Seq || g.BeforeMark != was.Mark {
				t.Fatalf("PAGE-6: %s grew from %d/%s, the growth before ended at %d/%s", g.Head.Room, g.Before, g.BeforeMark, was.Seq, was.Mark)
			}
			if h := mustHead(t, hs[0], g.Head.Room); h != g.Head {
				t.Fatalf("%s grew to %+v, its head is %+v", g.Head.Room, g.Head, h)
			}
			at[g.Head.Room] = g.Head.Position()
		}
		if got := strings.Join(order, " "); got != "chat:a chat:b chat:c" {
			t.Fatalf("the rooms of the batch are %q, not each once and in order", got)
		}
		if c := out.Rooms[2]; c.Before != c.Head.Seq || c.Head.Seq != 1 {
			t.Fatalf("a batch of repeats grew a room: %+v", c)
		}
	}
}

func testLargeBatch(t *testing.T, f Factory) {
	s := f.open(t)
	var batch []room.Send
	for i := range 1024 {
		batch = append(batch, say(room.ID(fmt.Sprintf("chat:%d", i%700)), "u1", fmt.Sprint(i)))
	}
	out := mustAppend(t, s, batch...)
	for i, v := range out.Verdicts {
		if want := room.Seq(i/700 + 1); v.Seq != want {
			t.Fatalf("send %d of a large batch has seq %d, not %d", i, v.Seq, want)
		}
	}
	if len(out.Rooms) != 700 {
		t.Fatalf("the batch names 700 rooms, %d grew", len(out.Rooms))
	}
}
