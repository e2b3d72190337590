package history

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// Summary counts what a history tells, whatever the verdict on it.
type Summary struct {
	Sent      int `json:"sent"`      // events that were to be stored, whatever the number of attempts
	Attempts  int `json:"attempts"`  // to send them
	Acked     int `json:"acked"`     // events
	Unknown   int `json:"unknown"`   // attempts that were not answered, or answered by outcome_unknown
	Delivered int `json:"delivered"` // events given to cursors
	Lost      int `json:"lost"`      // acked and not stored; skipped by a cursor without a reset, or never given to it
	Repeated  int `json:"repeated"`  // stored twice; given to a cursor that had been given it
	Reordered int `json:"reordered"` // against real time (I5) or their sender (I6)
	Resets    int `json:"resets"`

	// TailLag is the longest that a cursor took to the head of its room, from the ack of the event that is the head, or from
	// its own join, if later; in a history that ends quietly.
	TailLag time.Duration `json:"tail_lag_ns"`
	// BusLag is the longest from an ack to a cursor while the bus was down; RevokeLag from the answer to a revocation
	// to the last event that was given in spite of it.
	BusLag    time.Duration `json:"bus_lag_ns"`
	RevokeLag time.Duration `json:"revoke_lag_ns"`
}

// summarize counts. Where an invariant says what is wrong, its own violations are counted.
func summarize(x *index, results []Result) Summary {
	var s Summary
	for _, e := range x.events {
		if len(e.invokes)+len(e.attempts) > 0 {
			s.Sent++
		}
		answered := 0
		for _, l := range e.attempts {
			if l.Result != Unknown {
				answered++
			}
		}
		attempts := max(len(e.invokes), len(e.attempts))
		s.Attempts += attempts
		s.Unknown += attempts - answered
		if len(e.acks) > 0 {
			s.Acked++
			if len(x.sources) > 0 && len(e.rows) == 0 && !x.takenBack(e.acks[0]) && !x.pruned(e.acks[0]) {
				s.Lost++
			}
		}
		s.Repeated += e.repeats()
	}
	quiet := quietOf(x.lines)
	for _, c := range x.cursors {
		s.Lost += c.lost
		s.Repeated += c.repeated
		if head := x.heads[c.room]; quiet != nil && !c.left && head != nil && c.known && c.sameEpoch(head.Epoch) {
			s.Lost += int(head.Seq - c.seq)
			s.TailLag = max(s.TailLag, x.tail(c, head))
		}
	}
	var paths map[string][]path
	for i := range x.lines {
		switch l := &x.lines[i]; {
		case l.Op == OpEvent:
			s.Delivered++
		case l.Op == OpReset:
			s.Resets++
		case l.Op == OpDown && l.Code == PartBus:
			if paths == nil {
				paths = pathsOf(x.lines)
			}
			for _, e := range x.events {
				lag, _ := e.slowest(l, paths[e.room])
				s.BusLag = max(s.BusLag, lag)
			}
		}
	}
	s.RevokeLag = x.revokeLag()
	for _, r := range results {
		if r.Invariant == "I5" || r.Invariant == "I6" {
			s.Reordered += r.Count
		}
	}
	return s
}

// tail is how long the cursor, which is at the head, took to it.
func (x *index) tail(c *cursor, head *Line) time.Duration {
	acked, ok := x.byTag[sent{head.Room, head.Author, head.Tag}].acked()
	if !ok || c.seq != head.Seq {
		return 0
	}
	return time.Duration(max(c.last.TMono-max(acked, c.joined), 0))
}

// repeats is how often more than once the event is stored, by the final log that has it most.
func (e *event) repeats() int {
	rows, most := map[source]int{}, 1
	for _, l := range e.rows {
		key := source{l.Client, l.Via, l.Room}
		rows[key]++
		most = max(most, rows[key])
	}
	return most - 1
}

// table prints the summary for people.
func (s Summary) table(text *strings.Builder) error {
	columns := tabwriter.NewWriter(text, 0, 0, 2, ' ', 0)
	fmt.Fprintf(columns, "\nsent\tattempts\tacked\tunknown\tdelivered\tlost\trepeated\treordered\tresets\tworst tail lag\tbus down: worst lag\trevoked: worst lag\n")
	fmt.Fprintf(columns, "%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%v\t%v\t%v\n", s.Sent, s.Attempts, s.Acked, s.Unknown, s.Delivered, s.Lost,
		s.Repeated, s.Reordered, s.Resets, round(s.TailLag), round(s.BusLag), round(s.RevokeLag))
	return columns.Flush()
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
