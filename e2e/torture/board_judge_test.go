package torture

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What a replica of a map holds against what it is given is seen to fail, by pages with one fault each.
func TestJudgeOfBoards(t *testing.T) {
	of := func(seq int64, value rawText) map[string]entry {
		return map[string]entry{"k": {Value: value, Deleted: value == "", Seq: seq}}
	}
	event := changedEvent{Seq: 2, Type: "state", Data: []byte(`{"k":2}`)}
	for _, c := range []struct {
		name  string
		fresh bool // the last page is the first of a new beginning
		pages []changedPage
		shows string
		wrong string
	}{
		{"one after the other", false, []changedPage{{Seq: 1, State: of(1, "1")}, {Prev: 1, Seq: 2, Events: []changedEvent{event}}}, "k=2@2 ", ""},
		{"deleted", false, []changedPage{{Seq: 1, State: of(1, "1")}, {Prev: 1, Seq: 2, State: of(2, "")}}, "", ""},
		{"all anew", true, []changedPage{{Seq: 1, State: of(1, "1")}, {Prev: 1, Seq: 2, Full: true, State: of(2, "2")}}, "k=2@2 ", ""},
		{"a hole", false, []changedPage{{Seq: 1, State: of(1, "1")}, {Prev: 2, Seq: 3}}, "k=1@1 ", "PAGE-6"},
		{"back", false, []changedPage{{Seq: 4, State: of(4, "4")}, {Prev: 4, Seq: 5, State: of(3, "3")}}, "k=3@3 ", "goes back from 4 to 3"},
		{"back by a whole map", false, []changedPage{{Seq: 4, State: of(4, "4")}, {Prev: 4, Seq: 5, Full: true, State: of(3, "3")}}, "k=3@3 ", "goes back from 4 to 3"},
		{"older by a new beginning", true, []changedPage{{Seq: 4, State: of(4, "4")}, {Prev: 2, Seq: 3, Full: true, State: of(3, "3")}}, "k=3@3 ", ""},
		{"of another page", false, []changedPage{{Seq: 1}, {Prev: 1, Seq: 2, State: of(3, "3")}}, "k=3@3 ", "STATE-7"},
		{"another value than others", false, []changedPage{{Seq: 1, State: of(1, "other")}}, "k=other@1 ", "was 1 to others"},
	} {
		rec, err := newRecorder(filepath.Join(t.TempDir(), "history"))
		if err != nil {
			t.Fatal(err)
		}
		b := &board{cursor: cursor{transport: "ws", room: "r"}, name: "b", rec: rec, told: &gossip{values: map[string]rawText{"r k 1": "1"}}}
		b.forget()
		for i, p := range c.pages {
			if c.fresh && i == len(c.pages)-1 {
				b.begin()
			}
			b.take("a", p)
		}
		var said []string
		for text := range rec.violations() {
			said = append(said, text)
		}
		found := slices.ContainsFunc(said, func(text string) bool { return strings.Contains(text, c.wrong) })
		if c.wrong == "" && len(said) > 0 || c.wrong != "" && !found || b.shows() != c.shows {
			t.Errorf("%s: shows %q, want %q; says %q, want %q", c.name, b.shows(), c.shows, said, c.wrong)
		}
		if err := rec.Close(); err != nil {
			t.Error(err)
		}
	}
}
