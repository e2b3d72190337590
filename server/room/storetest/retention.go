package storetest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"roomlog/server/room"
)

// month is the window of tags in these tests.
const month = 30 * 24 * time.Hour

func mustPrune(t *testing.T, s room.Store, id room.ID, keep room.Retention, limit int) room.Pruned {
	t.Helper()
	out, err := s.(room.Pruner).Prune(within(t), id, keep, month, limit)
	if err != nil {
		t.Fatalf("prune %s: %v", id, err)
	}
	return out
}

// checkFloor fails unless the room holds exactly the events of log from floor on.
func checkFloor(t *testing.T, f Factory, s room.Store, id room.ID, log []room.Event, floor room.Seq) {
	t.Helper()
	head := room.Seq(len(log))
	mark := room.Mark(0)
	if floor > 1 {
		mark = log[floor-2].Mark
	}
	h := mustHead(t, s, id)
	if h.Floor != floor || h.FloorMark != mark || h.Seq != head || h.Mark != log[head-1].Mark {
		t.Fatalf("RET-1: the head is %+v, not floor %d with mark %s and head %d", h, floor, mark, head)
	}
	p := mustRead(t, s, room.Query{Room: id, Anchor: room.After, Seq: 0, Limit: 1000})
	if p.Prev != floor-1 || p.PrevMark != mark || p.Head != h {
		t.Fatalf("RET-1: the page from the beginning is after %d/%s, not %d/%s", p.Prev, p.PrevMark, floor-1, mark)
	}
	checkDense(t, p.Events, floor, int(head-floor+1))
	for i, e := range p.Events {
		if !sameEvent(e, log[int(floor)-1+i]) {
			t.Fatalf("ROOM-7: event %d is %+v after a prune", e.Seq, e)
		}
	}
	if rows, _, _ := f.Count(t, id); rows != int64(head-floor+1) {
		t.Fatalf("I3: the database has %d rows of a room with events %d to %d", rows, floor, head)
	}
}

// testPruneByNumber prunes in steps: each removes the oldest, no more than its limit, and the floor only rises.
func testPruneByNumber(t *testing.T, f Factory) {
	s := f.open(t)
	id := room.ID("chat:number")
	if out := mustPrune(t, s, id, room.Retention{Events: 1}, 10); out.Events != 0 || out.Head != mustHead(t, s, id) {
		t.Errorf("a prune of a room that does not exist gives %+v", out)
	}
	for range 5 {
		fill(t, s, id, 5)
	}
	log := mustLog(t, s, id)
	for _, step := range []struct {
		keep  int64
		limit int
		gone  int
		floor room.Seq
	}{
		{0, 100, 0, 1}, {25, 100, 0, 1}, {1000, 100, 0, 1}, {10, 4, 4, 5}, {10, 4, 4, 9}, {20, 4, 0, 9}, {10, 100, 7, 16}, {10, 100, 0, 16}, {1, 100, 9, 25},
	} {
		out := mustPrune(t, s, id, room.Retention{Events: step.keep}, step.limit)
		if out.Events != step.gone || out.Head != mustHead(t, s, id) {
			t.Fatalf("RET-1: a prune to %d events, %d at most, gives %+v, not %d", step.keep, step.limit, out, step.gone)
		}
		checkFloor(t, f, s, id, log, step.floor)
	}
	if out := mustAppend(t, s, say(id, "u1", "next")); out.Verdicts[0].Seq != 26 || out.Rooms[0].BeforeMark != log[24].Mark || out.Rooms[0].Head.Floor != 25 {
		t.Errorf("ROOM-5: the append after a prune gives %+v", out)
	}
}

// testPruneByAge goes by when events were stored, in a row from the oldest: one that is young keeps those
// behind it, so that a clock that jumped makes no hole.
func testPruneByAge(t *testing.T, f Factory) {
	s := f.open(t)
	id := room.ID("chat:age")
	fill(t, s, id, 20)
	f.Backdate(t, id, 1, 11, 2*time.Hour)
	f.Backdate(t, id, 13, 15, 2*time.Hour)
	log := mustLog(t, s, id)
	hour := room.Retention{Age: time.Hour}
	for _, step := range []struct {
		keep  room.Retention
		limit int
		gone  int
		floor room.Seq
	}{
		{room.Retention{Age: 3 * time.Hour}, 100, 0, 1}, {hour, 4, 4, 5}, {hour, 100, 6, 11}, {hour, 100, 0, 11},
		{room.Retention{Age: time.Hour, Events: 8}, 100, 4, 15}, {room.Retention{Age: 3 * time.Hour, Events: 3}, 100, 3, 18},
	} {
		if out := mustPrune(t, s, id, step.keep, step.limit); out.Events != step.gone {
			t.Fatalf("RET-1: a prune to %+v gives %+v, not %d", step.keep, out, step.gone)
		}
		checkFloor(t, f, s, id, log, step.floor)
	}
}

