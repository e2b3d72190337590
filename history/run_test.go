package history

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// ofRuns are the invariants that goodRun exercises.
var ofRuns = []string{"I10", "I11", "I12", "I17", "I18", "I19", "I20", "I23", "I25", "I26", "I27", "I28"}

// second is what a second is in the stories' milliseconds.
const second = int64(1000)

// in moves the last n lines to a room.
func (s *story) in(room string, n int) {
	for i := len(s.lines) - n; i < len(s.lines); i++ {
		s.lines[i].Room = room
	}
}

func (s *story) head(client string, asked, told, seq int64) {
	s.add(Line{Client: client, Op: OpHead, Epoch: testEpoch, TMono: asked, TEnd: told, Seq: seq})
}

// goodRun exercises what good does not: heads, another epoch, pruning, revocation, expiry, isolation, an outbox, a
// stop, and measures.
func goodRun() *story {
	s := &story{}
	s.add(Line{Client: "r1", Op: OpMay})
	s.add(Line{Client: "r1", Op: OpToken, TMono: 1, TEnd: 40 * second})
	s.add(Line{Client: "r2", Op: OpToken, TMono: 1, TEnd: 2 * second})
	s.add(Line{Client: "r2", Op: OpToken, TMono: 1500, TEnd: 9 * second}) // refreshed

	s.send("w1", "a", 1, 10, 20, 1, OK)
	s.send("w1", "b", 2, 30, 50, 2, OK)
	s.head("w1", 25, 26, 1)
	s.head("r1", 51, 53, 2)
	s.head("r1", 45, 55, 1) // asked before the ack
	s.head("r2", 60, 61, 2)

	s.add(Line{TMono: 40, Client: "r1", Op: OpJoin})
	s.page("r1", 52, 0, ViaReplay, "a", "b")
	s.add(Line{TMono: 40, Client: "r2", Op: OpJoin})
	s.page("r2", 52, 0, ViaReplay, "a")
	s.add(Line{TMono: 60, Client: "r1", Op: OpDeny, Transport: "ws", Code: "unknown_room", PayloadHash: "#no"})
	s.in("chat:secret", 1)
	s.add(Line{TMono: 61, Client: "r1", Op: OpDeny, Transport: "ws", Code: "unknown_room", PayloadHash: "#no"})
	s.in("chat:nothing", 1)

	// r2 loses the room, has it back, and has missed c for ever but for its replay.
	s.add(Line{TMono: 70, TEnd: 75, Client: "admin", Author: "r2", Op: OpRevoke})
	s.send("w1", "c", 3, 80, 90, 3, OK)
	s.add(Line{TMono: 100, Client: "admin", Author: "r2", Op: OpAllow})
	s.page("r2", 120, 1, ViaReplay, "b", "c")

	// The node is asked to end; its clients are told to come back.
	s.add(Line{TMono: 200, TEnd: 300, Client: "judge", Op: OpStop, Result: OK})
	for i := range int64(24) {
		s.add(Line{TMono: 290, Client: fmt.Sprint("c", i), Op: OpEnd, Code: "1012", Count: 1 + i*40})
	}
	s.add(Line{TMono: 280, Client: "c99", Op: OpEnd, Code: "token_expired"}) // of its own accord
	s.send("w1", "d", 4, 205, 210, 4, OK)

	// The store gets a new epoch and keeps everything.
	s.add(Line{TMono: 400, TEnd: 500, Client: "judge", Op: OpRestore, Result: OK})
	s.add(Line{TMono: 510, Client: "r1", Op: OpJoin, Epoch: testEpoch, Prev: 2})
	s.add(Line{TMono: 520, Client: "r1", Op: OpReset, Reason: "epoch", Epoch: "e2"})
	s.page("r1", 520, 3, ViaReplay, "d")
	s.inEpoch("e2", 2)
	s.send("w1", "e", 5, 530, 540, 5, OK)
	s.inEpoch("e2", 1)
	s.page("r1", 541, 4, ViaLive, "e")
	s.inEpoch("e2", 2)

	// r3 comes from below the floor.
	s.add(Line{TMono: 600, Client: "r3", Op: OpJoin, Epoch: "e2", Prev: 1})
	s.add(Line{TMono: 601, Client: "r3", Op: OpReset, Reason: "pruned", Epoch: "e2", Floor: 4})
	s.add(Line{TMono: 602, Client: "r3", Op: OpPage, Epoch: "e2", Prev: 3, Seq: 5, Head: 5, Floor: 4, Via: ViaPoll})
	for i, tag := range []string{"d", "e"} {
		s.add(Line{TMono: 602, Client: "r3", Op: OpEvent, Epoch: "e2", Seq: int64(i) + 4, Tag: tag, Via: ViaPoll})
	}
	s.add(Line{TMono: 603, Client: "r3", Op: OpPage, Epoch: "e2", Prev: 5, Seq: 5, Head: 5, Floor: 4, Via: ViaPoll})

	s.add(Line{TMono: 39 * second, Client: "r2", Op: OpEnd, Code: "token_expired"})

	// An outbox of three, of which the second is poison.
	for i, tag := range []string{"q1", "q2", "q3"} {
		s.add(Line{TMono: 700, Client: "o", Author: "o", Op: OpQueue, Tag: tag, Order: int64(i) + 1})
		end := Line{TMono: 710, Client: "o", Author: "o", Op: OpSettled, Tag: tag, Result: OK, Seq: int64(i)/2 + 1}
		if tag == "q2" {
			end.Result, end.Code, end.Seq = Fail, "bad_data", 0
		}
		s.add(end)
		s.in("chat:box", 2)
	}

	for i, tag := range []string{"a", "b", "c", "d", "e"} {
		s.final(int64(i)+1, "w1", tag)
		s.inEpoch("e2", 1)
	}
	for i, tag := range []string{"q1", "q3"} {
		s.add(Line{Client: "o", Author: "o", Op: OpInvoke, Tag: tag, PayloadHash: "#" + tag})
		s.final(int64(i)+1, "o", tag)
		s.in("chat:box", 2)
	}
	for _, name := range []string{"I20", "I26", "I27", "I28"} {
		s.add(Line{Client: "judge", Op: OpGauge, Code: name, Reason: "a measure", Count: 3, Max: 3})
	}
	return s
}

