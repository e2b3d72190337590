package history

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const (
	testRoom  = "chat:a"
	testEpoch = "e1"
	testUnit  = int64(1_000_000) // times in the stories below are milliseconds
)

// story builds a history by hand. Tags are letters; the hash of tag "a" is "#a".
type story struct{ lines []Line }

func (s *story) add(l Line) {
	l.Room = testRoom
	l.TMono, l.TEnd = l.TMono*testUnit, l.TEnd*testUnit
	s.lines = append(s.lines, l)
}

// send is one attempt of client, the order-th of its sends, from one time to another.
func (s *story) send(client, tag string, order, from, to, seq int64, result Outcome) {
	l := Line{Client: client, Author: client, Tag: tag, PayloadHash: "#" + tag, Order: order, TMono: from}
	l.Op = OpInvoke
	s.add(l)
	l.Op, l.Result, l.TEnd, l.Seq = OpSend, result, to, seq
	if result == OK {
		l.Epoch = testEpoch
	}
	s.add(l)
}

// page is a page to client with the events (prev, prev+len(tags)].
func (s *story) page(client string, at, prev int64, via Via, tags ...string) {
	s.add(Line{TMono: at, Client: client, Op: OpPage, Epoch: testEpoch, Prev: prev, Seq: prev + int64(len(tags)), Via: via})
	for i, tag := range tags {
		s.add(Line{TMono: at, Client: client, Op: OpEvent, Epoch: testEpoch, Seq: prev + int64(i) + 1, Tag: tag, PayloadHash: "#" + tag, Via: via})
	}
}

func (s *story) final(seq int64, author, tag string) {
	s.add(Line{TMono: 300, Client: "judge", Op: OpFinal, Epoch: testEpoch, Seq: seq, Author: author, Tag: tag, PayloadHash: "#" + tag, Via: ViaHistory})
}

// ofEvents are the invariants that good exercises; goodRun exercises the others.
var ofEvents = []string{"I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I13"}

// good is a history that exercises those invariants and violates none.
func good() *story {
	s := &story{}
	s.send("w1", "a", 1, 10, 20, 1, OK)
	s.send("w1", "b", 2, 30, 50, 2, OK)
	s.send("w2", "c", 1, 30, 60, 0, Unknown)
	s.send("w2", "c", 1, 70, 80, 3, OK)
	s.send("w2", "d", 2, 85, 90, 0, Fail)
	s.send("w1", "e", 3, 100, 110, 4, OK)
	s.send("w1", "f", 4, 120, 130, 0, Unknown) // stored all the same
	s.add(Line{TMono: 55, Client: "judge", Op: OpSQL, Count: 2, Min: 1, Max: 2})
	s.add(Line{TMono: 5, Client: "judge", Op: OpSQL})

	s.add(Line{TMono: 40, Client: "r1", Op: OpJoin}) // position 0
	s.page("r1", 41, 0, ViaReplay, "a", "b")
	s.page("r1", 81, 2, ViaLive, "c")
	s.page("r1", 111, 3, ViaLive, "e")
	s.page("r1", 131, 4, ViaLive, "f")

	s.add(Line{TMono: 60, Client: "r2", Op: OpJoin, Fresh: true})
	s.page("r2", 61, 1, ViaReplay, "b")
	s.page("r2", 82, 2, ViaLive, "c")
	s.add(Line{TMono: 90, Client: "r2", Op: OpReset, Reason: "too_far", Seq: 3})
	s.add(Line{TMono: 91, Client: "r2", Op: OpJoin, Fresh: true})
	s.page("r2", 92, 2, ViaReplay, "c")
	s.page("r2", 112, 3, ViaLive, "e")
	s.add(Line{TMono: 113, Client: "r2", Op: OpLeave})

	s.add(Line{TMono: 200, Client: "judge", Op: OpQuiet})
	for i, tag := range []string{"a", "b", "c", "e", "f"} {
		author := "w1"
		if tag == "c" {
			author = "w2"
		}
		s.final(int64(i)+1, author, tag)
	}
	return s
}

