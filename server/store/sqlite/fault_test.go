//go:build unix

package sqlite

import (
	"errors"
	"math/rand/v2"
	"testing"

	sqlite3 "modernc.org/sqlite/lib"

	"roomlog/server/room"
)

// TestSyncFails fails one sync after another, each as a kernel does that then forgets what it could not write
// and reports success from then on. Nothing that hangs on it is acknowledged; the store says that it
// is lost and takes nothing more until it is opened again; and what it acknowledges then survives a power
// cut, although what lies before it in the log never reached the disk (I1, I24).
func TestSyncFails(t *testing.T) {
	r, _ := seeded(t)
	failures := 0
	for nth := 0; ; nth += 1 + (thinned-1)/2 {
		w := newRun(t, r)
		s, err := w.open(t)
		must(t, err)
		w.send(t, s, 4)
		left := nth
		w.disk.mu.Lock()
		w.disk.fail = func(o deed) int32 {
			if o.what == "sync" {
				if left--; left == -1 {
					return sqlite3.SQLITE_IOERR_FSYNC
				}
			}
			return 0
		}
		w.disk.mu.Unlock()
		for range 12 {
			var out room.Appended
			if out, err = s.Append(t.Context(), w.batch()); err != nil {
				break
			}
			w.acked(out)
		}
		if left >= 0 {
			must(t, s.Close())
			break // there are no more syncs
		}
		if err != nil {
			failures++
			refusesAll(t, s, err)
		}
		w.disk.kill(t, s)
		w.rarely = true // else that would mend what the start must
		s, err = w.open(t)
		must(t, err)
		for _, b := range w.batches[len(w.acks):] { // the one whose outcome was not known
			out, err := s.Append(t.Context(), b)
			must(t, err)
			w.acked(out)
		}
		w.send(t, s, 2)
		w.disk.kill(t, s)
		after := w.disk.platter()
		for _, fate := range fates {
			cut(t, w, after.crash(fate, r))
			if err := w.check(t, len(w.acks)); err != nil {
				t.Fatalf("sync %d failed; after a restart and a power cut, unsynced writes %s: %v", nth, fate, err)
			}
		}
	}
	if failures == 0 {
		t.Error("no sync of a commit has failed")
	}
}

// refusesAll checks a store whose sync failed.
func refusesAll(t *testing.T, s *Store, err error) {
	t.Helper()
	if !errors.Is(err, room.ErrOutcomeUnknown) {
		t.Errorf("an append whose sync failed: %v, which is an answer", err)
	}
	select {
	case <-s.Failed():
	default:
		t.Error("the store does not say that it has failed")
	}
	late := room.Send{Room: "chat:0", Author: "u", Type: "message", Tag: room.Tag{9, 9}, Data: []byte(`1`)}
	if _, err := s.Append(t.Context(), []room.Send{late}); errors.Is(err, room.ErrOutcomeUnknown) || room.AsError(err).Code != room.CodeUnavailable {
		t.Errorf("an append after a sync failed: %v", err)
	}
	if _, err := s.Read(t.Context(), room.Query{Room: "chat:0", Limit: 10}); err != nil {
		t.Errorf("a read after a sync failed: %v", err)
	}
}

// TestDiskFillsUp lets the disk be full from one write after another on, for as long as ten appends take:
// files may be written, but not grow. What is refused is refused as storage_full and never stored, reads go
// on, and without a restart the store goes on when there is room. A power cut at the end loses nothing.
func TestDiskFillsUp(t *testing.T) {
	r, _ := seeded(t)
	refused := 0
	for nth := 0; nth < 60; nth += 1 + 3*(thinned-1)/2 {
		w := newRun(t, r)
		s, err := w.open(t)
		must(t, err)
		w.send(t, s, 8)
		fillUp(w.disk, nth)
		for range 10 {
			out, err := s.Append(t.Context(), w.batch())
			if err == nil {
				w.acked(out)
			} else {
				if room.AsError(err).Code != room.CodeStorageFull || errors.Is(err, room.ErrOutcomeUnknown) {
					t.Fatalf("an append to a full disk: %v", err)
				}
				refused++
				w.batches = w.batches[:len(w.batches)-1] // its tags are used again, for other events
			}
			if _, err := s.Read(t.Context(), room.Query{Room: "chat:0", Anchor: room.Latest, Limit: 10}); err != nil {
				t.Fatalf("a read on a full disk: %v", err)
			}
		}
		w.disk.mu.Lock()
		w.disk.fail = nil
		w.disk.mu.Unlock()
		w.send(t, s, 3)
		w.disk.kill(t, s)
		after := w.disk.platter()
		for _, fate := range []string{"lost", "torn"} {
			cut(t, w, after.crash(fate, rand.New(rand.NewPCG(r.Uint64(), 0))))
			if err := w.check(t, len(w.acks)); err != nil {
				t.Fatalf("full from write %d on; after a power cut, unsynced writes %s: %v", nth, fate, err)
			}
		}
	}
	if refused == 0 {
		t.Error("no append met a full disk")
	}
}

// fillUp lets no file grow from the nth write on.
func fillUp(d *disk, nth int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	sizes := map[int]int64{}
	for _, o := range d.log {
		grows(sizes, o)
	}
	d.fail = func(o deed) int32 {
		if o.what == "write" {
			nth--
		}
		if nth < 0 && o.what == "write" && o.off+int64(len(o.data)) > sizes[o.file] {
			return sqlite3.SQLITE_FULL
		}
		grows(sizes, o)
		return 0
	}
}

func grows(sizes map[int]int64, o deed) {
	switch o.what {
	case "write":
		sizes[o.file] = max(sizes[o.file], o.off+int64(len(o.data)))
	case "truncate":
		sizes[o.file] = o.off
	}
}
