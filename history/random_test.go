package history

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anishathalye/porcupine"
	"pgregory.net/rapid"
)

// world makes a correct history: one room, some writers that pipeline, retry and lose answers, and
// some readers that are cut, resume, are reset and catch up.
type world struct {
	*story
	now     int64
	log     []*sending // what is stored, in order
	open    []*sending // sent and not answered, oldest first per writer
	orders  map[string]int64
	readers map[string]*reading
}

type sending struct {
	client, tag string
	order       int64
	from, seq   int64
}

type reading struct {
	seq    int64
	replay bool // the next page is part of the answer to a join
}

var (
	writers = []string{"w1", "w2", "w3"}
	readers = []string{"r1", "r2"}
)

func newWorld() *world {
	w := &world{story: &story{}, orders: map[string]int64{}, readers: map[string]*reading{}}
	for _, name := range readers {
		w.join(name, 0)
	}
	return w
}

func (w *world) tick() int64 { w.now++; return w.now }

func (w *world) begin(client string) {
	w.orders[client]++
	w.invoke(&sending{client: client, tag: fmt.Sprintf("%s.%d", client, w.orders[client]), order: w.orders[client]})
}

func (w *world) invoke(s *sending) {
	s.from = w.tick()
	w.open = append(w.open, s)
	w.story.add(w.line(s, OpInvoke))
}

func (w *world) line(s *sending, op Op) Line {
	return Line{TMono: s.from, Client: s.client, Author: s.client, Tag: s.tag, PayloadHash: "#" + s.tag, Order: s.order, Op: op}
}

// store stores the oldest open send of its writer that is not stored: first in, first out.
func (w *world) store(client string) {
	for _, s := range w.open {
		if s.client == client && s.seq == 0 {
			w.log = append(w.log, s)
			s.seq = int64(len(w.log))
			return
		}
	}
}

// answer ends the oldest send of the writer if it is stored: with an ack or, if lost, with silence;
// then the writer may send it again.
func (w *world) answer(client string, lost, again bool) {
	i := slices.IndexFunc(w.open, func(s *sending) bool { return s.client == client })
	if i < 0 || w.open[i].seq == 0 {
		return
	}
	s := w.open[i]
	w.open = slices.Delete(w.open, i, i+1)
	l := w.line(s, OpSend)
	l.TEnd = w.tick()
	l.Result = Unknown
	if !lost {
		l.Result, l.Epoch, l.Seq = OK, testEpoch, s.seq
	}
	w.story.add(l)
	if again {
		retry := *s // it finds its first result: it is stored already
		w.invoke(&retry)
	}
}

// refuse answers a new send of the writer with a definite refusal.
func (w *world) refuse(client string) {
	w.begin(client)
	s := w.open[len(w.open)-1]
	w.open = w.open[:len(w.open)-1]
	l := w.line(s, OpSend)
	l.TEnd, l.Result, l.Code = w.tick(), Fail, "rate_limited"
	w.story.add(l)
}

func (w *world) join(name string, at int64) {
	w.readers[name] = &reading{seq: at, replay: true}
	w.story.add(Line{TMono: w.tick(), Client: name, Op: OpJoin, Epoch: testEpoch, Prev: at})
}

// deliver gives the reader a page with at most n of the events that it lacks.
func (w *world) deliver(name string, n int) {
	r := w.readers[name]
	tags := []string{}
	for _, s := range w.log[r.seq:min(r.seq+int64(n), int64(len(w.log)))] {
		tags = append(tags, s.tag)
	}
	via := ViaLive
	if r.replay {
		via = ViaReplay
	}
	if len(tags) > 0 || r.replay {
		w.story.page(name, w.tick(), r.seq, via, tags...)
	}
	r.seq += int64(len(tags))
	r.replay = false
}

// ask has the client ask for the head.
func (w *world) ask(name string) {
	asked := w.tick()
	w.story.add(Line{TMono: asked, TEnd: w.tick(), Client: name, Op: OpHead, Epoch: testEpoch, Seq: int64(len(w.log))})
}

// reset sends the reader to the latest page.
func (w *world) reset(name string) {
	w.story.add(Line{TMono: w.tick(), Client: name, Op: OpReset, Reason: "too_far"})
	w.story.add(Line{TMono: w.tick(), Client: name, Op: OpJoin, Fresh: true})
	w.readers[name] = &reading{seq: int64(len(w.log)) - min(int64(len(w.log)), 3), replay: true}
}

