package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"roomlog/server/room"
)

func receiptsOf(t *testing.T, s room.Store) room.Receipts {
	t.Helper()
	r, ok := s.(room.Receipts)
	if !ok {
		t.Fatalf("%T keeps no receipts", s)
	}
	return r
}

func mustMark(t *testing.T, s room.Store, batch ...room.Marking) []room.Marked {
	t.Helper()
	out, err := receiptsOf(t, s).Mark(within(t), batch)
	if err != nil || len(out) != len(batch) {
		t.Fatalf("mark %+v: %+v, %v", batch, out, err)
	}
	for i, m := range out {
		if m.Room != batch[i].Room || m.User != batch[i].User {
			t.Fatalf("marking %d of %+v is answered with %+v", i, batch, m)
		}
	}
	return out
}

func mustOwn(t *testing.T, s room.Store, user string, id room.ID) room.Own {
	t.Helper()
	all, err := receiptsOf(t, s).Own(within(t), []room.Standing{{Room: id, User: user}})
	if err != nil || len(all) != 1 || all[0].Room != id || all[0].User != user {
		t.Fatalf("where %s stands in %s: %+v, %v", user, id, all, err)
	}
	return all[0]
}

func changedSince(t *testing.T, s room.Store, id room.ID, version int64, limit int) room.ReceiptPage {
	t.Helper()
	p, err := receiptsOf(t, s).ReceiptsSince(within(t), id, version, limit)
	if err != nil {
		t.Fatalf("receipts of %s since %d: %v", id, version, err)
	}
	return p
}

// testReceiptMarks raises marks in every way that they do not rise (RCPT-1, RCPT-3).
func testReceiptMarks(t *testing.T, f Factory) {
	s := f.open(t)
	id := room.ID("chat:marks")
	fill(t, s, id, 10)
	head := mustHead(t, s, id)
	for i, c := range []struct{ delivered, read, wantDelivered, wantRead room.Seq }{
		{0, 0, 0, 0},
		{3, 0, 3, 0},
		{2, 1, 3, 1},
		{0, 5, 5, 5}, // who has read has received
		{4, 2, 5, 5},
		{5, 5, 5, 5},
		{room.MaxSeq, 6, 10, 6},
		{-7, -1, 10, 6},
		{0, 11, 10, 10},
	} {
		m := mustMark(t, s, room.Marking{Room: id, User: "u2", Delivered: c.delivered, Read: c.read})[0]
		if m.Delivered != c.wantDelivered || m.Read != c.wantRead || m.Epoch != head.Epoch {
			t.Fatalf("RCPT-1: marking %d (%d, %d) makes %+v, not (%d, %d)", i, c.delivered, c.read, m, c.wantDelivered, c.wantRead)
		}
		if changed := m.After != m.Before; changed && (m.After != m.Before+1 || m.Version != m.After || time.Since(m.At).Abs() > time.Minute) {
			t.Errorf("marking %d makes %+v: one receipt has changed", i, m)
		}
		if o := mustOwn(t, s, "u2", id); o.Receipt != m.Receipt || o.Head != 10 || o.Epoch != head.Epoch {
			t.Errorf("after marking %d it is %+v, not %+v", i, o, m.Receipt)
		}
	}
	if v := changedSince(t, s, id, 0, 10); v.Version != 5 || len(v.Receipts) != 1 {
		t.Errorf("RCPT-1: five of nine markings raised something: %+v", v)
	}
	if m := mustMark(t, s, room.Marking{Room: "chat:nobody", User: "u2", Read: 7})[0]; m.Read != 0 || m.Delivered != 0 || m.After != 0 || m.Epoch != head.Epoch {
		t.Errorf("RCPT-1: in a room that nobody wrote to, 7 is read as %+v", m)
	}
	if mustFind(t, s, "chat:nobody").Exists() {
		t.Error("a marking made a room")
	}
	if out, err := receiptsOf(t, s).Mark(within(t), nil); err != nil || len(out) != 0 {
		t.Errorf("no markings: %v, %v", out, err)
	}
}

