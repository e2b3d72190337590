//go:build unix

package sqlite

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"

	"roomlog/server/room"
)

// schema is everything that the migrations make, in words that can be compared.
func schema(t *testing.T, path string) string {
	t.Helper()
	var b strings.Builder
	direct(t, path, func(db *sql.DB) error {
		for _, query := range []string{
			"select type || ' ' || name || ': ' || coalesce(sql, '') from sqlite_schema where name not like 'sqlite_%' order by 1",
			"select 'version ' || version_id || ' applied ' || count(*) from goose_db_version group by version_id order by version_id",
			"select 'rows of meta: ' || count(*) from meta",
		} {
			rows, err := db.Query(query)
			if err != nil {
				return err
			}
			for rows.Next() {
				var line string
				if err := rows.Scan(&line); err != nil {
					return err
				}
				fmt.Fprintln(&b, line)
			}
			if err := rows.Err(); err != nil {
				return err
			}
		}
		return nil
	})
	return b.String()
}

// behind makes a database of an older schema, 0 for none, with one event in it, of the first.
func behind(t *testing.T, path string, version int64) {
	t.Helper()
	if version == 0 {
		return
	}
	direct(t, path, func(db *sql.DB) error {
		p, err := migrations(db)
		if err != nil {
			return err
		}
		if _, err := p.UpTo(t.Context(), 1); err != nil {
			return err
		}
		if _, err = db.Exec(`insert into rooms (id, name, head, head_mark) values (1, 'chat:old', 1, 7);
			insert into events (room, seq, mark, at, type, author, tag, data) values (1, 1, 7, 1, 'message', 'u', x'000102030405060708090a0b0c0d0e0f', '"old"')`); err != nil {
			return err
		}
		_, err = p.UpTo(t.Context(), version)
		return err
	})
}

// TestMigrationKilled holds I30: from nothing, and from the first schema with events in it, an upgrade ends
// before each of its writes and syncs, by a kill and by a power cut. The next start finds the schema complete
// and the events there.
func TestMigrationKilled(t *testing.T) {
	clean := filepath.Join(t.TempDir(), base)
	must(t, open(t, clean).Close())
	want := schema(t, clean)
	for from := range int64(2) {
		t.Run(fmt.Sprint("from ", from), func(t *testing.T) {
			dir, err := filepath.EvalSymlinks(t.TempDir())
			must(t, err)
			path := filepath.Join(dir, base)
			behind(t, path, from)
			d := attach(t, dir)
			s, err := openOn(t.Context(), path, diskVFS, nil)
			must(t, err)
			deeds, found := d.log, d.found
			must(t, s.Close())
			p, r := newPlatter(), rand.New(rand.NewPCG(0, 0)) // the fates that are used draw nothing
			for k, o := range deeds {
				if k >= found && k%thinned == 0 {
					for _, fate := range []string{"kept", "lost"} {
						d.write(t, p.crash(fate, r))
						d = attach(t, dir)
						s, err := openOn(t.Context(), path, diskVFS, nil)
						if err != nil {
							t.Fatalf("killed before deed %d (%s), unsynced writes %s: %v", k, describe(deeds, k), fate, err)
						}
						checkOld(t, s, from)
						must(t, s.Close())
						if got := schema(t, path); got != want {
							t.Fatalf("killed before deed %d (%s), unsynced writes %s, the schema is\n%s\nnot\n%s", k, describe(deeds, k), fate, got, want)
						}
					}
				}
				p.take(o)
			}
			t.Logf("%d deeds", len(deeds)-found)
		})
	}
}

// TestUpgrade goes from each older schema to the newest.
func TestUpgrade(t *testing.T) {
	clean := filepath.Join(t.TempDir(), base)
	must(t, open(t, clean).Close())
	want := schema(t, clean)
	var known []*goose.Source
	direct(t, clean, func(db *sql.DB) error {
		p, err := migrations(db)
		known = p.ListSources()
		return err
	})
	for _, from := range known[:len(known)-1] {
		path := filepath.Join(t.TempDir(), base)
		behind(t, path, from.Version)
		s := open(t, path)
		checkOld(t, s, from.Version)
		must(t, s.Close())
		if got := schema(t, path); got != want {
			t.Errorf("from schema %d, the schema is\n%s\nnot\n%s", from.Version, got, want)
		}
	}
}

// checkOld finds the event of behind.
func checkOld(t *testing.T, s *Store, from int64) {
	t.Helper()
	if from == 0 {
		return
	}
	page, err := s.Read(t.Context(), room.Query{Room: "chat:old", Limit: 10})
	must(t, err)
	if len(page.Events) != 1 || page.Events[0].Seq != 1 || page.Events[0].Mark != 7 || string(page.Events[0].Data) != `"old"` {
		t.Errorf("the event of schema %d is %+v", from, page.Events)
	}
}
