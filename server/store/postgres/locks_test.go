package postgres

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"roomlog/server/room"
	"roomlog/server/store/postgres/pgtest"
)

// What keeps a node that is frozen from holding a room, as each of its sessions is told to the database.
func TestSessionsCannotHoldARoom(t *testing.T) {
	s := open(t, pgtest.DB(t))
	defer s.Close()
	for name, want := range map[string]string{
		"lock_timeout": "2s", "statement_timeout": "8s", "idle_in_transaction_session_timeout": "5s",
		"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3", "tcp_user_timeout": "10000",
	} {
		var got string
		must(t, s.pool.QueryRow(t.Context(), "select current_setting($1)", name).Scan(&got))
		if got != want {
			t.Errorf("%s is %s, not %s", name, got, want)
		}
	}
}

// A session of a node that does nothing any more, in a transaction that holds a room, is ended by the database: the sends
// that wait for the room go on by themselves, and those to other rooms never waited.
func TestAnIdleHolderIsEnded(t *testing.T) {
	dsn := pgtest.DB(t)
	s := open(t, dsn)
	defer s.Close()
	grow(t, s, 1)
	cfg, err := configure(dsn + "&idle_in_transaction_session_timeout=500")
	must(t, err)
	frozen, err := pgx.ConnectConfig(t.Context(), cfg.ConnConfig)
	must(t, err)
	defer frozen.Close(context.WithoutCancel(t.Context()))
	tx, err := frozen.Begin(t.Context())
	must(t, err)
	_, err = tx.Exec(t.Context(), "select from roomlog.rooms where name = 'chat:a' for update")
	must(t, err)

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	waits, held := message("u1", 1), false
	for n := 0; ; n++ {
		free := message("u2", n)
		free.Room = "chat:free"
		out, err := s.AppendWithin(ctx, []room.Send{waits, free}, 0)
		must(t, err)
		if v := out.Verdicts[1]; v.Held || v.Seq != room.Seq(n+1) {
			t.Fatalf("a send to another room: %+v", v)
		}
		if v := out.Verdicts[0]; !v.Held {
			if v.Seq != 2 || v.Duplicate {
				t.Errorf("the send that waited: %+v", v)
			}
			break
		}
		held = true
	}
	if !held {
		t.Error("the room was never held")
	}
	var e *pgconn.PgError
	if err := tx.Commit(ctx); !errors.As(err, &e) || e.Code != "25P03" {
		t.Errorf("the transaction of the frozen session ends with %v", err)
	}
}
