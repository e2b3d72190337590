package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"roomlog/server/room"
)

const (
	writers = 24
	rounds  = 12
)

// together runs n goroutines that start at once, and waits for them. An error of any fails the test.
func together(t *testing.T, n int, run func(i int) error) {
	t.Helper()
	var wg sync.WaitGroup
	start := make(chan struct{})
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = run(i)
		})
	}
	close(start)
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// checkRows compares what the database itself holds of a room with what its readers were given.
func checkRows(t *testing.T, f Factory, id room.ID, n int) {
	t.Helper()
	rows, maxSeq, tags := f.Count(t, id)
	if rows != int64(n) || maxSeq != int64(n) || tags != int64(n) {
		t.Fatalf("I1, I3: %s holds %d rows up to seq %d with %d tags, where %d events were acknowledged", id, rows, maxSeq, tags, n)
	}
}

// testWritersDense has many writers on one room over two handles; a third of what they send are repeats.
func testWritersDense(t *testing.T, f Factory) {
	hs, ctx := f.pair(t), within(t)
	id := room.ID("chat:hot")
	var mu sync.Mutex
	acked := map[room.Seq]room.Send{}
	verdicts := map[room.Seq]room.Verdict{}
	together(t, writers, func(i int) error {
		for r := range rounds {
			a, b := say(id, fmt.Sprint("u", i), fmt.Sprint(r)), say(id, fmt.Sprint("u", i), "b")
			for try, batch := range [][]room.Send{{a, b}, {a}} {
				out, err := hs[(i+try)%2].Append(ctx, batch)
				if err != nil {
					return fmt.Errorf("writer %d: %w", i, err)
				}
				for k, v := range out.Verdicts {
					mu.Lock()
					was, known := acked[v.Seq]
					acked[v.Seq] = batch[k]
					if !known {
						verdicts[v.Seq] = v
					}
					mu.Unlock()
					if known && was.Tag != batch[k].Tag {
						return fmt.Errorf("ROOM-7: seq %d was given to two events", v.Seq)
					}
					if known != v.Duplicate {
						return fmt.Errorf("TAG-3: seq %d is answered with duplicate %t", v.Seq, v.Duplicate)
					}
				}
			}
		}
		return nil
	})
	log := mustLog(t, hs[1], id)
	checkDense(t, log, 1, 2*writers*rounds)
	for _, e := range log {
		checkStored(t, e, acked[e.Seq], verdicts[e.Seq])
	}
	checkRows(t, f, id, len(log))
}

// testWritersOrder checks that what was acknowledged before another append began is before it in the log,
// and that a reader who starts then sees it (I5, I10).
func testWritersOrder(t *testing.T, f Factory) {
	hs, ctx := f.pair(t), within(t)
	id := room.ID("chat:order")
	var acked atomic.Int64 // the largest seq acknowledged so far
	together(t, 16, func(i int) error {
		for range rounds {
			floor := acked.Load()
			if i%4 == 3 {
				heads, err := hs[i%2].Heads(ctx, []room.ID{id})
				if err != nil {
					return err
				}
				if heads[0].Seq < floor {
					return fmt.Errorf("I10: the head is %d after %d was acknowledged", heads[0].Seq, floor)
				}
				continue
			}
			out, err := hs[i%2].Append(ctx, []room.Send{say(id, "u1", "x")})
			if err != nil {
				return err
			}
			seq := out.Verdicts[0].Seq
			if seq <= floor {
				return fmt.Errorf("I5: an append that began after seq %d was acknowledged got seq %d", floor, seq)
			}
			for was := acked.Load(); was < seq && !acked.CompareAndSwap(was, seq); was = acked.Load() {
			}
		}
		return nil
	})
	checkDense(t, mustLog(t, hs[0], id), 1, 12*rounds)
}

// testWritersSameTags sends the same events from all writers at once (TAG-6).
func testWritersSameTags(t *testing.T, f Factory) {
	hs, ctx := f.pair(t), within(t)
	id := room.ID("chat:same")
	var sends []room.Send
	for i := range 2 * rounds {
		sends = append(sends, say(id, "u1", fmt.Sprint(i)))
	}
	answers := make([][]room.Verdict, writers)
	together(t, writers, func(i int) error {
		for batch := range slices.Chunk(sends, 2) {
			out, err := hs[i%2].Append(ctx, batch)
			if err != nil {
				return err
			}
			answers[i] = append(answers[i], out.Verdicts...)
		}
		return nil
	})
	for k := range sends {
		firsts := 0
		for i := range answers {
			v := answers[i][k]
			if !v.Duplicate {
				firsts++
			}
			if duplicateOf(v) != duplicateOf(answers[0][k]) {
				t.Fatalf("TAG-6: one tag is answered with %+v and with %+v", v, answers[0][k])
			}
		}
		if firsts != 1 {
			t.Fatalf("TAG-6: %d of the sends with one tag were told to be the first", firsts)
		}
	}
	checkDense(t, mustLog(t, hs[0], id), 1, len(sends))
	checkRows(t, f, id, len(sends))
}

