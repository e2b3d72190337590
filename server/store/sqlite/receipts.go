package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"roomlog/server/room"
)

// marking are the writer's statements for receipts.
type marking struct {
	receipt, putReceipt        *sql.Stmt
	receiptVersion, putVersion *sql.Stmt
	ordinalOf                  *sql.Stmt
}

func (w *writer) prepareReceipts(ctx context.Context) error {
	m := &w.marking
	return errors.Join(
		w.prepare(ctx, selectReceipt, &m.receipt),
		w.prepare(ctx, `insert into receipts (room, who, delivered, read, read_ordinal, version, at) values (?, ?, ?, ?, ?, ?, ?)
			on conflict do update set delivered = excluded.delivered, read = excluded.read, read_ordinal = excluded.read_ordinal,
				version = excluded.version, at = excluded.at`, &m.putReceipt),
		w.prepare(ctx, selectReceiptVersion, &m.receiptVersion),
		w.prepare(ctx, `insert into receipt_versions (room, version) values (?, ?) on conflict do update set version = excluded.version`, &m.putVersion),
		w.prepare(ctx, selectOrdinal, &m.ordinalOf),
	)
}

const (
	selectReceipt        = `select delivered, read, read_ordinal, version, at from receipts where room = ? and who = ?`
	selectReceiptVersion = `select version from receipt_versions where room = ?`
	selectOrdinal        = `select ordinal, type = 'message' from events where room = ? and seq = ?`
)

// recounting are a reader's statements for receipts.
type recounting struct {
	receiptVersion          *sql.Stmt
	receiptsRemoved         *sql.Stmt
	changedReceipts, totals *sql.Stmt
	readers, readersCount   *sql.Stmt
	stands, ordinalOf       *sql.Stmt
	notUnread, firstUnread  *sql.Stmt
}

func (r *reader) prepareReceipts(ctx context.Context) error {
	c := &r.recounting
	return errors.Join(
		r.prepare(ctx, selectReceiptVersion, &c.receiptVersion),
		r.prepare(ctx, `select version, removed from receipt_versions where room = ?`, &c.receiptsRemoved),
		r.prepare(ctx, `select who, delivered, read, version, at from receipts where room = ? and version > ? order by version limit ? + 0`, &c.changedReceipts),
		r.prepare(ctx, `select count(*), coalesce(max(delivered), 0), coalesce(min(delivered), 0), coalesce(max(read), 0), coalesce(min(read), 0)
			from receipts where room = ?`, &c.totals),
		r.prepare(ctx, `select who from receipts where room = ? and delivered >= ? and read >= ? order by who limit ? + 0`, &c.readers),
		r.prepare(ctx, `select count(*), count(*) filter (where read >= ?2) from receipts where room = ?1 and delivered >= ?2`, &c.readersCount),
		r.prepare(ctx, selectStanding, &c.stands),
		r.prepare(ctx, selectOrdinal, &c.ordinalOf),
		r.prepare(ctx, `select (select count(*) from events indexed by events_own where room = ?1 and author = ?2 and seq > ?3 and type = 'message' and ordinal > 0)
			+ (select count(*) from redactions where room = ?1 and author <> ?2 and seq > ?3 and ordinal > 0)`, &c.notUnread),
		r.prepare(ctx, `select coalesce((select seq from events
				where room = ?1 and seq > ?3 and type = 'message' and ordinal > 0 and author <> ?2 and gone is null order by seq limit 1), 0),
			(select count(*) from (select 1 from mentions m join events e on e.room = m.room and e.seq = m.seq
				where m.room = ?1 and m.who = ?2 and m.seq > ?3 and e.author <> ?2 and e.gone is null limit ?4 + 0))`, &c.firstUnread),
	)
}

// kept is a row of receipts beside its room and user.
type kept struct {
	room.Receipt
	ordinal int64 // of Read
}

// scanReceipt reads a row of selectReceipt; without one, marks of 0.
func scanReceipt(row *sql.Row, user string) (kept, error) {
	k := kept{Receipt: room.Receipt{User: user}}
	var at int64
	err := row.Scan(&k.Delivered, &k.Read, &k.ordinal, &k.Version, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return k, nil
	}
	k.At = time.UnixMicro(at).UTC()
	return k, err
}

func scanVersion(row *sql.Row) (v int64, err error) {
	if err = row.Scan(&v); errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return v, err
}

// marked is a room of a batch of markings.
type marked struct {
	head          room.Head
	id            int64
	before, after int64
	receipts      map[string]kept // of the batch's users, as they are by now
}

