package sqlite

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"roomlog/server/room"
)

// CHG-7: what was deleted, pruned, or of a room that was deleted, is overwritten in the file, where a row was as where pages were freed, and
// the write-ahead log is gone with the close.
func TestDeletedIsOverwritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "roomlog.db")
	s := open(t, path)
	n := 0
	send := func(id room.ID, typ, data string, c *room.Change) room.Seq {
		t.Helper()
		n++
		out, err := s.Append(t.Context(), []room.Send{{Room: id, Author: "u1", Tag: room.Tag{1, byte(n)}, Type: typ, Data: []byte(data), Change: c}})
		if err != nil || out.Verdicts[0].Refused != nil {
			t.Fatalf("append: %+v, %v", out, err)
		}
		return out.Verdicts[0].Seq
	}
	text := func(id room.ID, size int) string {
		return fmt.Sprintf(`"canary of %s %s"`, id, strings.Repeat("x", size))
	}
	held := func() (n int) {
		for _, suffix := range []string{"", "-wal"} {
			file, err := os.ReadFile(path + suffix)
			if err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			n += bytes.Count(file, []byte("canary"))
		}
		return n
	}
	for _, id := range []room.ID{"chat:deleted", "chat:pruned", "chat:ended"} {
		for _, size := range []int{10, 900, 20_000} {
			seq := send(id, room.TypeMessage, text(id, size), nil)
			send(id, room.TypeEdit, text(id, size), &room.Change{Target: seq, Own: true, Data: []byte(text(id, size))})
		}
	}
	if held() == 0 {
		t.Fatal("nothing of what was sent is found in the file")
	}
	for seq := room.Seq(1); seq <= 5; seq += 2 {
		send("chat:deleted", room.TypeDelete, `{}`, &room.Change{Target: seq, Own: true})
	}
	send("chat:pruned", "poll", `1`, nil)
	if _, err := s.Prune(t.Context(), "chat:pruned", room.Retention{Events: 1}, time.Hour, 100); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Delete(t.Context(), "chat:ended"); err != nil {
		t.Fatal(err)
	}
	for more := true; more; {
		swept, err := s.Sweep(t.Context(), time.Hour, 10)
		if err != nil {
			t.Fatal(err)
		}
		more = swept.More
	}
	epoch := storeEpoch(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := held(); n > 0 {
		t.Errorf("CHG-7: %d texts that were deleted are in the file", n)
	}
	// What operators are told to run, to be sure: it makes no other database of it.
	direct(t, path, func(db *sql.DB) error {
		_, err := db.Exec("vacuum")
		return err
	})
	s = open(t, path)
	defer s.Close()
	if now := storeEpoch(t, s); now != epoch {
		t.Errorf("after VACUUM the epoch is %s, and was %s", now, epoch)
	}
}

func storeEpoch(t *testing.T, s *Store) room.Epoch {
	t.Helper()
	heads, err := s.Heads(t.Context(), []room.ID{"chat:deleted"})
	if err != nil {
		t.Fatal(err)
	}
	return heads[0].Epoch
}
