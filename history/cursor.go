package history

import (
	"fmt"
	"time"
)

// convergence is how long after the end of all faults and sends a cursor may lag (I9), where `quiet` does not say.
const convergence = 2 * time.Second

// cursorKey names one cursor of one client.
type cursorKey struct{ client, room, sub string }

// breach is a step that a cursor should not have taken.
type breach struct {
	line     *Line
	what     string
	handOver bool // it was the step from replay to live
}

// cursor is the automaton of I8: what one cursor was given, step by step.
type cursor struct {
	cursorKey
	known bool // it stands somewhere: not before its first page, nor after a reset
	epoch string
	seq   int64
	end   int64 // of the page it is in; 0: none
	via   Via   // of the last delivery since the join

	joined    int64 // when the last join was; 0: none recorded
	last      *Line // the line that moved it last
	left      bool
	steps     int
	handOvers int
	breaches  []breach

	lost, repeated int // events, by its breaches
}

// follow runs the automaton of every cursor, in order of first appearance.
func follow(lines []Line) []*cursor {
	byKey := map[cursorKey]*cursor{}
	var list []*cursor
	for i := range lines {
		l := &lines[i]
		switch l.Op {
		case OpJoin, OpPage, OpEvent, OpReset, OpLeave:
		default:
			continue
		}
		key := cursorKey{l.Client, l.Room, l.Sub}
		c := byKey[key]
		if c == nil {
			c = &cursor{cursorKey: key}
			byKey[key] = c
			list = append(list, c)
		}
		c.step(l)
	}
	for _, c := range list {
		stands := c.seq
		c.endPage(c.last)
		c.seq = stands // what is missing at the end is missing for I9 as well
	}
	return list
}

func (c *cursor) step(l *Line) {
	switch l.Op {
	case OpJoin:
		c.join(l)
	case OpPage:
		c.page(l)
	case OpEvent:
		c.event(l)
	case OpReset:
		c.steps++
		if l.Reason == "" {
			c.breached(l, "a reset without a reason")
		}
		c.endPage(l)
		c.known = false
		if c.last == nil { // a history may begin with it
			c.last = l
		}
	case OpLeave:
		c.endPage(l)
		c.left = true
	}
}

// join starts or resumes. A client may forget what it had (a reload), but it may not resume from
// beyond what it was given: what lies between, nobody has seen.
func (c *cursor) join(l *Line) {
	c.endPage(l)
	if !l.Fresh && c.known && c.sameEpoch(l.Epoch) && l.Prev > c.seq {
		c.breached(l, "resumed from seq %d, but had been given only up to %d", l.Prev, c.seq)
	}
	c.known, c.epoch, c.seq = !l.Fresh, l.Epoch, l.Prev
	c.via, c.left, c.joined, c.last = "", false, l.TMono, l
}

// sameEpoch compares; the position `0` has no epoch and fits each.
func (c *cursor) sameEpoch(epoch string) bool {
	return c.epoch == epoch || c.epoch == "" || epoch == ""
}

func (c *cursor) page(l *Line) {
	c.steps++
	handOver := c.arrive(l)
	before := len(c.breaches)
	c.endPage(l)
	switch {
	case l.Seq < l.Prev:
		c.breached(l, "a page from seq %d back to %d", l.Prev, l.Seq)
	case !c.known:
	case !c.sameEpoch(l.Epoch):
		c.breached(l, "a page of epoch %s for a cursor in epoch %s, without a reset", l.Epoch, c.epoch)
	case l.Prev > c.seq:
		c.lost += int(l.Prev - c.seq)
		c.breached(l, "a page after seq %d for a cursor at %d: a hole", l.Prev, c.seq)
	case l.Prev < c.seq:
		c.repeated += int(c.seq - l.Prev)
		c.breached(l, "a page after seq %d for a cursor at %d: a repeat", l.Prev, c.seq)
	}
	c.markHandOver(before, handOver)
	if !c.known || l.Seq != c.seq { // an empty page moves nobody
		c.last = l
	}
	c.known, c.epoch, c.seq, c.end = true, l.Epoch, l.Prev, l.Seq
}

