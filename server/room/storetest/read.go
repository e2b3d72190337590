package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"roomlog/server/room"
)

// oddData is JSON that a store which parses it would not give back as it came (DATA-1).
func oddData() []string {
	return []string{
		`null`, `true`, `""`, `[]`, `{}`, `0`, `-0`, `-0.0`, `1e400`, `1E+2`, `1.10`, `123456789012345678901234567890`,
		`{"a":1,"a":2}`, `{"b":1,"a":2}`, `{"":""}`, `"\u00e9\/\b\f"`, `"\ud83d\ude00"`, `"\ud800"`, `"\udc00\ud800"`,
		`"😀é ß"`, "\"\u2028\u2029\ufeff\x7f\"", `"\\u0000"`, `"'; drop table events; --"`, `"$1 ? :a @b %s \\x"`,
		`[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]`, `"` + strings.Repeat("x", room.MaxData-2) + `"`,
		`"` + strings.Repeat("😀", (room.MaxData-2)/4) + `"`,
	}
}

func testData(t *testing.T, f Factory) {
	s := f.open(t)
	id := room.ID("chat:data")
	var batch []room.Send
	for i, d := range oddData() {
		data, err := room.CompactData([]byte(d), room.MaxData)
		if err != nil {
			t.Fatalf("case %d is no event data: %v", i, err)
		}
		send := say(id, "u1", "")
		send.Data = data
		batch = append(batch, send)
	}
	batch[0].Author, batch[1].Author = "auth0|a b'\"\\é😀", strings.Repeat("a", 200)
	batch[2].Type = "x_.-9"
	out := mustAppend(t, s, batch...)
	again := mustAppend(t, s, batch...)
	log := mustLog(t, s, id)
	checkDense(t, log, 1, len(batch))
	for i, e := range log {
		checkStored(t, e, batch[i], out.Verdicts[i]) // DATA-1, byte by byte
		if again.Verdicts[i] != duplicateOf(out.Verdicts[i]) {
			t.Errorf("TAG-3: the repeat of %.40q is answered with %+v", batch[i].Data, again.Verdicts[i])
		}
	}
}

// checkSpan compares a page with the arithmetic of room.Query over the log.
func checkSpan(t *testing.T, p room.Page, q room.Query, log []room.Event, floorMark room.Mark) {
	t.Helper()
	floor, head := log[0].Seq, log[len(log)-1].Seq
	markAt := func(s room.Seq) room.Mark {
		if s < floor {
			return floorMark
		}
		return log[s-floor].Mark
	}
	prev, last, center := q.Span(floor, head)
	for q.MaxBytes > 0 && last-prev > 1 { // drop what is farthest from the center, and later where both are as far
		size := 0
		for s := prev + 1; s <= last; s++ {
			size += len(log[s-floor].Data)
		}
		if size <= q.MaxBytes {
			break
		}
		if below, above := center-(prev+1), last-center; below > above {
			prev++
		} else {
			last--
		}
	}
	if p.Prev != prev || p.PrevMark != markAt(prev) || len(p.Events) != int(last-prev) {
		t.Fatalf("PAGE-1: %+v reads %d events after %d/%s, not %d after %d/%s", q, len(p.Events), p.Prev, p.PrevMark, last-prev, prev, markAt(prev))
	}
	for i, e := range p.Events {
		if want := log[prev+1-floor+room.Seq(i)]; !sameEvent(e, want) {
			t.Fatalf("PAGE-2: %+v reads %+v at place %d, not %+v", q, e, i, want)
		}
	}
	if p.Head.Seq != head || p.Head.Floor != floor || p.Head.FloorMark != floorMark || p.Head.Mark != markAt(head) {
		t.Fatalf("PAGE-1: %+v gives the head %+v", q, p.Head)
	}
}

func sameEvent(a, b room.Event) bool {
	return a.Seq == b.Seq && a.Mark == b.Mark && a.Type == b.Type && a.Author == b.Author && a.Tag == b.Tag &&
		a.At.Equal(b.At) && string(a.Data) == string(b.Data)
}

