package sqlite

import (
	"context"
	"database/sql"

	"roomlog/server/room"
)

const selectErasure = `select who, author, job, asked_at, upto, rooms, events, done_at from erasures where `

// BeginErasure is [room.ErasureStore.BeginErasure].
func (s *Store) BeginErasure(ctx context.Context, e room.Erasure) (room.Erasure, error) {
	_, err := s.change(ctx, `insert into erasures (who, author, job, asked_at) values (?, ?, ?, ?)
		on conflict do update set author = excluded.author, job = excluded.job, asked_at = excluded.asked_at,
			upto = '', rooms = 0, events = 0, done_at = null where done_at is not null`, e.User, e.By, e.Job[:], e.Asked.UnixMicro())
	if err != nil {
		return e, err
	}
	e, _, err = s.FindErasure(ctx, e.User)
	return e, err
}

// FindErasure is [room.ErasureStore.FindErasure].
func (s *Store) FindErasure(ctx context.Context, user string) (room.Erasure, bool, error) {
	return s.erasure(ctx, selectErasure+`who = ?`, user)
}

// NextErasure is [room.ErasureStore.NextErasure].
func (s *Store) NextErasure(ctx context.Context) (room.Erasure, bool, error) {
	return s.erasure(ctx, selectErasure+`done_at is null order by asked_at limit 1`)
}

func (s *Store) erasure(ctx context.Context, query string, args ...any) (e room.Erasure, found bool, err error) {
	err = s.read(ctx, func(r *reader) error {
		return r.each(background, query, args, func(rows *sql.Rows) error {
			found = true
			var job []byte
			var asked, done sql.NullInt64
			err := rows.Scan(&e.User, &e.By, &job, &asked, &e.Upto, &e.Rooms, &e.Events, &done)
			copy(e.Job[:], job)
			e.Asked, e.Done = fromMicros(asked), fromMicros(done)
			return err
		})
	})
	return e, found, err
}

// MoveErasure is [room.ErasureStore.MoveErasure].
func (s *Store) MoveErasure(ctx context.Context, e room.Erasure, upto room.ID, rooms int64, done bool) error {
	var at sql.NullInt64
	if done {
		at = micros(s.clock())
	}
	return s.transact(ctx, "move an erasure", func(w *writer) error {
		moved, err := affected(w.conn.ExecContext(background, `update erasures set upto = max(upto, ?3), rooms = rooms + ?4, done_at = ?5
			where who = ?1 and job = ?2 and done_at is null and (upto < ?3 or ?5 is not null)`, e.User, e.Job[:], string(upto), rooms, at))
		if err == nil && moved > 0 && done {
			_, err = w.conn.ExecContext(background, `delete from seen where who = ?`, e.User)
		}
		return err
	})
}

var _ room.ErasureStore = (*Store)(nil)