// testReceiptBatch marks in many rooms for many users in one transaction.
func testReceiptBatch(t *testing.T, f Factory) {
	s := f.open(t)
	a, b := room.ID("chat:a"), room.ID("chat:b")
	fill(t, s, a, 5)
	fill(t, s, b, 9)
	out := mustMark(t, s,
		room.Marking{Room: b, User: "u2", Read: 4}, room.Marking{Room: a, User: "u2", Read: 2}, room.Marking{Room: b, User: "u3", Delivered: 3},
		room.Marking{Room: "chat:none", User: "u2", Read: 1}, room.Marking{Room: b, User: "u2", Read: 3, Delivered: 8}, room.Marking{Room: b, User: "u4"})
	if out[0].Receipt != out[4].Receipt || out[0].Read != 4 || out[0].Delivered != 8 {
		t.Errorf("two markings of one user and room: %+v and %+v", out[0], out[4])
	}
	if out[1].Read != 2 || out[1].After != 1 || out[2].Delivered != 3 || out[2].Read != 0 || out[3].Read != 0 || out[5].Version != 0 {
		t.Errorf("the others of the batch: %+v", out)
	}
	p := changedSince(t, s, b, 0, 10)
	if p.Version != out[0].After || len(p.Receipts) != 2 {
		t.Errorf("%+v changed in %s, the markings say %d", p, b, out[0].After)
	}
	mustMark(t, s, room.Marking{Room: b, User: "u3", Read: 9})
	since := changedSince(t, s, b, p.Version, 10)
	if len(since.Receipts) != 1 || since.Receipts[0].User != "u3" || since.Receipts[0].Read != 9 || since.Version != since.Receipts[0].Version {
		t.Errorf("after %d there is %+v", p.Version, since)
	}
	first := changedSince(t, s, b, 0, 1)
	if !first.More || len(first.Receipts) != 1 || first.Receipts[0].User != "u2" || first.Version != first.Receipts[0].Version {
		t.Errorf("one at a time: %+v", first)
	}
	if rest := changedSince(t, s, b, first.Version, 1); rest.More || len(rest.Receipts) != 1 || rest.Version != since.Version {
		t.Errorf("and the rest: %+v", rest)
	}
	versions, err := receiptsOf(t, s).ReceiptVersions(within(t), []room.ID{b, "chat:none", a})
	epoch := mustHead(t, s, a).Epoch
	if err != nil || !slices.Equal(versions, []room.ReceiptVersion{{Epoch: epoch, Version: since.Version}, {Epoch: epoch}, {Epoch: epoch, Version: 1}}) {
		t.Errorf("versions: %+v, %v", versions, err)
	}
}

// testReaders tells who has read a seq, and how far some and all have got (RCPT-11).
func testReaders(t *testing.T, f Factory) {
	s := f.open(t)
	id := room.ID("chat:readers")
	fill(t, s, id, 8)
	totals, err := receiptsOf(t, s).ReceiptTotals(within(t), id)
	if err != nil || totals.Users != 0 || totals.Read != (room.Reach{}) || totals.Epoch != mustHead(t, s, id).Epoch {
		t.Errorf("totals of nobody: %+v, %v", totals, err)
	}
	mustMark(t, s, room.Marking{Room: id, User: "ute", Read: 5}, room.Marking{Room: id, User: "Åsa", Read: 3, Delivered: 8},
		room.Marking{Room: id, User: "Bo", Delivered: 2}, room.Marking{Room: id, User: "ann", Read: 8})
	for seq, want := range map[room.Seq]room.Readers{
		1: {Read: []string{"ann", "ute"}, ReadCount: 3, Delivered: []string{"Bo", "ann"}, DeliveredCount: 4},
		4: {Read: []string{"ann", "ute"}, ReadCount: 2, Delivered: []string{"ann", "ute"}, DeliveredCount: 3},
		6: {Read: []string{"ann"}, ReadCount: 1, Delivered: []string{"ann", "Åsa"}, DeliveredCount: 2},
		9: {},
	} {
		got, err := receiptsOf(t, s).Readers(within(t), id, seq, 2)
		if err != nil || !slices.Equal(got.Read, want.Read) || !slices.Equal(got.Delivered, want.Delivered) ||
			got.ReadCount != want.ReadCount || got.DeliveredCount != want.DeliveredCount {
			t.Errorf("RCPT-11: readers of %d: %+v, %v, not %+v", seq, got, err, want)
		}
	}
	totals, err = receiptsOf(t, s).ReceiptTotals(within(t), id)
	if err != nil || totals.Users != 4 || totals.Read != (room.Reach{Any: 8, All: 0}) || totals.Delivered != (room.Reach{Any: 8, All: 2}) || totals.Version != 4 {
		t.Errorf("totals: %+v, %v", totals, err)
	}
}

