package postgres

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"roomlog/server/room"
	"roomlog/server/store/postgres/pgtest"
)

// schemaSQL is everything that the migrations make, in words that can be compared.
const schemaSQL = `
with roomlog as (select oid from pg_namespace where nspname = 'roomlog'), said as (
	select 'relation ' || relname || ' ' || relkind::text || ' ' || coalesce(reloptions::text, '') as line
		from pg_class where relnamespace = (table roomlog)
	union all select 'column ' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull
			|| ' ' || a.attidentity::text || ' ' || coalesce(pg_get_expr(d.adbin, d.adrelid), '') || ' ' || coalesce(l.collname, '')
		from pg_attribute a join pg_class c on c.oid = a.attrelid left join pg_attrdef d on (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
		left join pg_collation l on l.oid = a.attcollation
		where c.relnamespace = (table roomlog) and a.attnum > 0 and not a.attisdropped and c.relkind = 'r'
	union all select 'index ' || pg_get_indexdef(i.indexrelid) || ' ' || i.indisvalid
		from pg_index i join pg_class c on c.oid = i.indexrelid where c.relnamespace = (table roomlog)
	union all select 'constraint ' || conname || ' ' || pg_get_constraintdef(oid) from pg_constraint where connamespace = (table roomlog)
	union all select 'function ' || pg_get_functiondef(oid) from pg_proc where pronamespace = (table roomlog) and prokind = 'f'
	union all select 'version ' || version_id || ' applied ' || count(*) from roomlog.goose_db_version group by version_id
	union all select 'rows of meta: ' || count(*) from roomlog.meta
) select string_agg(line, e'\n' order by line collate "C") from said`

func schema(t *testing.T, dsn string) (text string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	must(t, err)
	defer conn.Close(t.Context()) // a test asks for it after each statement of all migrations
	must(t, conn.QueryRow(t.Context(), schemaSQL).Scan(&text))
	return text
}

// cleanSchema is what one undisturbed start makes, and the versions it goes through.
func cleanSchema(t *testing.T) (text string, versions []int64) {
	t.Helper()
	dsn := pgtest.DB(t)
	must(t, open(t, dsn).Close())
	db := stdlib.OpenDB(*connConfig(t, dsn))
	defer db.Close()
	p, err := provider(db)
	must(t, err)
	for _, s := range p.ListSources() {
		versions = append(versions, s.Version)
	}
	return schema(t, dsn), versions
}

func connConfig(t *testing.T, dsn string) *pgx.ConnConfig {
	t.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	must(t, err)
	return cfg
}

// behind makes a database have an older schema, 0 for none, with one event in it, of the first.
func behind(t *testing.T, dsn string, version int64) {
	t.Helper()
	db := stdlib.OpenDB(*connConfig(t, dsn))
	defer db.Close()
	_, err := db.ExecContext(t.Context(), "set client_min_messages = warning; drop schema if exists roomlog cascade")
	must(t, err)
	if version == 0 {
		return
	}
	_, err = db.ExecContext(t.Context(), "create schema roomlog")
	must(t, err)
	p, err := provider(db)
	must(t, err)
	_, err = p.UpTo(t.Context(), 1)
	must(t, err)
	_, err = db.ExecContext(t.Context(), `with r as (insert into roomlog.rooms (name, head, head_mark) values ('chat:old', 1, 7) returning id)
		insert into roomlog.events (room, seq, mark, at, tag, type, author, data)
		select id, 1, 7, now(), gen_random_uuid(), 'message', 'u', '"old"' from r`)
	must(t, err)
	_, err = p.UpTo(t.Context(), version)
	must(t, err)
}