// drop removes the lines for which which is true, and fails the test if there are none.
func (s *story) drop(t *testing.T, which func(Line) bool) {
	t.Helper()
	n := len(s.lines)
	if s.lines = slices.DeleteFunc(s.lines, which); len(s.lines) == n {
		t.Fatal("nothing to drop")
	}
}

// change edits the lines for which which is true, and fails the test if there are none.
func (s *story) change(t *testing.T, which func(Line) bool, edit func(*Line)) {
	t.Helper()
	n := 0
	for i := range s.lines {
		if which(s.lines[i]) {
			edit(&s.lines[i])
			n++
		}
	}
	if n == 0 {
		t.Fatal("nothing to change")
	}
}

func is(op Op, tag string) func(Line) bool {
	return func(l Line) bool { return l.Op == op && (tag == "" || l.Tag == tag) }
}

// delivered is page and event lines for client that end at seq.
func delivered(client string, seq int64) func(Line) bool {
	return func(l Line) bool {
		return (l.Op == OpPage || l.Op == OpEvent) && l.Client == client && l.Seq == seq
	}
}

func judge(s *story) Verdict {
	for i := range s.lines {
		s.lines[i].no = int32(i) + 1
	}
	return check(s.lines, []File{{Name: "story", Lines: len(s.lines)}})
}

func TestGoodHistory(t *testing.T) {
	v := judge(good())
	if !v.OK(ofEvents...) {
		var text strings.Builder
		v.Table(&text)
		t.Errorf("a good history was judged\n%s", &text)
	}
}

