package storetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"roomlog/server/room"
)

// updateOf is an update of a document that its author names.
func updateOf(id room.ID, of, text string) room.Send {
	s := update(id, "main", text)
	s.Doc.ID, s.Doc.Named = of, true
	return s
}

// began is the id of the document that a send began.
func began(out room.Appended) string { return room.DocID(out.Verdicts[0].Seq, out.Verdicts[0].Mark) }

func wantReplaced(t *testing.T, what string, v room.Verdict) {
	t.Helper()
	if v.Refused == nil || v.Refused.Code != room.CodeDocReplaced || v.Refused.Field != "data/id" || v.Refused.Retryable() || v.Seq != 0 || v.Duplicate {
		t.Fatalf("DOC-13: %s: %+v, want doc_replaced", what, v)
	}
}

func wantTaken(t *testing.T, what string, v room.Verdict, seq room.Seq, duplicate bool) {
	t.Helper()
	if v.Refused != nil || v.NotStored || v.Seq != seq || v.Duplicate != duplicate {
		t.Fatalf("DOC-13: %s: %+v (refused %v), want seq %d, duplicate %v", what, v, v.Refused, seq, duplicate)
	}
}

// DOC-13, ROOM-10: an update is stored where the room has its document, whatever happened since its author looked.
func testDocIDs(t *testing.T, f Factory) {
	s, id := f.open(t), room.ID("doc:ids")
	wantReplaced(t, "of a room that there is not", mustAppend(t, s, updateOf(id, "1-00000001", "a")).Verdicts[0])
	if r := mustFind(t, s, id); r.Exists() {
		t.Fatalf("DOC-13: what was refused has made the room: %+v", r)
	}
	first := update(id, "main", "a")
	of := began(mustAppend(t, s, first))
	for _, other := range []string{"1-00000000", "2-" + of[2:], "x", "1-", "99999999999999999999-00000001"} {
		wantReplaced(t, "of "+other, mustAppend(t, s, updateOf(id, other, "b")).Verdicts[0])
	}
	unnamed := updateOf(id, "x", "b")
	unnamed.Doc.Named = false
	if v := mustAppend(t, s, unnamed).Verdicts[0]; v.Refused == nil || v.Refused.Code != room.CodeUnavailable || !v.Refused.Retryable() {
		t.Fatalf("DOC-13: an update that was judged by a document that is gone, and names none: %+v", v)
	}

	// In a batch: what is refused takes no seq, and a tag answers before a document does.
	acked, again := updateOf(id, of, "c"), first
	again.Doc = &room.DocChange{Name: "main", Update: first.Doc.Update, ID: "x", Named: true}
	stale := acked
	stale.Doc = &room.DocChange{Name: "main", Update: acked.Doc.Update, ID: "x", Named: true}
	late, taken := updateOf(id, "x", "d"), room.Send{}
	taken = late
	taken.Doc = &room.DocChange{Name: "main", Update: late.Doc.Update, ID: of, Named: true}
	out := mustAppend(t, s, say(id, "u1", "m"), updateOf(id, "x", "b"), acked, again, stale, late, taken, say(id, "u1", "n"))
	wantTaken(t, "a message before", out.Verdicts[0], 2, false)
	wantReplaced(t, "of another", out.Verdicts[1])
	wantTaken(t, "of this", out.Verdicts[2], 3, false)
	wantTaken(t, "a repeat of what is stored", out.Verdicts[3], 1, true)
	wantTaken(t, "a repeat in one batch", out.Verdicts[4], 3, true)
	wantReplaced(t, "of another, whose tag comes again", out.Verdicts[5])
	wantTaken(t, "with that tag, of this", out.Verdicts[6], 4, false)
	wantTaken(t, "a message behind", out.Verdicts[7], 5, false)

	// The event that began the document is pruned: its id lives on in what was compacted.
	got := mustDocs(t, s, room.DocQuery{Room: id, Limit: 100})
	doc := room.Doc{Name: "main", ID: of, Seq: 4, Mark: got.Updates[len(got.Updates)-1].Mark, State: []byte("acd")}
	if kept, err := s.(room.DocStore).KeepDocs(within(t), id, got.Head.Epoch, 0, 4, []room.Doc{doc}); err != nil || !kept {
		t.Fatal(kept, err)
	}
	if p := mustPrune(t, s, id, room.Retention{Events: 1}, 1000); p.Head.Floor != 5 {
		t.Fatalf("nothing was pruned, this proves nothing: %+v", p.Head)
	}
	wantTaken(t, "of a document whose events are pruned", mustAppend(t, s, updateOf(id, of, "e")).Verdicts[0], 6, false)
	wantReplaced(t, "of another", mustAppend(t, s, updateOf(id, "1-00000001", "f")).Verdicts[0])

	// The room is deleted: neither what is new nor what was acked comes back, and nothing of it makes the room.
	mustDelete(t, s, id)
	for _, send := range []room.Send{updateOf(id, of, "g"), acked} {
		wantReplaced(t, "of a deleted room", mustAppend(t, s, send).Verdicts[0])
	}
	if r := mustFind(t, s, id); r.Exists() {
		t.Fatalf("DOC-13: what was refused has made the room: %+v", r)
	}
	out = mustAppend(t, s, update(id, "main", "new"), updateOf(id, of, "g"), acked)
	wantTaken(t, "the first of a room that began anew", out.Verdicts[0], 1, false)
	wantReplaced(t, "of before, in the same batch", out.Verdicts[1])
	wantReplaced(t, "acked before, in the same batch", out.Verdicts[2])
	wantReplaced(t, "acked before", mustAppend(t, s, acked).Verdicts[0])
	wantTaken(t, "of this one", mustAppend(t, s, updateOf(id, began(out), "y")).Verdicts[0], 2, false)
	if log := mustLog(t, s, id); len(log) != 2 || log[0].DocOf() == nil || string(log[0].DocOf().Update) != "new" || string(log[1].DocOf().Update) != "y" {
		t.Fatalf("DOC-13: the room that began anew has %v", log)
	}
}

