package history

import (
	"cmp"
	"slices"
	"time"
)

// The parts that may be down (OpDown).
const (
	PartStore = "store"
	PartBus   = "bus"
)

// checkOutages is I29: while the store is down nothing is acked, and every send is refused retryably, soon; while
// the bus is down sends are acked all the same, and what was acked reaches every cursor within the bound.
func checkOutages(x *index, t *tally) {
	var paths map[string][]path
	for _, down := range x.downs(PartStore) {
		checkStoreDown(x, down, t)
	}
	for _, down := range x.downs(PartBus) {
		if paths == nil {
			paths = pathsOf(x.lines)
		}
		checkBusDown(x, down, paths, t)
	}
}

// checkStoreDown looks at the attempts that were made and answered while the store was down.
func checkStoreDown(x *index, down *Line, t *tally) {
	for _, e := range x.events {
		for _, l := range e.attempts {
			if l.TMono < down.TMono || l.TEnd > down.TEnd {
				continue
			}
			t.checked(1)
			took := time.Duration(l.TEnd - l.TMono)
			switch {
			case l.Result == OK:
				t.violated(l, "tag %s was acked while the store was down", l.Tag)
			case l.Result == Fail && !passing(l.Code):
				t.violated(l, "tag %s was refused by %s while the store was down", l.Tag, l.Code)
			case l.Result == Fail && down.Max > 0 && int64(took) > down.Max:
				t.violated(l, "tag %s was refused after %v, while the store was down", l.Tag, took)
			}
		}
	}
}

// passing reports whether a refusal says that a repeat may do, or that the send waits for one before it.
func passing(code string) bool {
	return slices.Contains([]string{"unavailable", "overloaded", "going_away", "out_of_order"}, code)
}

// checkBusDown looks at the sends and the deliveries of the time in which the bus was down and the store was not. A send may
// be refused then as at any time, a room that another node holds for too long being a reason; most are not.
func checkBusDown(x *index, down *Line, paths map[string][]path, t *tally) {
	tries, acks, refusals := 0, 0, 0
	bound := down.Max + 2*x.slowestAck(down) // a machine that is slow to ack is slow to deliver
	for _, e := range x.events {
		for _, l := range e.attempts {
			if l.TMono < down.TMono || l.TEnd > down.TEnd || differ(l.Node, down.Node) {
				continue
			}
			tries++
			switch {
			case l.Result == OK:
				acks++
			case l.Result == Fail && l.Code == "unavailable":
				refusals++
			}
		}
		if lag, late := e.slowest(down, paths[e.room]); late != nil {
			t.checked(1)
			if down.Max > 0 && lag > time.Duration(bound) {
				t.violated(late, "tag %s was acked while the bus was down, and %s was given it %v later", e.tag, late.Client, lag)
			}
		}
	}
	if tries > 0 {
		t.checked(1)
		switch {
		case acks == 0:
			t.violated(down, "none of %d sends was acked while the bus was down", tries)
		case refusals > acks:
			t.violated(down, "of %d sends %d were refused as unavailable while only the bus was down", tries, refusals)
		}
	}
}

// slowestAck is how long the slowest ack took of a send in the time of down.
func (x *index) slowestAck(down *Line) (took int64) {
	for _, e := range x.events {
		for _, l := range e.acks {
			if l.TMono >= down.TMono && l.TEnd <= down.TEnd {
				took = max(took, l.TEnd-l.TMono)
			}
		}
	}
	return took
}

// path is how far a cursor was, and when: one that joined anew has another path.
type path struct {
	joined, left int64 // left: 0 if it never was
	steps        []*Line
}

// pathsOf lists the paths of all cursors by their rooms.
func pathsOf(lines []Line) map[string][]path {
	open := map[cursorKey]*path{}
	paths := map[string][]path{}
	end := func(key cursorKey, at int64) {
		if p := open[key]; p != nil {
			p.left = at
			paths[key.room] = append(paths[key.room], *p)
			delete(open, key)
		}
	}
	for i := range lines {
		l := &lines[i]
		key := cursorKey{l.Client, l.Room, l.Sub}
		switch l.Op {
		case OpJoin:
			end(key, l.TMono)
			open[key] = &path{joined: l.TMono}
		case OpReset, OpLeave:
			end(key, l.TMono)
		case OpPage:
			if p := open[key]; p != nil {
				p.steps = append(p.steps, l)
			}
		}
	}
	for key := range open {
		end(key, 0)
	}
	return paths
}

// slowest is the longest time from the first ack of e to a cursor that was there all the while, if that ack fell into
// the time of down and the bound ended in it; nil: nobody was there.
func (e *event) slowest(down *Line, paths []path) (lag time.Duration, late *Line) {
	acked, ok := e.acked()
	if !ok || acked < down.TMono || acked+down.Max > down.TEnd {
		return 0, nil
	}
	at := e.place()
	for _, p := range paths {
		if p.joined > acked {
			continue
		}
		n, _ := slices.BinarySearchFunc(p.steps, at.Seq, func(l *Line, seq int64) int { return cmp.Compare(l.Seq, seq) })
		switch {
		case n < len(p.steps):
			if d := time.Duration(p.steps[n].TMono - acked); late == nil || d > lag {
				lag, late = d, p.steps[n]
			}
		case p.left == 0 && len(p.steps) > 0: // it never was: for I9
			late = p.steps[len(p.steps)-1]
			lag = time.Duration(max(int64(lag), down.TEnd-acked))
		}
	}
	return max(lag, 0), late
}

// downs lists when a part was down, in the order read.
func (x *index) downs(part string) (list []*Line) {
	for i := range x.lines {
		if l := &x.lines[i]; l.Op == OpDown && l.Code == part {
			list = append(list, l)
		}
	}
	return list
}
