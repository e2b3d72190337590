package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"roomlog/server/room"
	"roomlog/server/store/postgres/pgtest"
)

func message(author string, n int) room.Send {
	s := room.Send{Room: "chat:a", Author: author, Type: "message", Data: fmt.Appendf(nil, "%d", n)}
	for i := range s.Tag {
		s.Tag[i] = byte(rand.Uint32())
	}
	return s
}

// insist runs a batch until it is answered, as the hub does, and fails on an answer that it must not get.
func insist(ctx context.Context, s *Store, batch []room.Send) (room.Appended, error) {
	for {
		out, err := s.Append(ctx, batch)
		var e *room.Error
		switch {
		case err == nil:
			return out, nil
		case !errors.Is(err, room.ErrOutcomeUnknown) && (!errors.As(err, &e) || e.Code != room.CodeUnavailable):
			return out, fmt.Errorf("append: %w", err)
		case ctx.Err() != nil:
			return out, fmt.Errorf("not answered in time: %w", err)
		}
		pause := time.NewTimer(20 * time.Millisecond)
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
	}
}

// TestOutage stops a real server under eight writers, as in a crash and in order, and starts it again:
// calls fail as retryable while it is down, work within a second of when others can write, more where this machine is slow,
// and nothing that was acknowledged is lost, doubled or out of order.
func TestOutage(t *testing.T) {
	server, err := pgtest.Start(t.Context(), pgtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	s := open(t, server.DSN(""))
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	soon := time.Second + 20*writes(ctx, t, server.DSN(""))
	stop := make(chan struct{})
	var writers sync.WaitGroup
	acked := make([][]room.Verdict, 8)
	progress := make(chan struct{}, 1)
	for w := range acked {
		writers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				out, err := insist(ctx, s, []room.Send{message(fmt.Sprint("u", w), n)})
				if err != nil {
					t.Error(err)
					return
				}
				acked[w] = append(acked[w], out.Verdicts[0])
				select {
				case progress <- struct{}{}:
				default:
				}
			}
		})
	}
	stored := func() {
		select {
		case <-progress:
		case <-ctx.Done():
			t.Fatal("no append is answered")
		}
	}
	for _, mode := range []string{pgtest.Immediate, pgtest.Fast, pgtest.Immediate} {
		for range 100 {
			stored()
		}
		if err := server.Stop(mode); err != nil {
			t.Fatal(err)
		}
		down := time.Now()
		_, err := s.Read(ctx, room.Query{Room: "chat:a", Limit: 1})
		if e := room.AsError(err); e.Code != room.CodeUnavailable || time.Since(down) > soon {
			t.Errorf("a read of a stopped server: %v after %s", err, time.Since(down))
		}
		select { // an append that was under way may have been acknowledged as the server went
		case <-progress:
		default:
		}
		if err := server.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		soon := max(soon, time.Second+20*writes(ctx, t, server.DSN("")))
		up := time.Now()
		stored()
		if took := time.Since(up); took > soon {
			t.Errorf("the first append after the server's return took %s, more than %s", took, soon)
		}
		if _, err := s.Read(ctx, room.Query{Room: "chat:a", Limit: 1}); err != nil {
			t.Errorf("a read after the server's return: %v", err)
		}
	}
	close(stop)
	writers.Wait()
	checkAcked(t, s, acked)
}

// writes returns when a session that is new has a transaction on the disk: what a database takes that comes back is not the store's.
// It says how long that took.
func writes(ctx context.Context, t *testing.T, dsn string) time.Duration {
	t.Helper()
	began := time.Now()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "SELECT pg_current_xact_id()"); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

// checkAcked fails unless the log holds each writer's events once, in order, where its verdicts say.
func checkAcked(t *testing.T, s *Store, acked [][]room.Verdict) {
	t.Helper()
	total := 0
	for w, verdicts := range acked {
		total += len(verdicts)
		for n, v := range verdicts {
			p, err := s.Read(t.Context(), room.Query{Room: "chat:a", Anchor: room.Around, Seq: v.Seq, Limit: 1})
			if err != nil {
				t.Fatal(err)
			}
			if e := p.Events[0]; e.Author != fmt.Sprint("u", w) || string(e.Data) != fmt.Sprint(n) || e.Mark != v.Mark || e.Seq != v.Seq {
				t.Fatalf("I1: writer %d was told that its event %d is %+v, the log holds %+v", w, n, v, e)
			}
			if n > 0 && verdicts[n-1].Seq >= v.Seq {
				t.Fatalf("I6: events %d and %d of writer %d have the seqs %d and %d", n-1, n, w, verdicts[n-1].Seq, v.Seq)
			}
		}
	}
	h, err := s.Heads(t.Context(), []room.ID{"chat:a"})
	if err != nil || h[0].Seq != room.Seq(total) {
		t.Fatalf("I1: the head is %+v after %d acknowledged events: %v", h, total, err)
	}
}

