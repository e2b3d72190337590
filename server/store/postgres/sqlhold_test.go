package postgres

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"roomlog/server/room"
	"roomlog/server/store/postgres/pgtest"
)

// TestAppendFromSQLSettles: a session that waits for no disk, or forever, does neither in a transaction that has appended;
// what it says of its patience holds, and afterwards all is as before.
func TestAppendFromSQLSettles(t *testing.T) { // SQL-1, SQL-7
	dsn := pgtest.DB(t)
	s := open(t, dsn)
	defer s.Close()
	take(t, s, room.KindTerms{Kind: "chat"})
	conn := direct(t, dsn)
	shown := func(q querier) (commit, idle string) {
		t.Helper()
		must(t, q.QueryRow(t.Context(), "select current_setting('synchronous_commit'), current_setting('idle_in_transaction_session_timeout')").
			Scan(&commit, &idle))
		return commit, idle
	}
	for n, c := range []struct{ commit, idle, wantCommit, wantIdle string }{
		{"off", "0", "on", "1min"},
		{"local", "5min", "local", "5min"},
	} {
		_, err := conn.Exec(t.Context(), "set synchronous_commit = "+c.commit+"; set idle_in_transaction_session_timeout = '"+c.idle+"'")
		must(t, err)
		tx, err := conn.Begin(t.Context())
		must(t, err)
		mustFromSQL(t, tx, message("u1", n))
		if commit, idle := shown(tx); commit != c.wantCommit || idle != c.wantIdle {
			t.Errorf("%s, %s: after the append they are %s, %s", c.commit, c.idle, commit, idle)
		}
		must(t, tx.Commit(t.Context()))
		if commit, idle := shown(conn); commit != c.commit || idle != c.idle {
			t.Errorf("%s, %s: after the transaction they are %s, %s", c.commit, c.idle, commit, idle)
		}
	}
}

// TestAppendFromSQLJudgesAgain: who is kept out while they wait for a room appends nothing when they get it.
func TestAppendFromSQLJudgesAgain(t *testing.T) { // SQL-2
	dsn := pgtest.DB(t)
	s := open(t, dsn)
	defer s.Close()
	take(t, s, room.KindTerms{Kind: "chat"})
	watcher := direct(t, dsn)
	for n, c := range []struct {
		ban         room.Ban
		code, state string
	}{
		{room.Ban{Room: "chat:a", User: "banned", By: "x", At: time.Now()}, "unknown_room", "RL003"},
		{room.Ban{User: "blocked", By: "x", At: time.Now()}, "revoked", "RL005"},
	} {
		holder, err := direct(t, dsn).Begin(t.Context())
		must(t, err)
		mustFromSQL(t, holder, message("u1", n))
		conn := direct(t, dsn)
		answer := make(chan error, 1)
		go func() {
			_, err := appendFromSQL(t, conn, message(c.ban.User, n))
			answer <- err
		}()
		awaitBlocked(t, watcher, conn.PgConn().PID())
		must(t, s.PutBan(t.Context(), c.ban))
		must(t, holder.Commit(t.Context()))
		refusedAs(t, c.ban.User, <-answer, c.code, c.state)
		if h := headNow(t, s); h.Seq != room.Seq(n+1) {
			t.Errorf("%s: the head is %d", c.ban.User, h.Seq)
		}
	}
}

// awaitBlocked returns when a session waits for the lock of another.
func awaitBlocked(t *testing.T, watcher *pgx.Conn, pid uint32) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for blocked := false; !blocked; {
		must(t, watcher.QueryRow(ctx, "select cardinality(pg_blocking_pids($1)) > 0", int64(pid)).Scan(&blocked))
	}
}
