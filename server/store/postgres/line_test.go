package postgres

import (
	"context"
	"testing"
	"time"

	"roomlog/server/room"
	"roomlog/server/store/postgres/pgtest"
)

// told waits for Changed.
func told(t *testing.T, s *Store, what string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	select {
	case <-s.Changed():
	case <-ctx.Done():
		t.Fatalf("nobody is told: %s", what)
	}
}

// A store that nobody calls notices that its database went and came back, and says so: rooms that nobody writes to would
// otherwise not hear of what others wrote. The first call after that works.
func TestTheLineIsMadeAgain(t *testing.T) {
	server := privateServer(t)
	s := open(t, server.DSN(""))
	defer s.Close()
	grow(t, s, 1)
	told(t, s, "of the database that was opened")
	for _, mode := range []string{pgtest.Immediate, pgtest.Fast} {
		must(t, server.Stop(mode))
		must(t, server.Restart(t.Context()))
		told(t, s, "after a stop, "+mode)
		if heads, err := s.Heads(t.Context(), []room.ID{"chat:a"}); err != nil || heads[0].Seq != 1 {
			t.Errorf("the first call after a stop, %s: %+v, %v", mode, heads, err)
		}
	}
	conn := direct(t, server.DSN(""))
	for len(s.Changed()) > 0 { // the connections of the pool may each have told of the new process
		<-s.Changed()
	}
	_, err := conn.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend'`)
	must(t, err)
	told(t, s, "after all connections were cut by the same server process")
	if _, err := s.Heads(t.Context(), []room.ID{"chat:a"}); err != nil {
		t.Errorf("the first call after that: %v", err)
	}
}