// Mark is [room.Receipts.Mark]. ctx bounds the wait for a turn, which appends take too.
func (s *Store) Mark(ctx context.Context, batch []room.Marking) (out []room.Marked, err error) {
	if len(batch) == 0 {
		return nil, nil
	}
	err = s.transact(ctx, "mark", func(w *writer) error {
		out, err = w.mark(batch, s.clock().UTC().Truncate(time.Microsecond))
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (w *writer) mark(batch []room.Marking, at time.Time) ([]room.Marked, error) {
	rooms := make(map[room.ID]*marked)
	for _, m := range batch {
		r, err := w.markedRoom(rooms, m.Room)
		if err == nil && r.head.Seq > 0 {
			err = w.raiseMarks(r, m, at)
		}
		if err != nil {
			return nil, fmt.Errorf("mark in %s: %w", m.Room, err)
		}
	}
	for _, r := range rooms {
		if r.after > r.before {
			if _, err := w.putVersion.ExecContext(background, r.id, r.after); err != nil {
				return nil, err
			}
		}
	}
	out := make([]room.Marked, len(batch))
	for i, m := range batch { // as it is when all have been raised
		r := rooms[m.Room]
		k := r.receipts[m.User]
		k.User = m.User
		out[i] = room.Marked{Room: m.Room, Receipt: k.Receipt, Epoch: r.head.Epoch, Before: r.before, After: r.after}
	}
	return out, nil
}

func (w *writer) markedRoom(rooms map[room.ID]*marked, id room.ID) (*marked, error) {
	if r := rooms[id]; r != nil {
		return r, nil
	}
	head, row, err := w.find(id)
	if err != nil {
		return nil, err
	}
	r := &marked{head: head, id: row.id, receipts: make(map[string]kept)}
	r.before, err = scanVersion(w.receiptVersion.QueryRowContext(background, r.id))
	r.after = r.before
	rooms[id] = r
	return r, err
}

// raiseMarks raises the marks of one user, where it does.
func (w *writer) raiseMarks(r *marked, m room.Marking, at time.Time) error {
	was, known := r.receipts[m.User]
	if !known {
		var err error
		if was, err = scanReceipt(w.receipt.QueryRowContext(background, r.id, m.User), m.User); err != nil {
			return err
		}
		r.receipts[m.User] = was
	}
	read := max(was.Read, min(m.Read, r.head.Seq))
	delivered := max(was.Delivered, min(max(m.Delivered, m.Read), r.head.Seq))
	if read == was.Read && delivered == was.Delivered {
		return nil
	}
	ordinal := was.ordinal
	if read > was.Read {
		var message bool
		err := w.marking.ordinalOf.QueryRowContext(background, r.id, read).Scan(&ordinal, &message)
		if errors.Is(err, sql.ErrNoRows) { // it was pruned
			ordinal, err = 0, nil
		}
		if err != nil {
			return err
		}
	}
	r.after++
	r.receipts[m.User] = kept{room.Receipt{User: m.User, Delivered: delivered, Read: read, Version: r.after, At: at}, ordinal}
	_, err := w.putReceipt.ExecContext(background, r.id, m.User, delivered, read, ordinal, r.after, at.UnixMicro())
	return err
}

// ReceiptsSince is [room.Receipts.ReceiptsSince]. ctx bounds the wait for a connection.
func (s *Store) ReceiptsSince(ctx context.Context, id room.ID, version int64, limit int) (p room.ReceiptPage, err error) {
	err = s.read(ctx, func(r *reader) error {
		head, row, err := scanHead(r.head.QueryRowContext(background, string(id)), id)
		if err != nil {
			return err
		}
		p.Epoch = head.Epoch
		if err := r.receiptsRemoved.QueryRowContext(background, row.id).Scan(&p.Version, &p.Removed); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		rows, err := r.changedReceipts.QueryContext(background, row.id, version, limit+1)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			if len(p.Receipts) == limit {
				p.More, p.Version = true, p.Receipts[limit-1].Version
				break
			}
			var c room.Receipt
			var at int64
			if err := rows.Scan(&c.User, &c.Delivered, &c.Read, &c.Version, &at); err != nil {
				return err
			}
			c.At = time.UnixMicro(at).UTC()
			p.Receipts = append(p.Receipts, c)
		}
		return rows.Err()
	})
	return p, err
}

// ReceiptTotals is [room.Receipts.ReceiptTotals]. ctx bounds the wait for a connection.
func (s *Store) ReceiptTotals(ctx context.Context, id room.ID) (t room.ReceiptTotals, err error) {
	err = s.read(ctx, func(r *reader) error {
		head, row, err := scanHead(r.head.QueryRowContext(background, string(id)), id)
		if err != nil {
			return err
		}
		t.Epoch = head.Epoch
		if t.Version, err = scanVersion(r.receiptVersion.QueryRowContext(background, row.id)); err != nil {
			return err
		}
		return r.totals.QueryRowContext(background, row.id).Scan(&t.Users, &t.Delivered.Any, &t.Delivered.All, &t.Read.Any, &t.Read.All)
	})
	return t, err
}

// Readers is [room.Receipts.Readers]. ctx bounds the wait for a connection.
func (s *Store) Readers(ctx context.Context, id room.ID, seq room.Seq, limit int) (out room.Readers, err error) {
	err = s.read(ctx, func(r *reader) error {
		_, row, err := scanHead(r.head.QueryRowContext(background, string(id)), id)
		if err == nil {
			err = r.readersCount.QueryRowContext(background, row.id, seq).Scan(&out.DeliveredCount, &out.ReadCount)
		}
		if err == nil {
			out.Read, err = r.users(row.id, seq, seq, limit)
		}
		if err == nil {
			out.Delivered, err = r.users(row.id, seq, 0, limit)
		}
		return err
	})
	return out, err
}

// users are those who have got so far, by name.
func (r *reader) users(id int64, delivered, read room.Seq, limit int) ([]string, error) {
	rows, err := r.readers.QueryContext(background, id, delivered, read, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var users []string
	for rows.Next() {
		var user string
		if err := rows.Scan(&user); err != nil {
			return nil, err
		}
		users = append(users, user)
	}
	return users, rows.Err()
}

// ReceiptVersions is [room.Receipts.ReceiptVersions]. ctx bounds the wait for a connection.
func (s *Store) ReceiptVersions(ctx context.Context, ids []room.ID) ([]room.ReceiptVersion, error) {
	all := make([]room.ReceiptVersion, len(ids))
	err := s.read(ctx, func(r *reader) error {
		for i, id := range ids {
			head, row, err := scanHead(r.head.QueryRowContext(background, string(id)), id)
			if err != nil {
				return err
			}
			all[i].Epoch = head.Epoch
			if all[i].Version, err = scanVersion(r.receiptVersion.QueryRowContext(background, row.id)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

var _ room.Receipts = (*Store)(nil)