// edges are the seqs and limits around which spans go wrong.
func checkSpans(t *testing.T, s room.Store, id room.ID, log []room.Event, floorMark room.Mark, maxBytes ...int) {
	t.Helper()
	floor, head := log[0].Seq, log[len(log)-1].Seq
	seqs := []room.Seq{0, 1, floor - 2, floor - 1, floor, floor + 1, (floor + head) / 2, head - 1, head, head + 1, head + 2, head + 100, room.MaxSeq - 1000}
	slices.Sort(seqs)
	for _, seq := range slices.Compact(seqs) {
		for _, anchor := range []room.Anchor{room.After, room.Before, room.Around, room.Latest} {
			for _, limit := range []int{1, 2, 3, 4, len(log) - 1, len(log), len(log) + 1, 500} {
				for _, size := range maxBytes {
					q := room.Query{Room: id, Anchor: anchor, Seq: max(seq, 0), Limit: limit, MaxBytes: size}
					checkSpan(t, mustRead(t, s, q), q, log, floorMark)
				}
			}
		}
	}
}

func testSpans(t *testing.T, f Factory) {
	s := f.open(t)
	id := room.ID("chat:spans")
	fill(t, s, "chat:other", 5)
	fill(t, s, id, 12)
	checkSpans(t, s, id, mustLog(t, s, id), 0, 0)
}

func testSpansAbovePruned(t *testing.T, f Factory) {
	s := f.open(t)
	id := room.ID("chat:pruned")
	for range 6 {
		fill(t, s, id, 3)
	}
	log := mustLog(t, s, id)
	mustPrune(t, s, id, room.Retention{Events: 13}, 100)
	checkSpans(t, s, id, log[5:], log[4].Mark, 0, 25)
	next := mustAppend(t, s, say(id, "u1", "next"))
	if v := next.Verdicts[0]; v.Seq != 19 || next.Rooms[0].Head.Floor != 6 || next.Rooms[0].Head.FloorMark != log[4].Mark {
		t.Errorf("ROOM-5: the append after pruning gives %+v", next)
	}
}

func testMaxBytes(t *testing.T, f Factory) {
	s := f.open(t)
	id := room.ID("chat:bytes")
	for i := range 12 {
		mustAppend(t, s, say(id, "u1", strings.Repeat("x", (i*37)%61)))
	}
	checkSpans(t, s, id, mustLog(t, s, id), 0, 1, 40, 80, 150, 300, 1<<20)
}

func testHeads(t *testing.T, f Factory) {
	s := f.open(t)
	var ids []room.ID
	var batch []room.Send
	want := map[room.ID]room.Growth{}
	for i := range 1000 {
		id := room.ID(fmt.Sprintf("chat:%d", i))
		ids = append(ids, id)
		if i%3 > 0 {
			batch = append(batch, say(id, "u1", "x"))
		}
	}
	for _, g := range mustAppend(t, s, batch...).Rooms {
		want[g.Head.Room] = g
	}
	ids = append(ids, "chat:unknown", "chat:7", "chat:7", "Chat:7", "chat:7")
	heads, err := s.Heads(within(t), ids)
	if err != nil || len(heads) != len(ids) {
		t.Fatalf("%d heads of %d rooms: %v", len(heads), len(ids), err)
	}
	empty := heads[0]
	for i, h := range heads {
		if g, written := want[ids[i]]; written && h != g.Head {
			t.Fatalf("the head of %s is %+v, not %+v", ids[i], h, g.Head)
		} else if !written && (h.Room != ids[i] || h.Seq != 0 || h.Mark != 0 || h.Floor != 1 || h.Epoch != empty.Epoch) {
			t.Fatalf("ROOM-4: the head of %s, which nobody wrote to, is %+v", ids[i], h)
		}
	}
	if none, err := s.Heads(within(t), nil); err != nil || len(none) != 0 {
		t.Errorf("the heads of no rooms are %v, %v", none, err)
	}
}
