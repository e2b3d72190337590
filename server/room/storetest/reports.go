package storetest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"roomlog/server/room"
)

func reportsOf(t *testing.T, s room.Store) room.ReportStore {
	t.Helper()
	r, ok := s.(room.ReportStore)
	if !ok {
		t.Fatalf("%T keeps no reports", s)
	}
	return r
}

// putReport reports an event, and fails unless it is made or found as wanted.
func putReport(t *testing.T, s room.ReportStore, r room.Report, made bool) room.Report {
	t.Helper()
	got, was, err := s.PutReport(within(t), r, 10)
	if err != nil || was != made || got.Number == 0 || got.At.IsZero() || got.At.Location() != time.UTC {
		t.Fatalf("MOD-3: %+v is stored as %+v, made %t, %v; want %t", r, got, was, err, made)
	}
	if made {
		r.Number, r.At = got.Number, got.At
		if got != r {
			t.Fatalf("MOD-3: stored as %+v, not %+v", got, r)
		}
	}
	return got
}

// checkReports fails unless a room's open reports are these.
func checkReports(t *testing.T, s room.ReportStore, id room.ID, want ...room.Report) {
	t.Helper()
	list, more, err := s.Reports(within(t), id, 0, 100)
	if err != nil || more || !slices.Equal(list, want) {
		t.Fatalf("MOD-4: the reports of %s are %+v, %t, %v; want %+v", id, list, more, err, want)
	}
}

// testReports keeps one report of each user and event until it is resolved or its room is gone (MOD-3, MOD-4).
func testReports(t *testing.T, f Factory) {
	hs := f.pair(t)
	a, b := reportsOf(t, hs[0]), reportsOf(t, hs[1])
	fill(t, hs[0], "chat:a", 3)
	fill(t, hs[0], "chat:b", 1)
	one := putReport(t, a, room.Report{Room: "chat:a", Seq: 1, By: "u1", Reason: "it's \"ü\""}, true)
	if again := putReport(t, b, room.Report{Room: "chat:a", Seq: 1, By: "u1", Reason: "another"}, false); again != one {
		t.Errorf("MOD-3: a repeat is %+v, not %+v", again, one)
	}
	two := putReport(t, b, room.Report{Room: "chat:a", Seq: 1, By: "U1"}, true)
	three := putReport(t, a, room.Report{Room: "chat:a", Seq: 3, By: "u1"}, true)
	other := putReport(t, a, room.Report{Room: "chat:b", Seq: 1, By: "u1"}, true)
	if !(one.Number < two.Number && two.Number < three.Number && three.Number < other.Number) {
		t.Errorf("MOD-4: the numbers are %d, %d, %d, %d", one.Number, two.Number, three.Number, other.Number)
	}
	for _, r := range []room.Report{{Room: "chat:a", Seq: 4, By: "u1"}, {Room: "chat:nowhere", Seq: 1, By: "u1"}} {
		if _, _, err := a.PutReport(within(t), r, 10); room.AsError(err).Code != room.CodeUnknownTarget || room.AsError(err).Field != "seq" {
			t.Errorf("MOD-3: a report of what is not there is %v", err)
		}
	}
	if _, _, err := b.PutReport(within(t), room.Report{Room: "chat:a", Seq: 2, By: "u1"}, 3); room.AsError(err).Code != room.CodeLimitExceeded || room.AsError(err).Limit != 3 {
		t.Errorf("MOD-3: a fourth report of one who may have three open is %v", err)
	}
	if got, made, err := b.PutReport(within(t), room.Report{Room: "chat:a", Seq: 1, By: "u1"}, 3); err != nil || made || got != one {
		t.Errorf("MOD-3: a repeat of one who may have no more is %+v, %t, %v", got, made, err)
	}
	checkReports(t, b, "chat:a", one, two, three)
	checkReports(t, a, "chat:nowhere")
	if list, more, err := a.Reports(within(t), "chat:a", one.Number, 1); err != nil || !more || !slices.Equal(list, []room.Report{two}) {
		t.Errorf("MOD-4: one after the first is %+v, %t, %v", list, more, err)
	}
	for _, c := range []struct {
		id   room.ID
		n    int64
		want bool
	}{{"chat:b", two.Number, false}, {"chat:a", two.Number, true}, {"chat:a", two.Number, false}} {
		if dropped, err := b.DropReport(within(t), c.id, c.n); err != nil || dropped != c.want {
			t.Errorf("MOD-4: %d of %s is resolved: %t, %v; want %t", c.n, c.id, dropped, err, c.want)
		}
	}
	checkReports(t, a, "chat:a", one, three)
	if anew := putReport(t, a, room.Report{Room: "chat:a", Seq: 1, By: "U1"}, true); anew.Number <= other.Number {
		t.Errorf("MOD-4: the number %d is given again", anew.Number)
	}

	// ERASE-2: the erasure of a user takes their reports in the room.
	eraseUser(t, hs[0], "U1", "chat:a", newTag(), room.Erased{Stored: 4})
	checkReports(t, b, "chat:a", one, three)
	if _, _, err := hs[0].(room.Rooms).Delete(within(t), "chat:a"); err != nil {
		t.Fatal(err)
	}
	fill(t, hs[1], "chat:a", 1)
	checkReports(t, b, "chat:a")
	for more := true; more; {
		out, err := hs[0].(room.Pruner).Sweep(within(t), time.Hour, 1)
		must(t, "sweep", err)
		more = out.More
	}
	putReport(t, a, room.Report{Room: "chat:a", Seq: 1, By: "u1"}, true)
	if in := f.Holds(t, []byte("it's \"ü\"")); len(in) > 0 {
		t.Errorf("the reports of a deleted room are left in %v", in)
	}
	checkReports(t, a, "chat:b", other)
}