// endPage says that the events of the page before are all there are.
func (c *cursor) endPage(l *Line) {
	if c.end > c.seq {
		c.lost += int(c.end - c.seq)
		c.breached(l, "the page before reached seq %d, its events only %d", c.end, c.seq)
		c.seq = c.end
	}
	c.end = 0
}

func (c *cursor) event(l *Line) {
	c.steps++
	handOver := c.end == 0 && c.arrive(l) // else its page has arrived
	before := len(c.breaches)
	switch {
	case !c.known:
	case !c.sameEpoch(l.Epoch):
		c.breached(l, "an event of epoch %s for a cursor in epoch %s, without a reset", l.Epoch, c.epoch)
	case l.Seq > c.seq+1:
		c.lost += int(l.Seq - c.seq - 1)
		c.breached(l, "seq %d after %d: a hole", l.Seq, c.seq)
	case l.Seq <= c.seq:
		c.repeated++
		c.breached(l, "seq %d after %d: a repeat", l.Seq, c.seq)
	case c.end > 0 && l.Seq > c.end:
		c.breached(l, "seq %d in a page that ends at %d", l.Seq, c.end)
	}
	c.markHandOver(before, handOver)
	c.known, c.epoch, c.seq, c.last = true, l.Epoch, l.Seq, l
}

// arrive notes the way of a delivery and reports whether it hands over from replay to live.
func (c *cursor) arrive(l *Line) bool {
	handOver := l.Via == ViaLive && c.via == ViaReplay
	if handOver {
		c.handOvers++
	}
	c.via = l.Via
	return handOver
}

func (c *cursor) breached(l *Line, format string, args ...any) {
	c.breaches = append(c.breaches, breach{line: l, what: fmt.Sprintf(format, args...)})
}

// markHandOver marks the breaches since before, if they were made by a hand-over.
func (c *cursor) markHandOver(before int, handOver bool) {
	for i := before; i < len(c.breaches); i++ {
		c.breaches[i].handOver = handOver
	}
}

func (c *cursor) name() string {
	if c.sub == "" {
		return fmt.Sprintf("%s in %s", c.client, c.room)
	}
	return fmt.Sprintf("%s in %s (%s)", c.client, c.room, c.sub)
}

// checkCursors is I8.
func checkCursors(x *index, t *tally) {
	for _, c := range x.cursors {
		t.checked(c.steps)
		for _, b := range c.breaches {
			t.violated(b.line, "%s: %s", c.name(), b.what)
		}
	}
}

// checkHandOver is I13: the part of I8 at which most systems lose or repeat.
func checkHandOver(x *index, t *tally) {
	for _, c := range x.cursors {
		t.checked(c.handOvers)
		for _, b := range c.breaches {
			if b.handOver {
				t.violated(b.line, "%s: from replay to live: %s", c.name(), b.what)
			}
		}
	}
}

// checkConvergence is I9: after the quiet line, every cursor that was not left is at the head of the
// final log, and was there in time.
func checkConvergence(x *index, t *tally) {
	quiet := quietOf(x.lines)
	if quiet == nil {
		return
	}
	most := convergence
	if quiet.Max > 0 {
		most = time.Duration(quiet.Max)
	}
	for _, c := range x.cursors {
		head := x.heads[c.room]
		if c.left || head == nil {
			continue
		}
		t.checked(1)
		late := c.lag(quiet)
		switch {
		case !c.known || !c.sameEpoch(head.Epoch) || c.seq != head.Seq:
			t.violated(c.last, "%s: stopped at seq %d, the head is %d", c.name(), c.seq, head.Seq)
		case late > most:
			t.violated(c.last, "%s: reached the head %v after all was quiet", c.name(), late)
		}
	}
}

// quietOf is the last line of its kind; nil: there is none.
func quietOf(lines []Line) (quiet *Line) {
	for i := range lines {
		if l := &lines[i]; l.Op == OpQuiet && (quiet == nil || l.TMono > quiet.TMono) {
			quiet = l
		}
	}
	return quiet
}

// lag is how long after all was quiet, and it had joined, the cursor moved last.
func (c *cursor) lag(quiet *Line) time.Duration {
	return time.Duration(max(c.last.TMono-max(quiet.TMono, c.joined), 0))
}
