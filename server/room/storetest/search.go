package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"roomlog/server/room"
)

// searchOf is the store as one that keeps an index of words.
func searchOf(t *testing.T, s room.Store) room.SearchStore {
	t.Helper()
	x, ok := s.(room.SearchStore)
	if !ok {
		t.Fatalf("%T keeps no index of words", s)
	}
	return x
}

// write appends messages of these texts and gives their seqs.
func write(t *testing.T, s room.Store, id room.ID, texts ...string) (seqs []room.Seq) {
	t.Helper()
	for _, text := range texts {
		seqs = append(seqs, mustAppend(t, s, say(id, "u1", text)).Verdicts[0].Seq)
	}
	return seqs
}

// step is one that says these texts of messages, from where a cursor stands.
func step(t *testing.T, s room.Store, id room.ID, from, to room.Seq, texts map[room.Seq]string) room.IndexStep {
	t.Helper()
	out := room.IndexStep{Room: id, Epoch: mustHead(t, s, id).Epoch, From: from, To: to}
	for seq, text := range texts {
		out.Entries = append(out.Entries, room.IndexEntry{Seq: seq, At: noon.Add(time.Duration(seq) * time.Second), Words: append([]string{}, strings.Fields(text)...)})
	}
	return out
}

func mustIndex(t *testing.T, s room.SearchStore, want bool, steps ...room.IndexStep) {
	t.Helper()
	taken, err := s.Index(within(t), steps)
	if err != nil || len(taken) != len(steps) {
		t.Fatalf("index %d steps: %v, %v", len(steps), taken, err)
	}
	for i, got := range taken {
		if got != want {
			t.Fatalf("step %d, %s from %d to %d: taken %t, want %t", i, steps[i].Room, steps[i].From, steps[i].To, got, want)
		}
	}
}

// finds fails unless a search finds these, in this order.
func finds(t *testing.T, s room.SearchStore, q room.SearchQuery, want ...room.Hit) {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = 100
	}
	got, err := s.Search(within(t), q)
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("FIND-1: %v (prefix %t, before %d) in %v finds %v, %v; want %v", q.Phrases, q.Prefix, q.Before, q.Rooms, got, err, want)
	}
}

// of are hits of one room.
func of(id room.ID, seqs ...room.Seq) (hits []room.Hit) {
	for _, seq := range seqs {
		hits = append(hits, room.Hit{Room: id, Seq: seq})
	}
	return hits
}

func phrases(text ...string) (all [][]string) {
	for _, phrase := range text {
		all = append(all, strings.Fields(phrase))
	}
	return all
}

// testSearchWords finds words, phrases and prefixes within the rooms that are named, and nowhere else (FIND-1, FIND-3, FIND-4).
func testSearchWords(t *testing.T, f Factory) {
	hs := f.pair(t)
	a, b := searchOf(t, hs[0]), searchOf(t, hs[1])
	x, y := room.ID("chat:x"), room.ID("chat:y")
	write(t, a, x, "one", "two", "three", "four")
	write(t, a, y, "one", "two")
	mustIndex(t, a, true,
		step(t, a, x, 0, 4, map[room.Seq]string{1: "the red fox", 2: "the fox is red", 3: "foxes 狐 狸 über", 4: ""}),
		step(t, a, y, 0, 2, map[room.Seq]string{1: "a red fox", 2: "redder"}))
	for _, c := range []struct {
		phrases [][]string
		prefix  bool
		want    []room.Seq
	}{
		{phrases("fox"), false, []room.Seq{2, 1}},
		{phrases("fox"), true, []room.Seq{3, 2, 1}},
		{phrases("red fox"), false, []room.Seq{1}},
		{phrases("red fo"), true, []room.Seq{1}},
		{phrases("red", "fox"), false, []room.Seq{2, 1}},
		{phrases("red", "is"), true, []room.Seq{2}},
		{phrases("狐 狸"), false, []room.Seq{3}},
		{phrases("狸 狐"), false, nil},
		{phrases("über"), false, []room.Seq{3}},
		{phrases("uber"), false, nil},
		{phrases("redder"), false, nil}, // of another room
		{phrases("1"), true, nil},       // what tells rooms apart is no word
	} {
		finds(t, b, room.SearchQuery{Rooms: []room.ID{x}, Phrases: c.phrases, Prefix: c.prefix}, of(x, c.want...)...)
	}
	finds(t, b, room.SearchQuery{Rooms: []room.ID{x}, Phrases: phrases("fox"), Before: 2}, of(x, 1)...)
	finds(t, b, room.SearchQuery{Rooms: []room.ID{x}, Phrases: phrases("fox"), Limit: 1}, of(x, 2)...)
	finds(t, b, room.SearchQuery{Rooms: []room.ID{x, y}, Phrases: phrases("red"), Prefix: true}, append(append(of(x, 2), of(y, 2)...), append(of(x, 1), of(y, 1)...)...)...)
	finds(t, b, room.SearchQuery{Rooms: []room.ID{x, y}, Floors: []room.Seq{2, 0}, Phrases: phrases("red"), Prefix: true, Limit: 3}, append(append(of(x, 2), of(y, 2)...), of(y, 1)...)...)
	finds(t, b, room.SearchQuery{Rooms: []room.ID{y, "chat:nowhere"}, Phrases: phrases("fox")}, of(y, 1)...)
	finds(t, b, room.SearchQuery{Rooms: []room.ID{"chat:nowhere"}, Phrases: phrases("fox")})
	finds(t, b, room.SearchQuery{Phrases: phrases("fox")})
	many := []room.ID{x}
	for i := range 1000 {
		many = append(many, room.ID(fmt.Sprintf("chat:other%d", i)))
	}
	for _, batch := range [][]room.ID{many[1:400], many[400:]} {
		var sends []room.Send
		for _, id := range batch {
			sends = append(sends, say(id, "u1", "x"))
		}
		mustAppend(t, a, sends...)
	}
	finds(t, b, room.SearchQuery{Rooms: many, Phrases: phrases("the", "fox")}, of(x, 2, 1)...)
}