// testReportsTold finds what was not told, room by room (MOD-5).
func testReportsTold(t *testing.T, f Factory) {
	hs := f.pair(t)
	a, b := reportsOf(t, hs[0]), reportsOf(t, hs[1])
	for _, id := range []room.ID{"chat:a", "chat:b", "chat:c", "chatter:a"} {
		fill(t, hs[0], id, 2)
	}
	one := putReport(t, a, room.Report{Room: "chat:a", Seq: 1, By: "u1"}, true)
	two := putReport(t, a, room.Report{Room: "chat:a", Seq: 2, By: "u1"}, true)
	three := putReport(t, b, room.Report{Room: "chat:c", Seq: 2, By: "u1"}, true)
	putReport(t, b, room.Report{Room: "chatter:a", Seq: 2, By: "u1"}, true)
	rooms := func(after room.ID, limit int, next room.ID, want ...room.ID) {
		t.Helper()
		ids, n, err := b.UntoldRooms(within(t), "chat", after, limit)
		if err != nil || n != next || !slices.Equal(ids, want) {
			t.Fatalf("MOD-5: rooms after %q are %v, %q, %v; want %v, %q", after, ids, n, err, want, next)
		}
	}
	untold := func(id room.ID, want room.Report) {
		t.Helper()
		got, found, err := a.UntoldReport(within(t), id)
		if err != nil || found != (want.Number != 0) || got != want {
			t.Fatalf("MOD-5: the first of %s is %+v, %t, %v; want %+v", id, got, found, err, want)
		}
	}
	rooms("", 10, "", "chat:a", "chat:c")
	rooms("", 1, "chat:a", "chat:a")
	rooms("chat:a", 10, "", "chat:c")
	untold("chat:a", one)
	must(t, "told", b.ReportTold(within(t), one.Number))
	must(t, "told", a.ReportTold(within(t), one.Number))
	untold("chat:a", two)
	must(t, "told", b.ReportTold(within(t), two.Number))
	untold("chat:a", room.Report{})
	untold("chat:b", room.Report{})
	rooms("", 10, "", "chat:c")
	if _, err := a.DropReport(within(t), "chat:c", three.Number); err != nil {
		t.Fatal(err)
	}
	rooms("", 10, "")
	checkReports(t, a, "chat:a", one, two)
}