// finish answers and delivers everything and replays the log.
func (w *world) finish() {
	for _, client := range writers {
		for range len(w.open) {
			w.store(client)
			w.answer(client, false, false)
		}
	}
	w.story.add(Line{TMono: w.tick(), Client: "judge", Op: OpQuiet})
	for _, name := range readers {
		w.deliver(name, len(w.log))
		w.deliver(name, len(w.log))
	}
	w.story.add(Line{TMono: w.tick(), Client: "judge", Op: OpSQL, Count: int64(len(w.log)), Min: min(int64(len(w.log)), 1), Max: int64(len(w.log))})
	for _, s := range w.log {
		w.story.final(s.seq, s.client, s.tag)
	}
}

func (w *world) run(t *rapid.T) {
	for range rapid.IntRange(10, 120).Draw(t, "steps") {
		client, name := rapid.SampledFrom(writers).Draw(t, "writer"), rapid.SampledFrom(readers).Draw(t, "reader")
		switch rapid.IntRange(0, 12).Draw(t, "act") {
		case 0, 1, 2:
			w.begin(client)
		case 3, 4:
			w.store(client)
		case 5, 6:
			w.answer(client, rapid.IntRange(0, 3).Draw(t, "lost") == 0, rapid.IntRange(0, 2).Draw(t, "again") == 0)
		case 7:
			w.refuse(client)
		case 8, 9:
			w.deliver(name, rapid.IntRange(1, 5).Draw(t, "n"))
		case 10:
			w.join(name, rapid.Int64Range(max(0, w.readers[name].seq-2), w.readers[name].seq).Draw(t, "position"))
		case 11:
			w.reset(name)
		case 12:
			w.ask(rapid.SampledFrom([]string{client, name}).Draw(t, "who asks"))
		}
	}
	w.finish()
}

// corruption is one change to a history; apply returns false where there is nothing it can spoil.
type corruption struct {
	caughtBy string
	apply    func(t *rapid.T, s *story) bool
}

// pick draws one line for which which is true.
func pick(t *rapid.T, s *story, which func(i int, l Line) bool) (int, bool) {
	var list []int
	for i, l := range s.lines {
		if which(i, l) {
			list = append(list, i)
		}
	}
	if len(list) == 0 {
		return 0, false
	}
	return rapid.SampledFrom(list).Draw(t, "line"), true
}

// edit is a corruption that changes one line.
func edit(caughtBy string, which func(s *story, i int, l Line) bool, change func(s *story, i int)) corruption {
	return corruption{caughtBy, func(t *rapid.T, s *story) bool {
		i, ok := pick(t, s, func(i int, l Line) bool { return which(s, i, l) })
		if ok {
			change(s, i)
		}
		return ok
	}}
}

func remove(s *story, i int) { s.lines = slices.Delete(s.lines, i, i+1) }

func final(_ *story, _ int, l Line) bool  { return l.Op == OpFinal }
func events(_ *story, _ int, l Line) bool { return l.Op == OpEvent }
func acked(_ *story, _ int, l Line) bool  { return l.Op == OpSend && l.Result == OK }

// ackedRow is a final line of an acked event, not the only one: without any there is no final log.
func ackedRow(s *story, i int, l Line) bool {
	return l.Op == OpFinal &&
		slices.ContainsFunc(s.lines, func(o Line) bool { return acked(s, i, o) && o.Tag == l.Tag }) &&
		slices.ContainsFunc(s.lines, func(o Line) bool { return o.Op == OpFinal && o.Seq != l.Seq })
}

// lastOf reports whether no later line of the same op and client is there.
func lastOf(s *story, i int) bool {
	return !slices.ContainsFunc(s.lines[i+1:], func(l Line) bool { return l.Op == s.lines[i].Op && l.Client == s.lines[i].Client })
}

// tail is the last event that a client was given, and the only time: it neither had it before nor said later, by where it
// joined again, that it has it.
func tail(s *story, i int, l Line) bool {
	given := func(o Line) bool { return o.Op == OpEvent && o.Client == l.Client && o.Seq == l.Seq }
	joins := func(o Line) bool { return o.Op == OpJoin && o.Client == l.Client }
	return l.Op == OpEvent && lastOf(s, i) && !slices.ContainsFunc(s.lines[:i], given) && !slices.ContainsFunc(s.lines[i:], joins)
}

