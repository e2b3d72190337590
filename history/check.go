package history

import (
	"fmt"
	"slices"
)

// invariant is a named check: a pure function over the history.
type invariant struct {
	name, says string
	check      func(*index, *tally)
}

// invariants are those checked here, in the words of the design.
var invariants = []invariant{
	{"I1", "acked => stored exactly once", checkStored},
	{"I2", "nothing stored that was not sent", checkPhantoms},
	{"I3", "seqs are dense at every instant", checkDense},
	{"I4", "one value per (room, epoch, seq)", checkAgreement},
	{"I5", "acked before another is sent => smaller seq", checkRealTime},
	{"I6", "a sender's events keep their order", checkSenderOrder},
	{"I7", "a tag gives one seq", checkTags},
	{"I8", "cursors move by adjoining pages or a reset", checkCursors},
	{"I9", "cursors reach the head soon after the end", checkConvergence},
	{"I10", "whoever asks after an ack is told of it", checkReads},
	{"I11", "another history is a reset, never a mix", checkEpochs},
	{"I12", "below the floor is a reset, never part of a page", checkPruned},
	{"I13", "replay hands over to live without hole or repeat", checkHandOver},
	{"I17", "nothing sent after a revocation reaches the user", checkRevoked},
	{"I18", "a connection ends with its token", checkExpiry},
	{"I19", "nobody is given an event of a room that is not theirs", checkIsolation},
	{"I20", "memory is bounded, however slow the readers", gauged("I20")},
	{"I23", "an outbox ends in order, each item once", checkOutbox},
	{"I25", "a stop loses nothing and spreads who comes back", checkDrain},
	{"I26", "no input leaves anything behind", gauged("I26")},
	{"I27", "no secret is in any log, error or metric", gauged("I27")},
	{"I28", "no seq, order or cursor depends on the clock", gauged("I28")},
	{"I29", "a part that is down costs latency, or is told", checkOutages},
}

// Invariants names what Check judges, in order.
func Invariants() []string {
	names := make([]string, 0, len(invariants))
	for _, i := range invariants {
		names = append(names, i.name)
	}
	return names
}

// Check judges the histories in files as one. An error means that a file could not be read or is no
// history; a torn line is not an error.
func Check(files []string) (Verdict, error) {
	lines, stats, err := read(files)
	if err != nil {
		return Verdict{}, err
	}
	return check(lines, stats), nil
}

func check(lines []Line, files []File) Verdict {
	x := newIndex(lines)
	v := Verdict{Files: files}
	for _, i := range invariants {
		t := &tally{files: files, result: Result{Invariant: i.name, Says: i.says}}
		i.check(x, t)
		v.Results = append(v.Results, t.result)
	}
	v.Summary = summarize(x, v.Results)
	return v
}

// tally gathers the judgement on one invariant.
type tally struct {
	files  []File
	result Result
}

// checked counts n operations that put the invariant to the test.
func (t *tally) checked(n int) { t.result.Checked += n }

// violated notes a violation, seen at l. An operation that violates was checked, too.
func (t *tally) violated(l *Line, format string, args ...any) {
	t.result.Checked = max(t.result.Checked, 1)
	t.result.Count++
	if len(t.result.Violations) < maxViolations {
		t.result.Violations = append(t.result.Violations, Violation{
			At:   fmt.Sprintf("%s:%d", t.files[l.file].Name, l.no),
			What: fmt.Sprintf(format, args...),
		})
	}
}

// roomEpoch is one numbering of one room.
type roomEpoch struct{ room, epoch string }

// sent names an event by what its sender gave it.
type sent struct{ room, author, tag string }

// source is who replayed a room after the run, and how.
type source struct {
	client string
	via    Via
	room   string
}

// event is all that is known of one tag.
type event struct {
	sent
	invokes  []*Line // in the order of the files
	attempts []*Line // answered sends
	acks     []*Line // those of them with result ok
	rows     []*Line // final lines
}

// index is the history, ordered for the checks. They only read it.
type index struct {
	lines   []Line
	events  []*event // in order of first appearance
	byTag   map[sent]*event
	finals  map[source][]*Line // final lines with a seq, in the order read
	sources []source           // keys of finals, in order of first appearance; a room read as empty has no lines
	cursors []*cursor

	restores []*Line          // in the order read
	floors   map[source]int64 // of the final logs that do not begin at 1
	heads    map[string]*Line // the last row of each room that has one
}

func newIndex(lines []Line) *index {
	x := &index{lines: lines, byTag: map[sent]*event{}, finals: map[source][]*Line{}, heads: map[string]*Line{}, floors: map[source]int64{}}
	for i := range lines {
		l := &lines[i]
		switch l.Op {
		case OpInvoke:
			e := x.event(l)
			e.invokes = append(e.invokes, l)
		case OpSend:
			e := x.event(l)
			e.attempts = append(e.attempts, l)
			if l.Result == OK {
				e.acks = append(e.acks, l)
			}
		case OpFinal:
			key := source{l.Client, l.Via, l.Room}
			if _, ok := x.finals[key]; !ok {
				x.finals[key] = nil
				x.sources = append(x.sources, key)
			}
			if l.Floor > 1 {
				x.floors[key] = max(x.floors[key], l.Floor)
			}
			if l.Seq > 0 {
				x.finals[key] = append(x.finals[key], l)
				e := x.event(l)
				e.rows = append(e.rows, l)
				if head := x.heads[l.Room]; head == nil || l.Seq > head.Seq {
					x.heads[l.Room] = l
				}
			}
		case OpRestore:
			x.restores = append(x.restores, l)
		}
	}
	x.cursors = follow(lines)
	return x
}

func (x *index) event(l *Line) *event {
	key := sent{l.Room, l.Author, l.Tag}
	e := x.byTag[key]
	if e == nil {
		e = &event{sent: key}
		x.byTag[key] = e
		x.events = append(x.events, e)
	}
	return e
}

// place is where the event stands by its first ack, else by its first row; nil: nowhere we know of.
func (e *event) place() *Line {
	switch {
	case len(e.acks) > 0:
		return e.acks[0]
	case len(e.rows) > 0:
		return e.rows[0]
	}
	return nil
}

// begun is when the event was first sent, and false if no send of it is recorded.
func (e *event) begun() (t int64, ok bool) {
	for _, list := range [][]*Line{e.invokes, e.attempts} {
		for _, l := range list {
			if !ok || l.TMono < t {
				t, ok = l.TMono, true
			}
		}
	}
	return t, ok
}

// acked is when the first ack came, and false if none did.
func (e *event) acked() (t int64, ok bool) {
	for _, l := range e.acks {
		if !ok || l.TEnd < t {
			t, ok = l.TEnd, true
		}
	}
	return t, ok
}

// takenBack reports whether the store was put back to before l was answered, so that what l says may be gone.
func (x *index) takenBack(l *Line) bool {
	return slices.ContainsFunc(x.restores, func(r *Line) bool { return r.Result != OK && l.TMono < r.TEnd })
}

// renumbered reports whether the store was put back or given another epoch after l was asked.
func (x *index) renumbered(l *Line) bool {
	return slices.ContainsFunc(x.restores, func(r *Line) bool { return l.TMono < r.TEnd })
}

// pruned reports whether every final log of the room begins above the ack's seq.
func (x *index) pruned(ack *Line) bool {
	for _, s := range x.sources {
		if s.room == ack.Room && x.floors[s] <= ack.Seq {
			return false
		}
	}
	return true
}
