package torture

import (
	"strings"
	"testing"
)

// The judge of state is seen to fail, by histories with one fault each, and to pass what only looks like one.
func TestJudgeOfRegisters(t *testing.T) {
	set := func(tag string, call, end, seq, ifSeq int64, value rawText, lost ...lostRace) *setting {
		return &setting{Room: "r", Tag: tag, Keys: map[string]rawText{"k": value}, If: ifSeq, Call: call, Return: end, Seq: seq, Lost: lost}
	}
	event := func(seq int64, tag string, value rawText) storedSet {
		return storedSet{seq, tag, map[string]rawText{"k": value}}
	}
	gave := func(call, end, seq int64, keys map[string]entry) lookup {
		return lookup{Room: "r", Node: "a", Call: call, Return: end, Seq: seq, Map: keys}
	}
	one := map[string]entry{"k": {Value: "1", Seq: 1}}
	two := []storedSet{event(1, "a", "1"), event(2, "b", "2")}
	for _, c := range []struct {
		name   string
		of     registers
		events []storedSet
		wrong  string // "": nothing
	}{
		{"two in order", registers{settings: []*setting{set("a", 1, 2, 1, -1, "1"), set("b", 3, 4, 2, 1, "2")}}, two, ""},
		{"one without an answer, stored before the other", registers{settings: []*setting{set("a", 1, 0, 0, -1, "1"), set("b", 3, 4, 2, 1, "2")}}, two, ""},
		{"one without an answer that is not stored", registers{settings: []*setting{set("a", 1, 0, 0, -1, "1"), set("b", 3, 4, 2, 1, "2")}}, two[1:], ""},
		{"an ack of what is not stored", registers{settings: []*setting{set("a", 1, 2, 1, -1, "1"), set("b", 3, 4, 2, 1, "2")}}, two[1:], "acked as 1"},
		{"an ack with another seq", registers{settings: []*setting{set("a", 1, 2, 7, -1, "1"), set("b", 3, 4, 2, -1, "2")}}, two, "acked as 7"},
		{"stored twice", registers{settings: []*setting{set("a", 1, 2, 1, -1, "1")}}, []storedSet{event(1, "a", "1"), event(2, "a", "1")}, "as 1 and as 2"},
		{"stored and not sent", registers{settings: []*setting{set("a", 1, 2, 1, -1, "1")}}, two, "nobody sent it"},
		{"two that both created", registers{settings: []*setting{set("a", 1, 2, 1, 0, "1"), set("b", 3, 4, 2, 0, "2")}}, two, "no order"},
		{"a compare that did not look", registers{settings: []*setting{set("a", 1, 2, 3, -1, "1"), set("b", 3, 4, 4, 2, "2")}}, []storedSet{event(3, "a", "1"), event(4, "b", "2")}, "no order"},
		{"against real time", registers{settings: []*setting{set("a", 3, 4, 1, -1, "1"), set("b", 1, 2, 2, -1, "2")}}, two, "no order"},
		{"a conflict with what is there", registers{settings: []*setting{set("a", 1, 2, 1, -1, "1"), set("c", 3, 0, 0, 0, "3", lostRace{3, 4, one})}}, two[:1], ""},
		{"a conflict with nothing", registers{settings: []*setting{set("a", 3, 4, 1, -1, "1"), set("c", 1, 0, 0, 0, "3", lostRace{1, 2, one})}}, two[:1], "no order"},
		{"a conflict that shows an old value", registers{settings: []*setting{set("a", 1, 2, 1, -1, "1"), set("b", 3, 4, 2, -1, "2"), set("c", 5, 0, 0, 0, "3", lostRace{5, 6, one})}}, two, "no order"},
		{"a conflict without a reason", registers{settings: []*setting{set("a", 1, 2, 1, -1, "1"), set("c", 3, 0, 0, 1, "3", lostRace{3, 4, one})}}, two[:1], "no order"},
		{"a conflict of another key", registers{settings: []*setting{set("a", 1, 2, 1, -1, "1"), set("c", 3, 0, 0, 0, "3", lostRace{3, 4, nil})}}, two[:1], "no order"},
		{"a conflict of what is stored", registers{settings: []*setting{set("a", 1, 2, 1, 0, "1", lostRace{3, 4, one})}}, two[:1], "no order"},
		{"created after all, when the key was gone", registers{settings: []*setting{
			set("a", 1, 2, 1, -1, "1"), set("c", 3, 0, 0, 0, "3", lostRace{3, 4, one}), set("d", 5, 6, 2, -1, ""),
		}}, []storedSet{event(1, "a", "1"), event(2, "d", ""), event(3, "c", "3")}, ""},
		{"a map of its seq", registers{settings: []*setting{set("a", 1, 2, 1, -1, "1"), set("b", 3, 6, 2, -1, "2")}, lookups: []lookup{gave(4, 5, 1, one)}}, two, ""},
		{"an old map", registers{settings: []*setting{set("a", 1, 2, 1, -1, "1"), set("b", 3, 4, 2, -1, "2")}, lookups: []lookup{gave(5, 6, 1, one)}}, two, "no order"},
		{"an empty map", registers{settings: []*setting{set("a", 1, 2, 1, -1, "1")}, lookups: []lookup{gave(5, 6, 1, nil)}}, two[:1], "as the map of r at 1"},
		{"a map of another seq", registers{settings: []*setting{set("a", 1, 2, 1, -1, "1"), set("b", 3, 9, 2, -1, "2")}, lookups: []lookup{gave(5, 6, 2, one)}}, two, "as the map of r at 2"},
	} {
		problems := c.of.judge("r", c.events)
		if text := strings.Join(problems, "; "); c.wrong == "" && text != "" || !strings.Contains(text, c.wrong) {
			t.Errorf("%s: %q, want %q", c.name, text, c.wrong)
		}
	}
}
