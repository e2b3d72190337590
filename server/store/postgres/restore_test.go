package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"roomlog/server/room"
	"roomlog/server/store/postgres/pgtest"
)

// journal keeps what was logged.
type journal struct {
	mu    sync.Mutex
	lines strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lines.Write(p)
}

func (j *journal) has(text string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Contains(j.lines.String(), text)
}

func privateServer(t *testing.T) *pgtest.Server {
	t.Helper()
	server, err := pgtest.Start(t.Context(), pgtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// grow appends n events to chat:a and gives the head.
func grow(t *testing.T, s *Store, n int) room.Head {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var head room.Head
	for i := range n {
		out, err := insist(ctx, s, []room.Send{message("u", i)})
		must(t, err)
		head = out.Rooms[0].Head
	}
	return head
}

// headNow reads the head of chat:a as soon as the server answers.
func headNow(t *testing.T, s *Store) room.Head {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for {
		heads, err := s.Heads(ctx, []room.ID{"chat:a"})
		if err == nil {
			return heads[0]
		}
		if ctx.Err() != nil || room.AsError(err).Code != room.CodeUnavailable {
			t.Fatal(err)
		}
	}
}

// TestRestoreUnderANode holds I11, POS-7 and RESET-7 against a real server whose files are replaced while a
// node runs: what decides is data, not whether the process, the machine or the timeline is another.
func TestRestoreUnderANode(t *testing.T) {
	tests := map[string]struct {
		restore bool
		promote bool
		others  int // events that somebody else stores after the restore, before the node is back
		why     string
	}{
		"restarted":                           {},
		"failed over with nothing lost":       {promote: true},
		"failed over, and written by others":  {promote: true, others: 5},
		"restored":                            {restore: true, why: "lack events"},
		"restored, and written past the head": {restore: true, others: 30, why: "lack events"},
		"failed over with events lost":        {restore: true, promote: true, others: 10, why: "lack events"},
	}
	server := privateServer(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			admin := direct(t, server.DSN(""))
			db := fmt.Sprintf("fork_%d", time.Now().UnixNano())
			_, err := admin.Exec(t.Context(), "create database "+db)
			must(t, err)
			dsn := server.DSN(db)
			var logged journal
			s, err := Open(t.Context(), dsn, slog.New(slog.NewTextHandler(&logged, nil)))
			must(t, err)
			defer s.Close()
			<-s.Changed() // that of the opening
			grow(t, s, 10)
			must(t, server.Stop(pgtest.Fast))
			backup, err := server.Backup()
			must(t, err)
			must(t, server.Restart(t.Context()))
			before := grow(t, s, 10)
			for len(s.Changed()) > 0 {
				<-s.Changed()
			}
			must(t, server.Stop(pgtest.Fast))
			if test.restore {
				must(t, server.Restore(backup))
			}
			if test.promote {
				must(t, server.Promote())
			}
			must(t, server.Restart(t.Context()))
			if test.others > 0 {
				other := open(t, dsn) // knows nothing of what was
				grow(t, other, test.others)
				must(t, other.Close())
			}
			after := headNow(t, s)
			select {
			case <-s.Changed():
			default:
				t.Error("the store does not say that its database may be another")
			}
			if forked := after.Epoch != before.Epoch; forked != (test.why != "") {
				t.Errorf("the epoch was %s and is %s", before.Epoch, after.Epoch)
			}
			if test.why != "" && !logged.has(test.why) || test.why == "" && logged.has("level=ERROR") {
				t.Errorf("logged: %s", logged.lines.String())
			}
			if test.promote && !test.restore && test.others == 0 && !logged.has("was_timeline") {
				t.Errorf("the new timeline is not logged: %s", logged.lines.String())
			}
			if again := grow(t, s, 1); again.Epoch != after.Epoch {
				t.Errorf("the epoch changes again, from %s to %s", after.Epoch, again.Epoch)
			}
		})
	}
}

// TestRestoreFoundAtStart: POS-7. A database that is elsewhere than it recorded has a new epoch from its
// first opening there; one that is where it was keeps it, however often it is opened.
func TestRestoreFoundAtStart(t *testing.T) {
	dsn := pgtest.DB(t)
	epoch := func(dsn string) room.Epoch {
		t.Helper()
		s := open(t, dsn)
		defer s.Close()
		return headNow(t, s).Epoch
	}
	first := epoch(dsn)
	if again := epoch(dsn); again != first {
		t.Fatalf("opened again, the epoch is %s, it was %s", again, first)
	}
	copied := copyDB(t, dsn)
	moved := epoch(copied)
	if moved == first {
		t.Error("a copy of the database has the epoch of the first")
	}
	if again := epoch(copied); again != moved {
		t.Errorf("opened again, the copy has epoch %s, it had %s", again, moved)
	}
	conn := direct(t, dsn)
	for what, change := range map[string]string{
		"of another cluster": "update roomlog.meta set system = '1'",
		"loaded from a dump": "create table roomlog.m (like roomlog.meta including all); insert into roomlog.m select * from roomlog.meta; drop table roomlog.meta; alter table roomlog.m rename to meta",
	} {
		before := epoch(dsn)
		_, err := conn.Exec(t.Context(), change)
		must(t, err)
		if epoch(dsn) == before {
			t.Errorf("a database %s keeps its epoch", what)
		}
	}
	before := epoch(dsn)
	for what, change := range map[string]string{
		"a new timeline":            "update roomlog.meta set timeline = 77",
		"an older version's record": "update roomlog.meta set system = null, place = null, timeline = null",
	} {
		_, err := conn.Exec(t.Context(), change)
		must(t, err)
		if after := epoch(dsn); after != before {
			t.Errorf("%s alone makes the epoch %s of %s", what, after, before)
		}
	}
}

