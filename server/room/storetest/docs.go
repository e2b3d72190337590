package storetest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"roomlog/server/room"
)

// update is a send that says something of a document. A store does not look into updates: here one is any text, and documents are texts put together.
func update(id room.ID, name, text string) room.Send {
	change := room.DocChange{Name: name, Update: []byte(text)}
	return room.Send{Room: id, Author: "u1", Tag: newTag(), Type: room.TypeDoc, Data: change.Data(), Doc: &change}
}

func mustDocs(t *testing.T, s room.Store, q room.DocQuery) room.Docs {
	t.Helper()
	out, err := s.(room.DocStore).Docs(within(t), q)
	must(t, "docs", err)
	return out
}

// docModel is what a room with documents must be.
type docModel struct {
	events  []room.Event // all that was ever stored
	floor   room.Seq
	through room.Seq
	docs    map[string]room.Doc
}

// text is what a document says as far as upto.
func (m *docModel) text(name string, upto room.Seq) (text []byte, first, last room.Event) {
	for _, e := range m.events[:upto] {
		if change := e.DocOf(); change != nil && change.Name == name {
			if text = append(text, change.Update...); first.Seq == 0 {
				first = e
			}
			last = e
		}
	}
	return text, first, last
}

// compact is what a keeper of documents would put in place of everything as far as to.
func (m *docModel) compact(to room.Seq) (docs []room.Doc) {
	for _, name := range []string{"main", "notes", "é/\""} {
		text, first, last := m.text(name, to)
		if last.Seq > m.through {
			docs = append(docs, room.Doc{Name: name, ID: room.DocID(first.Seq, first.Mark), Seq: last.Seq, Mark: last.Mark, State: text, Stored: len(text)})
		}
	}
	return docs
}

// DOC-5, RET-1, I16: random appends, compactions (right ones and such as come too late), prunes and reads, against a model.
func testDocsModel(t *testing.T, f Factory) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	s, id := f.open(t), room.ID("doc:model")
	names := []string{"main", "notes", "é/\""}
	m := &docModel{floor: 1, docs: map[string]room.Doc{}}
	mustAppend(t, s, say("doc:other", "u1", "x"), update("doc:other", "main", "not this one"))
	for step := range 60 {
		batch := make([]room.Send, 1+rnd.IntN(4))
		for i := range batch {
			if batch[i] = say(id, "u1", "x"); rnd.IntN(3) > 0 {
				batch[i] = update(id, names[rnd.IntN(3)], fmt.Sprintf("[%d.%d]", step, i))
			}
		}
		for i, v := range mustAppend(t, s, batch...).Verdicts {
			m.events = append(m.events, room.Event{Seq: v.Seq, Mark: v.Mark, Type: batch[i].Type, Data: batch[i].Data})
		}
		epoch, head := mustHead(t, s, id).Epoch, room.Seq(len(m.events))
		switch to := m.through + rnd.Int64N(head-m.through+1); {
		case rnd.IntN(6) == 0: // one that somebody else was quicker with, one of another room, one of what is not there yet
			for i, bad := range []struct {
				epoch    room.Epoch
				from, to room.Seq
			}{{epoch, m.through + 1, head}, {epoch + "x", m.through, head}, {epoch, m.through, head + 1}} {
				kept, err := s.(room.DocStore).KeepDocs(within(t), id, bad.epoch, bad.from, bad.to, []room.Doc{{Name: "main", ID: "x", Seq: 1, Mark: 1, State: []byte("x")}})
				if err != nil || kept {
					t.Fatalf("DOC-5: a compaction that does not adjoin, %d, was kept: %v, %v", i, kept, err)
				}
			}
		case rnd.IntN(3) == 0 && to > m.through:
			docs := m.compact(to)
			kept, err := s.(room.DocStore).KeepDocs(within(t), id, epoch, m.through, to, docs)
			if err != nil || !kept {
				t.Fatalf("DOC-5: a compaction from %d to %d was not kept: %v", m.through, to, err)
			}
			m.through = to
			for _, d := range docs {
				m.docs[d.Name] = d
			}
		case rnd.IntN(4) == 0:
			keep := int64(1 + rnd.IntN(5))
			want, others := m.floor, keep // DOC-12: updates do not count
			for i := head - 1; i >= 0 && others > 0; i-- {
				if m.events[i].InLog() {
					if others--; others == 0 {
						want = m.events[i].Seq
					}
				}
			}
			for _, e := range m.events {
				if e.Type == room.TypeDoc && e.Seq > m.through {
					want = min(want, e.Seq)
					break
				}
			}
			m.floor = max(m.floor, want)
			if got := mustPrune(t, s, id, room.Retention{Events: keep}, 1000); got.Head.Floor != m.floor {
				t.Fatalf("DOC-5: pruned to %d events, the floor is %d, not %d: compacted as far as %d of %d", keep, got.Head.Floor, m.floor, m.through, head)
			}
		}
		m.check(t, s, id, room.DocQuery{Room: id, Names: names[:rnd.IntN(4)], After: rnd.Int64N(head + 2), Limit: 1 + rnd.IntN(20), Bytes: rnd.IntN(2) * 200})
	}
	m.end(t, f, s, id)
}

