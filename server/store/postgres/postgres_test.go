package postgres

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"roomlog/server/room"
	"roomlog/server/room/storetest"
	"roomlog/server/store/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Factory {
		dsn := pgtest.DB(t)
		return storetest.Factory{
			Open: func(t *testing.T) room.Store { return open(t, dsn) },
			Jump: func(t *testing.T, by time.Duration) {
				conn := direct(t, dsn)
				if !strings.Contains(dsn, "search_path") {
					if _, err := conn.Exec(t.Context(), wrongClock); err != nil {
						t.Fatal(err)
					}
					dsn += "&search_path=wrong,pg_catalog"
				}
				if _, err := conn.Exec(t.Context(), "update wrong.clock set jump = make_interval(secs => $1)", by.Seconds()); err != nil {
					t.Fatal(err)
				}
			},
			Backdate: func(t *testing.T, id room.ID, from, below room.Seq, by time.Duration) {
				conn := direct(t, dsn)
				if _, err := conn.Exec(t.Context(), `update roomlog.events e set at = at - $4::interval from roomlog.rooms r
					where r.name = $1 and e.room = r.id and e.seq >= $2 and e.seq < $3`, string(id), from, below, by); err != nil {
					t.Fatal(err)
				}
			},
			Rows: func(t *testing.T) (events, tags int64) {
				conn := direct(t, dsn)
				err := conn.QueryRow(t.Context(), `select (select count(*) from roomlog.events),
					(select count(*) from roomlog.tags) + (select count(*) from roomlog.rewrites) + (select count(*) from roomlog.hook_cursors)`).Scan(&events, &tags)
				if err != nil {
					t.Fatal(err)
				}
				return events, tags
			},
			Count: func(t *testing.T, id room.ID) (rows, maxSeq, tags int64) {
				conn := direct(t, dsn)
				err := conn.QueryRow(t.Context(), `select count(*), coalesce(max(seq), 0), count(distinct (tag, author))
					from roomlog.events where room = (select id from roomlog.rooms where name = $1)`, string(id)).Scan(&rows, &maxSeq, &tags)
				if err != nil {
					t.Fatal(err)
				}
				return rows, maxSeq, tags
			},
		}
	})
}

// wrongClock makes a clock of the same name that is found first.
const wrongClock = `create schema wrong; create table wrong.clock (jump interval not null);
	insert into wrong.clock values ('0');
	create function wrong.clock_timestamp() returns timestamptz language sql volatile
		as 'select pg_catalog.clock_timestamp() + jump from wrong.clock'`

func open(t testing.TB, dsn string) *Store {
	t.Helper()
	s, err := Open(t.Context(), dsn, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// direct is a connection beside the store's own.
func direct(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return conn
}
