//go:build unix

package sqlite

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"roomlog/server/room"
)

const crashing room.ID = "doc:a"

// compactAll does to the document what its keeper does (package docs), with texts for updates.
func compactAll(t *testing.T, s *Store) error {
	got, err := s.Docs(t.Context(), room.DocQuery{Room: crashing, Names: []string{"main"}, Limit: 100})
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
	kept, err := s.KeepDocs(t.Context(), crashing, got.Head.Epoch, got.Through, doc.Seq, []room.Doc{doc})
	if err == nil && !kept {
		err = fmt.Errorf("what was compacted from %d on was not kept", got.Through)
	}
	return err
}

// docText is the document: what was compacted, and the updates behind.
func docText(t *testing.T, s *Store) (string, error) {
	got, err := s.Docs(t.Context(), room.DocQuery{Room: crashing, Names: []string{"main"}, Limit: 100})
	var text strings.Builder
	for _, d := range got.Docs {
		text.Write(d.State)
	}
	for _, e := range got.Updates {
		text.Write(e.DocOf().Update)
	}
	return text.String(), err
}

// DOC-5, I1, I16, I24: the power goes at every write and sync while a document is written, compacted and its events are pruned. What is found then
// is each acknowledged update once, in its place, and can be compacted.
func TestPowerCutWhileCompacting(t *testing.T) {
	r, seed := seeded(t)
	w := newRun(t, r)
	s, err := w.open(t)
	must(t, err)
	before := len(w.disk.log)
	var texts []string
	for i := range 8 {
		change := room.DocChange{Name: "main", Update: fmt.Appendf(nil, "[%d %s]", i, strings.Repeat("x", r.IntN(3000)))}
		_, err := s.Append(t.Context(), []room.Send{{Room: crashing, Author: "u", Type: room.TypeDoc, Tag: room.Tag{0: byte(i), 15: 1}, Data: change.Data(), Doc: &change}})
		must(t, err)
		texts = append(texts, string(change.Update))
		w.disk.ack(len(texts))
		if i%3 == 2 {
			must(t, compactAll(t, s))
			_, err := s.Prune(t.Context(), crashing, room.Retention{Age: time.Microsecond}, 1, 100)
			must(t, err)
		}
	}
	must(t, s.Close())
	deeds := w.disk.log
	p, seen, images := newPlatter(), map[uint64]bool{}, 0
	for k := 0; ; k++ {
		for _, fate := range []int{0, 1 + k%(len(fates)-1)} {
			if k < before || k%(3+thinned) != 0 && os.Getenv("ROOMLOG_CRASHES") != "all" {
				continue
			}
			files := p.crash(fates[fate], rand.New(rand.NewPCG(seed, uint64(k))))
			h := digest(files, p.acked)
			if seen[h] {
				continue
			}
			seen[h] = true
			images++
			cut(t, w, files)
			if err := w.checkDoc(t, texts, p.acked); err != nil {
				t.Fatalf("the power went before deed %d of %d (%s), unsynced writes %s: %v", k, len(deeds), describe(deeds, k), fates[fate], err)
			}
		}
		if k == len(deeds) {
			break
		}
		p.take(deeds[k])
	}
	if t.Logf("%d deeds, %d different disks", len(deeds)-before, images); images < 10 {
		t.Fatal("hardly anything was cut: this proves nothing")
	}
}

func (w *run) checkDoc(t *testing.T, texts []string, acked int) error {
	s, err := w.open(t)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer s.Close()
	for range 2 { // the second time compacted
		got, err := docText(t, s)
		if err != nil {
			return err
		}
		want := strings.Join(texts[:acked], "")
		if got != want && (acked == len(texts) || got != want+texts[acked]) {
			return fmt.Errorf("I16: after %d acks the document is %.200q, not %.200q", acked, got, want)
		}
		if err := compactAll(t, s); err != nil {
			return err
		}
	}
	return nil
}
