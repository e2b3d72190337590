package docs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"roomlog/server/room"
	"roomlog/server/store/sqlite"
	"roomlog/server/yjs"
)

const pad room.ID = "doc:pad"

// typed is the update of a client that inserts text at clock, behind what it inserted before: written by hand from the format (package yjs).
func typed(client, clock byte, text string) []byte {
	out := []byte{1, 1, client, clock}
	if clock == 0 {
		out = append(out, 0x04, 1, 1, 't') // a string in the type t of the document
	} else {
		out = append(out, 0x84, client, clock-1) // a string whose origin is the unit before
	}
	out = append(out, byte(len(text)))
	return append(append(out, text...), 0)
}

// removed is the update that deletes units of a client.
func removed(client, clock, n byte) []byte { return []byte{0, 1, client, 1, clock, n} }

type fixture struct {
	t     *testing.T
	store *sqlite.Store
	docs  *Docs
	tags  uint32
	mu    sync.Mutex
}

func start(t *testing.T, cfg Config) *fixture {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "roomlog.db"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	if cfg.Store == nil {
		cfg.Store = store
	}
	return &fixture{t: t, store: store, docs: New(cfg)}
}

func (f *fixture) tag() (t room.Tag) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tags++
	t[0], t[1], t[2], t[15] = byte(f.tags>>16), byte(f.tags>>8), byte(f.tags), 1
	return t
}

// send takes an update as a server does: what is missing is stored. known: that was nothing.
func (f *fixture) send(at *Docs, name string, update []byte, policy room.DocPolicy) (known bool, err error) {
	change := &room.DocChange{Name: name, Update: update}
	send, refused := at.Trim(f.t.Context(), room.Send{Room: pad, Author: "u1", Tag: f.tag(), Type: room.TypeDoc, Data: change.Data(), Doc: change}, policy)
	if refused != nil {
		return false, refused
	}
	if send.Known != nil {
		return true, nil
	}
	out, err := f.store.Append(f.t.Context(), []room.Send{send})
	if err == nil && out.Verdicts[0].Refused != nil {
		err = out.Verdicts[0].Refused
	}
	return false, err
}

func (f *fixture) must(name string, update []byte, known bool) {
	f.t.Helper()
	got, err := f.send(f.docs, name, update, room.DocPolicy{})
	if err != nil || got != known {
		f.t.Fatalf("DOC-4: known %v, %v; want %v", got, err, known)
	}
}

func (f *fixture) read(name string, vector []byte) Doc {
	f.t.Helper()
	doc, err := f.docs.Read(f.t.Context(), pad, name, vector)
	if err != nil {
		f.t.Fatal(err)
	}
	return doc
}

// wantSame says that two updates have the same units and deletions.
func wantSame(t *testing.T, what string, got []byte, want ...[]byte) {
	t.Helper()
	all, err := yjs.Merge(want...)
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range [][2][]byte{{got, all}, {all, got}} {
		if has, err := yjs.Contains(pair[0], pair[1]); err != nil || !has {
			t.Fatalf("%s: %x is not %x: %v", what, got, all, err)
		}
	}
}