// testSearchSteps moves the index only from where it stands, in the epoch it is of; edits replace, and what is dropped is gone (FIND-5, FIND-6).
func testSearchSteps(t *testing.T, f Factory) {
	hs := f.pair(t)
	a, b := searchOf(t, hs[0]), searchOf(t, hs[1])
	id := room.ID("chat:steps")
	in := []room.ID{id}
	write(t, a, id, "1", "2", "3")
	mustIndex(t, a, false, step(t, a, id, 1, 2, map[room.Seq]string{2: "early"}))
	mustIndex(t, a, true, step(t, a, id, 0, 2, map[room.Seq]string{1: "alpha", 2: "beta"}))
	mustIndex(t, b, false, step(t, b, id, 0, 2, map[room.Seq]string{1: "again", 2: "again"}))
	finds(t, a, room.SearchQuery{Rooms: in, Phrases: phrases("again")})

	late := step(t, a, id, 2, 3, nil)
	late.Epoch += "-9"
	mustIndex(t, a, false, late)
	replace := step(t, a, id, 2, 3, nil)
	replace.Entries = []room.IndexEntry{{Seq: 1, Words: []string{"gamma"}}, {Seq: 2}, {Seq: 3, Words: []string{"nothing"}}}
	mustIndex(t, b, true, replace)
	finds(t, a, room.SearchQuery{Rooms: in, Phrases: phrases("alpha")})
	finds(t, a, room.SearchQuery{Rooms: in, Phrases: phrases("gamma")}, of(id, 1)...)
	finds(t, a, room.SearchQuery{Rooms: in, Phrases: phrases("beta")})
	finds(t, a, room.SearchQuery{Rooms: in, Phrases: phrases("nothing")}) // words that replace none
	if got, err := b.Indexed(within(t), []room.ID{"chat:nowhere", id}); err != nil || !slices.Equal(got, []room.Seq{0, 3}) {
		t.Fatalf("indexed to %v, %v", got, err)
	}
	mustIndex(t, a, true, step(t, a, id, 3, 0, nil)) // begins again
	finds(t, a, room.SearchQuery{Rooms: in, Phrases: phrases("gamma")})
}

// testSearchGone finds nothing of a room that was deleted, nor of what was pruned, before and after the index is swept (FIND-5).
func testSearchGone(t *testing.T, f Factory) {
	s := searchOf(t, f.open(t))
	id, other := room.ID("chat:gone"), room.ID("chat:kept")
	in := []room.ID{id, other}
	write(t, s, id, "1", "2", "3")
	write(t, s, other, "1")
	texts := map[room.Seq]string{1: "word", 2: "word", 3: "word"}
	mustIndex(t, s, true, step(t, s, id, 0, 3, texts), step(t, s, other, 0, 1, map[room.Seq]string{1: "word"}))
	if _, err := s.(room.Pruner).Prune(within(t), id, room.Retention{Events: 2}, time.Hour, 100); err != nil {
		t.Fatal(err)
	}
	finds(t, s, room.SearchQuery{Rooms: in[:1], Phrases: phrases("word")}, of(id, 3, 2)...)
	behind(t, s, "chat", id)
	mustAppend(t, s, erase(id, "u1", 2)) // of what is deleted the index does not know yet
	finds(t, s, room.SearchQuery{Rooms: in[:1], Phrases: phrases("word")}, of(id, 3)...)
	finds(t, s, room.SearchQuery{Rooms: in, Phrases: phrases("word")}, append(of(id, 3), of(other, 1)...)...)
	mustIndex(t, s, true, step(t, s, id, 3, 4, nil))
	behind(t, s, "chat")

	if _, _, err := s.(room.Rooms).Delete(within(t), id); err != nil {
		t.Fatal(err)
	}
	finds(t, s, room.SearchQuery{Rooms: in, Phrases: phrases("word")}, of(other, 1)...)
	write(t, s, id, "1")
	mustIndex(t, s, true, step(t, s, id, 0, 1, map[room.Seq]string{1: "new"}))
	finds(t, s, room.SearchQuery{Rooms: in[:1], Phrases: phrases("word")})
	for more := true; more; {
		var err error
		if more, err = s.SweepIndex(within(t), 1); err != nil {
			t.Fatal(err)
		}
	}
	finds(t, s, room.SearchQuery{Rooms: in, Phrases: phrases("word")}, of(other, 1)...)
	finds(t, s, room.SearchQuery{Rooms: in, Phrases: phrases("new")}, of(id, 1)...)
}