// checkOld opens the database and finds the event of behind.
func checkOld(t *testing.T, dsn string, from int64) {
	t.Helper()
	s := open(t, dsn)
	defer s.Close()
	if from == 0 {
		return
	}
	page, err := s.Read(t.Context(), room.Query{Room: "chat:old", Limit: 10})
	must(t, err)
	if len(page.Events) != 1 || page.Events[0].Seq != 1 || page.Events[0].Mark != 7 || string(page.Events[0].Data) != `"old"` {
		t.Errorf("the event of schema %d is %+v", from, page.Events)
	}
}

// killer ends the backend that is about to run the nth statement, as the server sees a node that was killed.
type killer struct {
	admin  *pgx.Conn
	n      int
	killed string // the statement
}

func (k *killer) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if k.n--; k.n == -1 {
		k.killed = strings.Join(strings.Fields(data.SQL), " ")
		if len(k.killed) > 60 {
			k.killed = k.killed[:60]
		}
		if _, err := k.admin.Exec(context.Background(), "select pg_terminate_backend($1)", conn.PgConn().PID()); err != nil {
			panic(err)
		}
	}
	return ctx
}

func (k *killer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TestMigrationKilled holds I30: from nothing, and from the first schema with events in it, the nodes that upgrade are killed
// one after the other, each one statement later than the one before it, until a migration is done; then again within the
// next. What the last one leaves is the schema that a start without trouble makes, and the events are there.
func TestMigrationKilled(t *testing.T) {
	want, _ := cleanSchema(t)
	dsn := pgtest.DB(t)
	admin := direct(t, dsn)
	for from := range int64(2) {
		behind(t, dsn, from)
		kills := 0
		for n, done := 0, migrated(t, admin); ; n++ {
			cfg := connConfig(t, dsn)
			k := &killer{admin: admin, n: n}
			cfg.Tracer = k
			err := migrate(t.Context(), cfg, slog.New(slog.DiscardHandler))
			if k.killed == "" {
				must(t, err)
				break
			}
			kills++
			now := migrated(t, admin)
			if from == 0 && now > 1 { // the version table begins with a row: the first is done, and the rest is tried from there
				break
			}
			if now > done {
				n, done = -1, now
			}
		}
		t.Logf("from schema %d: killed %d times", from, kills)
		if least := []int{10, 100}[from]; kills < least {
			t.Errorf("from schema %d: killed %d times only", from, kills)
		}
		checkOld(t, dsn, from)
		if got := schema(t, dsn); got != want {
			t.Fatalf("from schema %d, killed %d times, the schema is\n%s\nnot\n%s", from, kills, got, want)
		}
	}
}

// migrated is how many migrations are done.
func migrated(t *testing.T, conn *pgx.Conn) (n int) {
	t.Helper()
	var begun bool
	must(t, conn.QueryRow(t.Context(), "select to_regclass('roomlog.goose_db_version') is not null").Scan(&begun))
	if begun {
		must(t, conn.QueryRow(t.Context(), "select count(*) from roomlog.goose_db_version").Scan(&n))
	}
	return n
}

// TestMigrateTogether: I30. Four nodes start together, many times, on nothing and on each older schema: all
// succeed, the work is done once, and there is one epoch.
func TestMigrateTogether(t *testing.T) {
	want, known := cleanSchema(t)
	dsn := pgtest.DB(t)
	for i, from := range append([]int64{0}, known[:len(known)-1]...) {
		for range 4 / min(4, i+1) { // most often on nothing, where they have most to do
			behind(t, dsn, from)
			var nodes sync.WaitGroup
			epochs := make(chan room.Epoch, 4)
			for range 4 {
				nodes.Go(func() {
					s, err := Open(t.Context(), dsn, nil)
					if err != nil {
						t.Errorf("from schema %d: %v", from, err)
						return
					}
					heads, err := s.Heads(t.Context(), []room.ID{"chat:a"})
					if err != nil {
						t.Error(err)
					} else {
						epochs <- heads[0].Epoch
					}
					if err := s.Close(); err != nil {
						t.Error(err)
					}
				})
			}
			nodes.Wait()
			close(epochs)
			first := <-epochs
			for e := range epochs {
				if e != first {
					t.Errorf("from schema %d: nodes have the epochs %s and %s", from, first, e)
				}
			}
			if got := schema(t, dsn); got != want {
				t.Fatalf("from schema %d the schema is\n%s\nnot\n%s", from, got, want)
			}
			checkOld(t, dsn, from)
		}
	}
}

// A user without the rights, and a database that takes no writes, are refused in a sentence; a user who may use
// a schema that is complete needs no right to change it.
func TestOpenWithoutRights(t *testing.T) {
	dsn := pgtest.DB(t)
	conn := direct(t, dsn)
	role := fmt.Sprintf("plain_%s", strings.TrimPrefix(conn.Config().Database, "roomlog_test_"))
	_, err := conn.Exec(t.Context(), "create role "+role+" login password 'hunter2'")
	must(t, err)
	t.Cleanup(func() {
		for _, statement := range []string{"drop owned by " + role, "drop role " + role} {
			if _, err := conn.Exec(context.Background(), statement); err != nil {
				t.Error(err)
			}
		}
	})
	u, err := url.Parse(dsn)
	must(t, err)
	u.User = url.UserPassword(role, "hunter2")
	refused := func(dsn, want string) {
		t.Helper()
		_, err := Open(t.Context(), dsn, nil)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") {
			t.Errorf("opened as a user without rights: %v, want %q in one line", err, want)
		}
	}
	refused(u.String(), "may not make or change the schema")
	refused(dsn+"&default_transaction_read_only=on", "takes no writes")
	must(t, open(t, dsn).Close())
	refused(u.String(), "may not make or change the schema")
	_, err = conn.Exec(t.Context(), "grant usage on schema roomlog to "+role+"; grant select, insert, update, delete on all tables in schema roomlog to "+role)
	must(t, err)
	s := open(t, u.String())
	if head := grow(t, s, 2); head.Seq != 2 {
		t.Errorf("the head is %+v", head)
	}
	must(t, s.Close())
}

