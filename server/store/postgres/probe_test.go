package postgres

import (
	"testing"

	"roomlog/server/room"
	"roomlog/server/store/postgres/pgtest"
)

// TestAppendFindsARoomOnce counts how often an append of many sends looks its room up. While a snapshot is held,
// every version of a busy room's row since then stays, and each lookup walks all of them: looked up once for
// each send, a room under a snapshot loses two thirds of its rate within 20 s.
func TestAppendFindsARoomOnce(t *testing.T) {
	dsn := pgtest.DB(t)
	must(t, open(t, dsn).Close())
	conn := direct(t, dsn)
	tx, err := conn.Begin(t.Context())
	must(t, err)
	defer tx.Rollback(t.Context())
	lookups := func() (n int) {
		must(t, tx.QueryRow(t.Context(), `select sum(pg_stat_get_xact_numscans(indexrelid)) from pg_index
			where indrelid = 'roomlog.rooms'::regclass`).Scan(&n))
		return n
	}
	before := 0
	for range 2 { // the first makes the room
		before = lookups()
		batch := make([]room.Send, 64)
		for i := range batch {
			batch[i] = message("u", i)
		}
		_, err := tx.Exec(t.Context(), appendSQL, lay(batch).arguments(true, nil)...)
		must(t, err)
	}
	if n := lookups() - before; n < 1 || n > 4 {
		t.Errorf("an append of 64 sends to one room looks it up %d times", n)
	}
}
