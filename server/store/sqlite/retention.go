package sqlite

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"roomlog/server/room"
)

// retaining are the writer's statements for events that go.
type retaining struct {
	secret                      []byte
	tag                         *sql.Stmt
	young, doomed               *sql.Stmt
	raise, keepTag, drop        *sql.Stmt
	dropSent, sweepSent         *sql.Stmt
	dropBeside                  []*sql.Stmt // of the events that are pruned
	leftover                    *sql.Stmt
	sweepRows                   []*sql.Stmt // of a deleted room
	sweepCursors, swept, forget *sql.Stmt
}

func (w *writer) prepareRetention(ctx context.Context) error {
	r := &w.retaining
	err := errors.Join(
		w.conn.QueryRowContext(ctx, `select secret from meta`).Scan(&r.secret),
		w.prepare(ctx, `select t.seq, t.mark, t.at, t.sum, t.target, t.gone is not null, coalesce(x.seq, max(t.gone, 0)), t.gone_who, coalesce(x.at, t.gone_at)
			from tags t left join erased x on x.room = t.room and x.number = -t.gone where t.tag = ? and t.room = ? and t.author = ?`, &r.tag),
		w.prepare(ctx, `select seq from events where room = ? and seq >= ? and seq < ? and at >= ? order by seq limit 1`, &r.young),
		w.prepare(ctx, `select e.seq, e.mark, e.at, e.tag, e.author, e.type, e.data, (select sent from rewrites w where w.tag = e.tag and w.room = e.room and w.author = e.author),
			e.target, e.gone, d.who, d.at, d.sum from events e left join redactions d on d.room = e.room and d.seq = e.seq
			where e.room = ? and e.seq >= ? and e.seq < ? and e.at > ?`, &r.doomed),
		w.prepare(ctx, `update rooms set floor = ?2, floor_mark = coalesce((select mark from events where room = ?1 and seq = ?2 - 1), 0) where id = ?1`, &r.raise),
		w.prepare(ctx, `insert into tags (room, seq, mark, at, tag, author, sum, target, gone, gone_who, gone_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, &r.keepTag),
		w.prepare(ctx, `delete from rewrites where (tag, room, author) in
			(select tag, room, author from events where room = ? and seq >= ? and seq < ?)`, &r.dropSent),
		w.prepare(ctx, `delete from events where room = ? and seq >= ? and seq < ?`, &r.drop),
		w.prepare(ctx, `select room from leftovers order by room limit 1`, &r.leftover),
		w.prepare(ctx, `delete from rewrites where (tag, room, author) in
			(select tag, room, author from events where room = ? order by seq limit ? + 0)`, &r.sweepSent),
		w.prepare(ctx, `delete from hook_cursors where hook in (select hook from hooks) and room = ?`, &r.sweepCursors),
		w.prepare(ctx, `delete from leftovers where room = ?`, &r.swept),
		w.prepare(ctx, `delete from tags where (room, seq) in (select room, seq from tags where at < ? order by at limit ? + 0)`, &r.forget),
	)
	r.dropBeside = make([]*sql.Stmt, len(besideEvents))
	for i, table := range besideEvents {
		err = errors.Join(err, w.prepare(ctx, `delete from `+table+` where room = ? and seq >= ? and seq < ?`, &r.dropBeside[i]))
	}
	r.sweepRows = make([]*sql.Stmt, len(ofRooms))
	for i, t := range ofRooms {
		err = errors.Join(err, w.prepare(ctx, fmt.Sprintf(`delete from %[1]s where room = ?1 and (%[2]s) in
			(select %[2]s from %[1]s where room = ?1 order by %[2]s limit ?2 + 0)`, t.table, t.key), &r.sweepRows[i]))
	}
	return err
}

// besideEvents are the tables with rows of an event that go when it does, each by room and seq.
var besideEvents = []string{"edits", "reactions", "redactions", "mentions"}

// ofRooms are the tables with rows of a room, by its id, and what tells them apart: a deleted room is swept out of each. What was sent of
// rewritten events and the cursors of webhooks are beside them.
var ofRooms = []struct{ table, key string }{
	{"events", "seq"}, {"tags", "seq"}, {"edits", "seq"}, {"reactions", "seq, emoji, who"}, {"redactions", "seq"}, {"mentions", "who, seq"}, {"members", "who"},
	{"receipts", "who"}, {"reports", "number"}, {"receipt_versions", "room"}, {"erased", "number"}, {"state", "key"}, {"state_rooms", "room"}, {"log_runs", "last"},
	{"docs", "name"}, {"doc_rooms", "room"},
}

// sum tells whether a repeat is the event that was pruned, by the fingerprint of what was sent. It is keyed, so
// that the sum of a short text cannot be looked up elsewhere.
func (r *retaining) sum(sent room.Fingerprint) []byte {
	h := hmac.New(sha256.New, r.secret)
	h.Write(sent[:])
	return h.Sum(nil)
}

// remembered answers a repeat of an event that was pruned; found is false where the tag is not known.
func (w *writer) remembered(id int64, s *room.Send) (v room.Verdict, found bool, err error) {
	var at int64
	var sum []byte
	var target, goneSeq, goneAt optional
	var gone bool
	var goneBy sql.NullString
	err = w.tag.QueryRowContext(background, s.Tag[:], id, s.Author).Scan(&v.Seq, &v.Mark, &at, &sum, &target, &gone, &goneSeq, &goneBy, &goneAt)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return room.Verdict{}, false, nil
	case err != nil:
		return room.Verdict{}, false, fmt.Errorf("find the tag %s among those of pruned events: %w", s.Tag, err)
	case !hmac.Equal(sum, w.sum(s.AsSent())):
		return room.Verdict{Refused: room.TagConflict()}, true, nil
	}
	v.At, v.Duplicate, v.Target = time.UnixMicro(at).UTC(), true, room.Seq(target)
	if gone {
		v.Gone = &room.Gone{Seq: room.Seq(goneSeq), By: goneBy.String, At: time.UnixMicro(int64(goneAt)).UTC()}
	}
	return v, true, nil
}

// Prune is [room.Pruner.Prune]. ctx bounds the wait for a turn.
func (s *Store) Prune(ctx context.Context, id room.ID, keep room.Retention, tags time.Duration, limit int) (out room.Pruned, err error) {
	err = s.transact(ctx, "prune", func(w *writer) error {
		head, row, err := w.find(id)
		if err != nil || row.id == 0 {
			out.Head = head
			return err
		}
		now := s.clock()
		upto, err := w.upto(head, row.id, keep, now, limit)
		if err == nil && upto > head.Floor {
			upto, err = w.unkept(row.id, upto)
			upto = max(upto, head.Floor)
		}
		if err != nil || upto == head.Floor {
			out.Head = head
			return err
		}
		out.Events = int(upto - head.Floor)
		if err := w.prune(row.id, head.Floor, upto, now.Add(-tags)); err != nil {
			return err
		}
		out.Head, _, err = w.find(id)
		return err
	})
	return out, err
}

// upto is the floor that a room is to have: above the events beyond the number that is kept and, from
// there, those in a row that are too old, at most limit in all.
func (w *writer) upto(h room.Head, id int64, keep room.Retention, now time.Time, limit int) (room.Seq, error) {
	most := min(h.Floor+room.Seq(limit), h.Seq+1)
	upto := h.Floor
	if keep.Events > 0 {
		newest, err := w.newestKept(h, id, keep.Events)
		if err != nil {
			return 0, err
		}
		upto = min(max(upto, newest), most)
	}
	if keep.Age <= 0 {
		return upto, nil
	}
	var young room.Seq
	err := w.young.QueryRowContext(background, id, upto, most, now.Add(-keep.Age).UnixMicro()).Scan(&young)
	if errors.Is(err, sql.ErrNoRows) {
		return most, nil
	}
	return young, err
}

// prune moves a room's floor and removes what is below it; the tags of events stored after since stay.
func (w *writer) prune(id int64, floor, upto room.Seq, since time.Time) error {
	if _, err := w.raise.ExecContext(background, id, upto); err != nil {
		return fmt.Errorf("raise the floor: %w", err)
	}
	rows, err := w.doomed.QueryContext(background, id, floor, upto, since.UnixMicro())
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var seq, mark, at int64
		var tag, data, rewritten, sum []byte
		var author, typ string
		var target, gone, goneBy, goneAt any
		if err := rows.Scan(&seq, &mark, &at, &tag, &author, &typ, &data, &rewritten, &target, &gone, &goneBy, &goneAt, &sum); err != nil {
			return err
		}
		if sum == nil {
			sum = w.sum(sentOf(typ, data, rewritten))
		}
		if _, err := w.keepTag.ExecContext(background, id, seq, mark, at, tag, author, sum, target, gone, goneBy, goneAt); err != nil {
			return fmt.Errorf("keep the tag of %d: %w", seq, err)
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if _, err := w.dropSent.ExecContext(background, id, floor, upto); err != nil {
		return err
	}
	for _, stmt := range w.dropBeside {
		if _, err := stmt.ExecContext(background, id, floor, upto); err != nil {
			return err
		}
	}
	if _, err := w.drop.ExecContext(background, id, floor, upto); err != nil {
		return err
	}
	_, err = w.conn.ExecContext(background, `delete from log_runs where room = ? and last < ?`, id, upto)
	return err
}

// Overdue is [room.Pruner.Overdue]. ctx bounds the wait for a connection.
func (s *Store) Overdue(ctx context.Context, kind string, keep room.Retention, after room.ID, scan int) (ids []room.ID, next room.ID, err error) {
	prefix := kind + ":"
	old := int64(0) // nothing is older
	if keep.Age > 0 {
		old = s.clock().Add(-keep.Age).UnixMicro()
	}
	err = s.read(ctx, func(r *reader) error {
		rows, err := r.overdue.QueryContext(background, prefix, room.PrefixEnd(prefix), string(after), keep.Events, old, scan)
		if err != nil {
			return err
		}
		defer rows.Close()
		looked := 0
		for ; rows.Next(); looked++ {
			var due bool
			if err := rows.Scan(&next, &due); err != nil {
				return err
			}
			if due {
				ids = append(ids, next)
			}
		}
		if looked < scan {
			next = ""
		}
		return rows.Err()
	})
	return ids, next, err
}

const selectOverdue = `select name, ?4 > 0 and head - floor >= ?4
		or exists (select 1 from events where room = rooms.id and seq = rooms.floor and at < ?5)
	from rooms where name >= ?1 and name < ?2 and name > ?3 order by name limit ?6 + 0`

// Sweep is [room.Pruner.Sweep]: the rows of one deleted room, and when there is none, tags. ctx bounds the
// wait for a turn.
func (s *Store) Sweep(ctx context.Context, tags time.Duration, limit int) (out room.Swept, err error) {
	err = s.transact(ctx, "sweep", func(w *writer) error {
		var id int64
		err := w.leftover.QueryRowContext(background).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			out.Rows, err = affected(w.forget.ExecContext(background, s.clock().Add(-tags).UnixMicro(), limit))
			out.More = out.Rows == limit
			return err
		}
		if err != nil {
			return err
		}
		if _, err := w.sweepSent.ExecContext(background, id, limit); err != nil {
			return err
		}
		out.More = true
		for _, stmt := range w.sweepRows {
			n, err := affected(stmt.ExecContext(background, id, limit-out.Rows))
			if err != nil {
				return err
			}
			if out.Rows += n; out.Rows == limit {
				return nil
			}
		}
		if _, err = w.sweepCursors.ExecContext(background, id); err == nil {
			_, err = w.swept.ExecContext(background, id)
		}
		return err
	})
	return out, err
}

func affected(r sql.Result, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	n, err := r.RowsAffected()
	return int(n), err
}

// transact runs a transaction of the writer, in its turn, that is not an append.
func (s *Store) transact(ctx context.Context, step string, f func(*writer) error) error {
	return s.turn(ctx, func(w *writer) error { return w.transact(step, f) })
}

func (w *writer) transact(step string, f func(*writer) error) error {
	if w.failed != nil {
		return unavailable(w.failed)
	}
	if _, err := w.begin.ExecContext(background); err != nil {
		return classify("begin", err)
	}
	if err := f(w); err != nil {
		var told *room.Error
		if !errors.As(err, &told) {
			err = classify(step, err)
		}
		return w.undo(err)
	}
	if _, err := w.commit.ExecContext(background); err != nil {
		return w.torn(err)
	}
	return nil
}

var _ room.Pruner = (*Store)(nil)