// testWritersManyRooms mixes rooms in every order, new ones among them: locks taken in any but one order
// would deadlock, and a room made twice would split.
func testWritersManyRooms(t *testing.T, f Factory) {
	hs, ctx := f.pair(t), within(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	const rooms = 40
	var sent [rooms]atomic.Int64
	var mu sync.Mutex
	ends := map[room.Position]room.ID{}
	starts := map[room.Position]room.ID{}
	together(t, 16, func(i int) error {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		for range rounds {
			var batch []room.Send
			for range 1 + random.IntN(30) {
				n := random.IntN(rooms)
				sent[n].Add(1)
				batch = append(batch, say(room.ID(fmt.Sprintf("chat:%d", n)), "u1", "x"))
			}
			out, err := hs[i%2].Append(ctx, batch)
			if err != nil {
				return fmt.Errorf("writer %d: %w", i, err)
			}
			mu.Lock()
			for _, g := range out.Rooms {
				key := room.Position{Epoch: room.Epoch(g.Head.Room), Seq: g.Before, Mark: g.BeforeMark}
				starts[key] = g.Head.Room
				key.Seq, key.Mark = g.Head.Seq, g.Head.Mark
				ends[key] = g.Head.Room
			}
			mu.Unlock()
		}
		return nil
	})
	for p, id := range starts { // every growth begins where another one ended
		if ends[p] != id && p.Seq > 0 {
			t.Fatalf("PAGE-6: a growth of %s begins at %d/%s, where none ended", id, p.Seq, p.Mark)
		}
	}
	for n := range sent {
		id := room.ID(fmt.Sprintf("chat:%d", n))
		checkDense(t, mustLog(t, hs[0], id), 1, int(sent[n].Load()))
		checkRows(t, f, id, int(sent[n].Load()))
	}
}

// testReadersDense reads whole rooms while they are written: every snapshot is 1..head (I3), and every
// position a reader held stays true (PAGE-6).
func testReadersDense(t *testing.T, f Factory) {
	hs := f.pair(t)
	ctx, stop := context.WithCancel(within(t))
	id := room.ID("chat:read")
	var wg sync.WaitGroup
	readers := make([]error, 6)
	for i := range readers {
		wg.Go(func() {
			for at := (room.Position{}); ctx.Err() == nil && readers[i] == nil; {
				at, readers[i] = follow(t.Context(), hs[i%2], id, at)
			}
		})
	}
	together(t, 12, func(i int) error {
		for range rounds {
			if _, err := hs[i%2].Append(ctx, []room.Send{say(id, "u1", "a"), say(id, "u1", "b"), say("chat:b", "u1", "c")}); err != nil {
				return err
			}
		}
		return nil
	})
	stop()
	wg.Wait()
	if err := errors.Join(readers...); err != nil {
		t.Fatal(err)
	}
	checkDense(t, mustLog(t, hs[0], id), 1, 24*rounds)
}

// follow reads one page on from at, and the whole room, and says what is wrong with them.
func follow(ctx context.Context, s room.Store, id room.ID, at room.Position) (room.Position, error) {
	next, err := s.Read(ctx, room.Query{Room: id, Anchor: room.After, Seq: at.Seq, Limit: 7})
	if err != nil {
		return at, err
	}
	all, err := s.Read(ctx, room.Query{Room: id, Anchor: room.Latest, Limit: 10_000})
	if err != nil {
		return at, err
	}
	if next.Prev != at.Seq || next.PrevMark != at.Mark {
		return at, fmt.Errorf("PAGE-6: the page after %s begins at %d/%s", at, next.Prev, next.PrevMark)
	}
	for _, p := range []room.Page{next, all} {
		for i, e := range p.Events {
			if e.Seq != p.Prev+room.Seq(i)+1 {
				return at, fmt.Errorf("I3: a page after %d has seq %d at place %d", p.Prev, e.Seq, i)
			}
		}
	}
	if len(next.Events) == 0 && next.Head.Seq > at.Seq {
		return at, fmt.Errorf("I3: nothing after %s although the head is %d", at, next.Head.Seq)
	}
	if all.Head.Seq != all.Seq() || len(all.Events) != int(all.Head.Seq) || all.Head.Mark != all.Position().Mark {
		return at, fmt.Errorf("I3: a snapshot with head %d/%s holds %d events up to %s", all.Head.Seq, all.Head.Mark, len(all.Events), all.Position())
	}
	return next.Position(), nil
}
