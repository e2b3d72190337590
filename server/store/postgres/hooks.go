package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"roomlog/server/room"
)

// epochOf is the epoch of a room r beside meta m.
const epochOf = `m.epoch || case when r.generation > 0 then '-' || r.generation else '' end`

// beginHookSQL puts a hook that was not known at the heads of what there is.
const beginHookSQL = `with known as (
	insert into roomlog.hooks (hook, kind) values ($1, $2) on conflict do nothing returning hook
) insert into roomlog.hook_cursors (hook, room, epoch, seq, mark)
	select k.hook, r.id, ` + epochOf + `, r.head, r.head_mark from known k cross join roomlog.rooms r cross join roomlog.meta m
	where not $3::boolean and r.name > $2 || ':' and r.name < $2 || ';' and r.head > 0
	on conflict do nothing`

// BeginHook is [room.HookStore.BeginHook].
func (s *Store) BeginHook(ctx context.Context, hook, kind string, fromStart bool) error {
	_, err := s.exec(ctx, "begin hook", beginHookSQL, hook, kind, fromStart)
	return err
}

// HookCursor is [room.HookStore.HookCursor].
func (s *Store) HookCursor(ctx context.Context, hook string, id room.ID) (p room.Position, err error) {
	err = s.query(ctx, `select c.epoch, c.seq, c.mark from roomlog.hook_cursors c
		join roomlog.rooms r on r.id = c.room where c.hook = $1 and r.name = $2`, []any{hook, string(id)}, func(rows pgx.Rows) error {
		p = room.Position{}
		for rows.Next() {
			if err := rows.Scan(&p.Epoch, &p.Seq, &p.Mark); err != nil {
				return err
			}
		}
		return nil
	})
	return p, err
}

// moveHookSQL puts a cursor, where it stands as expected: $6 says whether that is asked.
const moveHookSQL = `insert into roomlog.hook_cursors as c (hook, room, epoch, seq, mark)
	select $1, r.id, $3, $4, $5 from roomlog.rooms r where r.name = $2 and (not $6::boolean or $7::text = '' and $8::bigint = 0
		or exists (select from roomlog.hook_cursors o where o.hook = $1 and o.room = r.id))
	on conflict (hook, room) do update set epoch = excluded.epoch, seq = excluded.seq, mark = excluded.mark
		where not $6 or c.epoch = $7 and c.seq = $8 and c.mark = $9::bigint`

// MoveHookCursor is [room.HookStore.MoveHookCursor].
func (s *Store) MoveHookCursor(ctx context.Context, hook string, id room.ID, from *room.Position, to room.Position) (moved bool, err error) {
	asked, was := from != nil, room.Position{}
	if asked {
		was = *from
	}
	tag, err := s.exec(ctx, "move hook", moveHookSQL, hook, string(id), string(to.Epoch), to.Seq, int64(to.Mark),
		asked, string(was.Epoch), was.Seq, int64(was.Mark))
	return tag.RowsAffected() > 0, err
}

// hooksBehindSQL looks at a stretch of the rooms of a kind; a cursor whose mark is not known is only compared
// by its seq.
const hooksBehindSQL = `select r.name, (r.head > 0 or coalesce(c.seq, 0) > 0) and (c.room is null or c.seq <> r.head
		or c.epoch <> ` + epochOf + ` or c.mark <> 0 and c.mark <> r.head_mark)
	from (select * from roomlog.rooms where name > $3 and name > $2 || ':' and name < $2 || ';' order by name limit $4) r
	cross join roomlog.meta m left join roomlog.hook_cursors c on c.hook = $1 and c.room = r.id order by r.name`

// HooksBehind is [room.HookStore.HooksBehind].
func (s *Store) HooksBehind(ctx context.Context, hook, kind string, after room.ID, limit int) (behind []room.ID, next room.ID, err error) {
	err = s.query(ctx, hooksBehindSQL, []any{hook, kind, string(after), limit}, func(rows pgx.Rows) error {
		behind, next = nil, ""
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
		return nil
	})
	return behind, next, err
}

// exec runs a statement that writes little and may be run again.
func (s *Store) exec(ctx context.Context, step, sql string, args ...any) (pgconn.CommandTag, error) {
	leave, err := s.enter()
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	defer leave()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return pgconn.CommandTag{}, refusal(step, err)
	}
	defer s.release(ctx, conn)
	tag, err := conn.Exec(ctx, sql, args...)
	if err != nil {
		return pgconn.CommandTag{}, refusal(step, err)
	}
	return tag, nil
}

var _ room.HookStore = (*Store)(nil)