// hold locks the row of chat:a as a paused node would, until the result is called.
func hold(t *testing.T, dsn string) (release func()) {
	t.Helper()
	conn := direct(t, dsn)
	tx, err := conn.Begin(t.Context())
	if err == nil {
		_, err = tx.Exec(t.Context(), "select from roomlog.rooms where name = 'chat:a' for update")
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// waiting is the process id of the backend that waits for the lock.
func waiting(t *testing.T, conn *pgx.Conn) (pid int) {
	t.Helper()
	for t.Context().Err() == nil {
		err := conn.QueryRow(t.Context(), `select pid from pg_stat_activity
			where wait_event_type = 'Lock' and datname = current_database() limit 1`).Scan(&pid)
		if err == nil {
			return pid
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			t.Fatal(err)
		}
	}
	t.Fatal("nobody waits for the lock")
	return 0
}

// TestLockTimeout answers a room that is held too long as unavailable, with nothing stored.
func TestLockTimeout(t *testing.T) {
	dsn := pgtest.DB(t)
	s := open(t, dsn+"&lock_timeout=100")
	defer s.Close()
	if _, err := s.Append(t.Context(), []room.Send{message("u1", 1)}); err != nil {
		t.Fatal(err)
	}
	release := hold(t, dsn)
	again := message("u1", 2)
	if _, err := s.Append(t.Context(), []room.Send{again}); room.AsError(err).Code != room.CodeUnavailable {
		t.Errorf("an append to a held room: %v", err)
	}
	release()
	if out, err := s.Append(t.Context(), []room.Send{again}); err != nil || out.Verdicts[0].Seq != 2 || out.Verdicts[0].Duplicate {
		t.Errorf("the append after the room is free: %+v, %v", out, err)
	}
}

// TestTerminated ends the backend of an append before it could commit: a definite refusal.
func TestTerminated(t *testing.T) {
	dsn := pgtest.DB(t)
	s := open(t, dsn)
	defer s.Close()
	if _, err := s.Append(t.Context(), []room.Send{message("u1", 1)}); err != nil {
		t.Fatal(err)
	}
	release := hold(t, dsn)
	defer release()
	result := make(chan error)
	go func() {
		_, err := s.Append(t.Context(), []room.Send{message("u1", 2)})
		result <- err
	}()
	conn := direct(t, dsn)
	if _, err := conn.Exec(t.Context(), "select pg_terminate_backend($1)", waiting(t, conn)); err != nil {
		t.Fatal(err)
	}
	if err := <-result; room.AsError(err).Code != room.CodeUnavailable || errors.Is(err, room.ErrOutcomeUnknown) {
		t.Errorf("an append whose backend was terminated: %v", err)
	}
}

// TestGivenUp ends the context of an append that waits for a lock: the outcome is unknown, and indeed the
// server may still carry it out. Running it again gives the one event, whichever of them stored it.
func TestGivenUp(t *testing.T) {
	dsn := pgtest.DB(t)
	s := open(t, dsn)
	defer s.Close()
	if _, err := s.Append(t.Context(), []room.Send{message("u1", 1)}); err != nil {
		t.Fatal(err)
	}
	release := hold(t, dsn)
	batch := []room.Send{message("u1", 2)}
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	go func() {
		_, err := s.Append(ctx, batch)
		result <- err
	}()
	waiting(t, direct(t, dsn))
	cancel()
	if err := <-result; !errors.Is(err, room.ErrOutcomeUnknown) {
		t.Errorf("an append that was given up: %v", err)
	}
	release()
	out, err := insist(t.Context(), s, batch)
	if err != nil || out.Verdicts[0].Seq != 2 || out.Rooms[0].Head.Seq != 2 {
		t.Errorf("the append again: %+v, %v", out, err)
	}
}

// TestBadSend gives a plain error, so that the batch is bisected, and stores nothing of it.
func TestBadSend(t *testing.T) {
	s := open(t, pgtest.DB(t))
	defer s.Close()
	long := make([]byte, 9000) // too long for the index, and random so that it does not compress
	for i := range long {
		long[i] = byte('!' + rand.IntN(90))
	}
	for _, bad := range []room.Send{message(string(long), 1), message("nul\x00", 1)} {
		_, err := s.Append(t.Context(), []room.Send{message("u1", 1), bad})
		var e *room.Error
		if err == nil || errors.As(err, &e) || errors.Is(err, room.ErrOutcomeUnknown) {
			t.Errorf("a send that cannot be stored: %v", err)
		}
	}
	if h, err := s.Heads(t.Context(), []room.ID{"chat:a"}); err != nil || h[0].Seq != 0 {
		t.Errorf("the batch was stored in parts: %+v, %v", h, err)
	}
}

// TestDamagedLog: a log that is damaged is no fault of a send, which may not be refused for good (SEND-5),
// since a client drops what is.
func TestDamagedLog(t *testing.T) {
	dsn := pgtest.DB(t)
	s := open(t, dsn)
	defer s.Close()
	if _, err := s.Append(t.Context(), []room.Send{message("u1", 1)}); err != nil {
		t.Fatal(err)
	}
	if _, err := direct(t, dsn).Exec(t.Context(), "update roomlog.rooms set head = 0"); err != nil {
		t.Fatal(err)
	}
	_, err := s.Append(t.Context(), []room.Send{message("u1", 2)})
	var e *room.Error
	if !errors.As(err, &e) || !e.Retryable() {
		t.Errorf("an append to a room whose row has gone back: %v, which blames the send", err)
	}
}

func TestOpenErrors(t *testing.T) {
	dsn := pgtest.DB(t)
	s := open(t, dsn)
	defer s.Close()
	conn := direct(t, dsn)
	if _, err := conn.Exec(t.Context(), "insert into roomlog.goose_db_version (version_id, is_applied) values (999, true)"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dsn, nil); err == nil || !strings.Contains(err.Error(), "the database has schema 999, this program knows ") {
		t.Errorf("a database of a newer version: %v", err)
	}
	if _, err := Open(t.Context(), "postgres://u:hunter2@127.0.0.1:1/x?sslmode=disable", nil); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a server that is not there: %v", err)
	}
	if _, err := Open(t.Context(), "postgres://u:hunter2@[::1/x", nil); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a malformed address: %v", err)
	}
}

