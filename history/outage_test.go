package history

import (
	"strings"
	"testing"
	"time"
)

// ofOutages are the invariants that goodOutage exercises, of those that goodRun does not.
var ofOutages = []string{"I29"}

// goodOutage is a room without its store, then without its bus.
func goodOutage() *story {
	s := &story{}
	s.add(Line{TMono: 1, Client: "r1", Op: OpJoin})
	s.send("w1", "a", 1, 10, 20, 1, OK)
	s.page("r1", 21, 0, ViaLive, "a")

	s.add(Line{TMono: 30, TEnd: 100, Client: "judge", Op: OpDown, Code: PartStore, Max: int64(50 * time.Millisecond)})
	s.send("w1", "b", 2, 25, 35, 2, OK) // it was on its way
	s.send("w1", "c", 3, 40, 45, 0, Fail)
	s.lines[len(s.lines)-1].Code = "unavailable"
	s.send("w1", "c", 3, 50, 90, 0, Unknown)
	s.send("w1", "c", 3, 95, 110, 3, OK) // the store was back
	s.page("r1", 111, 1, ViaLive, "b", "c")

	s.add(Line{TMono: 200, TEnd: 2000, Client: "judge", Op: OpDown, Code: PartBus, Max: int64(time.Second)})
	s.send("w1", "d", 4, 210, 220, 4, OK)
	s.page("r1", 1100, 3, ViaLive, "d")
	s.add(Line{TMono: 250, Client: "r2", Op: OpJoin}) // after d was acked: d is no delivery to it
	s.page("r2", 1900, 0, ViaReplay, "a", "b", "c", "d")
	s.send("w1", "e", 5, 1500, 1600, 5, OK) // the bound ends after the bus was back
	s.page("r1", 2700, 4, ViaLive, "e")
	s.page("r2", 2701, 4, ViaLive, "e")
	s.add(Line{TMono: 1650, Client: "judge", Op: OpQuiet, Max: int64(1500 * time.Millisecond)})
	for i, tag := range []string{"a", "b", "c", "d", "e"} {
		s.final(int64(i)+1, "w1", tag)
	}
	return s
}

func TestGoodOutage(t *testing.T) {
	v := judge(goodOutage())
	if !v.OK("I29", "I9") {
		var text strings.Builder
		v.Table(&text)
		t.Errorf("a good history was judged\n%s", &text)
	}
	want := Summary{
		Sent: 5, Attempts: 7, Acked: 5, Unknown: 1, Delivered: 10,
		TailLag: 1101 * time.Millisecond, BusLag: 880 * time.Millisecond,
	}
	if v.Summary != want {
		t.Errorf("summed up as %+v, want %+v", v.Summary, want)
	}
}

func TestEachOutageIsCaught(t *testing.T) {
	answer := func(tag string, result Outcome) func(Line) bool {
		return func(l Line) bool { return l.Op == OpSend && l.Tag == tag && l.Result == result }
	}
	for _, c := range []struct {
		name, want string
		spoil      func(*testing.T, *story)
	}{
		{"acked without a store", "I29: tag b was acked while the store was down", func(t *testing.T, s *story) {
			s.change(t, answer("b", OK), func(l *Line) { l.TMono = 31 * testUnit })
		}},
		{"refused for good without a store", "I29: tag c was refused by forbidden while the store was down", func(t *testing.T, s *story) {
			s.change(t, answer("c", Fail), func(l *Line) { l.Code = "forbidden" })
		}},
		{"refused slowly without a store", "I29: tag c was refused after 58ms", func(t *testing.T, s *story) {
			s.change(t, answer("c", Fail), func(l *Line) { l.TEnd = 98 * testUnit })
		}},
		{"refused without a bus", "I29: of 5 sends 3 were refused as unavailable while only the bus was down", func(t *testing.T, s *story) {
			for i, tag := range []string{"f", "g", "h"} {
				s.send("w1", tag, int64(6+i), 300, 310, 0, Fail)
				s.lines[len(s.lines)-1].Code = "unavailable"
			}
		}},
		{"nothing acked without a bus", "I29: none of 2 sends was acked while the bus was down", func(t *testing.T, s *story) {
			s.change(t, answer("d", OK), func(l *Line) { l.Result = Unknown })
			s.change(t, answer("e", OK), func(l *Line) { l.Result = Unknown })
		}},
		{"late without a bus", "I29: tag d was acked while the bus was down, and r1 was given it 1.28s later", func(t *testing.T, s *story) {
			s.change(t, func(l Line) bool { return l.TMono == 1100*testUnit }, func(l *Line) { l.TMono = 1500 * testUnit }) // 1 s, and twice the 100 ms of e
		}},
		{"never at the head", "I9: r2 in chat:a: stopped at seq 4, the head is 5", func(t *testing.T, s *story) {
			s.drop(t, func(l Line) bool { return l.TMono == 2701*testUnit })
		}},
		{"at the head too late", "I9: r1 in chat:a: reached the head 1.551s after all was quiet", func(t *testing.T, s *story) {
			s.change(t, func(l Line) bool { return l.TMono == 2700*testUnit }, func(l *Line) { l.TMono = 3201 * testUnit })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := goodOutage()
			c.spoil(t, s)
			caught(t, s, c.want)
		})
	}
}

