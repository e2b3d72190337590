package postgres

import (
	"context"
	"slices"
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
		dsn := pgtest.Copy(t, withSchema)
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
			Receipts: func(t *testing.T) (n int64) {
				err := direct(t, dsn).QueryRow(t.Context(), `select (select count(*) from roomlog.receipts) + (select count(*) from roomlog.receipt_versions)`).Scan(&n)
				must(t, err)
				return n
			},
			PokeIn: func(t *testing.T, topics ...room.Topic) (commit func()) {
				tx, err := direct(t, dsn).Begin(t.Context())
				must(t, err)
				for _, topic := range topics {
					_, err := tx.Exec(t.Context(), "insert into roomlog.pokes (topic) values ($1)", string(topic))
					must(t, err)
				}
				return func() { must(t, tx.Commit(t.Context())) }
			},
			KeepPokes: func(t *testing.T, s room.Store, age time.Duration) { s.(*Store).pokesKept = age },
			Count: func(t *testing.T, id room.ID) (rows, maxSeq, tags int64) {
				conn := direct(t, dsn)
				err := conn.QueryRow(t.Context(), `select count(*), coalesce(max(seq), 0), count(distinct (tag, author))
					from roomlog.events where room = (select id from roomlog.rooms where name = $1)`, string(id)).Scan(&rows, &maxSeq, &tags)
				if err != nil {
					t.Fatal(err)
				}
				return rows, maxSeq, tags
			},
			Beside: func(t *testing.T) (b storetest.Beside) {
				must(t, direct(t, dsn).QueryRow(t.Context(), `select (select count(*) from roomlog.edits), (select count(*) from roomlog.reactions),
					(select count(*) from roomlog.redactions), (select count(*) from roomlog.mentions), (select count(*) from roomlog.members)`).
					Scan(&b.Edits, &b.Reactions, &b.Redactions, &b.Mentions, &b.Members))
				return b
			},
			Ordinals: func(t *testing.T, id room.ID) (events map[room.Seq]int64, messages int64) {
				must(t, direct(t, dsn).QueryRow(t.Context(), "select coalesce(max(messages), 0) from roomlog.rooms where name = $1", string(id)).Scan(&messages))
				return bySeq(t, dsn, "select seq, ordinal from roomlog.events where room = (select id from roomlog.rooms where name = $1)", string(id)), messages
			},
			Mentions: func(t *testing.T, id room.ID, user string) map[room.Seq]int64 {
				return bySeq(t, dsn, "select seq, ordinal from roomlog.mentions where room = (select id from roomlog.rooms where name = $1) and who = $2", string(id), user)
			},
			Holds: func(t *testing.T, what []byte) []string { return holds(t, dsn, what) },
		}
	})
}

// bySeq is what a query of two columns gives.
func bySeq(t *testing.T, dsn, query string, args ...any) map[room.Seq]int64 {
	t.Helper()
	out := map[room.Seq]int64{}
	rows, err := direct(t, dsn).Query(t.Context(), query, args...)
	must(t, err)
	var seq room.Seq
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&seq, &n}, func() error {
		out[seq] = n
		return nil
	})
	must(t, err)
	return out
}

// holds lists the tables that have a row with these bytes in a column.
func holds(t *testing.T, dsn string, what []byte) (in []string) {
	t.Helper()
	conn := direct(t, dsn)
	rows, err := conn.Query(t.Context(), `select c.relname, string_agg(case a.atttypid
			when 'bytea'::regtype then format('position($1 in %I) > 0', a.attname)
			else format('position($1 in convert_to(%I::text, ''UTF8'')) > 0', a.attname) end, ' or ')
		from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
		where c.relnamespace = 'roomlog'::regnamespace and c.relkind = 'r' group by 1 order by 1`)
	must(t, err)
	conditions := map[string]string{}
	var table, where string
	_, err = pgx.ForEachRow(rows, []any{&table, &where}, func() error {
		conditions[table] = where
		return nil
	})
	must(t, err)
	for table, where := range conditions {
		var found bool
		must(t, conn.QueryRow(t.Context(), "select exists (select from roomlog."+pgx.Identifier{table}.Sanitize()+" where "+where+")", what).Scan(&found))
		if found {
			in = append(in, table)
		}
	}
	slices.Sort(in)
	return in
}

// wrongClock makes a clock of the same name that is found first.
const wrongClock = `create schema wrong; create table wrong.clock (jump interval not null);
	insert into wrong.clock values ('0');
	create function wrong.clock_timestamp() returns timestamptz language sql volatile
		as 'select pg_catalog.clock_timestamp() + jump from wrong.clock'`

// withSchema makes the schema.
func withSchema(dsn string) error {
	s, err := Open(context.Background(), dsn, nil)
	if err != nil {
		return err
	}
	return s.Close()
}

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
