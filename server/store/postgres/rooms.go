package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"roomlog/server/room"
)

const recordColumns = headColumns + `, r.created_at, coalesce(r.created_by, '')`

const findSQL = `select ` + recordColumns + ` from roomlog.meta m left join roomlog.rooms r on r.name = $1`

const (
	// As in the function append: what is being made cannot be found locked.
	lockNameSQL    = `select roomlog.lock_made(1919708007, array[roomlog.lock_of_room($1)], true)`
	lockCreatorSQL = `select roomlog.lock_made(1919708008, array[roomlog.lock_of_creator($1, split_part($2, ':', 1))], true)`

	makeRowSQL = `insert into roomlog.rooms (name) values ($1) on conflict do nothing`
	lockRowSQL = `select created_at is not null from roomlog.rooms where name = $1 for update`
	createSQL  = `select cardinality(roomlog.create_rooms(array[$1]::text[], array[$2]::text[], array[false], array[$3]::integer[])) > 0`
	lockIDSQL  = `select id from roomlog.rooms where name = $1 for update`
	deleteSQL  = `select roomlog.delete_room($1)`
)

// inheritSQL gives the next generation of a room the cursors of webhooks, which stand in another epoch: each is
// told of it (rule HOOK-14).
const inheritSQL = `update roomlog.hook_cursors c set room = r.id
	from roomlog.rooms r, (select distinct hook from roomlog.hooks) h
	where r.name = $1 and c.hook = h.hook and c.room = $2`

// listSQL looks at rooms that do not exist, too: they count for the bound.
const listSQL = `select r.name, ` + recordColumns + ` from roomlog.meta m cross join (
	select * from roomlog.rooms x where x.name >= $1 and x.name < $2 and x.name > $3 order by x.name limit $4
) r order by r.name`

// Find is [room.Rooms.Find].
func (s *Store) Find(ctx context.Context, id room.ID) (r room.Record, err error) {
	err = s.query(ctx, findSQL, []any{string(id)}, func(rows pgx.Rows) error {
		if !rows.Next() {
			return errShort
		}
		r = room.Record{Head: room.Head{Room: id}}
		return scanRecord(rows, &r)
	})
	return r, err
}

// find is Find within a transaction.
func find(ctx context.Context, tx pgx.Tx, id room.ID) (room.Record, error) {
	r := room.Record{Head: room.Head{Room: id}}
	return r, scanRecord(tx.QueryRow(ctx, findSQL, string(id)), &r)
}

func scanRecord(row pgx.Row, r *room.Record, before ...any) error {
	var at *time.Time
	err := row.Scan(append(before, &r.Epoch, &r.Floor, &r.FloorMark, &r.Seq, &r.Mark, &at, &r.CreatedBy)...)
	if at != nil {
		r.CreatedAt = at.UTC()
	}
	return err
}

// Create is [room.Rooms.Create]. If ctx ends meanwhile, it may have happened.
func (s *Store) Create(ctx context.Context, id room.ID, by string, limit int) (r room.Record, created bool, err error) {
	err = s.transact(ctx, "create room", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockNameSQL, string(id)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, makeRowSQL, string(id)); err != nil {
			return err
		}
		var exists, refused bool
		if err := tx.QueryRow(ctx, lockRowSQL, string(id)).Scan(&exists); err != nil {
			return err
		}
		if !exists {
			if _, err := tx.Exec(ctx, lockCreatorSQL, by, string(id)); err != nil {
				return err
			}
			if err := tx.QueryRow(ctx, createSQL, string(id), by, limit).Scan(&refused); err != nil {
				return err
			}
			if refused {
				return room.TooManyRooms(limit) // the row goes with the transaction
			}
		}
		created = !exists
		r, err = find(ctx, tx, id)
		return err
	})
	return r, created, err
}

// Delete is [room.Rooms.Delete]. If ctx ends meanwhile, it may have happened.
func (s *Store) Delete(ctx context.Context, id room.ID) (h room.Head, deleted bool, err error) {
	err = s.transact(ctx, "delete room", func(tx pgx.Tx) error {
		var row int64
		err := tx.QueryRow(ctx, lockIDSQL, string(id)).Scan(&row)
		if errors.Is(err, pgx.ErrNoRows) { // whoever makes it meanwhile comes after
			r, err := find(ctx, tx, id)
			h = r.Head
			return err
		}
		if err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, deleteSQL, string(id)).Scan(&deleted); err != nil {
			return err
		}
		if deleted {
			if _, err := tx.Exec(ctx, inheritSQL, string(id), row); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, endReceiptsSQL, row); err != nil {
				return err
			}
			if err := poke(ctx, tx, id); err != nil {
				return err
			}
		}
		r, err := find(ctx, tx, id)
		h = r.Head
		return err
	})
	return h, deleted, err
}

// List is [room.Rooms.List].
func (s *Store) List(ctx context.Context, prefix string, after room.ID, scan int) (list []room.Record, next room.ID, err error) {
	args := []any{prefix, room.PrefixEnd(prefix), string(after), scan}
	err = s.query(ctx, listSQL, args, func(rows pgx.Rows) error {
		list = nil
		looked := 0
		for ; rows.Next(); looked++ {
			var r room.Record
			if err := scanRecord(rows, &r, &next); err != nil {
				return err
			}
			if r.Room = next; r.Exists() {
				list = append(list, r)
			}
		}
		if looked < scan {
			next = ""
		}
		return nil
	})
	return list, next, err
}

var _ room.Rooms = (*Store)(nil)