// DOC-3, DOC-4, DOC-6: what a document lacks is stored, and nothing else; who reads is given what they lack.
func TestOnlyWhatIsMissing(t *testing.T) {
	f := start(t, Config{})
	empty := f.read("main", nil)
	if empty.ID != "" || !bytes.Equal(empty.State, []byte{0, 0}) || !bytes.Equal(empty.Vector, []byte{0}) {
		t.Fatalf("DOC-6: no document is %+v", empty)
	}
	f.must("main", typed(1, 0, "ab"), false)
	f.must("main", typed(1, 0, "ab"), true)
	whole, err := yjs.Merge(typed(1, 0, "ab"), typed(1, 2, "cd"))
	if err != nil {
		t.Fatal(err)
	}
	f.must("main", whole, false)
	f.must("main", removed(1, 1, 1), false)
	f.must("main", removed(1, 1, 1), true)
	f.must("main", typed(2, 1, "z"), false) // the unit before is missing yet
	f.must("notes", typed(1, 0, "ab"), false)
	page, err := f.store.Read(t.Context(), room.Query{Room: pad, Anchor: room.After, Limit: 10})
	if err != nil || len(page.Events) != 5 {
		t.Fatalf("DOC-4: %d events, %v", len(page.Events), err)
	}
	wantSame(t, "DOC-4: of an update that is half known", page.Events[1].DocOf().Update, typed(1, 2, "cd"))

	doc := f.read("main", []byte{1, 1, 3}) // three units of client 1
	if want := room.DocID(1, page.Events[0].Mark); doc.ID != want || doc.Seq != 4 || doc.Head.Seq != 5 || !bytes.Equal(doc.Vector, []byte{1, 1, 4}) {
		t.Fatalf("DOC-9: %+v", doc)
	}
	wantSame(t, "DOC-6: what the reader lacks", doc.State, typed(1, 3, "d"), removed(1, 1, 1), typed(2, 1, "z"))
	for _, bad := range [][]byte{{0xff}, {1, 1}, {1, 1, 1, 1, 1}} {
		if _, err := f.docs.Read(t.Context(), pad, "main", bad); err == nil || err.Code != room.CodeBadRequest || err.Field != "sv" {
			t.Errorf("DOC-6: the state vector %x: %v", bad, err)
		}
	}
	for _, bad := range [][]byte{{1}, append(typed(1, 4, "x"), 7), bytes.Repeat([]byte{0xff}, 30)} {
		if _, err := f.send(f.docs, "main", bad, room.DocPolicy{}); room.AsError(err).Code != room.CodeBadUpdate || room.AsError(err).Field != "data/update" {
			t.Errorf("DOC-3: the update %x: %v", bad, err)
		}
	}
	wantSame(t, "DOC-3: after what was refused", f.read("main", nil).State, whole, removed(1, 1, 1), typed(2, 1, "z"))
}

// DOC-8: bounds, and that what was deleted makes room.
func TestBounds(t *testing.T) {
	f := start(t, Config{})
	policy := room.DocPolicy{Bytes: 200, Count: 2}
	wants := func(name string, update []byte, field string, limit int64) {
		t.Helper()
		_, err := f.send(f.docs, name, update, policy)
		if field == "" && err == nil {
			return
		}
		if e := (*room.Error)(nil); !errors.As(err, &e) || e.Code != room.CodeLimitExceeded || e.Field != field || e.Limit != limit {
			t.Fatalf("DOC-8: want %q, got %v", field, err)
		}
	}
	wants("a", typed(1, 0, strings.Repeat("x", 100)), "", 0)
	wants("b", typed(1, 0, "x"), "", 0)
	wants("c", typed(1, 0, "x"), "count", 2)
	wants("a", typed(1, 100, strings.Repeat("y", 100)), "bytes", 200)
	wants("a", removed(1, 0, 100), "", 0)
	wants("a", typed(1, 100, strings.Repeat("y", 100)), "", 0)
	if s := f.docs.Stats(); s.Compactions != 2 || s.Updates != 4 {
		t.Errorf("%+v", s)
	}
}