// testPruneEverything leaves a room with a head and no event, which goes on from there.
func testPruneEverything(t *testing.T, f Factory) {
	s := f.open(t)
	id := room.ID("chat:all")
	fill(t, s, id, 7)
	f.Backdate(t, id, 1, 8, 2*time.Hour)
	log := mustLog(t, s, id)
	if out := mustPrune(t, s, id, room.Retention{Age: time.Hour}, 100); out.Events != 7 {
		t.Fatalf("RET-1: %+v", out)
	}
	checkFloor(t, f, s, id, log, 8)
	for _, a := range []room.Anchor{room.After, room.Before, room.Around, room.Latest} {
		for _, seq := range []room.Seq{0, 3, 7, 8, 20} {
			p := mustRead(t, s, room.Query{Room: id, Anchor: a, Seq: seq, Limit: 10})
			if p.Prev != 7 || p.PrevMark != log[6].Mark || len(p.Events) != 0 {
				t.Errorf("PAGE-2: anchor %d at %d reads %+v of a room without events", a, seq, p)
			}
		}
	}
	out := mustAppend(t, s, say(id, "u1", "next"))
	if out.Verdicts[0].Seq != 8 || out.Rooms[0].Before != 7 || out.Rooms[0].BeforeMark != log[6].Mark {
		t.Errorf("ROOM-5: the append after everything was pruned gives %+v", out)
	}
	checkDense(t, mustRead(t, s, room.Query{Room: id, Anchor: room.After, Seq: 7, Limit: 10}).Events, 8, 1)
}

// testPrunedTags repeats sends whose events are gone (TAG-7): the first result, and nothing is stored.
func testPrunedTags(t *testing.T, f Factory) {
	s := f.Open(t)
	id := room.ID("chat:tags")
	sends := fill(t, s, id, 12)
	log := mustLog(t, s, id)
	mustPrune(t, s, id, room.Retention{Events: 3}, 100)
	check := func(s room.Store, when string) {
		t.Helper()
		for i, v := range mustAppend(t, s, sends...).Verdicts {
			if !v.Duplicate || v.Seq != log[i].Seq || v.Mark != log[i].Mark || !v.At.Equal(log[i].At) {
				t.Fatalf("TAG-7: the repeat of event %d is answered with %+v %s", i+1, v, when)
			}
		}
		again := sends[0]
		again.Repeat = true
		if v := mustAppend(t, s, again).Verdicts[0]; !v.Duplicate || v.Seq != 1 {
			t.Fatalf("SEND-6: asked for, event 1 is answered with %+v %s", v, when)
		}
		for _, change := range []func(*room.Send){
			func(s *room.Send) { s.Type = "edit" },
			func(s *room.Send) { s.Data = []byte(`{"text":"another"}`) },
			func(s *room.Send) { s.Type, s.Data = "message {", s.Data[1:] }, // what is told apart only by where it is cut
		} {
			other := sends[1]
			change(&other)
			if v := mustAppend(t, s, other).Verdicts[0]; v.Refused == nil || v.Refused.Code != room.CodeTagConflict || v.Seq != 0 {
				t.Fatalf("TAG-4: another event with the tag of event 2 is answered with %+v %s", v, when)
			}
		}
		checkFloor(t, f, s, id, log, 10)
	}
	check(s, "after a prune")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = f.open(t)
	check(s, "after reopening")
	theirs, elsewhere := sends[0], sends[0]
	theirs.Author, elsewhere.Room = "u2", "chat:elsewhere"
	out := mustAppend(t, s, sends[2], theirs, elsewhere, sends[2], theirs)
	for i, want := range []room.Verdict{{Seq: 3, Duplicate: true}, {Seq: 13}, {Seq: 1}, {Seq: 3, Duplicate: true}, {Seq: 13, Duplicate: true}} {
		if v := out.Verdicts[i]; v.Seq != want.Seq || v.Duplicate != want.Duplicate {
			t.Errorf("TAG-5: send %d of the batch is answered with %+v, not %+v", i, v, want)
		}
	}
}

