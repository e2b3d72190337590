package sqlite

import (
	"context"
	"database/sql"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"roomlog/server/room"
)

// I1, ACK-1: once an append is answered, the files have the event: a process that is killed then takes nothing with
// it. The files are copied as such a kill would leave them, and read by SQLite alone.
func TestAckIsInTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "roomlog.db")
	s, err := Open(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for n := 1; n <= 20; n++ {
		send := room.Send{Room: "chat:a", Author: "u1", Tag: room.Tag{1, byte(n)}, Type: "message", Data: []byte(`"hi"`)}
		if _, err := s.Append(context.Background(), []room.Send{send}); err != nil {
			t.Fatal(err)
		}
		if got := rowsLeft(t, path); got != n {
			t.Fatalf("after %d answers a kill leaves %d events", n, got)
		}
	}
}

// rowsLeft counts the events in a copy of the database and its log.
func rowsLeft(t *testing.T, path string) (n int) {
	t.Helper()
	left := filepath.Join(t.TempDir(), "left.db")
	for _, suffix := range []string{"", "-wal"} {
		text, err := os.ReadFile(path + suffix)
		if err == nil {
			err = os.WriteFile(left+suffix, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: left}).String())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow("select count(*) from events").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