// behind fails unless these rooms are what the index lacks something of.
func behind(t *testing.T, s room.SearchStore, kind string, want ...room.ID) {
	t.Helper()
	var got []room.ID
	for after := room.ID(""); ; {
		some, next, err := s.IndexBehind(within(t), kind, after, 3)
		if err != nil {
			t.Fatal(err)
		}
		if got = append(got, some...); next == "" {
			break
		}
		after = next
	}
	if !slices.Equal(got, want) {
		t.Fatalf("FIND-6: behind in %q are %v, not %v", kind, got, want)
	}
}

// testSearchBehind finds what the index lacks, kind by kind and of all (FIND-6).
func testSearchBehind(t *testing.T, f Factory) {
	s := searchOf(t, f.open(t))
	var want []room.ID
	for i := range 10 {
		id := room.ID(fmt.Sprintf("chat:r%d", i))
		write(t, s, id, "1", "2")
		if i%3 == 0 {
			mustIndex(t, s, true, step(t, s, id, 0, 2, nil))
			continue
		}
		if i%3 == 1 {
			mustIndex(t, s, true, step(t, s, id, 0, 1, nil))
		}
		want = append(want, id)
	}
	write(t, s, "chat-2:a", "1")
	write(t, s, "chatter:a", "1")
	if _, _, err := s.(room.Rooms).Create(within(t), "chat:empty", "u1", 0); err != nil {
		t.Fatal(err)
	}
	behind(t, s, "chat", want...)
	behind(t, s, "", append(append([]room.ID{"chat-2:a"}, want...), "chatter:a")...)
}

// testSearchRandom compares finds with a model, over more messages than a look at the newest covers (FIND-4).
func testSearchRandom(t *testing.T, f Factory) {
	s := searchOf(t, f.open(t))
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	id := room.ID("chat:random")
	const n = 2500
	fill(t, s, id, n)
	texts := make(map[room.Seq]string)
	for from := range room.Seq(n / 500) {
		some := make(map[room.Seq]string)
		for seq := from*500 + 1; seq <= (from+1)*500; seq++ {
			some[seq] = fmt.Sprintf("common w%d w%d", r.IntN(50), r.IntN(500))
			texts[seq] = some[seq]
		}
		mustIndex(t, s, true, step(t, s, id, from*500, (from+1)*500, some))
	}
	for range 40 {
		word, limit, before := fmt.Sprintf("w%d", r.IntN(500)), 1+r.IntN(60), room.Seq(0)
		if r.IntN(4) == 0 {
			word = "common"
		}
		if r.IntN(2) == 0 {
			before = 1 + r.Int64N(n)
		}
		var want []room.Seq
		for seq := room.Seq(n); seq > 0 && len(want) < limit; seq-- {
			if (before == 0 || seq < before) && slices.Contains(strings.Fields(texts[seq]), word) {
				want = append(want, seq)
			}
		}
		finds(t, s, room.SearchQuery{Rooms: []room.ID{id}, Phrases: phrases(word), Before: before, Limit: limit}, of(id, want...)...)
	}
}

// testDuties lets one node have a duty at a time, and another when that has let it go or has gone (FIND-6).
func testDuties(t *testing.T, f Factory) {
	hs := f.pair(t)
	a, shared := hs[0].(room.Duties)
	if !shared {
		if f.Single == "" {
			t.Fatalf("%T is shared, and has no duties", hs[0])
		}
		t.Skipf("no duties are shared: %s", f.Single)
	}
	b := hs[1].(room.Duties)
	take := func(d room.Duties, holder string, lasts time.Duration, want bool) {
		t.Helper()
		if held, err := d.TakeDuty(within(t), "duty", holder, lasts); err != nil || held != want {
			t.Fatalf("%s takes it: %t, %v; want %t", holder, held, err, want)
		}
	}
	take(a, "n1", time.Hour, true)
	take(b, "n2", time.Hour, false)
	take(a, "n1", time.Hour, true)
	if err := b.LeaveDuty(within(t), "duty", "n2"); err != nil { // not its own
		t.Fatal(err)
	}
	take(b, "n2", time.Hour, false)
	take(a, "n1", -time.Second, true) // whose time is over
	take(b, "n2", time.Hour, true)
	take(a, "n1", time.Hour, false)
	if err := b.LeaveDuty(within(t), "duty", "n2"); err != nil {
		t.Fatal(err)
	}
	take(a, "n1", time.Hour, true)
}
