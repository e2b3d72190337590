package history

import (
	"cmp"
	"slices"
	"time"
)

// gauged is the check of an invariant that lines about events cannot show: each measure is at most its bound.
func gauged(name string) func(*index, *tally) {
	return func(x *index, t *tally) {
		for i := range x.lines {
			l := &x.lines[i]
			if l.Op != OpGauge || l.Code != name {
				continue
			}
			t.checked(1)
			if l.Count > l.Max {
				t.violated(l, "%s: %d, at most %d", l.Reason, l.Count, l.Max)
			}
		}
	}
}

// checkOutbox is I23: everything that was queued came to a definite end; what ended well is stored once and what
// did not is not stored; and what one client stored in a room is in the order in which it was queued.
func checkOutbox(x *index, t *tally) {
	type box struct{ client, room string }
	ends := map[sent]*Line{}
	for i := range x.lines {
		if l := &x.lines[i]; l.Op == OpSettled {
			ends[sent{l.Room, l.Author, l.Tag}] = l
		}
	}
	last := map[box]*Line{} // the last that was stored, by its row
	for i := range x.lines {
		l := &x.lines[i]
		if l.Op != OpQueue {
			continue
		}
		t.checked(1)
		key := sent{l.Room, l.Author, l.Tag}
		end := ends[key]
		rows := x.rows(key)
		switch {
		case end == nil:
			t.violated(l, "tag %s was queued by %s and came to no end", l.Tag, l.Client)
		case end.Result == OK && len(rows) != 1:
			t.violated(end, "tag %s of %s ended well and is stored %d times", l.Tag, l.Client, len(rows))
		case end.Result == OK && end.Seq != rows[0].Seq:
			t.violated(end, "tag %s of %s ended as seq %d and is stored as seq %d", l.Tag, l.Client, end.Seq, rows[0].Seq)
		case end.Result != OK && len(rows) > 0:
			t.violated(end, "tag %s of %s failed (%s) and is stored as seq %d", l.Tag, l.Client, end.Code, rows[0].Seq)
		}
		if len(rows) == 0 {
			continue
		}
		b := box{l.Client, l.Room}
		if before := last[b]; before != nil && before.Seq >= rows[0].Seq {
			t.violated(rows[0], "%s queued tag %s before tag %s; they got seq %d and %d", l.Client, before.Tag, l.Tag, before.Seq, rows[0].Seq)
		}
		last[b] = rows[0]
	}
}

// rows are those of an event in the first final log of its room.
func (x *index) rows(key sent) []*Line {
	e := x.byTag[key]
	if e == nil || len(e.rows) == 0 {
		return nil
	}
	first := e.rows[0]
	var list []*Line
	for _, l := range e.rows {
		if l.Client == first.Client && l.Via == first.Via {
			list = append(list, l)
		}
	}
	return list
}

// crowd is how many clients of a stop make a spread worth judging.
const crowd = 20

// checkDrain is I25: a node that is asked to end does so, tells those whom it turns away to come back, not all at
// the same time, and loses nothing that it acked meanwhile.
func checkDrain(x *index, t *tally) {
	for i := range x.lines {
		stop := &x.lines[i]
		if stop.Op != OpStop {
			continue
		}
		t.checked(1)
		if stop.Result == Fail {
			t.violated(stop, "the node did not end by itself: %s", stop.Reason)
		}
		until := stop.TEnd + int64(time.Second) // a client may read its last bytes late
		var times []int64
		for j := range x.lines {
			l := &x.lines[j]
			if l.Op != OpEnd || l.Code == "token_expired" || differ(l.Node, stop.Node) || l.TMono < stop.TMono || l.TMono > until {
				continue
			}
			t.checked(1)
			switch {
			case l.Code != "1012" && l.Code != "retry":
				t.violated(l, "%s was turned away by %q, not by 1012", l.Client, l.Code)
			case l.Count <= 0:
				t.violated(l, "%s was not told when to come back", l.Client)
			default:
				times = append(times, l.Count)
			}
		}
		checkSpread(stop, times, t)
		for _, e := range x.events {
			for _, ack := range e.acks {
				if ack.TEnd >= stop.TMono && ack.TEnd <= until && len(x.finals) > 0 && len(e.rows) == 0 && !x.takenBack(ack) && !x.pruned(ack) {
					t.violated(ack, "tag %s was acked while the node ended, and is not stored", e.tag)
				}
			}
		}
	}
}

// checkSpread wants no more than half of a crowd to come back within a tenth of the time over which all do.
func checkSpread(stop *Line, times []int64, t *tally) {
	if len(times) < crowd {
		return
	}
	slices.SortFunc(times, cmp.Compare[int64])
	tenth := (times[len(times)-1] - times[0]) / 10
	for i, from := range times {
		if j := i + len(times)/2; j < len(times) && times[j]-from <= tenth {
			t.violated(stop, "of %d clients, %d come back within %d ms", len(times), len(times)/2+1, times[j]-from)
			return
		}
	}
}