var corruptions = map[string]corruption{
	"lose a row":           edit("I1", ackedRow, remove),
	"alter a row":          edit("I1", ackedRow, func(s *story, i int) { s.lines[i].PayloadHash = "#x" }),
	"alter an ack's seq":   edit("I1", acked, func(s *story, i int) { s.lines[i].Seq += 1000 }),
	"alter an ack's epoch": edit("I1", acked, func(s *story, i int) { s.lines[i].Epoch = "e0" }),
	"alter a row's bytes":  edit("I2", final, func(s *story, i int) { s.lines[i].PayloadHash = "#x" }),
	"another's row":        edit("I2", final, func(s *story, i int) { s.lines[i].Author = "nobody" }),
	"a row too many": edit("I2", final, func(s *story, i int) {
		extra := s.lines[i]
		extra.Tag, extra.Seq = "phantom", 10_000
		s.lines = append(s.lines, extra)
	}),
	"a hole": edit("I3", func(s *story, i int, l Line) bool { return l.Op == OpFinal && !lastOf(s, i) }, remove),
	"a miscount": edit("I3", func(_ *story, _ int, l Line) bool { return l.Op == OpSQL && l.Count > 0 },
		func(s *story, i int) { s.lines[i].Count++ }),
	"another event":      edit("I4", events, func(s *story, i int) { s.lines[i].Tag = "x" }),
	"other bytes":        edit("I4", events, func(s *story, i int) { s.lines[i].PayloadHash = "#x" }),
	"an ack for another": edit("I7", repeated, func(s *story, i int) { s.lines[i].Seq++ }),
	"stored twice": edit("I7", final, func(s *story, i int) {
		twin := s.lines[i]
		twin.Seq = 10_000
		s.lines = append(s.lines, twin)
	}),
	"lose an event": edit("I8", func(s *story, i int, l Line) bool { return l.Op == OpEvent && !lastOf(s, i) }, remove),
	"repeat an event": edit("I8", events, func(s *story, i int) {
		s.lines = slices.Insert(s.lines, i, s.lines[i])
	}),
	"lose the tail": edit("I9", tail, remove),
	"a late tail": edit("I9", tail,
		func(s *story, i int) { s.lines[i].TMono += 3_000_000_000 }),
	"a stale head": edit("I10", afterAck, func(s *story, i int) { s.lines[i].Seq = 0 }),
	"another epoch": edit("I11", func(s *story, i int, l Line) bool { return firstLive(s, i, l) },
		func(s *story, i int) { s.lines[i].Epoch = "e2" }),
	"jump into live": edit("I13", firstLive, func(s *story, i int) { s.lines[i].Prev++ }),
	"real time":      {"I5", func(t *rapid.T, s *story) bool { return swapRows(t, s, false) }},
	"sender order":   {"I6", func(t *rapid.T, s *story) bool { return swapRows(t, s, true) }},
}

// repeated is an ack of a tag that was acked before.
func repeated(s *story, i int, l Line) bool {
	return acked(s, i, l) && slices.ContainsFunc(s.lines[:i], func(o Line) bool { return acked(s, i, o) && o.Tag == l.Tag })
}

// afterAck is a head that was asked for after something was acked.
func afterAck(s *story, i int, l Line) bool {
	return l.Op == OpHead && slices.ContainsFunc(s.lines[:i], func(o Line) bool { return acked(s, i, o) && o.TEnd < l.TMono })
}

// firstLive is a live page behind a replayed one of the same cursor.
func firstLive(s *story, i int, l Line) bool {
	if l.Op != OpPage || l.Via != ViaLive {
		return false
	}
	for j := i - 1; j >= 0; j-- {
		if o := s.lines[j]; o.Op == OpPage && o.Client == l.Client {
			return o.Via == ViaReplay
		}
	}
	return false
}

// swapRows exchanges two events everywhere, as a server that stored them the wrong way round: two of
// one sender, or two of different ones of which the first was acked before the second was sent.
func swapRows(t *rapid.T, s *story, oneSender bool) bool {
	first := map[string]int64{}
	var acks []Line
	for _, l := range s.lines {
		if _, ok := first[l.Tag]; !ok && l.Op == OpInvoke {
			first[l.Tag] = l.TMono
		}
		if l.Op == OpSend && l.Result == OK {
			acks = append(acks, l)
		}
	}
	var pairs [][2]Line
	for _, a := range acks {
		for _, b := range acks {
			if oneSender && a.Client == b.Client && a.Order < b.Order ||
				!oneSender && a.Client != b.Client && a.TEnd < first[b.Tag] {
				pairs = append(pairs, [2]Line{a, b})
			}
		}
	}
	if len(pairs) == 0 {
		return false
	}
	pair := rapid.SampledFrom(pairs).Draw(t, "pair")
	a, b := pair[0], pair[1]
	for i := range s.lines {
		switch l := &s.lines[i]; {
		case l.Seq == 0 || l.Op == OpPage || l.Op == OpSQL:
		case l.Tag == a.Tag:
			l.Seq = b.Seq
		case l.Tag == b.Tag:
			l.Seq = a.Seq
		}
	}
	return true
}