func (m *docModel) check(t *testing.T, s room.Store, id room.ID, q room.DocQuery) {
	t.Helper()
	got := mustDocs(t, s, q)
	head := room.Seq(len(m.events))
	if got.Head.Seq != head || got.Head.Room != id || got.Through != m.through {
		t.Fatalf("%+v: head %+v, through %d; want %d and %d", q, got.Head, got.Through, head, m.through)
	}
	if q.After >= m.floor && q.After <= head && got.Mark != m.events[q.After-1].Mark || (q.After == 0 || q.After > head) && got.Mark != 0 {
		t.Fatalf("%+v: the mark is %v", q, got.Mark)
	}
	var want []room.Doc
	for _, name := range []string{"main", "notes", "é/\""} { // in the order of their bytes
		if d, is := m.docs[name]; is {
			if !slices.Contains(q.Names, name) {
				d.State = nil
			}
			want = append(want, d)
		}
	}
	if !slices.EqualFunc(got.Docs, want, func(a, b room.Doc) bool {
		return a.Name == b.Name && a.ID == b.ID && a.Seq == b.Seq && a.Mark == b.Mark && a.Stored == b.Stored && bytes.Equal(a.State, b.State) && (a.State == nil) == (b.State == nil)
	}) {
		t.Fatalf("%+v: documents %+v, want %+v", q, got.Docs, want)
	}
	var updates []room.Event
	size, more := 0, false
	for _, e := range m.events {
		if e.Type != room.TypeDoc || e.Seq <= max(m.through, q.After) {
			continue
		}
		if size += len(e.Data); len(updates) == q.Limit || q.Bytes > 0 && size > q.Bytes && len(updates) > 0 {
			more = true
			break
		}
		updates = append(updates, e)
	}
	if got.More != more || !slices.EqualFunc(got.Updates, updates, func(a, b room.Event) bool {
		return a.Seq == b.Seq && a.Mark == b.Mark && a.Type == b.Type && bytes.Equal(a.Data, b.Data)
	}) {
		t.Fatalf("%+v: updates %+v, more %v; want %+v, %v", q, got.Updates, got.More, updates, more)
	}
}

// end erases who wrote, which changes no document, and deletes the room, of which nothing is left.
func (m *docModel) end(t *testing.T, f Factory, s room.Store, id room.ID) {
	before := mustDocs(t, s, room.DocQuery{Room: id, Names: []string{"main", "notes"}, Limit: 1000})
	if len(before.Docs) == 0 {
		t.Fatal("nothing was compacted: this proves nothing")
	}
	if _, err := s.(room.ErasureStore).EraseIn(within(t), room.Erasure{User: "u1", By: "admin"}, id, newTag(), []byte(`{"user":"u1"}`)); err != nil {
		t.Fatal(err)
	}
	after := mustDocs(t, s, room.DocQuery{Room: id, Names: []string{"main", "notes"}, Limit: 1000})
	if fmt.Sprint(before.Docs, before.Updates) != fmt.Sprint(after.Docs, after.Updates) {
		t.Fatalf("DOC-11: an erasure changed documents: %+v, before %+v", after, before)
	}
	mustDelete(t, s, id)
	mustAppend(t, s, say(id, "u1", "anew"))
	if got := mustDocs(t, s, room.DocQuery{Room: id, Names: []string{"main"}, Limit: 10}); len(got.Docs)+len(got.Updates) > 0 || got.Through != 0 {
		t.Fatalf("ROOM-10: a room that began anew has %+v", got)
	}
	for more := true; more; {
		out, err := s.(room.Pruner).Sweep(within(t), month, 1000)
		must(t, "sweep", err)
		more = out.More
	}
	if f.Holds != nil {
		if where := f.Holds(t, []byte("[0.0]")); len(where) > 0 {
			t.Fatalf("ROOM-10: what a deleted room held is still in %v", where)
		}
	}
}

// DOC-5, I16: writers, compactors and a pruner at once lose nothing and double nothing.
func testDocsRace(t *testing.T, f Factory) {
	hs, id := f.pair(t), room.ID("doc:race")
	const writers, each = 3, 30
	var group, others sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	for w := range writers {
		group.Go(func() {
			for i := range each {
				if _, err := hs[w%2].Append(t.Context(), []room.Send{update(id, "main", fmt.Sprintf("[%d.%02d]", w, i)), say(id, "u2", "x")}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	var kept atomic.Int64
	compact := func(s room.Store) error {
		got, err := s.(room.DocStore).Docs(t.Context(), room.DocQuery{Room: id, Names: []string{"main"}, Limit: 7})
		if err != nil || len(got.Updates) == 0 {
			return err
		}
		doc := room.Doc{Name: "main", ID: room.DocID(got.Updates[0].Seq, got.Updates[0].Mark)}
		if len(got.Docs) > 0 {
			doc = got.Docs[0]
		}
		for _, e := range got.Updates {
			doc.State, doc.Seq, doc.Mark = append(doc.State, e.DocOf().Update...), e.Seq, e.Mark
		}
		done, err := s.(room.DocStore).KeepDocs(t.Context(), id, got.Head.Epoch, got.Through, doc.Seq, []room.Doc{doc})
		if done {
			kept.Add(1)
		}
		return err
	}
	for c := range 3 {
		others.Go(func() {
			for ctx.Err() == nil {
				err := compact(hs[c%2])
				if c == 2 {
					_, err = hs[0].(room.Pruner).Prune(t.Context(), id, room.Retention{Events: 1}, month, 1000)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	stop()
	others.Wait()
	got := mustDocs(t, hs[0], room.DocQuery{Room: id, Names: []string{"main"}, Limit: 1000})
	var text []byte
	if len(got.Docs) > 0 {
		text = got.Docs[0].State
	}
	for _, e := range got.Updates {
		text = append(text, e.DocOf().Update...)
	}
	if len(text) != writers*each*len("[0.00]") || kept.Load() == 0 {
		t.Errorf("I16: %d compactions left %d bytes of %d", kept.Load(), len(text), writers*each*len("[0.00]"))
	}
	for w := range writers {
		for i := range each {
			if n := bytes.Count(text, fmt.Appendf(nil, "[%d.%02d]", w, i)); n != 1 {
				t.Errorf("I16: update %d of writer %d is there %d times", i, w, n)
			}
		}
	}
}
