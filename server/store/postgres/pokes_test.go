package postgres

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"roomlog/server/room"
	"roomlog/server/store/postgres/pgtest"
)

// asked asks for pokes as soon as the server answers.
func asked(t *testing.T, s *Store, since string) (topics []room.Topic, now string, missed bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for {
		topics, now, err := s.Poked(ctx, since)
		if err == nil || errors.Is(err, room.ErrPokesMissed) {
			return topics, now, err != nil
		}
		if ctx.Err() != nil || room.AsError(err).Code != room.CodeUnavailable {
			t.Fatal(err)
		}
	}
}

// TestPokesElsewhere: a snapshot means nothing in another database, nor after the server was started again, has
// crashed, or went back to a backup; a promotion is all of these.
func TestPokesElsewhere(t *testing.T) {
	server := privateServer(t)
	admin := direct(t, server.DSN(""))
	var backup string
	tests := map[string]func(t *testing.T, dsn string){
		"dropped line": func(t *testing.T, dsn string) { // as a crash of one process leaves it
			_, err := direct(t, dsn).Exec(t.Context(), "truncate roomlog.pokes, roomlog.poke_line")
			must(t, err)
		},
		"made anew": func(t *testing.T, dsn string) { // as by pg_restore --clean
			_, err := direct(t, dsn).Exec(t.Context(), `create table roomlog.loaded as table roomlog.poke_line;
				drop table roomlog.poke_line; alter table roomlog.loaded rename to poke_line`)
			must(t, err)
		},
		"bumped": func(t *testing.T, dsn string) {
			_, _, err := BumpEpoch(t.Context(), dsn)
			must(t, err)
		},
		"restarted": func(t *testing.T, _ string) {
			must(t, server.Stop(pgtest.Fast))
			must(t, server.Restart(t.Context()))
		},
		"crashed": func(t *testing.T, _ string) {
			must(t, server.Stop(pgtest.Immediate))
			must(t, server.Restart(t.Context()))
		},
		"restored": func(t *testing.T, _ string) {
			must(t, server.Stop(pgtest.Fast))
			must(t, server.Restore(backup))
			must(t, server.Restart(t.Context()))
		},
	}
	for name, elsewhere := range tests {
		t.Run(name, func(t *testing.T) {
			if admin.IsClosed() || admin.Ping(t.Context()) != nil {
				admin = direct(t, server.DSN(""))
			}
			db := fmt.Sprintf("pokes_%d", time.Now().UnixNano())
			_, err := admin.Exec(t.Context(), "create database "+db)
			must(t, err)
			s := open(t, server.DSN(db))
			defer s.Close()
			_, _, _ = asked(t, s, "")
			must(t, server.Stop(pgtest.Fast))
			backup, err = server.Backup()
			must(t, err)
			must(t, server.Restart(t.Context()))
			_, since, _ := asked(t, s, "")
			if topics, _, missed := asked(t, s, since); missed || len(topics) > 0 {
				t.Fatalf("before: %q, missed %v", topics, missed)
			}
			elsewhere(t, server.DSN(db))
			_, since, missed := asked(t, s, since)
			if !missed {
				t.Fatal("a reader from before is told that it has missed nothing")
			}
			must(t, s.Poke(t.Context(), []room.Topic{"room:chat:a"}))
			if topics, _, missed := asked(t, s, since); missed || len(topics) != 1 {
				t.Errorf("afterwards: %q, missed %v", topics, missed)
			}
		})
	}
}

// TestPokesGo: what has been visible for long enough leaves no row, and no sooner.
func TestPokesGo(t *testing.T) {
	dsn := pgtest.DB(t)
	s := open(t, dsn)
	defer s.Close()
	conn := direct(t, dsn)
	rows := func() (n int) {
		t.Helper()
		must(t, conn.QueryRow(t.Context(), "select count(*) from roomlog.pokes").Scan(&n))
		return n
	}
	for range 10 {
		must(t, s.Poke(t.Context(), []room.Topic{"room:chat:a", "cluster"}))
		_, _, _ = asked(t, s, "")
	}
	if n := rows(); n != 20 {
		t.Errorf("%d rows are left within a minute, want all 20", n)
	}
	s.pokesKept = 0
	_, _, _ = asked(t, s, "")
	_, _, _ = asked(t, s, "")
	if n := rows(); n != 0 {
		t.Errorf("%d rows are left after their time", n)
	}
	// Rows that came with a dump have numbers of transactions that are still to come here.
	_, err := conn.Exec(t.Context(), `insert into roomlog.pokes values ('room:chat:b', '9000000000');
		update roomlog.poke_line set next = '9000000000:9000000000:'`)
	must(t, err)
	_, since, _ := asked(t, s, "")
	if topics, _, missed := asked(t, s, since); missed || len(topics) > 0 || rows() > 0 {
		t.Errorf("of another line: %q, missed %v, %d rows", topics, missed, rows())
	}
}
