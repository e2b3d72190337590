package postgres

import (
	"testing"
	"time"

	"roomlog/server/store/postgres/pgtest"
)

// A snapshot that somebody holds is seen while it is held, and grows old.
func TestOldestSnapshot(t *testing.T) {
	dsn := pgtest.DB(t)
	s := open(t, dsn)
	defer s.Close()
	holder := direct(t, dsn)
	if _, err := holder.Exec(t.Context(), "begin isolation level repeatable read; select 1 from roomlog.meta"); err != nil {
		t.Fatal(err)
	}
	first, err := s.OldestSnapshot(t.Context())
	if err != nil || first <= 0 || first > time.Minute {
		t.Fatalf("held: %v, %v", first, err)
	}
	if later, err := s.OldestSnapshot(t.Context()); err != nil || later <= first {
		t.Errorf("then %v, %v, want more than %v", later, err, first)
	}
	if _, err := holder.Exec(t.Context(), "rollback"); err != nil {
		t.Fatal(err)
	}
	// What autovacuum holds is a snapshot as well, but a young one.
	if now, err := s.OldestSnapshot(t.Context()); err != nil || now > time.Minute {
		t.Errorf("let go: %v, %v", now, err)
	}
}
