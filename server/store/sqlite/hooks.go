package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"roomlog/server/room"
)

// epochOf is the epoch of a room r beside meta m.
const epochOf = `m.epoch || case when r.generation > 0 then '-' || r.generation else '' end`

// BeginHook is [room.HookStore.BeginHook].
func (s *Store) BeginHook(ctx context.Context, hook, kind string, fromStart bool) error {
	return s.inTurn(ctx, "begin hook", func(w *writer) error {
		if _, err := w.begin.ExecContext(background); err != nil {
			return err
		}
		err := w.beginHook(hook, kind, fromStart)
		if err == nil {
			_, err = w.commit.ExecContext(background)
		}
		if err != nil {
			return w.undo(err)
		}
		return nil
	})
}

func (w *writer) beginHook(hook, kind string, fromStart bool) error {
	res, err := w.conn.ExecContext(background, `insert into hooks (hook, kind) values (?, ?) on conflict do nothing`, hook, kind)
	if err != nil {
		return err
	}
	if known, err := res.RowsAffected(); err != nil || known == 0 || fromStart {
		return err
	}
	_, err = w.conn.ExecContext(background, `insert into hook_cursors (hook, room, epoch, seq, mark)
		select ?1, r.id, `+epochOf+`, r.head, r.head_mark from rooms r, meta m
		where r.name > ?2 || ':' and r.name < ?2 || ';' and r.head > 0 on conflict do nothing`, hook, kind)
	return err
}

// HookCursor is [room.HookStore.HookCursor].
func (s *Store) HookCursor(ctx context.Context, hook string, id room.ID) (p room.Position, err error) {
	err = s.read(ctx, func(r *reader) error {
		err := r.conn.QueryRowContext(background, `select c.epoch, c.seq, c.mark from hook_cursors c
			where c.hook = ? and c.room = (select id from rooms where name = ?)`, hook, string(id)).Scan(&p.Epoch, &p.Seq, &p.Mark)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return p, err
}

// moveHook puts a cursor, where it stands as expected: ?6 says whether that is asked.
const moveHook = `insert into hook_cursors (hook, room, epoch, seq, mark)
	select ?1, r.id, ?3, ?4, ?5 from rooms r where r.name = ?2 and (not ?6 or ?7 = '' and ?8 = 0
		or exists (select 1 from hook_cursors c where c.hook = ?1 and c.room = r.id))
	on conflict (hook, room) do update set epoch = excluded.epoch, seq = excluded.seq, mark = excluded.mark
		where not ?6 or hook_cursors.epoch = ?7 and hook_cursors.seq = ?8 and hook_cursors.mark = ?9`

// MoveHookCursor is [room.HookStore.MoveHookCursor].
func (s *Store) MoveHookCursor(ctx context.Context, hook string, id room.ID, from *room.Position, to room.Position) (moved bool, err error) {
	asked, was := from != nil, room.Position{}
	if asked {
		was = *from
	}
	n, err := s.change(ctx, moveHook, hook, string(id), string(to.Epoch), to.Seq, int64(to.Mark),
		asked, string(was.Epoch), was.Seq, int64(was.Mark))
	return n > 0, err
}

// hooksBehind looks at a stretch of the rooms of a kind; a cursor whose mark is not known is only compared by
// its seq.
const hooksBehind = `select r.name, (r.head > 0 or coalesce(c.seq, 0) > 0) and (c.room is null or c.seq <> r.head
		or c.epoch <> ` + epochOf + ` or c.mark <> 0 and c.mark <> r.head_mark)
	from (select * from rooms where name > max(?3, ?2 || ':') and name < ?2 || ';' order by name limit ?4 + 0) r
	cross join meta m left join hook_cursors c on c.hook = ?1 and c.room = r.id order by r.name`

// HooksBehind is [room.HookStore.HooksBehind].
func (s *Store) HooksBehind(ctx context.Context, hook, kind string, after room.ID, limit int) (behind []room.ID, next room.ID, err error) {
	err = s.read(ctx, func(r *reader) error {
		rows, err := r.conn.QueryContext(background, hooksBehind, hook, kind, string(after), limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		n := 0
		for ; rows.Next(); n++ {
			var lacks bool
			if err := rows.Scan(&next, &lacks); err != nil {
				return err
			}
			if lacks {
				behind = append(behind, next)
			}
		}
		if n < limit {
			next = ""
		}
		return rows.Err()
	})
	return behind, next, err
}

// inTurn runs f with the writer in its turn, on a file that is still the one at its path.
func (s *Store) inTurn(ctx context.Context, step string, f func(*writer) error) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	err = s.alter(ctx, func(w *writer) error {
		if w.failed != nil {
			return unavailable(w.failed)
		}
		if err := s.inPlace(); err != nil {
			return err
		}
		return f(w)
	})
	if err == nil {
		return nil
	}
	var known *room.Error
	if errors.As(err, &known) {
		return err
	}
	if ctx.Err() != nil {
		return unavailable(err)
	}
	return classify(step, err)
}

// remember keeps what the author sent where something else was stored.
func (a *appending) remember(row int64, s *room.Send) error {
	sent := s.AsSent()
	_, err := a.rewritten.ExecContext(background, s.Tag[:], row, s.Author, sent[:])
	return err
}

// resent reports whether a send of other type or data repeats an event all the same: it was rewritten before it
// was stored, and its author sent this.
func (a *appending) resent(row int64, s *room.Send) (bool, error) {
	var typ string
	var data, sent []byte
	err := a.asSent.QueryRowContext(background, s.Tag[:], row, s.Author).Scan(&typ, &data, &sent)
	if err != nil {
		return false, err
	}
	if want := s.AsSent(); sent != nil {
		return string(sent) == string(want[:]), nil
	}
	return room.FingerprintOf(typ, data) == s.AsSent(), nil
}

var _ room.HookStore = (*Store)(nil)
