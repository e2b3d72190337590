package yjs

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// The updates below are of client 7 in a text "t"; 'abc' is one(4, 3, 'a', 'b', 'c').

func TestMergeOverlaps(t *testing.T) {
	abc := one(4, 3, 'a', 'b', 'c')
	cd := late(2, 4, 2, 'c', 'd') // c again, and d
	x := late(7, 4, 1, 'x')
	want := []byte{1, 4, 7, 0,
		4, 1, 1, 't', 3, 'a', 'b', 'c',
		0x84, 7, 2, 1, 'd', // the part that is new, beside c
		10, 3, // three units are missing
		0x84, 7, 6, 1, 'x', 0}
	equal(t, "in order", must(Merge(abc, cd, x))(t), want)
	equal(t, "in disorder, and repeated", must(Merge(x, cd, abc, x, cd))(t), want)
	equal(t, "of nothing", must(Merge())(t), []byte{0, 0})
}

func TestMissing(t *testing.T) {
	emoji := one(4, 6, 'a', 0xf0, 0x9f, 0x98, 0x80, 'b') // a, two units, b
	deletes := func(update []byte, ranges ...byte) []byte {
		update = slices.Clone(update[:len(update)-1])
		return append(append(update, 1, 7, byte(len(ranges)/2)), ranges...)
	}
	none := []byte{0, 0}
	for _, c := range []struct {
		name                string
		state, update, want []byte
	}{
		{"all", none, emoji, emoji},
		{"nothing", emoji, emoji, nil},
		{"nothing of nothing", emoji, none, nil},
		{"an end", one(4, 1, 'a'), emoji, late(1, 4, 5, 0xf0, 0x9f, 0x98, 0x80, 'b')},
		{"a beginning", late(1, 4, 3, 'x', 'y', 'z'), emoji, one(4, 1, 'a')},
		{"a beginning that would end within a pair", late(2, 4, 4, 0xef, 0xbf, 0xbd, 'b'), emoji, one(4, 5, 'a', 0xf0, 0x9f, 0x98, 0x80)},
		{"what is beside", late(1, 1, 2), emoji, []byte{1, 3, 7, 0,
			4, 1, 1, 't', 1, 'a',
			10, 2, // there
			0x84, 7, 2, 1, 'b', 0}},
		{"a deletion", emoji, deletes(emoji, 0, 4), deletes(none, 0, 4)},
		{"a part of one", deletes(emoji, 1, 1), deletes(emoji, 0, 4), deletes(none, 0, 1, 2, 2)},
		{"one of what is gone", one(1, 4), deletes(emoji, 0, 4), nil},
		{"what is only shown as gone", emoji, one(1, 4), nil},
		{"one of what is not there", none, deletes(none, 9, 1), deletes(none, 9, 1)},
		{"a kept one of what is not there", deletes(none, 9, 1), deletes(none, 9, 1), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := must(Missing(c.state, c.update))(t)
			equal(t, "missing", got, c.want)
			if c.want == nil && got != nil {
				t.Errorf("an empty answer is not nil")
			}
			if all := must(Contains(c.state, c.update))(t); all != (c.want == nil) {
				t.Errorf("contains: %v", all)
			}
		})
	}
}

func TestExtentGrows(t *testing.T) {
	var e Extent
	if v := e.Vector(); len(v) != 0 {
		t.Errorf("of nothing: %v", v)
	}
	add := func(update []byte, want uint64) {
		t.Helper()
		if err := e.Add(update); err != nil {
			t.Fatal(err)
		}
		if got := e.Vector()[7]; got != want {
			t.Errorf("%d units without gap, not %d", got, want)
		}
	}
	add(late(3, 4, 2, 'd', 'e'), 0)
	add(late(9, 4, 1, 'j'), 0)
	add(one(4, 3, 'a', 'b', 'c'), 5) // the gap is closed
	add(late(4, 4, 3, 'e', 'f', 'g'), 7)
	add(late(1, 4, 1, 'b'), 7)
	if err := e.Add([]byte{1}); err == nil {
		t.Error("a cut update was added")
	}
	add([]byte{0, 0}, 7)
	equal(t, "what is missing between", must(e.Missing([]byte{1, 1, 7, 0, 0, 12, 0}))(t), []byte{1, 3, 7, 7, 0, 2, 10, 1, 0, 2, 0})
}

