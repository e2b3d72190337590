//go:build unix

package sqlite

import (
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"roomlog/server/room"
)

// run is a workload on a disk: what it sent, and what it was told.
type run struct {
	disk    *disk
	rand    *rand.Rand
	rarely  bool       // the log is copied back as seldom as in production
	epoch   room.Epoch // of the first ack
	batches [][]room.Send
	acks    []room.Appended // of the first of them, in order
}

func newRun(t *testing.T, r *rand.Rand) *run {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	return &run{disk: attach(t, dir), rand: r}
}

// open opens the database of the run by the VFS. Its log is folded and copied back often, as after long use.
func (w *run) open(t *testing.T) (*Store, error) {
	t.Helper()
	s, err := openOn(t.Context(), filepath.Join(w.disk.dir, base), diskVFS, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})))
	if err != nil || w.rarely {
		return s, err
	}
	s.foldAt = 96 << 10
	wr := <-s.writers
	_, err = wr.conn.ExecContext(t.Context(), "pragma wal_autocheckpoint = 12")
	s.writers <- wr
	return s, err
}

// batch makes the next batch: a few sends to a few rooms, small ones and such as need pages of their own.
func (w *run) batch() []room.Send {
	b := make([]room.Send, 1+w.rand.IntN(4))
	for i := range b {
		size := w.rand.IntN(300)
		if w.rand.IntN(8) == 0 {
			size = 6000
		}
		b[i] = room.Send{
			Room: room.ID(fmt.Sprint("chat:", w.rand.IntN(3))), Author: "u", Type: "message",
			Tag: room.Tag{0: byte(len(w.batches) >> 8), 1: byte(len(w.batches)), 2: byte(i), 15: 1}, Data: fmt.Appendf(nil, "%q", strings.Repeat("x", size)),
		}
	}
	w.batches = append(w.batches, b)
	return b
}

// send appends n batches, each of which must be acknowledged.
func (w *run) send(t *testing.T, s *Store, n int) {
	t.Helper()
	for range n {
		out, err := s.Append(t.Context(), w.batch())
		must(t, err)
		w.acked(out)
	}
}

func (w *run) acked(out room.Appended) {
	w.acks = append(w.acks, out)
	w.epoch = out.Rooms[0].Head.Epoch
	w.disk.ack(len(w.acks))
}

// check opens what a crash has left and holds it against the run: I1, I2, I3, I7, I24. Of batches, the first
// acked are stored; of the next, all or nothing; of later ones nothing. It goes on as clients do, which send
// again what was not answered.
func (w *run) check(t *testing.T, acked int) error {
	s, err := w.open(t)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer s.Close()
	var sound string
	wr := <-s.writers
	err = wr.conn.QueryRowContext(t.Context(), "pragma integrity_check").Scan(&sound)
	s.writers <- wr
	if err != nil || sound != "ok" {
		return fmt.Errorf("integrity_check: %s, %w", sound, err)
	}
	stored := 0
	for _, id := range []room.ID{"chat:0", "chat:1", "chat:2"} {
		page, err := s.Read(t.Context(), room.Query{Room: id, Limit: 10_000})
		if err != nil {
			return fmt.Errorf("read %s: %w", id, err)
		}
		for i, e := range page.Events {
			if e.Seq != room.Seq(i+1) {
				return fmt.Errorf("I3: event %d of %s has seq %d", i+1, id, e.Seq)
			}
		}
		if n := len(page.Events); page.Head.Seq != room.Seq(n) || n > 0 && page.Head.Mark != page.Events[n-1].Mark {
			return fmt.Errorf("I3: the head of %s is %+v after %d events", id, page.Head, n)
		}
		stored += len(page.Events)
	}
	var want int
	for _, b := range w.batches[:acked] {
		want += len(b)
	}
	if next := acked < len(w.batches) && stored == want+len(w.batches[acked]); stored != want && !next {
		return fmt.Errorf("I2: %d events are stored after %d were acknowledged in %d batches", stored, want, acked)
	}
	for i, b := range w.batches[:min(acked+1, len(w.batches))] {
		out, err := s.Append(t.Context(), b)
		if err != nil {
			return fmt.Errorf("batch %d again: %w", i, err)
		}
		if i >= acked {
			break
		}
		for j, v := range out.Verdicts {
			was := w.acks[i].Verdicts[j]
			if !v.Duplicate || v.Seq != was.Seq || v.Mark != was.Mark || !v.At.Equal(was.At) {
				return fmt.Errorf("I1: send %d of batch %d was acknowledged as %+v, and is now %+v", j, i, was, v)
			}
		}
		if e := out.Rooms[0].Head.Epoch; e != w.epoch {
			return fmt.Errorf("a power cut is no restore, but the epoch was %s and is %s", w.epoch, e)
		}
	}
	return nil
}