// What a revocation may take to be everywhere is excused, and no more.
func TestRevocationHasABound(t *testing.T) {
	s := goodRun()
	s.change(t, is(OpRevoke, ""), func(l *Line) { l.Max = int64(10 * time.Millisecond) })
	s.change(t, func(l Line) bool { return l.Client == "r2" && l.TMono == 120*testUnit }, func(l *Line) { l.TMono = 85 * testUnit })
	v := judge(s)
	if len(v.Failed()) > 0 {
		t.Errorf("10 ms after the revocation, within its bound, is judged %v", v.Failed())
	}
	if want := 10 * time.Millisecond; v.Summary.RevokeLag != want {
		t.Errorf("the worst lag is %v, want %v", v.Summary.RevokeLag, want)
	}
	s.change(t, func(l Line) bool { return l.Client == "r2" && l.TMono == 85*testUnit }, func(l *Line) { l.TMono = 95 * testUnit })
	caught(t, s, "I17: r2 was given seq 3 of chat:a 20ms after the revocation")
}

// A stop is about the connections of its own node.
func TestStopOfAnotherNode(t *testing.T) {
	s := goodRun()
	s.change(t, is(OpStop, ""), func(l *Line) { l.Node = "a" })
	s.add(Line{TMono: 250, Client: "c50", Node: "b", Op: OpEnd, Code: "1006"})
	if v := judge(s); len(v.Failed()) > 0 {
		t.Errorf("the end of a connection to another node is judged %v", v.Failed())
	}
	s.add(Line{TMono: 250, Client: "c51", Node: "a", Op: OpEnd, Code: "1006"})
	caught(t, s, "I25: c51 was turned away")
}

// Each loss and each repeat of a cursor, and of the log, is counted.
func TestSummaryCountsWhatIsWrong(t *testing.T) {
	s := &story{}
	for i, tag := range []string{"a", "b", "c", "d"} {
		at := 10 * int64(i+1)
		s.send("w1", tag, int64(i)+1, at, at+5, int64(i)+1, OK)
	}
	s.page("r1", 60, 0, ViaLive, "a")
	s.page("r1", 61, 2, ViaLive, "c")      // b is lost
	s.page("r1", 62, 1, ViaLive, "b", "c") // and given again, with c
	s.add(Line{TMono: 70, Client: "judge", Op: OpQuiet})
	for i, tag := range []string{"a", "b", "c"} { // d is not stored, c is the head
		s.final(int64(i)+1, "w1", tag)
	}
	s.final(4, "w1", "a") // stored twice, and the new head, which r1 never has
	got := judge(s).Summary
	want := Summary{Sent: 4, Attempts: 4, Acked: 4, Delivered: 4, Lost: 3, Repeated: 3}
	if got != want {
		t.Errorf("summed up as %+v, want %+v", got, want)
	}
}

// In a cluster, who comes with a position is told no less than it had itself; who comes without, no less than anybody.
func TestReadsOfACluster(t *testing.T) {
	story := func(node string, fresh bool, told int64) *story {
		s := good()
		s.add(Line{TMono: 290, TEnd: 295, Client: "r1", Node: node, Op: OpHead, Epoch: testEpoch, Seq: told, Fresh: fresh})
		return s
	}
	head := judge(good())
	if len(head.Failed()) > 0 {
		t.Fatalf("the good history is judged %v", head.Failed())
	}
	last := int64(0)
	for _, l := range good().lines {
		if l.Op == OpPage && l.Client == "r1" {
			last = l.Seq
		}
	}
	if v := judge(story("a", false, last)); len(v.Failed()) > 0 || !v.OK("I10") {
		t.Errorf("told what it had is judged %v", v.Failed())
	}
	caught(t, story("a", false, last-1), "I10: r1 was told by node a that chat:a has head")
	caught(t, story("a", true, 0), "I10: r1 was told that chat:a has head 0")
}