// inEpoch puts the last n lines into an epoch.
func (s *story) inEpoch(epoch string, n int) {
	for i := len(s.lines) - n; i < len(s.lines); i++ {
		s.lines[i].Epoch = epoch
	}
}

func TestGoodRun(t *testing.T) {
	v := judge(goodRun())
	if !v.OK(ofRuns...) {
		var text strings.Builder
		v.Table(&text)
		t.Errorf("a good run was judged\n%s", &text)
	}
	both := slices.Concat(ofEvents, ofRuns, ofOutages)
	for _, name := range Invariants() {
		if !slices.Contains(both, name) {
			t.Errorf("no good history exercises %s", name)
		}
	}
}

// TestEachRunInvariantIsCaught breaks the good run in one way at a time: the invariants named, and no others, must
// notice.
func TestEachRunInvariantIsCaught(t *testing.T) {
	of := func(op Op, client string) func(Line) bool {
		return func(l Line) bool { return l.Op == op && (client == "" || l.Client == client) }
	}
	for _, c := range []struct {
		name, want string // as for TestEachInvariantIsCaught
		spoil      func(*testing.T, *story)
	}{
		{"an ack that its own sender does not see", "I10: w1 was told that chat:a has head 0, 5000000 ns after w1 had an ack of seq 1", func(t *testing.T, s *story) {
			s.change(t, of(OpHead, "w1"), func(l *Line) { l.Seq = 0 })
		}},
		{"an ack that another does not see", "I10: after w1 had an ack of seq 2", func(t *testing.T, s *story) {
			s.change(t, of(OpHead, "r2"), func(l *Line) { l.Seq = 1 })
		}},
		{"a head that goes back", "I10: r1 was told that chat:a has head 3", func(t *testing.T, s *story) {
			s.head("r1", 120, 125, 5)
			s.head("r1", 130, 135, 3)
		}},
		{"another epoch in the middle of a cursor", "I11 I8: r1 in chat:a was given epoch e2 after epoch e1, without a reset", func(t *testing.T, s *story) {
			s.drop(t, func(l Line) bool {
				return l.Client == "r1" && (l.Op == OpReset || l.Op == OpJoin && l.TMono > 500*testUnit)
			})
			s.change(t, func(l Line) bool { return l.Client == "r1" && l.Op == OpPage && l.TMono == 520*testUnit }, func(l *Line) { l.Prev = 2 })
			i := slices.IndexFunc(s.lines, func(l Line) bool { return l.Client == "r1" && l.Op == OpEvent && l.TMono == 520*testUnit })
			missed := s.lines[i]
			missed.Seq, missed.Tag, missed.PayloadHash = 3, "c", "#c"
			s.lines = slices.Insert(s.lines, i, missed)
		}},
		{"the old numbering again", "I11: r1 in chat:a was given epoch e1, which it had gone on from", func(t *testing.T, s *story) {
			s.add(Line{TMono: 560, Client: "r1", Op: OpReset, Reason: "epoch", Epoch: testEpoch})
			s.page("r1", 561, 3, ViaReplay, "d")
		}},
		{"an ack of the old numbering after the new", "I11: tag f was acked in epoch e1 of chat:a, which epoch e2 had followed", func(t *testing.T, s *story) {
			s.drop(t, func(l Line) bool { return l.Op == OpFinal || l.Op == OpQueue }) // I1 sees it too
			s.send("w1", "f", 6, 550, 555, 6, OK)
		}},
		{"an event that no log has in the end", "I11: r1 was given seq 6 of chat:a, whose log ends at 5", func(t *testing.T, s *story) {
			s.page("r1", 560, 5, ViaLive, "f")
			s.inEpoch("e2", 2)
		}},
		{"a page from below the floor", "I12: r3 in chat:a stood at seq 1, the floor is 4, and was given a page after 1 instead of a reset", func(t *testing.T, s *story) {
			s.drop(t, of(OpReset, "r3"))
			s.change(t, func(l Line) bool { return l.Client == "r3" && l.Op == OpPage && l.TMono == 602*testUnit }, func(l *Line) { l.Prev = 1 })
			i := slices.IndexFunc(s.lines, func(l Line) bool { return l.Client == "r3" && l.Op == OpEvent })
			for seq, tag := range []string{"b", "c"} {
				l := s.lines[i+seq]
				l.Seq, l.Tag = int64(seq)+2, tag
				s.lines = slices.Insert(s.lines, i+seq, l)
			}
		}},
		{"taken to the floor without a word", "I12 I8: stood at seq 1, the floor is 4, and was given a page after 3 instead of a reset", func(t *testing.T, s *story) {
			s.drop(t, of(OpReset, "r3"))
		}},
		{"part of what is gone after the reset", "I12: was given a page after seq 2, the floor is 4", func(t *testing.T, s *story) {
			s.change(t, func(l Line) bool { return l.Client == "r3" && l.Op == OpPage && l.TMono == 602*testUnit }, func(l *Line) { l.Prev, l.Floor = 2, 0 })
			i := slices.IndexFunc(s.lines, func(l Line) bool { return l.Client == "r3" && l.Op == OpEvent })
			l := s.lines[i]
			l.Seq, l.Tag = 3, "c"
			s.lines = slices.Insert(s.lines, i, l)
		}},
		{"pruned, at the floor", "I12: r3 in chat:a was told `pruned` at seq 3, the floor is 4", func(t *testing.T, s *story) {
			s.change(t, of(OpJoin, "r3"), func(l *Line) { l.Prev = 3 })
		}},
		{"nothing, though there is something", "I12: was given nothing after seq 5, the head is 6", func(t *testing.T, s *story) {
			s.change(t, func(l Line) bool { return l.Client == "r3" && l.TMono == 603*testUnit }, func(l *Line) { l.Head = 6 })
		}},
		{"a floor that goes back", "I12: the floor of chat:a went back from 4 to 2", func(t *testing.T, s *story) {
			s.change(t, func(l Line) bool { return l.Client == "r3" && l.TMono == 603*testUnit }, func(l *Line) { l.Floor = 2 })
		}},
		{"given what was sent after the revocation", "I17: r2 was given seq 3 of chat:a 45ms after the revocation; it was sent 5ms after it", func(t *testing.T, s *story) {
			s.drop(t, of(OpAllow, ""))
		}},
		{"given it before the room was back", "I17: r2 was given seq 3", func(t *testing.T, s *story) {
			s.change(t, func(l Line) bool { return l.Client == "r2" && l.TMono == 120*testUnit }, func(l *Line) { l.TMono = 95 * testUnit })
		}},
		{"served beyond its token", "I18: r2 was served in chat:a 33s after its token had ended", func(t *testing.T, s *story) {
			s.page("r2", 42*second, 3, ViaLive, "d")
		}},
		{"turned away before its token ends", "I18: r2 was turned away 4s before its token ends", func(t *testing.T, s *story) {
			s.change(t, func(l Line) bool { return l.Op == OpEnd && l.Client == "r2" }, func(l *Line) { l.TMono = 5 * second * testUnit })
		}},
		{"given an event of another room", "I19: r1 was given seq 1 of chat:secret, which it may not read", func(t *testing.T, s *story) {
			s.send("w1", "x", 0, 10, 20, 0, Unknown)
			s.in("chat:secret", 2)
			s.add(Line{TMono: 560, Client: "r1", Op: OpEvent, Epoch: testEpoch, Seq: 1, Tag: "x"})
			s.in("chat:secret", 1)
		}},
		{"given an event of another room under the name of one's own", "I19 I2: tag x as an event of chat:a; it was sent to chat:secret", func(t *testing.T, s *story) {
			s.send("w1", "x", 0, 10, 20, 0, Unknown)
			s.in("chat:secret", 2)
			s.page("r1", 560, 5, ViaLive, "x")
			s.inEpoch("e2", 2)
			s.final(6, "w1", "x")
			s.inEpoch("e2", 1)
		}},
		{"told of a room that is not one's own", "I19: r1 was told of chat:secret", func(t *testing.T, s *story) {
			s.head("r1", 20, 30, 7)
			s.in("chat:secret", 1)
		}},
		{"a refusal that tells the two apart", "I19: r1 was refused chat:nothing by unknown_room (#other), but chat:secret", func(t *testing.T, s *story) {
			s.change(t, func(l Line) bool { return l.Room == "chat:nothing" }, func(l *Line) { l.PayloadHash = "#other" })
		}},
		{"refused what is one's own", "I19: r1 was refused chat:a, which it may read", func(t *testing.T, s *story) {
			s.change(t, func(l Line) bool { return l.Room == "chat:nothing" }, func(l *Line) { l.Room = testRoom })
		}},
		{"an item without an end", "I23: tag q3 was queued by o and came to no end", func(t *testing.T, s *story) {
			s.drop(t, func(l Line) bool { return l.Op == OpSettled && l.Tag == "q3" })
		}},
		{"ended well, but is not stored", "I23: tag q3 of o ended well and is stored 0 times", func(t *testing.T, s *story) {
			s.drop(t, func(l Line) bool { return l.Op == OpFinal && l.Tag == "q3" })
		}},
		{"failed, but is stored", "I23: tag q1 of o failed () and is stored as seq 1", func(t *testing.T, s *story) {
			s.change(t, func(l Line) bool { return l.Op == OpSettled && l.Tag == "q1" }, func(l *Line) { l.Result = Fail })
		}},
		{"ended as another seq", "I23: tag q3 of o ended as seq 7 and is stored as seq 2", func(t *testing.T, s *story) {
			s.change(t, func(l Line) bool { return l.Op == OpSettled && l.Tag == "q3" }, func(l *Line) { l.Seq = 7 })
		}},
		{"an outbox out of order", "I23: o queued tag q1 before tag q3; they got seq 2 and 1", func(t *testing.T, s *story) {
			s.change(t, func(l Line) bool {
				return (l.Op == OpFinal || l.Op == OpSettled && l.Result == OK) && l.Room == "chat:box"
			}, func(l *Line) { l.Seq = 3 - l.Seq })
			slices.SortStableFunc(s.lines, func(a, b Line) int {
				if a.Op == OpFinal && b.Op == OpFinal && a.Room == "chat:box" && b.Room == a.Room {
					return int(a.Seq - b.Seq)
				}
				return 0
			})
		}},
		{"closed with another code", "I25: c7 was turned away by \"1006\", not by 1012", func(t *testing.T, s *story) {
			s.change(t, of(OpEnd, "c7"), func(l *Line) { l.Code = "1006" })
		}},
		{"not told when to come back", "I25: c7 was not told when to come back", func(t *testing.T, s *story) {
			s.change(t, of(OpEnd, "c7"), func(l *Line) { l.Count = 0 })
		}},
		{"all come back at once", "I25: of 24 clients, 13 come back within 0 ms", func(t *testing.T, s *story) {
			s.change(t, func(l Line) bool { return l.Op == OpEnd && l.Count > 10 }, func(l *Line) { l.Count = 500 })
		}},
		{"does not end", "I25: the node did not end by itself", func(t *testing.T, s *story) {
			s.change(t, of(OpStop, ""), func(l *Line) { l.Result = Fail })
		}},
		{"acked while ending, and lost", "I25 I1 I3 I9: tag d was acked while the node ended, and is not stored", func(t *testing.T, s *story) {
			s.drop(t, func(l Line) bool { return l.Op == OpFinal && l.Tag == "d" })
			s.add(Line{TMono: 800, Client: "judge", Op: OpQuiet})
			s.drop(t, func(l Line) bool { return l.Client == "r1" && l.TMono == 541*testUnit })
		}},
		{"more than its bound", "I20: a measure: 4, at most 3", func(t *testing.T, s *story) {
			s.change(t, func(l Line) bool { return l.Op == OpGauge && l.Code == "I20" }, func(l *Line) { l.Count = 4 })
		}},
		{"something is left behind", "I26: a measure: 4, at most 3", func(t *testing.T, s *story) {
			s.change(t, func(l Line) bool { return l.Op == OpGauge && l.Code == "I26" }, func(l *Line) { l.Count = 4 })
		}},
		{"a secret in a log", "I27: a measure: 4, at most 3", func(t *testing.T, s *story) {
			s.change(t, func(l Line) bool { return l.Op == OpGauge && l.Code == "I27" }, func(l *Line) { l.Count = 4 })
		}},
		{"moved by the clock", "I28: a measure: 4, at most 3", func(t *testing.T, s *story) {
			s.change(t, func(l Line) bool { return l.Op == OpGauge && l.Code == "I28" }, func(l *Line) { l.Count = 4 })
		}},
		{"lost by a restore that lost nothing", "I1 I3: tag b was acked as seq 2 of chat:a and is not in the final log", func(t *testing.T, s *story) {
			s.drop(t, func(l Line) bool { return l.Op == OpFinal && l.Tag == "b" })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := goodRun()
			c.spoil(t, s)
			caught(t, s, c.want)
		})
	}
}