// testReceiptsUnderLoad marks over two handles while the room is written: marks only rise, no version is used twice, and
// whoever follows by version misses nothing.
func testReceiptsUnderLoad(t *testing.T, f Factory) {
	hs, ctx := f.pair(t), within(t)
	id := room.ID("chat:busy")
	fill(t, hs[0], id, 1)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	const users, marks = 6, 40
	followed := map[string]room.Receipt{}
	version := int64(0)
	follow := func() error {
		p, err := receiptsOf(t, hs[1]).ReceiptsSince(ctx, id, version, 3)
		if err != nil {
			return err
		}
		for _, c := range p.Receipts {
			if old := followed[c.User]; c.Version <= version || c.Version > p.Version || c.Read < old.Read || c.Delivered < old.Delivered || c.Read > c.Delivered {
				return fmt.Errorf("RCPT-1: after version %d of %s: %+v, which was %+v", version, id, c, old)
			}
			followed[c.User] = c
		}
		version = p.Version
		return nil
	}
	together(t, users+2, func(i int) error {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		switch i {
		case users:
			for range marks {
				if _, err := hs[i%2].Append(ctx, []room.Send{say(id, "u1", "x")}); err != nil {
					return err
				}
			}
			return nil
		case users + 1:
			for range 2 * marks {
				if err := follow(); err != nil {
					return err
				}
			}
			return nil
		}
		for range marks {
			m := room.Marking{Room: id, User: fmt.Sprint("r", i%4), Delivered: random.Int64N(marks), Read: random.Int64N(marks)}
			if _, err := hs[i%2].(room.Receipts).Mark(ctx, []room.Marking{m}); err != nil {
				return err
			}
		}
		return nil
	})
	for range 10 {
		if err := follow(); err != nil {
			t.Fatal(err)
		}
	}
	all := changedSince(t, hs[0], id, 0, 100)
	if len(all.Receipts) != 4 || all.Version != version {
		t.Fatalf("in the end there is %+v, version %d was followed", all, version)
	}
	for _, c := range all.Receipts {
		if followed[c.User] != c {
			t.Errorf("%+v was followed up to %+v", c, followed[c.User])
		}
	}
}

// testReceiptsEnd deletes rooms with receipts: the next generation has none, and nothing is left of the old ones (RCPT-13).
func testReceiptsEnd(t *testing.T, f Factory) {
	s := f.open(t)
	id := room.ID("chat:ends")
	for range 2 {
		fill(t, s, id, 4)
		for i := range 7 {
			mustMark(t, s, room.Marking{Room: id, User: fmt.Sprint("u", i), Read: 4})
		}
		if _, deleted := mustDelete(t, s, id); !deleted {
			t.Fatal("not deleted")
		}
		if o := mustOwn(t, s, "u1", id); o.Read != 0 || o.Unread != 0 || o.Version != 0 {
			t.Errorf("RCPT-13: in the next generation u1 stands at %+v", o)
		}
		if p := changedSince(t, s, id, 0, 10); p.Version != 0 || len(p.Receipts) != 0 {
			t.Errorf("RCPT-13: the next generation has %+v", p)
		}
		if m := mustMark(t, s, room.Marking{Room: id, User: "u1", Read: 4})[0]; m.Read != 0 || m.Epoch != mustHead(t, s, id).Epoch {
			t.Errorf("RCPT-1: nothing was read of the next generation, not %+v", m)
		}
	}
	for i, more := 0, true; more; i++ {
		out, err := s.(room.Pruner).Sweep(within(t), month, 3)
		if more = out.More; err != nil || i > 50 {
			t.Fatalf("sweep %d: %+v, %v", i, out, err)
		}
	}
	if n := f.Receipts(t); n != 0 {
		t.Errorf("RCPT-13: %d rows are left of receipts of rooms that were deleted", n)
	}
}

// testReceiptsDeleteUnderLoad deletes a room while it is marked: no row stays behind.
func testReceiptsDeleteUnderLoad(t *testing.T, f Factory) {
	hs, ctx := f.pair(t), within(t)
	id := room.ID("chat:churned")
	together(t, 4, func(i int) error {
		for r := range 30 {
			var err error
			switch i {
			case 0:
				_, err = hs[0].Append(ctx, []room.Send{say(id, "u1", "x")})
			case 1:
				_, _, err = hs[1].(room.Rooms).Delete(ctx, id)
			default:
				_, err = hs[i%2].(room.Receipts).Mark(ctx, []room.Marking{{Room: id, User: fmt.Sprint("u", r%5), Read: 1}, {Room: "chat:other", User: "u1", Read: 1}})
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	mustDelete(t, hs[0], id)
	for i, more := 0, true; more; i++ {
		out, err := hs[0].(room.Pruner).Sweep(ctx, month, 3)
		if more = out.More; err != nil || i > 500 {
			t.Fatalf("sweep %d: %+v, %v", i, out, err)
		}
	}
	if n := f.Receipts(t); n != 0 {
		t.Errorf("RCPT-13: %d rows are left of receipts of rooms that were deleted", n)
	}
}