// testTagWindow forgets the tags of pruned events when their time is over, and no sooner.
func testTagWindow(t *testing.T, f Factory) {
	s := f.open(t)
	id := room.ID("chat:window")
	sends := fill(t, s, id, 30)
	f.Backdate(t, id, 1, 11, month+time.Hour)
	f.Backdate(t, id, 11, 21, month-time.Hour)
	mustPrune(t, s, id, room.Retention{Events: 5}, 100)
	if _, tags := f.Rows(t); tags != 15 {
		t.Errorf("TAG-7: %d tags are kept of 25 events that were pruned, 10 of which are past the window", tags)
	}
	if out := mustAppend(t, s, sends[0], sends[9], sends[10]); out.Verdicts[0].Seq != 31 || out.Verdicts[1].Seq != 32 || out.Verdicts[2].Seq != 11 {
		t.Errorf("TAG-7: repeats on both sides of the window are answered with %+v", out.Verdicts)
	}
	for _, step := range []struct {
		tags time.Duration
		rows []int
		left int64
	}{{month, []int{0}, 15}, {month - 2*time.Hour, []int{4, 4, 2}, 5}, {time.Nanosecond, []int{4, 1}, 0}} {
		for i, rows := range step.rows {
			out, err := s.(room.Pruner).Sweep(within(t), step.tags, 4)
			if more := i < len(step.rows)-1; err != nil || out.Rows != rows || out.More != more {
				t.Errorf("TAG-7: sweep %d of tags older than %s: %+v, %v, not %d", i, step.tags, out, err, rows)
			}
		}
		if _, tags := f.Rows(t); tags != step.left {
			t.Errorf("TAG-7: %d tags are left of those younger than %s, not %d", tags, step.tags, step.left)
		}
	}
	if v := mustAppend(t, s, sends[29]).Verdicts[0]; !v.Duplicate || v.Seq != 30 {
		t.Errorf("TAG-7: the tag of an event that is kept was forgotten: %+v", v)
	}
}

// testOverdue looks through the rooms of a kind, and of no other.
func testOverdue(t *testing.T, f Factory) {
	s := f.open(t)
	for _, id := range []room.ID{"chat:a", "chat:b", "chat:c", "cha:x", "chats:x", "chat-:x"} {
		fill(t, s, id, 5)
	}
	fill(t, s, "chat:b", 1)
	f.Backdate(t, "chat:c", 1, 2, 2*time.Hour)
	f.Backdate(t, "chat:a", 2, 5, 2*time.Hour) // behind a young one
	if _, _, err := s.(room.Rooms).Create(within(t), "chat:empty", "u1", 0); err != nil {
		t.Fatal(err)
	}
	for want, keep := range map[string]room.Retention{
		"[]": {}, "[chat:b]": {Events: 5}, "[chat:c]": {Age: time.Hour}, "[chat:b chat:c]": {Age: time.Hour, Events: 5}, "[chat:a chat:b chat:c]": {Events: 4},
	} {
		for _, scan := range []int{1, 2, 3, 100} {
			var due []room.ID
			var after room.ID
			for range 10 {
				ids, next, err := s.(room.Pruner).Overdue(within(t), "chat", keep, after, scan)
				if err != nil {
					t.Fatal(err)
				}
				due = append(due, ids...)
				if after = next; next == "" {
					break
				}
			}
			if fmt.Sprint(due) != want || after != "" {
				t.Errorf("of %+v, %d at a time, %v are overdue, not %s", keep, scan, due, want)
			}
		}
	}
}