// TestOpenTogether has four nodes migrate an empty database at once.
func TestOpenTogether(t *testing.T) {
	dsn := pgtest.DB(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			s, err := Open(t.Context(), dsn, nil)
			if err != nil {
				t.Error(err)
				return
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestAppendFailure(t *testing.T) {
	pg := func(severity, code string) error {
		return &pgconn.PgError{Severity: "as the server's language has it", SeverityUnlocalized: severity, Code: code}
	}
	for _, c := range []struct {
		err      error
		answered bool
		want     room.Code // empty for a plain error
	}{
		{pg("ERROR", "40001"), false, room.CodeUnavailable},
		{pg("ERROR", "40P01"), false, room.CodeUnavailable},
		{pg("ERROR", "55P03"), false, room.CodeUnavailable},
		{pg("ERROR", "57014"), false, room.CodeUnavailable},
		{pg("ERROR", "25006"), false, room.CodeUnavailable},
		{pg("ERROR", "40001"), true, room.CodeUnavailable},
		{pg("FATAL", "57P01"), false, room.CodeUnavailable},
		{pg("FATAL", "57P01"), true, room.CodeOutcomeUnknown},
		{pg("ERROR", "53100"), false, room.CodeStorageFull},
		{pg("ERROR", "53300"), false, room.CodeUnavailable},
		{pg("ERROR", "22021"), false, ""},
		{pg("ERROR", "23514"), false, ""},
		{pg("ERROR", "23505"), false, room.CodeUnavailable},
		{errors.New("connection reset by peer"), false, room.CodeOutcomeUnknown},
		{context.DeadlineExceeded, false, room.CodeOutcomeUnknown},
	} {
		err := appendFailure(c.err, c.answered)
		var e *room.Error
		var got room.Code
		switch {
		case errors.Is(err, room.ErrOutcomeUnknown):
			got = room.CodeOutcomeUnknown
		case errors.As(err, &e):
			got = e.Code
		}
		if got != c.want {
			t.Errorf("%v, answered %t: %q, not %q", c.err, c.answered, got, c.want)
		}
	}
}