// TestRandomHistories: no alarm for a correct history, and an alarm by the named invariant for one
// corruption of it. Rapid prints its seed when it fails.
func TestRandomHistories(t *testing.T) {
	t.Run("correct", rapid.MakeCheck(func(t *rapid.T) {
		w := newWorld()
		w.run(t)
		if v := judge(w.story); len(v.Failed()) > 0 {
			var text strings.Builder
			v.Table(&text)
			t.Fatalf("a correct history was judged\n%s", &text)
		}
	}))
	for name, c := range corruptions {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			w := newWorld()
			w.run(t)
			if !c.apply(t, w.story) {
				t.Skip("nothing to spoil in this one") // drawn again by rapid, which fails if all are so
			}
			if v := judge(w.story); !slices.Contains(v.Failed(), c.caughtBy) {
				t.Fatalf("caught by %v, want %s", v.Failed(), c.caughtBy)
			}
		}))
	}
}

// logModel is the room as porcupine sees it: an append answers with the next seq.
var logModel = porcupine.Model{
	Init: func() any { return int64(0) },
	Step: func(state, _, output any) (bool, any) {
		return output.(int64) == state.(int64)+1, output
	},
	Equal: func(a, b any) bool { return a == b },
}

// TestRealTimeAgreesWithPorcupine: on short histories of acked sends with dense seqs, the sweep of I5
// and a linearizability checker come to one verdict.
func TestRealTimeAgreesWithPorcupine(t *testing.T) {
	var passed, failed int
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 7).Draw(t, "n")
		seqs := make([]int64, n)
		for i := range seqs {
			seqs[i] = int64(i) + 1
		}
		seqs = rapid.Permutation(seqs).Draw(t, "seqs")
		s := &story{}
		var ops []porcupine.Operation
		for i, seq := range seqs {
			from := rapid.Int64Range(1, 40).Draw(t, "from")
			if rapid.Bool().Draw(t, "in order") { // else nearly every history would be wrong
				from = seq * 5
			}
			to := from + rapid.Int64Range(1, 15).Draw(t, "length")
			s.send(fmt.Sprint("w", i), fmt.Sprint("t", i), 0, from, to, seq, OK)
			ops = append(ops, porcupine.Operation{ClientId: i, Call: from, Return: to, Output: seq})
		}
		r, _ := judge(s).Result("I5")
		want := porcupine.CheckOperations(logModel, ops)
		if got := r.Count == 0; got != want {
			t.Fatalf("the sweep says %v, porcupine %v: %+v, %+v", got, want, ops, r)
		}
		if want {
			passed++
		} else {
			failed++
		}
	})
	if passed == 0 || failed == 0 {
		t.Errorf("%d linearizable and %d other histories: one of the two was not tried", passed, failed)
	}
}

// BenchmarkCheck judges a million lines: 40 readers of 20,000 events and their sends.
func BenchmarkCheck(b *testing.B) {
	file := filepath.Join(b.TempDir(), "big.jsonl")
	r, err := Create(file)
	if err != nil {
		b.Fatal(err)
	}
	const events, readers = 12_000, 40
	tag := func(i int) string { return fmt.Sprintf("0192f0c1-7d1a-7b8e-9a53-%012d", i) }
	base := Line{Node: "n1", Transport: "ws", Room: testRoom, Epoch: testEpoch}
	for i := range events {
		l := base
		l.Client, l.Author, l.Tag, l.PayloadHash, l.TMono = "w1", "w1", tag(i), Hash([]byte(tag(i))), int64(i)*10+1
		l.Op = OpInvoke
		r.Add(l)
		l.Op, l.Result, l.Seq, l.TEnd = OpSend, OK, int64(i)+1, l.TMono+5
		r.Add(l)
		l.Op, l.Client, l.Result, l.Via = OpFinal, "judge", "", ViaHistory
		r.Add(l)
		for j := range readers {
			l.Client, l.Via = fmt.Sprint("r", j), ViaLive
			page := base
			page.Op, page.Client, page.Via, page.Prev, page.Seq, page.TMono = OpPage, l.Client, ViaLive, int64(i), int64(i)+1, l.TMono
			r.Add(page)
			l.Op = OpEvent
			r.Add(l)
		}
	}
	if err := r.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		v, err := Check([]string{file})
		if err != nil || !v.OK("I1", "I4", "I8") {
			b.Fatal(v.Failed(), err)
		}
		b.ReportMetric(float64(v.Files[0].Lines), "lines")
	}
}
