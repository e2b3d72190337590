package sqlite

import (
	"context"
	"os"
)

// foldAt is the size in bytes at which the write-ahead log is folded into the file come what may.
const foldAt = 64 << 20

// fold empties the write-ahead log once it is too large, and says when to look again. SQLite begins
// its log anew only at a moment when nobody reads; where reads overlap without a gap there is none, and
// the log would grow for ever. Here the readers are ours, so their turns are taken for that moment.
//
// w is held by the caller. A foreign reader (the sqlite3 shell) is not waited for: what it keeps from
// being folded is tried again when as much has been added.
func (s *Store) fold(w *writer) {
	if w.failed != nil {
		return
	}
	info, err := os.Stat(s.log)
	if err != nil || info.Size() < s.foldAt+w.unfolded {
		return
	}
	turns := make([]*reader, 0, readers)
	for range readers {
		turns = append(turns, <-s.readers)
	}
	// An error needs no answer: the log is as valid as before, and what is left of it is seen below.
	_, _ = w.conn.ExecContext(context.Background(), "pragma busy_timeout = 0; pragma wal_checkpoint(truncate); pragma busy_timeout = 5000")
	for _, r := range turns {
		s.readers <- r
	}
	w.unfolded = 0
	if info, err := os.Stat(s.log); err == nil {
		w.unfolded = info.Size()
	}
}
