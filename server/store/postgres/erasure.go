package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"roomlog/server/room"
)

const erasureColumns = `who, author, job, asked_at, upto, rooms, events, done_at`

func scanErasures(into *[]room.Erasure) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		*into = nil
		for rows.Next() {
			var e room.Erasure
			var job pgtype.UUID
			var done *time.Time
			if err := rows.Scan(&e.User, &e.By, &job, &e.Asked, &e.Upto, &e.Rooms, &e.Events, &done); err != nil {
				return err
			}
			e.Job, e.Asked, e.Done = job.Bytes, e.Asked.UTC(), given(done)
			*into = append(*into, e)
		}
		return nil
	}
}

// BeginErasure is [room.ErasureStore.BeginErasure].
func (s *Store) BeginErasure(ctx context.Context, e room.Erasure) (room.Erasure, error) {
	_, err := s.exec(ctx, "begin an erasure", `insert into roomlog.erasures as x (who, author, job, asked_at) values ($1, $2, $3, $4)
		on conflict (who) do update set author = excluded.author, job = excluded.job, asked_at = excluded.asked_at,
			upto = '', rooms = 0, events = 0, done_at = null where x.done_at is not null`, e.User, e.By, pgtype.UUID{Bytes: e.Job, Valid: true}, e.Asked)
	if err != nil {
		return e, err
	}
	e, _, err = s.FindErasure(ctx, e.User)
	return e, err
}

// FindErasure is [room.ErasureStore.FindErasure].
func (s *Store) FindErasure(ctx context.Context, user string) (room.Erasure, bool, error) {
	return s.erasure(ctx, `select `+erasureColumns+` from roomlog.erasures where who = $1`, user)
}

// NextErasure is [room.ErasureStore.NextErasure].
func (s *Store) NextErasure(ctx context.Context) (room.Erasure, bool, error) {
	return s.erasure(ctx, `select `+erasureColumns+` from roomlog.erasures where done_at is null order by asked_at limit 1`)
}

func (s *Store) erasure(ctx context.Context, sql string, args ...any) (room.Erasure, bool, error) {
	var found []room.Erasure
	if err := s.query(ctx, sql, args, scanErasures(&found)); err != nil || len(found) == 0 {
		return room.Erasure{}, false, err
	}
	return found[0], true, nil
}

// MoveErasure is [room.ErasureStore.MoveErasure].
func (s *Store) MoveErasure(ctx context.Context, e room.Erasure, upto room.ID, rooms int64, done bool) error {
	_, err := s.exec(ctx, "move an erasure", `with moved as (
			update roomlog.erasures set upto = greatest(upto, $3), rooms = rooms + $4,
				done_at = case when $5 then clock_timestamp() end where who = $1 and job = $2 and done_at is null and (upto < $3 or $5) returning who
		) delete from roomlog.seen s using moved m where $5 and s.who = m.who`,
		e.User, pgtype.UUID{Bytes: e.Job, Valid: true}, string(upto), rooms, done)
	return err
}

// EraseIn is [room.ErasureStore.EraseIn]. If ctx ends meanwhile, it may have happened.
func (s *Store) EraseIn(ctx context.Context, e room.Erasure, id room.ID, tag room.Tag, data []byte) (out room.Erased, err error) {
	err = s.transact(ctx, "erase", func(tx pgx.Tx) error {
		var stored *room.Seq
		err := tx.QueryRow(ctx, `select stored, events, more from roomlog.erase_some($1, $2, $3, $4, $5, $6, $7, $8)`,
			string(id), e.User, e.By, pgtype.UUID{Bytes: e.Job, Valid: true}, pgtype.UUID{Bytes: tag, Valid: true}, string(data),
			room.EraseMost, room.EraseLook).Scan(&stored, &out.Events, &out.More)
		if stored != nil {
			out.Stored = *stored
		}
		return err
	})
	return out, err
}

// goneSeq and goneAt are SQL for the seq of the event that removed the data of another, and for when that was. What a part of an erasure
// removed has a number as gone, below 0, under which it is told once the event is stored; until then the seq is 0.
func goneSeq(room, gone string) string {
	return `case when ` + gone + ` < 0 then coalesce((` + erased("seq", room, gone) + `), 0) else ` + gone + ` end`
}

func goneAt(room, gone, at string) string {
	return `case when ` + gone + ` < 0 then coalesce((` + erased("at", room, gone) + `), ` + at + `) else ` + at + ` end`
}

func erased(column, room, gone string) string {
	return `select x.` + column + ` from roomlog.erased x where x.room = ` + room + ` and x.number = -` + gone
}

var _ room.ErasureStore = (*Store)(nil)
