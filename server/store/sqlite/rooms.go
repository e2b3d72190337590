package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"roomlog/server/room"
)

// creating are the writer's statements for rooms that come and go.
type creating struct {
	makeRow, exist, count   *sql.Stmt
	newRow, leave, discount *sql.Stmt
	inherit                 *sql.Stmt
}

func (w *writer) prepareRooms(ctx context.Context) error {
	c := &w.creating
	return errors.Join(
		w.prepare(ctx, `insert into rooms (name) values (?) returning id`, &c.makeRow),
		w.prepare(ctx, `update rooms set created_at = ?, created_by = ? where id = ?`, &c.exist),
		w.prepare(ctx, `insert into creators (author, kind, rooms) values (?1, ?2, 1)
			on conflict do update set rooms = rooms + 1 where ?3 = 0 or rooms < ?3`, &c.count),
		w.prepare(ctx, `update rooms set id = (select max(id) from rooms) + 1, generation = generation + 1, head = 0, head_mark = 0,
			floor = 1, floor_mark = 0, messages = 0, created_at = 0, created_by = '' where id = ?`, &c.newRow),
		w.prepare(ctx, `insert into leftovers (room) values (?)`, &c.leave),
		// The next generation has the cursors of webhooks, which stand in another epoch: each is told of it (rule HOOK-14).
		w.prepare(ctx, `update hook_cursors set room = (select id from rooms where name = ?)
			where hook in (select hook from hooks) and room = ?`, &c.inherit),
		w.prepare(ctx, `update creators set rooms = rooms - 1 where author = ? and kind = ?`, &c.discount),
	)
}

// find reads a room's row.
func (w *writer) find(id room.ID) (room.Head, row, error) {
	return scanHead(w.room.QueryRowContext(background, string(id)), id)
}

// create makes a room exist that does not, and gives its row's id; created is false where by has created as
// many as limit allows (0: any number).
func (w *writer) create(id room.ID, r row, by string, limit int, at time.Time) (_ row, created bool, err error) {
	counted, err := affected(w.count.ExecContext(background, by, id.Kind(), limit))
	if err != nil || counted == 0 {
		return r, false, err
	}
	if r.id == 0 {
		if err := w.makeRow.QueryRowContext(background, string(id)).Scan(&r.id); err != nil {
			return r, false, err
		}
	}
	r.createdAt, r.createdBy = at.UnixMicro(), by
	_, err = w.exist.ExecContext(background, r.createdAt, by, r.id)
	return r, err == nil, err
}

// Find is [room.Rooms.Find]. ctx bounds the wait for a connection.
func (s *Store) Find(ctx context.Context, id room.ID) (found room.Record, err error) {
	err = s.read(ctx, func(r *reader) error {
		head, row, err := scanHead(r.head.QueryRowContext(background, string(id)), id)
		found = row.record(head)
		return err
	})
	return found, err
}

// Create is [room.Rooms.Create]. ctx bounds the wait for a turn.
func (s *Store) Create(ctx context.Context, id room.ID, by string, limit int) (r room.Record, created bool, err error) {
	err = s.transact(ctx, "create room", func(w *writer) error {
		head, row, err := w.find(id)
		if err == nil && row.createdAt == 0 {
			row, created, err = w.create(id, row, by, limit, s.clock())
			if err == nil && !created {
				err = room.TooManyRooms(limit)
			}
		}
		r = row.record(head)
		return err
	})
	return r, created, err
}

// Delete is [room.Rooms.Delete]. ctx bounds the wait for a turn.
func (s *Store) Delete(ctx context.Context, id room.ID) (h room.Head, deleted bool, err error) {
	err = s.turn(ctx, func(w *writer) error {
		var was room.Head
		err := w.transact("delete room", func(w *writer) error {
			var r row
			if was, r, err = w.find(id); err != nil || r.createdAt == 0 {
				h = was
				return err
			}
			if err = w.delete(id, r); err != nil {
				return err
			}
			deleted = true
			h, _, err = w.find(id)
			return err
		})
		if err == nil && deleted {
			s.shrunk(was.Seq)
		}
		return err
	})
	return h, deleted, err
}

func (w *writer) delete(id room.ID, r row) error {
	_, err := w.leave.ExecContext(background, r.id)
	if err == nil {
		_, err = w.newRow.ExecContext(background, r.id)
	}
	if err == nil {
		_, err = w.inherit.ExecContext(background, string(id), r.id)
	}
	if err == nil {
		_, err = w.discount.ExecContext(background, r.createdBy, id.Kind())
	}
	return err
}

// List is [room.Rooms.List]. ctx bounds the wait for a connection.
func (s *Store) List(ctx context.Context, prefix string, after room.ID, scan int) (list []room.Record, next room.ID, err error) {
	err = s.read(ctx, func(r *reader) error {
		rows, err := r.list.QueryContext(background, prefix, room.PrefixEnd(prefix), string(after), scan)
		if err != nil {
			return err
		}
		defer rows.Close()
		looked := 0
		for ; rows.Next(); looked++ {
			head, row, err := scanHead(named{rows, &next}, "")
			if err != nil {
				return err
			}
			if head.Room = next; row.createdAt != 0 {
				list = append(list, row.record(head))
			}
		}
		if looked < scan {
			next = ""
		}
		return rows.Err()
	})
	return list, next, err
}

// selectList looks at rooms that do not exist, too: they count for the bound.
const selectList = `select r.name, ` + headColumns + ` from meta m, rooms r
	where r.name >= ?1 and r.name < ?2 and r.name > ?3 order by r.name limit ?4 + 0`

// named is a row that begins with its room's id.
type named struct {
	rows *sql.Rows
	id   *room.ID
}

// Scan reads the id and the rest.
func (n named) Scan(rest ...any) error { return n.rows.Scan(append([]any{n.id}, rest...)...) }

// row is what there is of a room besides its head.
type row struct {
	id        int64 // 0: there is none
	createdAt int64 // microseconds; 0: the room does not exist
	createdBy string
	messages  int64 // how many the room had up to its head
}

func (r row) record(h room.Head) room.Record {
	out := room.Record{Head: h, CreatedBy: r.createdBy}
	if r.createdAt != 0 {
		out.CreatedAt = time.UnixMicro(r.createdAt).UTC()
	}
	return out
}

var _ room.Rooms = (*Store)(nil)
