package storetest

import (
	"testing"
	"time"

	"roomlog/server/room"
)

// testClockJumps sets the clock a day and a year forth and back between appends: seqs, marks, tags, epoch and
// pages are what they would be without (I28). Only the date of an event is the clock's.
func testClockJumps(t *testing.T, f Factory) {
	const day = 24 * time.Hour
	id := room.ID("chat:clock")
	f.Jump(t, 0)
	s := f.Open(t)
	var sends []room.Send
	var epoch room.Epoch
	marks := map[room.Mark]bool{}
	for i, by := range []time.Duration{0, day, -day, 365 * day, 0, -365 * day, 0} {
		f.Jump(t, by)
		batch := []room.Send{say(id, "u1", "a"), say(id, "u2", "b")}
		sends = append(sends, batch...)
		out := mustAppend(t, s, batch...)
		if off := time.Until(out.Verdicts[0].At) - by; off.Abs() > time.Hour {
			t.Fatalf("the clock is off by %s and should be by %s", off+by, by)
		}
		for j, v := range out.Verdicts {
			if v.Seq != room.Seq(2*i+j+1) || v.Duplicate {
				t.Errorf("I28: after a jump by %s, send %d of batch %d is answered with %+v", by, j, i, v)
			}
		}
		if epoch == "" {
			epoch = out.Rooms[0].Head.Epoch
		}
		marks[out.Verdicts[0].Mark] = true
	}
	if len(marks) < 7 {
		t.Errorf("I28: %d marks for 7 batches", len(marks))
	}
	log := mustLog(t, s, id)
	checkDense(t, log, 1, len(sends))
	f.Jump(t, -day)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = f.open(t)
	for i, v := range mustAppend(t, s, sends...).Verdicts {
		if !v.Duplicate || v.Seq != log[i].Seq || v.Mark != log[i].Mark || !v.At.Equal(log[i].At) {
			t.Errorf("I28: the repeat of event %d is answered with %+v", i+1, v)
		}
	}
	if h := mustHead(t, s, id); h.Epoch != epoch || h.Seq != room.Seq(len(sends)) {
		t.Errorf("I28: the head is %+v, its epoch was %s", h, epoch)
	}
}
