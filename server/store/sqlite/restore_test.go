package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"roomlog/server/room"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var sent uint32

// grow appends n events to chat:a and gives the head.
func grow(t *testing.T, s *Store, n int) room.Head {
	t.Helper()
	var head room.Head
	for range n {
		sent++
		out, err := s.Append(t.Context(), []room.Send{{
			Room: "chat:a", Author: "u", Type: "message", Data: []byte(`1`),
			Tag: room.Tag{1, byte(sent >> 16), byte(sent >> 8), byte(sent)},
		}})
		must(t, err)
		head = out.Rooms[0].Head
	}
	return head
}

// use opens the database at path, appends n events, closes it, and gives the head.
func use(t *testing.T, path string, n int) room.Head {
	t.Helper()
	s := open(t, path)
	grow(t, s, n)
	heads, err := s.Heads(t.Context(), []room.ID{"chat:a"})
	must(t, err)
	must(t, s.Close())
	return heads[0]
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	must(t, err)
	must(t, os.WriteFile(to, data, 0o600)) // in place: the file stays the same one
}

// backUp copies a running database, as `sqlite3 FILE ".backup TO"` does.
func backUp(t *testing.T, path, to string) {
	t.Helper()
	direct(t, path, func(db *sql.DB) error {
		_, err := db.Exec("vacuum into ?", to)
		return err
	})
}

// kill ends a store as a crash does: nothing is said goodbye to. The lock goes with the process.
func kill(t *testing.T, s *Store) {
	t.Helper()
	must(t, s.lock.Close())
	s.lock = nil
	t.Cleanup(func() { _ = s.Close() }) // what is left of it, when nobody uses the file any more
}

// TestRestoreFoundAtStart holds I11 and POS-7: a file that is a copy, or older than what was last used at
// its place, has a new epoch from its first opening; every other history of a file keeps its own.
func TestRestoreFoundAtStart(t *testing.T) {
	tests := map[string]struct {
		why string // empty: the epoch stays
		// fork does something to the database at path, which holds 10 events and is closed, and gives the
		// path to open.
		fork func(t *testing.T, path string) string
	}{
		"opened again": {"", func(t *testing.T, path string) string { return path }},
		"used again":   {"", func(t *testing.T, path string) string { use(t, path, 5); return path }},
		"moved within the file system": {"", func(t *testing.T, path string) string {
			must(t, os.Rename(path, path+".moved"))
			return path + ".moved"
		}},
		"its lock file removed": {"", func(t *testing.T, path string) string {
			must(t, os.Remove(path+".lock"))
			return path
		}},
		"its record torn by a power cut": {"", func(t *testing.T, path string) string {
			must(t, os.Truncate(path+".lock", 20))
			return path
		}},
		"of a version that recorded nothing": {"", func(t *testing.T, path string) string {
			direct(t, path, func(db *sql.DB) error {
				_, err := db.Exec("update meta set file = null, opened = null")
				return err
			})
			must(t, os.Remove(path+".lock"))
			return path
		}},
		"copied elsewhere": {"is a copy", func(t *testing.T, path string) string {
			copyFile(t, path, path+".copy")
			return path + ".copy"
		}},
		"its folder copied and put in its place": {"is a copy", func(t *testing.T, path string) string {
			copyFile(t, path, path+".copy")
			must(t, os.Rename(path+".copy", path))
			return path
		}},
		"an older state copied over it": {"not in the state", func(t *testing.T, path string) string {
			copyFile(t, path, path+".backup")
			use(t, path, 0)
			copyFile(t, path+".backup", path)
			return path
		}},
		"a backup of the same run copied over it": {"lacks events", func(t *testing.T, path string) string {
			s := open(t, path)
			backUp(t, path, path+".backup")
			grow(t, s, 1)
			must(t, s.Close())
			copyFile(t, path+".backup", path)
			return path
		}},
		"a backup of the same run copied over it, long after": {"lacks events", func(t *testing.T, path string) string {
			s := open(t, path)
			backUp(t, path, path+".backup")
			grow(t, s, 30)
			must(t, s.Close())
			copyFile(t, path+".backup", path)
			return path
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "roomlog.db")
			first := use(t, path, 10).Epoch
			path = test.fork(t, path)
			var logged bytes.Buffer
			s, err := Open(t.Context(), path, slog.New(slog.NewTextHandler(&logged, nil)))
			must(t, err)
			epoch := grow(t, s, 1).Epoch
			must(t, s.Close())
			if (epoch != first) != (test.why != "") {
				t.Errorf("the epoch was %s and is %s", first, epoch)
			}
			if test.why == "" && logged.Len() > 0 || !strings.Contains(logged.String(), test.why) {
				t.Errorf("logged %q, want %q", logged.String(), test.why)
			}
			if again := use(t, path, 1).Epoch; again != epoch {
				t.Errorf("opened again, the epoch is %s, it was %s", again, epoch)
			}
		})
	}
}

