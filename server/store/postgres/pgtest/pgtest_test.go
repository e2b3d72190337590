//go:build unix

package pgtest

import (
	"context"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { Main(m) }

// TestStopAndRestart keeps what was committed through a fast and an immediate stop, on one port.
func TestStopAndRestart(t *testing.T) {
	ctx := t.Context()
	s, err := Start(ctx, Options{Settings: map[string]string{"shared_buffers": "16MB"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		dir := s.dir
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("the folder of the server is still there: %v", err)
		}
	})
	port := s.Port()
	count := func(sql string) (n int) {
		conn, err := pgx.Connect(ctx, s.DSN(""))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		if err := conn.QueryRow(ctx, sql).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := count("select count(*) from pg_settings where name = 'fsync' and setting = 'on'"); n != 1 {
		t.Error("the server runs without fsync")
	}
	for i, mode := range []string{Fast, Immediate} {
		conn, err := pgx.Connect(ctx, s.DSN(""))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(ctx, "create table if not exists t (n int); insert into t values (1)"); err != nil {
			t.Fatal(err)
		}
		if err := s.Stop(mode); err != nil {
			t.Fatal(err)
		}
		if err := s.Stop(mode); err != nil {
			t.Errorf("stop again: %v", err)
		}
		if _, err := conn.Exec(ctx, "select 1"); err == nil {
			t.Error("the stopped server answers")
		}
		if err := s.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		if n := count("select count(*) from t"); n != i+1 || s.Port() != port {
			t.Errorf("%d rows at port %d after the %s stop, not %d at %d", n, s.Port(), mode, i+1, port)
		}
	}
}

// TestBaseBackup takes back a server to a base backup that was made while it was written: by the program where
// there is one, and by the calls.
func TestBaseBackup(t *testing.T) {
	ctx := t.Context()
	s, err := Start(ctx, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	run := func(statement string) (n int) {
		conn, err := pgx.Connect(ctx, s.DSN(""))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		if _, err := conn.Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
		if err := conn.QueryRow(ctx, "select count(*) from t").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	run("create table t (n int)")
	programs := s.bin
	for i, bin := range []string{programs, t.TempDir()} {
		before := run("insert into t values (1)")
		s.bin = bin
		dir, err := s.BaseBackup(ctx)
		s.bin = programs
		if err != nil {
			t.Fatal(err)
		}
		run("insert into t values (2)")
		for _, err := range []error{s.Stop(Immediate), s.Restore(dir), s.Restart(ctx)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if n := run("select 1"); n != before {
			t.Errorf("backup %d has %d rows, not %d", i, n, before)
		}
	}
}

func TestDB(t *testing.T) {
	names := map[string]bool{}
	for range 2 {
		conn, err := pgx.Connect(t.Context(), DB(t))
		if err != nil {
			t.Fatal(err)
		}
		var name string
		if err := conn.QueryRow(t.Context(), "select current_database()").Scan(&name); err != nil {
			t.Fatal(err)
		}
		names[name] = true
	}
	if len(names) != 2 {
		t.Errorf("two tests share a database: %v", names)
	}
}

func TestFindBin(t *testing.T) {
	t.Setenv("ROOMLOG_PG_BIN", t.TempDir())
	if _, err := FindBin(); err == nil {
		t.Error("an empty folder passes for PostgreSQL")
	}
}