// A node that runs does not mind that a newer one has migrated: it goes on appending and reading, on new connections, too.
func TestANodeRunsOnBesideANewerOne(t *testing.T) {
	dsn := pgtest.DB(t)
	s := open(t, dsn)
	defer s.Close()
	grow(t, s, 1)
	conn := direct(t, dsn)
	for _, sql := range []string{
		"insert into roomlog.goose_db_version (version_id, is_applied) values (999, true)",
		"alter table roomlog.rooms add column of_the_future integer not null default 0",
		"select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database() and backend_type = 'client backend'",
	} {
		_, err := conn.Exec(t.Context(), sql)
		must(t, err)
	}
	if head := grow(t, s, 1); head.Seq != 2 {
		t.Errorf("the head is %+v", head)
	}
	if _, err := Open(t.Context(), dsn, nil); err == nil {
		t.Error("an older node starts on the schema of a newer one")
	}
}

// From schema 6 on a migration adds and takes nothing away, so that nodes of before run on beside those that have made it.
func TestMigrationsOnlyAdd(t *testing.T) {
	files, err := migrations()
	must(t, err)
	names, err := fs.Glob(files, "*.sql")
	must(t, err)
	takes := regexp.MustCompile(`(?im)^\s*(drop\s+(function|table|view|schema|index)|alter\s+table.*\b(drop|rename)\b|alter\s+function.*\brename\b).*$`)
	looked := 0
	for _, name := range names {
		number, err := strconv.Atoi(name[:5])
		must(t, err)
		if number <= 6 {
			continue
		}
		text, err := fs.ReadFile(files, name)
		must(t, err)
		up, _, _ := strings.Cut(string(text), "-- +goose Down")
		looked++
		if line := takes.FindString(up); line != "" {
			t.Errorf("%s: %s", name, strings.TrimSpace(line))
		}
	}
	if looked < 2 {
		t.Errorf("%d migrations looked at", looked)
	}
}