// A crash at any moment is no restore, and a restore after a crash is one: the record beside the file is
// never ahead of it, and no more than one append behind.
func TestRestoreAfterCrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "roomlog.db")
	s := open(t, path)
	first := grow(t, s, 10)
	backUp(t, path, path+".backup")
	grow(t, s, 1)
	kill(t, s)
	again := open(t, path)
	head := grow(t, again, 1)
	if head.Epoch != first.Epoch || head.Seq != 12 {
		t.Fatalf("after a crash the head is %+v", head)
	}
	backUp(t, path, path+".backup2")
	grow(t, again, 1)
	kill(t, again)
	for _, backup := range []string{".backup", ".backup2"} {
		other := filepath.Join(t.TempDir(), "roomlog.db")
		copyFile(t, path+".lock", other+".lock")
		copyFile(t, path+backup, other)
		identity, err := fileIdentity(other)
		must(t, err)
		direct(t, other, func(db *sql.DB) error { // as if it lay in the place of the first
			_, err := db.Exec("update meta set file = ?", identity)
			return err
		})
		if h := use(t, other, 0); h.Epoch == first.Epoch {
			t.Errorf("%s, put in place after a crash, keeps its epoch", backup)
		}
	}
	// A crash while the database was being opened leaves a record that names both openings.
	half := open(t, filepath.Join(t.TempDir(), "roomlog.db"))
	was := half.record.opened[0]
	must(t, record{opened: [2]string{"ffff", was}}.write(half.lock))
	if got := readRecord(half.lock); got == nil || (recorded{opened: was, file: "a"}).forked("a", got) != "" {
		t.Errorf("the record of a half done opening, %+v, disagrees with the database", got)
	}
	must(t, half.Close())
}

// A server whose file is moved away or replaced acknowledges nothing that would be gone with it.
func TestFileReplacedUnderAServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "roomlog.db")
	first := use(t, path, 10)
	copyFile(t, path, path+".backup")
	s := open(t, path)
	grow(t, s, 1)
	append := func() error {
		_, err := s.Append(t.Context(), []room.Send{{Room: "chat:a", Author: "u", Type: "message", Data: []byte(`1`), Tag: room.Tag{9}}})
		return err
	}
	must(t, os.Rename(path, path+".away"))
	if err := append(); room.AsError(err).Code != room.CodeUnavailable {
		t.Errorf("an append to a file that was moved away: %v", err)
	}
	must(t, os.Rename(path+".backup", path))
	if err := append(); room.AsError(err).Code != room.CodeUnavailable {
		t.Errorf("an append beside the file that took its place: %v", err)
	}
	must(t, s.Close())
	for _, left := range []string{"-wal", "-shm"} { // of the file that was moved away
		_ = os.Remove(path + left)
	}
	if h := use(t, path, 1); h.Epoch == first.Epoch || h.Seq != 11 {
		t.Errorf("the file that took its place has head %+v, the first had %+v", h, first)
	}
}

// POS-7: what the operator asks for after a restore, refused while a server has the file.
func TestBumpEpoch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "roomlog.db")
	head := use(t, path, 3)
	before, after, err := BumpEpoch(t.Context(), path)
	must(t, err)
	if before != head.Epoch || after == before || after == "" {
		t.Errorf("from %q to %q, the head had %q", before, after, head.Epoch)
	}
	copied := filepath.Join(t.TempDir(), "copy.db")
	copyFile(t, path, copied)
	if was, now, err := BumpEpoch(t.Context(), copied); err != nil || was != after || now == after {
		t.Errorf("a copy goes from %q to %q, %v; it had %q", was, now, err, after)
	}
	s := open(t, path)
	heads, err := s.Heads(context.Background(), []room.ID{"chat:a"})
	must(t, err)
	if h := heads[0]; h.Epoch != after || h.Seq != head.Seq || h.Mark != head.Mark {
		t.Errorf("the head is %+v, it was %+v", h, head)
	}
	if _, _, err := BumpEpoch(t.Context(), path); err == nil || !strings.Contains(err.Error(), "another process has this database open") {
		t.Errorf("beside a server: %v", err)
	}
	must(t, s.Close())
	none := filepath.Join(t.TempDir(), "none.db")
	if _, _, err := BumpEpoch(t.Context(), none); err == nil {
		t.Error("a database that does not exist has a new epoch")
	}
	if left, _ := filepath.Glob(none + "*"); len(left) > 0 {
		t.Error(fmt.Sprint("asking for it made ", left))
	}
}

// A recreated room has an epoch of its own, in every answer, and is no fork of the database.
func TestRecreatedRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "roomlog.db")
	first := use(t, path, 5)
	direct(t, path, func(db *sql.DB) error {
		_, err := db.Exec("delete from events; update rooms set generation = 1, head = 0, head_mark = 0")
		return err
	})
	s := open(t, path)
	want := first.Epoch + "-1"
	if h := grow(t, s, 2); h.Epoch != want || h.Seq != 2 {
		t.Errorf("the head after an append is %+v, its epoch should be %s", h, want)
	}
	page, err := s.Read(t.Context(), room.Query{Room: "chat:a", Limit: 5})
	if err != nil || page.Head.Epoch != want {
		t.Errorf("a page is of epoch %s, %v", page.Head.Epoch, err)
	}
	must(t, s.Close())
	if h := use(t, path, 0); h.Epoch != want || h.Seq != 2 {
		t.Errorf("opened again, the head is %+v", h)
	}
}