// TestEachInvariantIsCaught breaks the good history in one way at a time: exactly the invariants named
// must notice.
func TestEachInvariantIsCaught(t *testing.T) {
	noQuiet := func(t *testing.T, s *story) { s.drop(t, is(OpQuiet, "")) }
	for _, c := range []struct {
		name  string
		want  string // invariants, and after the colon a part of the first violation of the first
		spoil func(*testing.T, *story)
	}{
		{"acked and lost", "I1: acked as seq 4 of chat:a and is not in the final log", func(t *testing.T, s *story) {
			s.drop(t, func(l Line) bool { return l.Seq >= 4 && l.Op != OpSend })
		}},
		{"acked as another seq", "I1: acked as e1:9 of chat:a and is stored as e1:4", func(t *testing.T, s *story) {
			noQuiet(t, s)
			s.drop(t, is(OpFinal, "f"))
			s.drop(t, delivered("r1", 5))
			s.change(t, func(l Line) bool { return l.Tag == "e" && l.Result == OK }, func(l *Line) { l.Seq = 9 })
		}},
		{"acked in another epoch", "I1: acked as e0:4", func(t *testing.T, s *story) {
			s.change(t, func(l Line) bool { return l.Tag == "e" && l.Result == OK }, func(l *Line) { l.Epoch = "e0" })
		}},
		{"stored with the bytes of another attempt", "I1 I4: acked with payload #e and is stored in chat:a with payload #x", func(t *testing.T, s *story) {
			s.send("w1", "e", 3, 100, 101, 0, Unknown)
			s.lines[len(s.lines)-1].PayloadHash = "#x"
			s.change(t, func(l Line) bool { return l.Tag == "e" && (l.Op == OpFinal || l.Op == OpEvent) }, func(l *Line) { l.PayloadHash = "#x" })
		}},
		{"room not read", "I1: a room that was not read", func(t *testing.T, s *story) {
			s.send("w1", "z", 0, 10, 20, 1, OK)
			s.lines[len(s.lines)-1].Room, s.lines[len(s.lines)-2].Room = "chat:b", "chat:b"
		}},
		{"room read as empty", "I1: is not in the final log", func(t *testing.T, s *story) {
			s.send("w1", "z", 0, 10, 20, 1, OK)
			s.lines[len(s.lines)-1].Room, s.lines[len(s.lines)-2].Room = "chat:b", "chat:b"
			s.add(Line{Client: "judge", Op: OpFinal, Via: ViaHistory})
			s.lines[len(s.lines)-1].Room = "chat:b"
		}},
		{"nobody sent it", "I2: which nobody sent", func(t *testing.T, s *story) {
			noQuiet(t, s)
			s.final(6, "w9", "x")
		}},
		{"refused and stored", "I2: every attempt was refused", func(t *testing.T, s *story) {
			noQuiet(t, s)
			s.send("w3", "x", 0, 10, 20, 0, Fail)
			s.final(6, "w3", "x")
		}},
		{"stored with bytes nobody sent", "I2: with payload #y, which nobody sent", func(t *testing.T, s *story) {
			s.change(t, func(l Line) bool { return l.Tag == "f" && (l.Op == OpFinal || l.Op == OpEvent) }, func(l *Line) { l.PayloadHash = "#y" })
		}},
		{"hole in the final log", "I3: has seq 6 where 5 was due", func(t *testing.T, s *story) {
			noQuiet(t, s)
			s.drop(t, delivered("r1", 5))
			s.change(t, is(OpFinal, "f"), func(l *Line) { l.Seq = 6 })
		}},
		{"hole at the beginning of the final log", "I3: has seq 4 where 1 was due", func(t *testing.T, s *story) {
			s.drop(t, func(l Line) bool { return l.Seq < 4 && (l.Op == OpFinal || l.Op == OpSend && l.Result == OK) })
		}},
		{"hole in a snapshot", "I3: a snapshot of chat:a has 3 rows from seq 1 to 4", func(t *testing.T, s *story) {
			s.change(t, func(l Line) bool { return l.Op == OpSQL && l.Max == 2 }, func(l *Line) { l.Count, l.Max = 3, 4 })
		}},
		{"snapshot that begins late", "I3: begins at seq 2, its floor is 1", func(t *testing.T, s *story) {
			s.change(t, func(l Line) bool { return l.Op == OpSQL && l.Max == 2 }, func(l *Line) { l.Count, l.Min = 1, 2 })
		}},
		{"two tags at one seq", "I4: seq 3 of chat:a is tag x", func(t *testing.T, s *story) {
			s.change(t, func(l Line) bool { return l.Op == OpEvent && l.Seq == 3 && l.Client == "r1" }, func(l *Line) { l.Tag = "x" })
		}},
		{"two payloads at one seq", "I4: payload #x", func(t *testing.T, s *story) {
			s.change(t, func(l Line) bool { return l.Op == OpEvent && l.Seq == 3 && l.Client == "r2" }, func(l *Line) { l.PayloadHash = "#x" })
		}},
		{"two authors at one seq", "I4: of \"x\"", func(t *testing.T, s *story) {
			s.change(t, func(l Line) bool { return l.Op == OpEvent && l.Seq == 3 && l.Client == "r2" }, func(l *Line) { l.Author = "x" })
		}},
		{"sent after an ack, stored before it", "I5: tag e was sent 20000000 ns after tag c", func(t *testing.T, s *story) {
			swap(t, s, "c", "e")
		}},
		{"of unknown outcome, but stored before an earlier ack", "I5: got seq 4", func(t *testing.T, s *story) {
			s.change(t, func(l Line) bool { return l.Tag == "e" && l.Order > 0 }, func(l *Line) { l.Order = 0 }) // else I6 sees it too
			swap(t, s, "e", "f")
		}},
		{"pipelined and overtaken", "I6: w1 sent tag a as number 1 to chat:a and tag b as number 2", func(t *testing.T, s *story) {
			swap(t, s, "a", "b")
			s.change(t, func(l Line) bool { return l.Tag == "b" && l.Order > 0 }, func(l *Line) { l.TMono = 11 * testUnit })
			s.change(t, func(l Line) bool { return l.Tag == "a" && l.Order > 0 && l.TEnd > 0 }, func(l *Line) { l.TEnd = 51 * testUnit })
		}},
		{"a tag acked twice", "I7: tag c of \"w2\" in chat:a was acked as e1:3 and as e1:9", func(t *testing.T, s *story) {
			s.drop(t, is(OpFinal, "")) // I1 sees it too
			s.send("w2", "c", 1, 90, 100, 9, OK)
		}},
		{"a tag with two payloads", "I7 I4: with payload #c and with payload #x", func(t *testing.T, s *story) {
			s.drop(t, is(OpFinal, "")) // I1 sees it too
			s.send("w2", "c", 1, 90, 100, 3, OK)
			s.lines[len(s.lines)-1].PayloadHash = "#x"
		}},
		{"a tag stored twice", "I7: is stored in chat:a as seq 5 and as seq 6", func(t *testing.T, s *story) {
			noQuiet(t, s)
			s.final(6, "w1", "f")
		}},
		{"an acked tag stored twice", "I1 I7: is in the final log of chat:a 2 times", func(t *testing.T, s *story) {
			noQuiet(t, s)
			s.final(6, "w1", "e")
		}},
		{"a page is missing", "I8: a page after seq 4 for a cursor at 3: a hole", func(t *testing.T, s *story) {
			s.drop(t, delivered("r1", 4))
		}},
		{"a page comes twice", "I8: a page after seq 3 for a cursor at 5: a repeat", func(t *testing.T, s *story) {
			s.page("r1", 140, 3, ViaLive, "e", "f")
		}},
		{"an event is missing in a page", "I8: seq 2 after 0: a hole", func(t *testing.T, s *story) {
			s.drop(t, func(l Line) bool { return l.Op == OpEvent && l.Client == "r1" && l.Seq == 1 })
		}},
		{"the last event of a page is missing", "I8: the page before reached seq 4, its events only 3", func(t *testing.T, s *story) {
			s.drop(t, func(l Line) bool { return l.Op == OpEvent && l.Client == "r1" && l.Seq == 4 })
		}},
		{"an event too many in a page", "I8: seq 5 in a page that ends at 4", func(t *testing.T, s *story) {
			s.drop(t, func(l Line) bool { return l.Op == OpPage && l.Client == "r1" && l.Seq == 5 })
		}},
		{"another epoch without a reset", "I8 I11: without a reset", func(t *testing.T, s *story) {
			s.page("r2", 115, 4, ViaLive, "f")
			s.lines[len(s.lines)-1].Epoch, s.lines[len(s.lines)-2].Epoch = "e2", "e2"
			s.add(Line{TMono: 116, Client: "r2", Op: OpLeave})
		}},
		{"resumed beyond what was seen", "I8: resumed from seq 7", func(t *testing.T, s *story) {
			s.add(Line{TMono: 140, Client: "r1", Op: OpJoin, Epoch: testEpoch, Prev: 7})
			s.add(Line{TMono: 141, Client: "r1", Op: OpLeave})
		}},
		{"a jump without its reset", "I8: a page after seq 2 for a cursor at 3: a repeat", func(t *testing.T, s *story) {
			s.drop(t, func(l Line) bool { return l.Client == "r2" && (l.Op == OpReset || l.Op == OpJoin && l.TMono > 90) })
		}},
		{"a reset without its reason", "I8: without a reason", func(t *testing.T, s *story) {
			s.change(t, is(OpReset, ""), func(l *Line) { l.Reason = "" })
		}},
		{"the tail never comes", "I9: stopped at seq 4, the head is 5", func(t *testing.T, s *story) {
			s.drop(t, delivered("r1", 5))
		}},
		{"the tail comes late", "I9: reached the head 2.801s after all was quiet", func(t *testing.T, s *story) {
			s.change(t, delivered("r1", 5), func(l *Line) { l.TMono = 3001 * testUnit })
		}},
		{"lost between replay and live", "I13 I8: from replay to live: a page after seq 3 for a cursor at 2: a hole", func(t *testing.T, s *story) {
			s.drop(t, delivered("r1", 3))
		}},
		{"repeated between replay and live", "I13 I8: from replay to live: a page after seq 1 for a cursor at 2: a repeat", func(t *testing.T, s *story) {
			s.change(t, func(l Line) bool { return l.Client == "r1" && l.Op == OpPage && l.Seq == 3 }, func(l *Line) { l.Prev = 1 })
			i := slices.IndexFunc(s.lines, func(l Line) bool { return l.Client == "r1" && l.Op == OpEvent && l.Seq == 3 })
			repeat := s.lines[i-2]
			repeat.Via = ViaLive
			s.lines = slices.Insert(s.lines, i, repeat)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := good()
			c.spoil(t, s)
			caught(t, s, c.want)
		})
	}
}

