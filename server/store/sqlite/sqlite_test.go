package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"roomlog/server/room"
	"roomlog/server/room/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Factory {
		path := filepath.Join(t.TempDir(), "room log?#%.db") // a path is a path, not a URL
		var jump atomic.Int64
		return storetest.Factory{
			Open: func(t *testing.T) room.Store {
				s := open(t, path)
				s.clock = func() time.Time { return time.Now().Add(time.Duration(jump.Load())) }
				return s
			},
			Jump:   func(_ *testing.T, by time.Duration) { jump.Store(int64(by)) },
			Single: "one process owns the file; TestSecondHandle proves that another is refused",
			Backdate: func(t *testing.T, id room.ID, from, below room.Seq, by time.Duration) {
				direct(t, path, func(db *sql.DB) error {
					_, err := db.Exec(`update events set at = at - ? where seq >= ? and seq < ? and room = (select id from rooms where name = ?)`,
						by.Microseconds(), from, below, string(id))
					return err
				})
			},
			Rows: func(t *testing.T) (events, tags int64) {
				direct(t, path, func(db *sql.DB) error {
					return db.QueryRow(`select (select count(*) from events),
						(select count(*) from tags) + (select count(*) from rewrites) + (select count(*) from hook_cursors)`).Scan(&events, &tags)
				})
				return events, tags
			},
			Receipts: func(t *testing.T) (n int64) {
				direct(t, path, func(db *sql.DB) error {
					return db.QueryRow(`select (select count(*) from receipts) + (select count(*) from receipt_versions)`).Scan(&n)
				})
				return n
			},
			Count: func(t *testing.T, id room.ID) (rows, maxSeq, tags int64) {
				direct(t, path, func(db *sql.DB) error {
					return db.QueryRow(`select count(*), coalesce(max(seq), 0), count(distinct hex(tag) || author)
						from events where room = (select id from rooms where name = ?)`, string(id)).Scan(&rows, &maxSeq, &tags)
				})
				return rows, maxSeq, tags
			},
			Beside: func(t *testing.T) (b storetest.Beside) {
				direct(t, path, func(db *sql.DB) error {
					return db.QueryRow(`select (select count(*) from edits), (select count(*) from reactions), (select count(*) from redactions),
						(select count(*) from mentions), (select count(*) from members)`).Scan(&b.Edits, &b.Reactions, &b.Redactions, &b.Mentions, &b.Members)
				})
				return b
			},
			Ordinals: func(t *testing.T, id room.ID) (events map[room.Seq]int64, messages int64) {
				direct(t, path, func(db *sql.DB) error {
					return db.QueryRow(`select coalesce(max(messages), 0) from rooms where name = ?`, string(id)).Scan(&messages)
				})
				return bySeq(t, path, `select seq, ordinal from events where room = (select id from rooms where name = ?)`, string(id)), messages
			},
			Mentions: func(t *testing.T, id room.ID, user string) map[room.Seq]int64 {
				return bySeq(t, path, `select seq, ordinal from mentions where room = (select id from rooms where name = ?) and who = ?`, string(id), user)
			},
			Holds: func(t *testing.T, what []byte) []string { return holds(t, path, what) },
		}
	})
}

// bySeq is what a query of two columns gives.
func bySeq(t *testing.T, path, query string, args ...any) map[room.Seq]int64 {
	t.Helper()
	out := map[room.Seq]int64{}
	direct(t, path, func(db *sql.DB) error {
		rows, err := db.Query(query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var seq, n int64
			if err := rows.Scan(&seq, &n); err != nil {
				return err
			}
			out[seq] = n
		}
		return rows.Err()
	})
	return out
}

// holds lists the tables that have a row with these bytes in a column.
func holds(t *testing.T, path string, what []byte) (in []string) {
	t.Helper()
	direct(t, path, func(db *sql.DB) error {
		rows, err := db.Query(`select s.name, group_concat('instr(cast("' || c.name || '" as blob), ?1) > 0', ' or ')
			from sqlite_schema s join pragma_table_info(s.name) c where s.type = 'table' group by 1`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var table, where string
			if err := rows.Scan(&table, &where); err != nil {
				return err
			}
			var found bool
			if err := db.QueryRow(`select exists (select 1 from "`+table+`" where `+where+`)`, what).Scan(&found); err != nil {
				return err
			}
			if found {
				in = append(in, table)
			}
		}
		return rows.Err()
	})
	return in
}

