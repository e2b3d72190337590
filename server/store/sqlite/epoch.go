package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"roomlog/server/room"
)

// recorded is what a database says of itself, and how much is stored in it.
type recorded struct {
	epoch              room.Epoch
	file, opened       string // empty until it has been opened
	generations, heads int64
}

func readRecorded(ctx context.Context, tx *sql.Tx) (was recorded, err error) {
	err = tx.QueryRowContext(ctx, `select epoch, coalesce(file, ''), coalesce(opened, ''),
		(select coalesce(sum(generation), 0) from rooms), (select coalesce(sum(head), 0) from rooms) from meta`).
		Scan(&was.epoch, &was.file, &was.opened, &was.generations, &was.heads)
	return was, err
}

// forked says why the database is not the one that was last used here; empty: it is.
func (was recorded) forked(file string, here *record) string {
	switch {
	case was.opened == "": // new, or of a version that recorded nothing
		return ""
	case was.file != "" && file != "" && was.file != file:
		return "the file is a copy"
	case here == nil && (was.file == "" || file == ""):
		return "the file is a copy: there is no record beside it"
	case here == nil:
		return ""
	case was.opened != here.opened[0] && was.opened != here.opened[1]:
		return "the file is not in the state it was last used in"
	case was.generations < here.generations, was.generations == here.generations && was.heads < here.heads:
		return "the file lacks events that were stored in it"
	}
	return ""
}

// settle compares the database with the record beside it, gives a copy or a restore a new epoch, and
// records that it is in use here. A crash at any point leaves a record that the database agrees with; so does
// a power cut, since the record is on the disk before the database says what it says.
func (s *Store) settle(ctx context.Context, path string, log *slog.Logger) error {
	file, err := fileIdentity(path)
	if err != nil {
		return err
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	was, err := readRecorded(ctx, tx)
	if err != nil {
		return err
	}
	s.found = was.epoch
	epoch, opened := was.epoch, ""
	if err := tx.QueryRowContext(ctx, `update meta set file = nullif(?, ''), opened = lower(hex(randomblob(8))) returning opened`, file).Scan(&opened); err != nil {
		return err
	}
	why := mutateFork(was.forked(file, readRecord(s.lock))) // mutant epoch_kept
	if why != "" {
		if err := tx.QueryRowContext(ctx, newEpoch).Scan(&epoch); err != nil {
			return err
		}
	}
	s.record = record{opened: [2]string{opened, was.opened}, generations: was.generations, heads: was.heads}
	if err := errors.Join(s.record.write(s.lock), syncFile(s.lock)); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	if why != "" {
		log.Error("the database is not the one it was: every room has a new epoch, and every client starts again with the latest page",
			"reason", why, "old_epoch", was.epoch, "epoch", epoch)
	}
	s.record.opened[1] = ""
	return s.record.write(s.lock)
}

// newEpoch draws an epoch as the first migration does.
const newEpoch = `update meta set epoch = lower(hex(randomblob(6))) returning epoch`

// grown records what an append stored: a database that is restored while nobody looks has less. The caller
// holds the writer. That the record cannot be written is no fault of the append; it then says less.
func (s *Store) grown(out room.Appended) {
	var n int64
	for _, g := range out.Rooms {
		n += g.Head.Seq - g.Before
	}
	if n > 0 {
		s.record.heads += n
		_ = s.record.write(s.lock)
	}
}

// shrunk records that a room with so many events was deleted, which leaves a generation behind instead. The
// caller holds the writer. A crash before it leaves a record of fewer generations, which is behind.
func (s *Store) shrunk(head room.Seq) {
	s.record.heads -= head
	s.record.generations++
	_ = s.record.write(s.lock)
}

// inPlace refuses to write a file that is no longer the one at its path: what is stored in a file that was
// moved away or replaced is gone with the next start.
func (s *Store) inPlace() error {
	now, err := os.Stat(s.path)
	if err != nil {
		return unavailable(fmt.Errorf("the file of the database is gone: %w", err))
	}
	if !os.SameFile(now, s.file) {
		return unavailable(fmt.Errorf("another file was put in place of the database %s: restart the server", s.path))
	}
	return nil
}

// BumpEpoch gives the database at path a new epoch, for the operator after a restore: every position that
// was given out is reset. It fails while another process has the file open, or where there is none.
func BumpEpoch(ctx context.Context, path string) (before, after room.Epoch, err error) {
	if _, err := os.Stat(path); err != nil {
		return "", "", fmt.Errorf("bump epoch: %w", err)
	}
	s, err := Open(ctx, path, nil)
	if err != nil {
		return "", "", fmt.Errorf("bump epoch: %w", err)
	}
	err = s.alter(ctx, func(w *writer) error {
		return w.conn.QueryRowContext(ctx, newEpoch).Scan(&after)
	})
	if end := s.Close(); err == nil {
		err = end
	}
	if err != nil {
		return "", "", fmt.Errorf("bump epoch: %w", err)
	}
	return s.found, after, nil
}

// alter runs f with the writer, in its turn.
func (s *Store) alter(ctx context.Context, f func(*writer) error) error {
	select {
	case w := <-s.writers:
		defer func() { s.writers <- w }()
		return f(w)
	case <-ctx.Done():
		return ctx.Err()
	}
}