// swap exchanges the seqs of two tags in acks, rows and deliveries, so that all agree.
func swap(t *testing.T, s *story, a, b string) {
	t.Helper()
	seqOf := map[string]int64{}
	authorOf := map[string]string{}
	for _, l := range s.lines {
		if l.Op == OpFinal {
			seqOf[l.Tag], authorOf[l.Tag] = l.Seq, l.Author
		}
	}
	other := map[string]string{a: b, b: a}
	s.change(t, func(l Line) bool { return other[l.Tag] != "" && l.Op == OpSend && l.Result == OK }, func(l *Line) { l.Seq = seqOf[other[l.Tag]] })
	s.change(t, func(l Line) bool { return other[l.Tag] != "" && l.Op == OpFinal }, func(l *Line) { l.Seq = seqOf[other[l.Tag]] })
	s.change(t, func(l Line) bool { return other[l.Tag] != "" && l.Op == OpEvent }, func(l *Line) {
		l.Tag = other[l.Tag]
		l.PayloadHash = "#" + l.Tag
	})
}

func TestNotExercisedIsNoPass(t *testing.T) {
	empty := check(nil, nil)
	if empty.OK() || empty.OK("I1") {
		t.Error("an empty history is OK")
	}
	s := good()
	s.drop(t, is(OpQuiet, ""))
	v := judge(s)
	if !v.OK() || !v.OK("I1", "I8") {
		t.Error("a history without a quiet line is good for the rest")
	}
	if r, _ := v.Result("I9"); v.OK("I9") || r.Status() != "not exercised" {
		t.Errorf("I9 without a quiet line: %s", r.Status())
	}
	if v.OK("I99") {
		t.Error("an invariant that is not checked here is OK")
	}
	for _, name := range Invariants() { // each needs more than an idle cursor
		lines := []Line{{Op: OpJoin, Client: "r", Room: testRoom, Fresh: true, no: 1}}
		if r, ok := check(lines, []File{{Name: "story"}}).Result(name); !ok || r.Status() != "not exercised" {
			t.Errorf("%s: %s by a join alone", name, r.Status())
		}
	}
}