func open(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(context.Background(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// direct looks at the file beside the store, as an operator's shell does.
func direct(t *testing.T, path string, f func(*sql.DB) error) {
	t.Helper()
	db, err := sql.Open("sqlite", source(path, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := f(db); err != nil {
		t.Fatal(err)
	}
}

func TestSecondHandle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "room.db")
	s := open(t, path)
	if _, err := Open(t.Context(), path, nil); err == nil || !strings.Contains(err.Error(), "another process has this database open") {
		t.Fatalf("a second handle: %v", err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(filepath.Dir(path), link); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), filepath.Join(link, "room.db"), nil); err == nil || !strings.Contains(err.Error(), "another process has this database open") {
		t.Fatalf("a second handle by another name: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
}

func TestNewerSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "room.db")
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	direct(t, path, func(db *sql.DB) error {
		_, err := db.Exec("insert into goose_db_version (version_id, is_applied) values (999, true)")
		return err
	})
	if _, err := Open(t.Context(), path, nil); err == nil || !strings.Contains(err.Error(), "the database has schema 999, this program knows ") {
		t.Fatalf("a database of a newer version: %v", err)
	}
}

func TestOlder(t *testing.T) {
	for _, c := range []struct {
		version string
		older   bool
	}{{"3.51.2", true}, {"3.9.99", true}, {"2.99.99", true}, {"", true}, {"3.51.3", false}, {"3.51.10", false}, {"3.53.0", false}, {"4.0.0", false}} {
		if older(c.version, minVersion) != c.older {
			t.Errorf("older(%q) is not %t", c.version, c.older)
		}
	}
}

// TestDiskFull fills the database to its largest size: storage_full, nothing of the batch stored, and
// the store goes on once there is room.
func TestDiskFull(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "room.db"))
	defer s.Close()
	w := <-s.writers
	var before int
	err := w.conn.QueryRowContext(t.Context(), "pragma max_page_count = 40").Scan(&before)
	s.writers <- w
	if err != nil {
		t.Fatal(err)
	}
	send := func(i int) room.Send {
		return room.Send{Room: "chat:a", Author: "u1", Tag: room.Tag{1, byte(i)}, Type: "message", Data: fmt.Appendf(nil, "%q", strings.Repeat("x", 60_000))}
	}
	stored := 0
	for ; stored < 40; stored++ {
		if _, err = s.Append(t.Context(), []room.Send{send(stored)}); err != nil {
			break
		}
	}
	if e := room.AsError(err); e.Code != room.CodeStorageFull {
		t.Fatalf("after %d events: %v, not storage_full", stored, err)
	}
	w = <-s.writers
	err = w.conn.QueryRowContext(t.Context(), "pragma max_page_count = 4000").Scan(&before)
	s.writers <- w
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.Append(t.Context(), []room.Send{send(stored)})
	if err != nil || out.Verdicts[0].Seq != room.Seq(stored+1) {
		t.Fatalf("with room again: %+v, %v", out, err)
	}
}

// What Close leaves is one file with everything in it: an operator who copies it has all of it.
func TestCloseLeavesOneFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "roomlog.db")
	s := open(t, path)
	send := room.Send{Room: "chat:a", Author: "u1", Tag: room.Tag{1}, Type: "message", Data: []byte(`1`)}
	if _, err := s.Append(t.Context(), []room.Send{send}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(t.Context(), room.Query{Room: "chat:a", Limit: 1}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{path, path + ".lock"}; !slices.Equal(left, want) {
		t.Errorf("Close leaves %q, want %q", left, want)
	}
}

// A log that is damaged is no fault of a send: it may not be refused for good (SEND-5), since a client
// drops what is.
func TestDamagedLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "roomlog.db")
	s := open(t, path)
	defer s.Close()
	append := func(n byte) (room.Appended, error) {
		return s.Append(t.Context(), []room.Send{{Room: "chat:a", Author: "u1", Tag: room.Tag{n}, Type: "message", Data: []byte(`1`)}})
	}
	if _, err := append(1); err != nil {
		t.Fatal(err)
	}
	for _, damage := range []string{"update rooms set head = 0", "drop table events"} {
		direct(t, path, func(db *sql.DB) error {
			_, err := db.Exec(damage)
			return err
		})
		_, err := append(2)
		var e *room.Error
		if !errors.As(err, &e) || !e.Retryable() {
			t.Errorf("an append after %q: %v, which blames the send", damage, err)
		}
	}
}

// The write-ahead log stays bounded while reads overlap without a gap, which alone would keep SQLite
// from ever starting it again, and appends go on beside a foreign reader that lets nothing be folded.
func TestLogIsBounded(t *testing.T) {
	const limit = 1 << 20
	path := filepath.Join(t.TempDir(), "roomlog.db")
	s := open(t, path)
	defer s.Close()
	s.foldAt = limit
	data := fmt.Appendf(nil, "%q", strings.Repeat("x", 20_000))
	n := 0
	fill := func() (largest int64) {
		for range 200 {
			n++
			send := room.Send{Room: "chat:a", Author: "u1", Tag: room.Tag{1, byte(n), byte(n >> 8)}, Type: "message", Data: data}
			if _, err := s.Append(t.Context(), []room.Send{send}); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(path + "-wal")
			if err != nil {
				t.Fatal(err)
			}
			largest = max(largest, info.Size())
		}
		return largest
	}
	ctx, stop := context.WithCancel(t.Context())
	var reading sync.WaitGroup
	for range 2 * readers {
		reading.Go(func() {
			for ctx.Err() == nil {
				if _, err := s.Read(t.Context(), room.Query{Room: "chat:a", Anchor: room.Latest, Limit: 100}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	if largest := fill(); largest > limit {
		t.Errorf("the log grew to %d bytes under reads, beyond %d", largest, limit)
	}
	stop()
	reading.Wait()
	direct(t, path, func(db *sql.DB) error {
		db.SetMaxOpenConns(1)
		if _, err := db.Exec("begin; select count(*) from events"); err != nil {
			return err
		}
		fill()
		_, err := db.Exec("commit")
		return err
	})
	if largest := fill(); largest > 16*limit { // the log as the reader left it is that large
		t.Errorf("the log grew to %d bytes after the foreign reader was gone", largest)
	}
}