// seeded prints the seed of a random test, or takes the one of ROOMLOG_SEED.
func seeded(t *testing.T) (*rand.Rand, uint64) {
	seed := rand.Uint64()
	if given, err := fmt.Sscan(os.Getenv("ROOMLOG_SEED"), &seed); given == 0 && os.Getenv("ROOMLOG_SEED") != "" {
		t.Fatal(err)
	}
	t.Logf("ROOMLOG_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0)), seed
}

// power is the life of a server with power cuts at every boundary of it.
func power(t *testing.T, w *run) {
	s, err := w.open(t)
	must(t, err)
	w.send(t, s, 14)
	must(t, s.Close())
	s, err = w.open(t)
	must(t, err)
	w.send(t, s, 14)
	must(t, s.Close())
}

// TestPowerCut holds I24, and with it I1, I2, I3 and I30: the power goes at every write, sync, truncation,
// creation and deletion of a run from an empty folder on (its migrations, two openings, the write-ahead log
// copied back and begun anew), with all that a disk may make of what was not synced. Whatever it
// leaves opens again, with everything that was acknowledged once, where it was, and nothing else.
// Every eighth of these starts loses its power, too. With ROOMLOG_CRASHES=all each boundary has all fates.
func TestPowerCut(t *testing.T) {
	r, seed := seeded(t)
	w := newRun(t, r)
	power(t, w)
	deeds := w.disk.log
	p, seen, images, again := newPlatter(), map[uint64]bool{}, 0, 0
	for k := 0; ; k++ {
		for i, fate := range fates {
			if k%thinned != 0 || i > 0 && i != 1+k%4 && os.Getenv("ROOMLOG_CRASHES") != "all" {
				continue // each boundary with nothing of what was not synced, and with one other fate
			}
			r := rand.New(rand.NewPCG(seed, uint64(k)))
			files := p.crash(fate, r)
			if h := digest(files, p.acked); seen[h] {
				continue
			} else {
				seen[h] = true
			}
			images++
			d := cut(t, w, files)
			if err := w.check(t, p.acked); err != nil {
				t.Fatalf("the power went before deed %d of %d (%s), unsynced writes %s: %v", k, len(deeds), describe(deeds, k), fate, err)
			}
			if images%8 != 0 {
				continue
			}
			second := newPlatter()
			for _, o := range d.log[:d.found+r.IntN(len(d.log)-d.found)] {
				second.take(o)
			}
			again++
			cut(t, w, second.crash(fates[again%len(fates)], r))
			if err := w.check(t, p.acked); err != nil {
				t.Fatalf("the power went before deed %d of %d (%s), %s, and once more as it came back, %s: %v",
					k, len(deeds), describe(deeds, k), fate, fates[again%len(fates)], err)
			}
		}
		if k == len(deeds) {
			break
		}
		p.take(deeds[k])
	}
	t.Logf("%d deeds, %d different disks, %d of them cut twice", len(deeds), images, again)
}

// cut puts what a crash left in place, and watches anew.
func cut(t *testing.T, w *run, files map[string][]byte) *disk {
	t.Helper()
	w.disk.write(t, files)
	w.disk = attach(t, w.disk.dir)
	return w.disk
}

func describe(deeds []deed, k int) string {
	if k == len(deeds) {
		return "the end"
	}
	return fmt.Sprintf("%s %s%d+%d", deeds[k].what, deeds[k].name, deeds[k].off, len(deeds[k].data))
}

func digest(files map[string][]byte, acked int) uint64 {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	h := fnv.New64a()
	fmt.Fprint(h, acked)
	for _, name := range names {
		fmt.Fprint(h, name, len(files[name]))
		h.Write(files[name])
	}
	return h.Sum64()
}
