package history

import (
	"cmp"
	"slices"
)

// checkStored is I1: each acked event is exactly one row of every final log of its room, with the
// acked epoch, seq and bytes.
func checkStored(x *index, t *tally) {
	if len(x.sources) == 0 {
		return
	}
	bySource := map[string][]source{}
	for _, s := range x.sources {
		bySource[s.room] = append(bySource[s.room], s)
	}
	for _, e := range x.events {
		if len(e.acks) == 0 {
			continue
		}
		t.checked(1)
		if len(bySource[e.room]) == 0 {
			t.violated(e.acks[0], "tag %s was acked in %s, a room that was not read after the run", e.tag, e.room)
		}
		for _, s := range bySource[e.room] {
			e.checkRows(x, s, t)
		}
	}
}

// checkRows compares the acks of e with its rows in one final log.
func (e *event) checkRows(x *index, s source, t *tally) {
	var row *Line
	n := 0
	for _, l := range e.rows {
		if l.Client == s.client && l.Via == s.via {
			row = l
			n++
		}
	}
	ack := e.acks[len(e.acks)-1]
	switch {
	case n == 0 && (x.takenBack(ack) || ack.Seq < x.floors[s]): // it was pruned
		return
	case n == 0:
		t.violated(ack, "tag %s was acked as seq %d of %s and is not in the final log", e.tag, ack.Seq, e.room)
		return
	case n > 1:
		t.violated(row, "tag %s was acked and is in the final log of %s %d times", e.tag, e.room, n)
		return
	}
	for _, ack := range e.acks {
		switch {
		case ack.Epoch != row.Epoch && x.renumbered(ack):
		case ack.Seq != row.Seq || ack.Epoch != row.Epoch:
			t.violated(ack, "tag %s was acked as %s:%d of %s and is stored as %s:%d", e.tag, ack.Epoch, ack.Seq, e.room, row.Epoch, row.Seq)
			return
		case ack.PayloadHash != row.PayloadHash:
			t.violated(ack, "tag %s was acked with payload %s and is stored in %s with payload %s", e.tag, ack.PayloadHash, e.room, row.PayloadHash)
			return
		}
	}
}

// checkPhantoms is I2: each row was sent, with these bytes, by an attempt that was not refused.
func checkPhantoms(x *index, t *tally) {
	for _, e := range x.events {
		for i, row := range e.rows {
			t.checked(1)
			switch {
			case len(e.invokes)+len(e.attempts) == 0:
				t.violated(row, "seq %d of %s holds tag %s of %q, which nobody sent", row.Seq, e.room, e.tag, e.author)
			case e.refused():
				t.violated(row, "seq %d of %s holds tag %s, of which every attempt was refused", row.Seq, e.room, e.tag)
			case !e.carried(row.PayloadHash):
				t.violated(row, "seq %d of %s holds tag %s with payload %s, which nobody sent", row.Seq, e.room, e.tag, row.PayloadHash)
			}
			if i == maxViolations {
				break // a tag stored so often is the business of I1 and I7
			}
		}
	}
}

// refused reports that every attempt was answered by a definite refusal.
func (e *event) refused() bool {
	for _, l := range e.attempts {
		if l.Result != Fail {
			return false
		}
	}
	return len(e.invokes) <= len(e.attempts)
}

// carried reports whether an attempt that may have been stored carried these bytes.
func (e *event) carried(hash string) bool {
	for _, l := range e.attempts {
		if l.Result != Fail && l.PayloadHash == hash {
			return true
		}
	}
	// An invoke without an answer: which of several it is cannot be told, so any may be it.
	return len(e.invokes) > len(e.attempts) &&
		slices.ContainsFunc(e.invokes, func(l *Line) bool { return l.PayloadHash == hash })
}

// checkDense is I3: every snapshot holds as many rows as seqs between its ends, from the floor on,
// and so does every final log.
func checkDense(x *index, t *tally) {
	for i := range x.lines {
		l := &x.lines[i]
		if l.Op != OpSQL {
			continue
		}
		t.checked(1)
		floor := max(l.Floor, 1)
		switch {
		case l.Count == 0 && l.Max == 0:
		case l.Count != l.Max-l.Min+1:
			t.violated(l, "a snapshot of %s has %d rows from seq %d to %d", l.Room, l.Count, l.Min, l.Max)
		case l.Min != floor:
			t.violated(l, "a snapshot of %s begins at seq %d, its floor is %d", l.Room, l.Min, floor)
		}
	}
	for _, s := range x.sources {
		rows := slices.Clone(x.finals[s])
		slices.SortStableFunc(rows, func(a, b *Line) int { return cmp.Compare(a.Seq, b.Seq) })
		t.checked(1)
		for i, row := range rows {
			want := max(row.Floor, 1)
			if i > 0 {
				want = rows[i-1].Seq + 1
			}
			if row.Seq != want {
				t.violated(row, "the final log of %s has seq %d where %d was due", s.room, row.Seq, want)
			}
		}
	}
}

// checkAgreement is I4: whoever saw (room, epoch, seq), in whatever way, saw the same event.
func checkAgreement(x *index, t *tally) {
	type place struct {
		roomEpoch
		seq int64
	}
	seen := map[place]*Line{}
	for i := range x.lines {
		l := &x.lines[i]
		switch {
		case l.Op == OpEvent, l.Op == OpFinal && l.Seq > 0, l.Op == OpSend && l.Result == OK:
		default:
			continue
		}
		key := place{roomEpoch{l.Room, l.Epoch}, l.Seq}
		first := seen[key]
		if first == nil {
			seen[key] = l
			continue
		}
		t.checked(1)
		if differ(first.Tag, l.Tag) || differ(first.PayloadHash, l.PayloadHash) || differ(first.Author, l.Author) {
			t.violated(l, "seq %d of %s is tag %s, payload %s of %q here and tag %s, payload %s of %q at line %d of %s",
				l.Seq, l.Room, l.Tag, l.PayloadHash, l.Author, first.Tag, first.PayloadHash, first.Author, first.no, t.files[first.file].Name)
		}
	}
}

// differ compares what two lines tell; a client that does not tell does not disagree.
func differ(a, b string) bool { return a != "" && b != "" && a != b }