// DOC-13: writers send of the documents that they last heard of, while the room is deleted and begun anew under them: none has anything of another.
func testDocIDsRace(t *testing.T, f Factory) {
	hs, id := f.pair(t), room.ID("doc:raced")
	var mu sync.Mutex
	var known string
	begin := func(s room.Store, ctx context.Context, round int) error {
		out, err := s.Append(ctx, []room.Send{update(id, "main", fmt.Sprintf("[%d]", round))})
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		known = began(out)
		return nil
	}
	must(t, "begin", begin(hs[0], t.Context(), 0))
	names := map[string]string{known: "[0]"} // by id, how the document of it begins
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var group sync.WaitGroup
	var taken, refused atomic.Int64
	for w := range 2 {
		group.Go(func() {
			for ctx.Err() == nil {
				mu.Lock()
				of := known
				mu.Unlock()
				out, err := hs[w].Append(t.Context(), []room.Send{updateOf(id, of, "("+of+")")})
				if err != nil {
					t.Error(err)
					return
				}
				if out.Verdicts[0].Refused == nil {
					taken.Add(1)
				} else {
					refused.Add(1)
				}
			}
		})
	}
	for round := 1; round <= 20; round++ {
		if _, _, err := hs[round%2].(room.Rooms).Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		must(t, "begin", begin(hs[round%2], t.Context(), round))
		names[known] = fmt.Sprintf("[%d]", round)
		for _, e := range mustLog(t, hs[round%2], id) {
			if text := string(e.DocOf().Update); text != names[known] && text != "("+known+")" {
				t.Fatalf("DOC-13: seq %d of the document %s, which begins with %s, is %s", e.Seq, known, names[known], text)
			}
		}
	}
	stop()
	group.Wait()
	t.Logf("%d updates were taken, %d refused", taken.Load(), refused.Load())
}