func TestForgetfulClientMayResumeFromBefore(t *testing.T) {
	s := good()
	s.add(Line{TMono: 140, Client: "r1", Op: OpJoin, Epoch: testEpoch, Prev: 3})
	s.page("r1", 141, 3, ViaReplay, "e", "f")
	if v := judge(s); !v.OK(ofEvents...) {
		t.Errorf("failed: %v", v.Failed())
	}
}

func TestViolationsAreCountedAndAFewAreTold(t *testing.T) {
	s := good()
	for i := range 20 {
		s.final(int64(6+i), "nobody", fmt.Sprint("x", i))
	}
	r, _ := judge(s).Result("I2")
	if r.Count != 20 || len(r.Violations) != maxViolations {
		t.Errorf("%d violations counted, %d told", r.Count, len(r.Violations))
	}
}

// A client that was reset and given nothing more has not converged, also where that is all that is told of it.
func TestHistoryThatBeginsWithAReset(t *testing.T) {
	s := good()
	s.lines = append([]Line{{TMono: 1, Client: "r9", Op: OpReset, Room: "chat:a", Reason: "ahead"}}, s.lines...)
	v := judge(s)
	if r, _ := v.Result("I9"); r.Count != 1 || !strings.Contains(r.Violations[0].What, "r9 in chat:a: stopped at seq 0") {
		t.Errorf("I9 says %+v", r)
	}
}
