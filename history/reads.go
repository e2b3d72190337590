package history

import (
	"cmp"
	"slices"
)

// checkReads is I10. On one node it is rule ACK-8: a head that is asked for after an ack, or after another head
// was told, is not below it, whoever asks. In a cluster (the question names a node) that holds for acks, of whoever asks
// without a position; who comes with one is told no less than it was acked or given itself.
func checkReads(x *index, t *tally) {
	checkReadsOfOne(x, t)
	checkOwnReads(x, t)
}

// checkOwnReads looks at the questions with a position, of a cluster.
func checkOwnReads(x *index, t *tally) {
	type reader struct {
		roomEpoch
		client string
	}
	type had struct{ at, most int64 } // by then, the largest seq
	own := map[reader][]had{}
	for i := range x.lines {
		l := &x.lines[i]
		key := reader{roomEpoch{l.Room, l.Epoch}, l.Client}
		before := own[key]
		switch {
		case l.Op == OpSend && l.Result == OK, l.Op == OpPage:
			now := had{max(l.TMono, l.TEnd), l.Seq}
			if n := len(before); n > 0 {
				now.at, now.most = max(now.at, before[n-1].at), max(now.most, before[n-1].most)
			}
			own[key] = append(before, now)
		case l.Op == OpHead && l.Node != "" && !l.Fresh:
			n := len(before)
			for n > 0 && before[n-1].at >= l.TMono { // those since it asked
				n--
			}
			if n == 0 {
				continue
			}
			t.checked(1)
			if most := before[n-1].most; l.Seq < most {
				t.violated(l, "%s was told by node %s that %s has head %d, after it had been given seq %d", l.Client, l.Node, l.Room, l.Seq, most)
			}
		}
	}
}

// checkReadsOfOne is one sweep over the questions in order of time.
func checkReadsOfOne(x *index, t *tally) {
	told, asked := map[roomEpoch][]*Line{}, map[roomEpoch][]*Line{}
	var keys []roomEpoch
	for i := range x.lines {
		l := &x.lines[i]
		key := roomEpoch{l.Room, l.Epoch}
		switch {
		case l.Op == OpHead && l.Node != "" && !l.Fresh:
		case l.Op == OpHead && l.Node != "":
			if asked[key] == nil {
				keys = append(keys, key)
			}
			asked[key] = append(asked[key], l)
		case l.Op == OpHead:
			if asked[key] == nil {
				keys = append(keys, key)
			}
			asked[key] = append(asked[key], l)
			told[key] = append(told[key], l)
		case l.Op == OpSend && l.Result == OK:
			told[key] = append(told[key], l)
		}
	}
	for _, key := range keys {
		questions, answers := asked[key], told[key]
		slices.SortStableFunc(questions, func(a, b *Line) int { return cmp.Compare(a.TMono, b.TMono) })
		slices.SortStableFunc(answers, func(a, b *Line) int { return cmp.Compare(a.TEnd, b.TEnd) })
		var last *Line // of the answers before the question, the one with the largest seq
		next := 0
		for _, q := range questions {
			for ; next < len(answers) && answers[next].TEnd < q.TMono; next++ {
				if last == nil || answers[next].Seq > last.Seq {
					last = answers[next]
				}
			}
			if last == nil {
				continue
			}
			t.checked(1)
			switch {
			case q.Seq >= last.Seq:
			case last.Op == OpSend:
				t.violated(q, "%s was told that %s has head %d, %d ns after %s had an ack of seq %d", q.Client, q.Room, q.Seq, q.TMono-last.TEnd, last.Client, last.Seq)
			default:
				t.violated(q, "%s was told that %s has head %d, %d ns after %s had been told %d", q.Client, q.Room, q.Seq, q.TMono-last.TEnd, last.Client, last.Seq)
			}
		}
	}
}

// numbering is the automaton of I11: the epochs that one cursor was given.
type numbering struct {
	epoch string
	begun bool            // a reset, or the client's own wish, has begun it anew
	left  map[string]bool // epochs that it has gone on from
}

// checkEpochs is I11: a cursor goes from one epoch to another only by a reset, and never back; nobody is acked
// in an epoch that had ended; and nothing is given that the log of the same epoch does not have in the end.
func checkEpochs(x *index, t *tally) {
	cursors := map[cursorKey]*numbering{}
	for i := range x.lines {
		l := &x.lines[i]
		switch l.Op {
		case OpJoin, OpPage, OpEvent, OpReset:
		default:
			continue
		}
		key := cursorKey{l.Client, l.Room, l.Sub}
		n := cursors[key]
		if n == nil {
			n = &numbering{left: map[string]bool{}}
			cursors[key] = n
		}
		n.step(l, t)
		if head := x.heads[l.Room]; l.Op == OpEvent && head != nil && l.Epoch == head.Epoch && l.Seq > head.Seq {
			t.violated(l, "%s was given seq %d of %s, whose log ends at %d", l.Client, l.Seq, l.Room, head.Seq)
		}
	}
	checkSuccession(x, t)
}

