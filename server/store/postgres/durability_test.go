package postgres

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"roomlog/server/room"
	"roomlog/server/store/postgres/pgtest"
)

// TestRelaxed: I24. Each setting that lets an acknowledged event be lost is found, wherever it is set.
func TestRelaxed(t *testing.T) {
	dsn := pgtest.DB(t)
	conn := direct(t, dsn)
	var db, user string
	must(t, conn.QueryRow(t.Context(), "select current_database(), current_user").Scan(&db, &user))
	for _, c := range []struct{ setting, undo, dsn, want string }{
		{"select 1", "select 1", "", ""},
		{"select 1", "select 1", "&synchronous_commit=off", "synchronous_commit=off"},
		{"select 1", "select 1", "&synchronous_commit=local", ""},
		{"select 1", "select 1", "&synchronous_commit=remote_write", ""},
		{"alter database " + db + " set synchronous_commit = off", "alter database " + db + " reset all", "", "synchronous_commit=off"},
		{"alter role " + user + " in database " + db + " set synchronous_commit = off", "alter role " + user + " in database " + db + " reset all", "", "synchronous_commit=off"},
		{"alter database " + db + " set synchronous_commit = off", "alter database " + db + " reset all", "&synchronous_commit=on", ""},
	} {
		_, err := conn.Exec(t.Context(), c.setting)
		must(t, err)
		s := open(t, dsn+c.dsn)
		want := room.Full
		if c.want != "" {
			want = room.Relaxed
		}
		if info := s.Info(); info.Durability != want || info.Relaxed != c.want {
			t.Errorf("I24: with %q and %q the store calls itself %s because of %q, want %q", c.setting, c.dsn, info.Durability, info.Relaxed, c.want)
		}
		must(t, s.Close())
		_, err = conn.Exec(t.Context(), c.undo)
		must(t, err)
	}
}

// TestRelaxedLater changes the settings under a running store: by a reload, and for sessions that begin
// later. Both are found, logged and shown, and so is their end.
func TestRelaxedLater(t *testing.T) {
	defer func(was time.Duration) { sweepEvery = was }(sweepEvery)
	sweepEvery = 10 * time.Millisecond
	server, err := pgtest.Start(t.Context(), pgtest.Options{Plain: true})
	must(t, err)
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	var logged journal
	s, err := Open(t.Context(), server.DSN(""), slog.New(slog.NewTextHandler(&logged, nil)))
	must(t, err)
	defer s.Close()
	conn := direct(t, server.DSN(""))
	await := func(change, want string) {
		t.Helper()
		for _, statement := range []string{change, "select pg_reload_conf()"} {
			_, err := conn.Exec(t.Context(), statement)
			must(t, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		for s.Info().Relaxed != want {
			if ctx.Err() != nil {
				t.Fatalf("I24: after %q the store is relaxed because of %q, want %q", change, s.Info().Relaxed, want)
			}
			_, _ = s.Heads(ctx, []room.ID{"chat:a"})
		}
	}
	told := func(what string, said func() bool) { // after it is known, by another goroutine
		t.Helper()
		for until := time.Now().Add(2 * time.Minute); !said(); time.Sleep(time.Millisecond) {
			if time.Now().After(until) {
				t.Fatalf("%s is not logged", what)
			}
		}
	}
	await("alter system set fsync = off", "fsync=off")
	told("that it promises less", func() bool {
		return logged.has("level=ERROR") && (logged.has("because=\"fsync=off\"") || logged.has("because=fsync=off"))
	})
	await("alter system set full_page_writes = off", "fsync=off, full_page_writes=off")
	await("alter system reset all", "")
	told("that it is over", func() bool { return logged.has("promises again") })
	await("alter database postgres set synchronous_commit = off", "")
	_, err = conn.Exec(t.Context(), "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'roomlog' and backend_type = 'client backend'")
	must(t, err)
	await("select 1", "synchronous_commit=off")
}