// caught judges the story: the invariants named, and no others, must notice, the first in these words.
func caught(t *testing.T, s *story, want string) {
	t.Helper()
	v := judge(s)
	names, what, _ := strings.Cut(want, ": ")
	expected := strings.Fields(names)
	got := v.Failed()
	first, _ := v.Result(expected[0])
	slices.Sort(expected)
	slices.Sort(got)
	if !slices.Equal(got, expected) {
		var text strings.Builder
		v.Table(&text)
		t.Fatalf("caught by %v, want %v\n%s", got, expected, &text)
	}
	if !strings.Contains(first.Violations[0].What, what) || !strings.HasPrefix(first.Violations[0].At, "story:") {
		t.Errorf("said %+v, want %q in it", first.Violations[0], what)
	}
	if v.OK() {
		t.Error("a verdict with a violation is OK")
	}
}

// A restore that took events back excuses what was acked before it, and no more.
func TestRestoreTakesBack(t *testing.T) {
	s := goodRun()
	s.change(t, func(l Line) bool { return l.Op == OpRestore }, func(l *Line) { l.Result = Fail })
	s.drop(t, func(l Line) bool { return l.Op == OpFinal && (l.Tag == "d" || l.Tag == "e") })
	s.drop(t, func(l Line) bool { return l.Tag == "e" })
	s.drop(t, func(l Line) bool { return l.Client == "r3" || l.Client == "r1" && l.TMono > 500*testUnit })
	if v := judge(s); len(v.Failed()) > 0 {
		var text strings.Builder
		v.Table(&text)
		t.Errorf("a restore was judged\n%s", &text)
	}
	s.send("w1", "f", 6, 550, 555, 4, OK)
	s.inEpoch("e2", 1)
	caught(t, s, "I1 I25: tag f was acked")
}

// What lies below the floor of the final log is excused, and no more.
func TestPrunedIsNotLost(t *testing.T) {
	s := good()
	s.drop(t, func(l Line) bool { return l.Op == OpFinal && l.Seq < 3 })
	s.change(t, is(OpFinal, ""), func(l *Line) { l.Floor = 3 })
	if v := judge(s); len(v.Failed()) > 0 {
		t.Errorf("a pruned room is judged %v", v.Failed())
	}
	s.drop(t, func(l Line) bool { return l.Op == OpFinal && l.Seq == 3 })
	caught(t, s, "I1 I3: tag c was acked as seq 3")
}