func (n *numbering) step(l *Line, t *tally) {
	switch {
	case l.Op == OpReset:
		switch l.Reason {
		case "epoch", "diverged", "ahead":
			t.checked(1)
		}
		n.begun = true
	case l.Op == OpJoin && (l.Fresh || l.Epoch == ""):
		n.begun = true
	case l.Op == OpJoin:
		n.epoch, n.begun = l.Epoch, false
	case n.epoch == "":
		n.epoch, n.begun = l.Epoch, false
	case l.Epoch != n.epoch:
		t.checked(1)
		switch {
		case n.left[l.Epoch]:
			t.violated(l, "%s in %s was given epoch %s, which it had gone on from", l.Client, l.Room, l.Epoch)
		case !n.begun:
			t.violated(l, "%s in %s was given epoch %s after epoch %s, without a reset", l.Client, l.Room, l.Epoch, n.epoch)
		}
		n.left[n.epoch] = true
		n.epoch, n.begun = l.Epoch, false
	default:
		n.begun = false
	}
}

// checkSuccession is the part of I11 that is told to senders: once a room was seen in an epoch, nothing that is
// sent afterwards is acked in an earlier one.
func checkSuccession(x *index, t *tally) {
	first := map[roomEpoch]int64{}
	later := map[string][]roomEpoch{} // by room, its epochs
	for i := range x.lines {
		l := &x.lines[i]
		if l.Op != OpHead && (l.Op != OpSend || l.Result != OK) {
			continue
		}
		key := roomEpoch{l.Room, l.Epoch}
		at, ok := first[key]
		if !ok {
			later[l.Room] = append(later[l.Room], key)
		}
		if !ok || l.TEnd < at {
			first[key] = l.TEnd
		}
	}
	for i := range x.lines {
		l := &x.lines[i]
		if l.Op != OpSend || l.Result != OK {
			continue
		}
		own := roomEpoch{l.Room, l.Epoch}
		for _, other := range later[l.Room] {
			if other != own && first[own] < first[other] && l.TMono > first[other] {
				t.violated(l, "tag %s was acked in epoch %s of %s, which epoch %s had followed", l.Tag, l.Epoch, l.Room, other.epoch)
				break
			}
		}
	}
}

// checkPruned is I12: who comes from below the floor is told so, and only they are; no page holds part of what
// is gone, or nothing while there is something.
func checkPruned(x *index, t *tally) {
	type standing struct {
		known bool
		epoch string
		seq   int64 // given up to here
		floor int64 // as told last
	}
	cursors := map[cursorKey]*standing{}
	for i := range x.lines {
		l := &x.lines[i]
		key := cursorKey{l.Client, l.Room, l.Sub}
		c := cursors[key]
		if c == nil {
			c = &standing{}
			cursors[key] = c
		}
		switch l.Op {
		case OpJoin:
			if l.Epoch != c.epoch && l.Epoch != "" {
				c.floor = 0
			}
			c.known, c.epoch, c.seq = !l.Fresh, l.Epoch, l.Prev
		case OpReset:
			if l.Reason == "pruned" {
				t.checked(1)
				if c.known && c.seq >= l.Floor-1 {
					t.violated(l, "%s in %s was told `pruned` at seq %d, the floor is %d", l.Client, l.Room, c.seq, l.Floor)
				}
			}
			c.known, c.epoch, c.floor = false, l.Epoch, l.Floor
		case OpPage:
			floor := max(l.Floor, c.floor)
			switch {
			case l.Floor > 0 && l.Epoch == c.epoch && l.Floor < c.floor:
				t.violated(l, "the floor of %s went back from %d to %d", l.Room, c.floor, l.Floor)
			case c.known && c.seq < l.Floor-1 && (c.epoch == "" || c.epoch == l.Epoch):
				t.violated(l, "%s in %s stood at seq %d, the floor is %d, and was given a page after %d instead of a reset", l.Client, l.Room, c.seq, l.Floor, l.Prev)
			case l.Floor > 0 && l.Prev < l.Floor-1, !c.known && l.Prev < floor-1:
				t.violated(l, "%s in %s was given a page after seq %d, the floor is %d", l.Client, l.Room, l.Prev, floor)
			case l.Via == ViaPoll && l.Seq == l.Prev && l.Head > l.Seq:
				t.violated(l, "%s in %s was given nothing after seq %d, the head is %d", l.Client, l.Room, l.Seq, l.Head)
			}
			c.known, c.epoch, c.seq, c.floor = true, l.Epoch, l.Seq, floor
		}
	}
}