// testPruneUnderLoad prunes a room that is written, paged through and sent to again, over two handles: a
// page continues the log or begins at the floor (I12), and a repeat gives the first result, gone or not.
func testPruneUnderLoad(t *testing.T, f Factory) {
	hs, ctx := f.pair(t), within(t)
	id := room.ID("chat:load")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var known sync.Map // seq -> mark
	var writing atomic.Int32
	writing.Store(4)
	together(t, 9, func(i int) error {
		rnd := rand.New(rand.NewPCG(seed, uint64(i)))
		s := hs[i%2]
		switch {
		case i < 4:
			defer writing.Add(-1)
			return repeatAcrossPrunes(t, s, id, i, rnd, &known)
		case i < 6:
			for writing.Load() > 0 {
				if _, err := s.(room.Pruner).Prune(ctx, id, room.Retention{Events: 1 + rnd.Int64N(30)}, month, 1+rnd.IntN(20)); err != nil {
					return fmt.Errorf("prune: %w", err)
				}
			}
			return nil
		}
		at, floor := room.Position{}, room.Seq(1)
		for writing.Load() > 0 {
			p, err := s.Read(ctx, room.Query{Room: id, Anchor: room.After, Seq: at.Seq, Limit: 1 + rnd.IntN(20), MaxBytes: 100 * rnd.IntN(5)})
			if err != nil {
				return err
			}
			h := p.Head
			switch {
			case h.Floor < floor:
				return fmt.Errorf("RET-1: the floor went back from %d to %d", floor, h.Floor)
			case at.Seq >= h.Floor-1 && (p.Prev != at.Seq || p.PrevMark != at.Mark):
				return fmt.Errorf("I12: the page after %d/%s is after %d/%s although the floor is %d", at.Seq, at.Mark, p.Prev, p.PrevMark, h.Floor)
			case at.Seq < h.Floor-1 && (p.Prev != h.Floor-1 || p.PrevMark != h.FloorMark):
				return fmt.Errorf("I12: the page at the floor %d is after %d", h.Floor, p.Prev)
			case len(p.Events) == 0 && p.Prev < h.Seq:
				return fmt.Errorf("I12: an empty page after %d where the head is %d", p.Prev, h.Seq)
			}
			for j, e := range p.Events {
				if e.Seq != p.Prev+room.Seq(j)+1 {
					return fmt.Errorf("I3: seq %d at place %d of a page after %d", e.Seq, j, p.Prev)
				}
			}
			at, floor = p.Position(), h.Floor
			if rnd.IntN(5) == 0 { // begin somewhere again, maybe far below the floor
				at = room.Position{Seq: rnd.Int64N(at.Seq + 1)}
				mark, ok := known.Load(at.Seq)
				if !ok {
					at = room.Position{}
				} else {
					at.Mark = mark.(room.Mark)
				}
			}
		}
		return nil
	})
	head := mustHead(t, hs[0], id)
	if want := room.Seq(4 * prunedRounds); head.Seq != want || head.Floor == 1 {
		t.Fatalf("I1: floor %d and head %d after %d sends", head.Floor, head.Seq, want)
	}
	rows, _, _ := f.Count(t, id)
	if _, tags := f.Rows(t); rows != int64(head.Seq-head.Floor+1) || tags != int64(head.Floor-1) {
		t.Errorf("I3: %d events and %d tags of a room with floor %d and head %d", rows, tags, head.Floor, head.Seq)
	}
}

const prunedRounds = 60

// repeatAcrossPrunes sends, and sends again what it sent any time before.
func repeatAcrossPrunes(t *testing.T, s room.Store, id room.ID, who int, rnd *rand.Rand, known *sync.Map) error {
	var sent []room.Send
	var got []room.Verdict
	for r := range prunedRounds {
		batch := []room.Send{say(id, fmt.Sprint("u", who), fmt.Sprint(r))}
		again := -1
		if len(sent) > 0 {
			again = rnd.IntN(len(sent))
			batch = append(batch, sent[again])
		}
		out, err := s.Append(within(t), batch)
		if err != nil {
			return fmt.Errorf("append: %w", err)
		}
		v := out.Verdicts[0]
		if v.Duplicate || v.Refused != nil {
			return fmt.Errorf("I2: a new event is answered with %+v", v)
		}
		known.Store(v.Seq, v.Mark)
		if again >= 0 {
			first, w := got[again], out.Verdicts[1]
			if !w.Duplicate || w.Seq != first.Seq || w.Mark != first.Mark || !w.At.Equal(first.At) {
				return fmt.Errorf("TAG-7: the repeat of %+v is answered with %+v", first, w)
			}
		}
		sent, got = append(sent, batch[0]), append(got, v)
	}
	return nil
}