// testReportsUnderLoad: many who report the same, and one who reports much, at once: one each, and never more than may be (MOD-3).
func testReportsUnderLoad(t *testing.T, f Factory) {
	hs := f.pair(t)
	fill(t, hs[0], "chat:a", 20)
	var wg sync.WaitGroup
	for w := range 4 {
		s := reportsOf(t, hs[w%2])
		wg.Go(func() {
			for seq := range room.Seq(20) {
				_, _, err := s.PutReport(within(t), room.Report{Room: "chat:a", Seq: (seq+room.Seq(5*w))%20 + 1, By: "u1"}, 7)
				if err != nil && room.AsError(err).Code != room.CodeLimitExceeded {
					t.Errorf("MOD-3: %v", err)
				}
			}
		})
	}
	wg.Wait()
	list, _, err := reportsOf(t, hs[0]).Reports(within(t), "chat:a", 0, 100)
	seqs := map[room.Seq]bool{}
	for _, r := range list {
		seqs[r.Seq] = true
	}
	if err != nil || len(list) != 7 || len(seqs) != 7 {
		t.Errorf("MOD-3: %d reports of %d events are open, %v", len(list), len(seqs), err)
	}
}

// testErasedBeside: an erasure takes marks away by a version of the room's receipts, and at its end when the user was there last (ERASE-2).
func testErasedBeside(t *testing.T, f Factory) {
	hs := f.pair(t)
	fill(t, hs[0], "chat:a", 3)
	mark := func(user string, read room.Seq) {
		t.Helper()
		_, err := receiptsOf(t, hs[0]).Mark(within(t), []room.Marking{{Room: "chat:a", User: user, Read: read}})
		must(t, "mark", err)
	}
	mark("u5", 2)
	mark("u6", 3)
	if p := changedSince(t, hs[1], "chat:a", 0, 10); p.Version != 2 || p.Removed != 0 || len(p.Receipts) != 2 {
		t.Fatalf("before: %+v", p)
	}
	eraseUser(t, hs[1], "u5", "chat:a", newTag(), room.Erased{Stored: 4})
	p := changedSince(t, hs[0], "chat:a", 2, 10)
	if p.Version != 3 || p.Removed != 3 || len(p.Receipts) != 0 {
		t.Errorf("ERASE-2: behind the version before it are %+v", p)
	}
	if p := changedSince(t, hs[0], "chat:a", 0, 10); len(p.Receipts) != 1 || p.Receipts[0].User != "u6" {
		t.Errorf("ERASE-2: the receipts are %+v", p)
	}
	eraseUser(t, hs[0], "u5", "chat:a", newTag(), room.Erased{})
	mark("u6", 4)
	if p := changedSince(t, hs[1], "chat:a", 3, 10); p.Version != 4 || p.Removed != 3 || len(p.Receipts) != 1 {
		t.Errorf("RCPT-1: the next change is %+v", p)
	}

	seen := hs[0].(room.SeenStore)
	must(t, "put seen", seen.PutSeen(within(t), []room.LastSeen{{User: "u5", At: noon, Until: noon}, {User: "u6", At: noon, Until: noon}}))
	e := room.Erasure{User: "u5", By: "admin", Job: newTag(), Asked: noon}
	x := erasureOf(t, hs[1])
	_, err := x.BeginErasure(within(t), e)
	must(t, "begin", err)
	there := func(want int) {
		t.Helper()
		if list, err := seen.LastSeen(within(t), []string{"u5", "u6"}); err != nil || len(list) != want {
			t.Errorf("ERASE-2: last seen are %+v, %v; want %d", list, err, want)
		}
	}
	must(t, "move", x.MoveErasure(within(t), e, "chat:a", 1, false))
	there(2)
	other := e
	other.Job = newTag()
	must(t, "move", x.MoveErasure(within(t), other, "", 0, true))
	there(2)
	must(t, "move", x.MoveErasure(within(t), e, "", 0, true))
	there(1)
}