// compactions are updates and what they become; without, they stay as they are.
var compactions = []struct {
	name         string
	update, want []byte
}{
	{"letters one by one", []byte{1, 3, 7, 0,
		4, 1, 1, 't', 1, 'a',
		0x84, 7, 0, 1, 'b',
		0x84, 7, 1, 1, 'c', 0}, one(4, 3, 'a', 'b', 'c')},
	{"letters elsewhere", []byte{1, 2, 7, 0,
		4, 1, 1, 't', 1, 'a',
		4, 1, 1, 't', 1, 'b', 0}, nil},
	{"letters before another right", []byte{1, 2, 7, 0,
		4, 1, 1, 't', 1, 'a',
		0xc4, 7, 0, 9, 0, 1, 'b', 0}, nil},
	{"letters before two rights", []byte{2,
		2, 9, 0, 1, 1, 1, 't', 1, 1, 1, 1, 't', 1,
		2, 7, 0, 0x44, 9, 0, 1, 'a', 0xc4, 7, 0, 9, 1, 1, 'b',
		1, 9, 1, 0, 2}, nil},
	{"letters before one right", []byte{2,
		2, 9, 0, 1, 1, 1, 't', 1, 1, 1, 1, 't', 1,
		2, 7, 0, 0x44, 9, 0, 1, 'a', 0xc4, 7, 0, 9, 0, 1, 'b',
		1, 9, 1, 0, 2}, []byte{2,
		2, 9, 0, 1, 1, 1, 't', 1, 1, 1, 1, 't', 1,
		1, 7, 0, 0x44, 9, 0, 2, 'a', 'b',
		1, 9, 1, 0, 2}},
	{"a deleted middle", []byte{1, 1, 7, 0,
		4, 1, 1, 't', 4, 'a', 'b', 'c', 'd',
		1, 7, 1, 1, 2}, []byte{1, 3, 7, 0,
		4, 1, 1, 't', 1, 'a',
		0x81, 7, 0, 2, // 2 units are gone
		0x84, 7, 2, 1, 'd',
		1, 7, 1, 1, 2}},
	{"a deleted half of a character", []byte{1, 1, 7, 0,
		4, 1, 1, 't', 4, 0xf0, 0x9f, 0x98, 0x80,
		1, 7, 1, 0, 1}, []byte{1, 2, 7, 0,
		1, 1, 1, 't', 1,
		0x84, 7, 0, 3, 0xef, 0xbf, 0xbd,
		1, 7, 1, 0, 1}},
	{"what deleted types held", []byte{1, 5, 7, 0,
		7, 1, 1, 't', 1, // a map
		0x27, 0, 7, 0, 1, 'k', 2, // in it, at "k", a text
		4, 0, 7, 1, 1, 'x', // in that, a letter
		0x84, 7, 2, 1, 'y', // and one beside it
		4, 1, 1, 't', 1, 'z', // elsewhere
		1, 7, 1, 0, 1}, []byte{1, 3, 7, 0,
		1, 1, 1, 't', 1,
		0, 3, // the text and the letters
		4, 1, 1, 't', 1, 'z',
		1, 7, 1, 0, 4}},
	{"values of one key", []byte{1, 2, 7, 0,
		0x28, 1, 1, 't', 1, 'k', 1, 120, // at "k", true
		0x88, 7, 0, 1, 121, // then false
		0}, nil},
	{"deleted values of one key", []byte{1, 3, 7, 0,
		0x28, 1, 1, 't', 1, 'k', 1, 120,
		0x88, 7, 0, 1, 121,
		0x88, 7, 1, 1, 126,
		1, 7, 1, 0, 2}, []byte{1, 2, 7, 0,
		0x21, 1, 1, 't', 1, 'k', 2,
		0x88, 7, 1, 1, 126,
		1, 7, 1, 0, 2}},
	{"beside what is missing", []byte{1, 2, 7, 5,
		0x84, 7, 4, 1, 'a',
		0x84, 7, 5, 1, 'b', 0}, nil}, // who knows what it has a key of
	{"a circle", []byte{2,
		1, 9, 0, 0x84, 7, 0, 1, 'a',
		1, 7, 0, 0x84, 9, 0, 1, 'b', 0}, nil},
	{"gone without saying so", []byte{1, 2, 7, 0, 0, 1, 0, 1, 0}, []byte{1, 1, 7, 0, 0, 2, 1, 7, 1, 0, 2}},
	{"units twice", []byte{2, 1, 7, 0, 0, 2, 1, 7, 1, 0, 2, 0}, []byte{1, 1, 7, 0, 0, 3, 1, 7, 1, 0, 3}},
}

// TestSpans compares sets of spans with sets of clocks.
func TestSpans(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 50 {
		var have [100]bool
		var s spans
		for range 30 {
			var more spans
			for range random.IntN(2 * few) {
				start := random.Uint64N(90)
				end := start + 1 + random.Uint64N(9)
				for i := start; i < end; i++ {
					have[i] = true
				}
				more = more.insert(span{start, end})
			}
			s = s.union(more)
			var want spans
			for i, in := range have {
				if in {
					want = want.extend(span{uint64(i), uint64(i) + 1})
				}
				if s.has(uint64(i)) != in {
					t.Fatalf("%v has %d: %v", s, i, !in)
				}
			}
			if !slices.Equal(s, want) {
				t.Fatalf("got %v, not %v", s, want)
			}
		}
	}
}

func TestCompact(t *testing.T) {
	for _, c := range compactions {
		t.Run(c.name, func(t *testing.T) {
			if c.want == nil {
				c.want = c.update
			}
			equal(t, "compact", must(Compact(c.update))(t), c.want)
		})
	}
}