// copyDB makes a copy of a database beside it.
func copyDB(t *testing.T, dsn string) string {
	t.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	must(t, err)
	to := pgtest.DB(t)
	target, err := pgx.ParseConfig(to)
	must(t, err)
	admin := cfg.Copy()
	admin.Database = "postgres"
	conn, err := pgx.ConnectConfig(t.Context(), admin)
	must(t, err)
	defer conn.Close(context.Background())
	for _, statement := range []string{
		"drop database " + target.Database,
		"create database " + target.Database + " template " + cfg.Database,
	} {
		_, err = conn.Exec(t.Context(), statement)
		must(t, err)
	}
	return to
}

// A user who may not ask for the cluster's identifier, and is no superuser, opens the store all the same.
func TestIdentityWithoutRights(t *testing.T) {
	server := privateServer(t)
	admin := direct(t, server.DSN(""))
	for _, statement := range []string{
		"create role app login", "create database app owner app",
	} {
		_, err := admin.Exec(t.Context(), statement)
		must(t, err)
	}
	dsn := strings.Replace(server.DSN("app"), "roomlog@", "app@", 1)
	first := open(t, dsn)
	if first.ground.now.system == "" {
		t.Error("an ordinary user does not see the identifier of the cluster")
	}
	epoch := headNow(t, first).Epoch
	must(t, first.Close())
	owner := direct(t, server.DSN("app"))
	_, err := owner.Exec(t.Context(), "revoke execute on function pg_control_system() from public")
	must(t, err)
	var logged journal
	s, err := Open(t.Context(), dsn, slog.New(slog.NewTextHandler(&logged, nil)))
	must(t, err)
	defer s.Close()
	if again := headNow(t, s).Epoch; again != epoch || !logged.has("pg_control_system") {
		t.Errorf("the epoch is %s, it was %s; logged: %s", again, epoch, logged.lines.String())
	}
}

// POS-7: what the operator asks for after a restore. A node that runs goes over to it.
func TestBumpEpoch(t *testing.T) {
	dsn := pgtest.DB(t)
	s := open(t, dsn)
	defer s.Close()
	head := grow(t, s, 3)
	before, after, err := BumpEpoch(t.Context(), dsn)
	must(t, err)
	if before != head.Epoch || after == before || after == "" {
		t.Errorf("from %q to %q, the head had %q", before, after, head.Epoch)
	}
	if now := headNow(t, s); now.Epoch != after || now.Seq != head.Seq || now.Mark != head.Mark {
		t.Errorf("the head is %+v, it was %+v", now, head)
	}
	if _, _, err := BumpEpoch(t.Context(), "postgres://u:hunter2@127.0.0.1:1/x?sslmode=disable"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("an address where nobody is: %v", err)
	}
}

// A recreated room has an epoch of its own, in every answer, and is no fork of the database.
func TestRecreatedRoom(t *testing.T) {
	dsn := pgtest.DB(t)
	s := open(t, dsn)
	defer s.Close()
	first := grow(t, s, 5)
	_, err := direct(t, dsn).Exec(t.Context(), `delete from roomlog.events;
		update roomlog.rooms set generation = 1, head = 0, head_mark = 0`)
	must(t, err)
	lost := func() (n int) {
		t.Helper()
		conn := direct(t, dsn)
		must(t, pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) (err error) {
			n, err = s.ground.lost(t.Context(), tx)
			return err
		}))
		return n
	}
	if n := lost(); n != 0 {
		t.Errorf("%d rooms are taken for lost", n)
	}
	want := first.Epoch + "-1"
	if h := headNow(t, s); h.Epoch != want || h.Seq != 0 {
		t.Errorf("the head is %+v, its epoch should be %s", h, want)
	}
	if h := grow(t, s, 2); h.Epoch != want || h.Seq != 2 {
		t.Errorf("the head after an append is %+v", h)
	}
	page, err := s.Read(t.Context(), room.Query{Room: "chat:a", Limit: 5})
	if err != nil || page.Head.Epoch != want {
		t.Errorf("a page is of epoch %s, %v", page.Head.Epoch, err)
	}
	for what, change := range map[string]string{
		"has gone back to before it was recreated": "update roomlog.rooms set generation = 0",
		"is missing":      "delete from roomlog.rooms",
		"has another end": "update roomlog.events set mark = mark % 4294967295 + 1",
	} {
		conn := direct(t, dsn)
		tx, err := conn.Begin(t.Context())
		must(t, err)
		_, err = tx.Exec(t.Context(), change)
		must(t, err)
		if n, err := s.ground.lost(t.Context(), tx); n != 1 || err != nil {
			t.Errorf("a room that %s: %d are lost, %v", what, n, err)
		}
		must(t, tx.Rollback(t.Context()))
	}
	_, err = direct(t, dsn).Exec(t.Context(), `delete from roomlog.events; update roomlog.rooms set floor = 3, floor_mark = head_mark`)
	must(t, err)
	if n := lost(); n != 0 {
		t.Errorf("%d rooms whose events were pruned are taken for lost", n)
	}
}