// DOC-5, I16: shuffled, repeated and overlapping updates by two nodes that compact all the time; whatever the order, the document is all of them.
// Then the room is deleted, and what the nodes remember of it is not taken for the new one.
func TestAnyOrder(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	f := start(t, Config{})
	nodes := []*Docs{New(Config{Store: f.store, CompactAt: 7, StepUpdates: 5}), New(Config{Store: f.store, CompactAt: 11, Remembered: 1})}
	var updates [][]byte
	for client := byte(1); client <= 4; client++ {
		for clock := byte(0); clock < 28; clock += 2 {
			updates = append(updates, typed(client, clock, "ab"))
			if rnd.IntN(3) == 0 {
				updates = append(updates, removed(client, clock, 1+byte(rnd.IntN(2))))
			}
		}
	}
	sends := append([][]byte(nil), updates...)
	for range 60 { // some again, and some that overlap
		one, err := yjs.Merge(updates[rnd.IntN(len(updates))], updates[rnd.IntN(len(updates))], updates[rnd.IntN(len(updates))])
		if err != nil {
			t.Fatal(err)
		}
		sends = append(sends, one)
	}
	rnd.Shuffle(len(sends), func(i, j int) { sends[i], sends[j] = sends[j], sends[i] })
	var group sync.WaitGroup
	for n, node := range nodes {
		group.Go(func() {
			for i := n; i < len(sends); i += 2 {
				for _, name := range []string{"main", fmt.Sprint("of", i%3)} {
					if _, err := f.send(node, name, sends[i], room.DocPolicy{}); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	group.Wait()
	wantSame(t, "I16", f.read("main", nil).State, updates...)
	compactions := int64(0)
	for _, node := range nodes {
		if err := node.Compact(t.Context(), pad); err != nil {
			t.Fatal(err)
		}
		compactions += node.Stats().Compactions
	}
	if compactions < 5 {
		t.Fatalf("%d compactions: this proves nothing", compactions)
	}
	id := f.read("main", nil).ID
	if got, err := f.store.Docs(t.Context(), room.DocQuery{Room: pad, Names: []string{"main"}, Limit: 1}); err != nil || len(got.Updates) > 0 || got.Docs[0].ID != id {
		t.Fatalf("DOC-9: %+v, %v", got, err)
	} else {
		wantSame(t, "I16: compacted", got.Docs[0].State, updates...)
	}
	for _, update := range updates {
		if known, err := f.send(nodes[1], "main", update, room.DocPolicy{}); err != nil || !known {
			t.Fatalf("DOC-4: known %v, %v", known, err)
		}
	}
	was, _, err := f.store.Delete(t.Context(), pad)
	if err != nil {
		t.Fatal(err)
	}
	// The new room has grown past where the nodes stand.
	var more []room.Send
	for range int(was.Seq) + len(sends)*2 + 1 {
		more = append(more, room.Send{Room: pad, Author: "u1", Tag: f.tag(), Type: room.TypeMessage, Data: []byte(`1`)})
	}
	if _, err := f.store.Append(t.Context(), more); err != nil {
		t.Fatal(err)
	}
	for _, node := range nodes {
		if known, err := f.send(node, "main", updates[0], room.DocPolicy{}); err != nil || known != (node == nodes[1]) {
			t.Fatalf("ROOM-10: known %v, %v", known, err)
		}
	}
	anew := f.read("main", nil)
	if wantSame(t, "ROOM-10", anew.State, updates[0]); anew.ID == id {
		t.Fatalf("DOC-9: another document has the id %s, too", id)
	}
}

// A store that does not answer: nothing is taken, nothing is remembered wrongly, and what could not be compacted is compacted later.
func TestStoreAway(t *testing.T) {
	f := start(t, Config{})
	away := &flaky{Store: f.store}
	d := New(Config{Store: away, CompactAt: 2})
	for i := range byte(20) {
		away.count = 0
		away.fails = i % 4 // the how manieth call; 0: none
		_, err := f.send(d, "main", typed(1, i, "a"), room.DocPolicy{})
		if e := (*room.Error)(nil); err != nil && (!errors.As(err, &e) || e.Code != room.CodeUnavailable) {
			t.Fatal(err)
		}
		away.fails = 0
		if _, err := f.send(d, "main", typed(1, i, "a"), room.DocPolicy{}); err != nil {
			t.Fatal(err)
		}
	}
	if s := d.Stats(); s.Failures == 0 || s.Compactions == 0 {
		t.Errorf("%+v", s)
	}
	slow := New(Config{Store: away, Within: 1})
	if _, err := f.send(slow, "main", typed(1, 20, "a"), room.DocPolicy{}); err == nil || room.AsError(err).Code != room.CodeUnavailable {
		t.Errorf("who has no time is told %v", err)
	}
	if _, err := slow.Read(t.Context(), pad, "main", nil); err == nil || err.Code != room.CodeUnavailable {
		t.Errorf("who has no time is told %v", err)
	}
	if got := f.read("main", nil); !bytes.Equal(got.Vector, []byte{1, 1, 20}) {
		t.Errorf("the vector is %x", got.Vector)
	}
}

type flaky struct {
	*sqlite.Store
	fails, count byte
}

func (f *flaky) fail() error {
	if f.count++; f.count == f.fails {
		return errors.New("the store is away")
	}
	return nil
}

func (f *flaky) Docs(ctx context.Context, q room.DocQuery) (room.Docs, error) {
	if err := f.fail(); err != nil {
		return room.Docs{}, err
	}
	return f.Store.Docs(ctx, q)
}

func (f *flaky) KeepDocs(ctx context.Context, id room.ID, epoch room.Epoch, from, to room.Seq, docs []room.Doc) (bool, error) {
	if err := f.fail(); err != nil {
		return false, err
	}
	return f.Store.KeepDocs(ctx, id, epoch, from, to, docs)
}

// DOC-13: what names another document than there is is refused, also where nothing of it is lacking; the send says by which document it was judged.
func TestNamedDocument(t *testing.T) {
	f := start(t, Config{})
	trim := func(of string, update []byte) (room.Send, *room.Error) {
		change := &room.DocChange{Name: "main", Update: update, ID: of, Named: of != ""}
		return f.docs.Trim(t.Context(), room.Send{Room: pad, Author: "u1", Tag: f.tag(), Type: room.TypeDoc, Data: change.Data(), Doc: change}, room.DocPolicy{})
	}
	wantReplaced := func(what string, err *room.Error) {
		t.Helper()
		if err == nil || err.Code != room.CodeDocReplaced || err.Field != "data/id" {
			t.Fatalf("DOC-13: %s: %v", what, err)
		}
	}
	wantID := func(want string) {
		t.Helper()
		id, head, err := f.docs.ID(t.Context(), pad, "main")
		if err != nil || id != want || head.Room != pad {
			t.Fatalf("DOC-13: the document is %q of %+v, %v; want %q", id, head, err, want)
		}
	}
	_, err := trim("1-00000001", typed(1, 0, "a"))
	wantReplaced("of none", err)
	wantID("")
	if send, err := trim("", typed(1, 0, "a")); err != nil || send.Doc.ID != "" {
		t.Fatalf("DOC-13: the first: %+v, %v", send.Doc, err)
	}
	f.must("main", typed(1, 0, "a"), false)
	of := f.read("main", nil).ID
	wantID(of)
	for range 2 { // as it is, and compacted
		if send, err := trim(of, typed(1, 1, "b")); err != nil || send.Doc.ID != of || !send.Doc.Named || send.Known != nil {
			t.Fatalf("DOC-13: of this one: %+v, %v", send.Doc, err)
		}
		if send, err := trim("", typed(1, 1, "b")); err != nil || send.Doc.ID != of || send.Doc.Named {
			t.Fatalf("DOC-13: of whichever there is: %+v, %v", send.Doc, err)
		}
		if send, err := trim(of, typed(1, 0, "a")); err != nil || send.Known == nil {
			t.Fatalf("DOC-4: %+v, %v", send, err)
		}
		_, err = trim("x", typed(1, 1, "b"))
		wantReplaced("of another", err)
		_, err = trim("x", typed(1, 0, "a"))
		wantReplaced("known, of another", err)
		if err := f.docs.Compact(t.Context(), pad); err != nil {
			t.Fatal(err)
		}
		wantID(of)
	}
	judged, err := trim("", typed(1, 1, "b"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.store.Delete(t.Context(), pad); err != nil {
		t.Fatal(err)
	}
	wantID("")
	out, failed := f.store.Append(t.Context(), []room.Send{judged})
	if failed != nil || out.Verdicts[0].Refused == nil || !out.Verdicts[0].Refused.Retryable() {
		t.Fatalf("DOC-13: what was left out of it is gone: %+v, %v", out, failed)
	}
	_, err = trim(of, typed(1, 1, "b"))
	wantReplaced("of a deleted room", err)
}
