package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"roomlog/server/room"
)

// glancing are a reader's statements for overviews.
type glancing struct{ mine, those, lastMessage *sql.Stmt }

// A page of a user's rooms: in the order of their names, or those that are named. Each has its own columns and those of its head.
const (
	overviewColumns = `select r.name, k.role, k.since_seq, k.at, ` + headColumns
	selectMine      = overviewColumns + ` from meta m cross join members k cross join rooms r on r.id = k.room
		where k.who = ?1 and r.name > ?2 order by r.name limit ?3 + 0`
	selectThose = overviewColumns + ` from meta m cross join json_each(?4) j cross join rooms r on r.name = j.value
		join members k on k.room = r.id and k.who = ?1 where r.name > ?2 group by r.name order by r.name limit ?3 + 0`
)

func (r *reader) prepareOverviews(ctx context.Context) error {
	return errors.Join(
		r.prepare(ctx, selectMine, &r.mine),
		r.prepare(ctx, selectThose, &r.those),
		r.prepare(ctx, selectNow+` where e.room = ?1 and e.seq > ?2 and e.seq <= ?3 and e.type = 'message' order by e.seq desc limit 1`, &r.lastMessage),
	)
}

// Overviews is [room.Overviews.Overviews]. ctx bounds the wait for a connection. It is several statements in one read transaction: between
// them and the pages of the file lies no network.
func (s *Store) Overviews(ctx context.Context, q room.OverviewQuery) (list []room.Overview, err error) {
	err = s.read(ctx, func(r *reader) error {
		rooms, err := r.mineOf(q)
		if err != nil {
			return err
		}
		list = make([]room.Overview, len(rooms))
		for i, one := range rooms {
			list[i] = one.overview
			if err := r.glance(&list[i], one.head, one.row); err != nil {
				return fmt.Errorf("overview of %s: %w", one.head.Room, err)
			}
		}
		return nil
	})
	return list, err
}

// glanced is a room of which an overview is made.
type glanced struct {
	overview room.Overview
	head     room.Head
	row      row
}

func (r *reader) mineOf(q room.OverviewQuery) (list []glanced, err error) {
	stmt, args := r.mine, []any{q.User, string(q.After), q.Limit}
	if q.Rooms != nil {
		names, err := json.Marshal(q.Rooms)
		if err != nil {
			return nil, err
		}
		stmt, args = r.those, append(args, string(names))
	}
	rows, err := stmt.QueryContext(background, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var one glanced
		var at int64
		m := &one.overview.Member
		one.head, one.row, err = scanHead(membered{rows, []any{&m.Room, &m.Role, &m.Since, &at}}, "")
		if err != nil {
			return nil, err
		}
		m.User, m.At, one.head.Room = q.User, time.UnixMicro(at).UTC(), m.Room
		list = append(list, one)
	}
	return list, rows.Err()
}

// membered is a row that begins with other columns than those of a head.
type membered struct {
	rows  *sql.Rows
	first []any
}

// Scan reads them and the rest.
func (m membered) Scan(rest ...any) error { return m.rows.Scan(append(m.first, rest...)...) }

// glance fills an overview in.
func (r *reader) glance(o *room.Overview, head room.Head, row row) error {
	o.Epoch, o.Head = head.Epoch, head.Seq
	own, err := r.ownIn(room.Standing{Room: head.Room, User: o.User, Since: o.Since})
	if err != nil {
		return err
	}
	o.Delivered, o.Read = own.Delivered, own.Read
	o.Unread, o.More, o.FirstUnread, o.Mentions = own.Unread, own.More, own.FirstUnread, own.Mentions
	last, err := r.last(head, row.id)
	o.Last = last
	return err
}

// last is the newest message of a room as it is now, if it is among its newest events; nil: it is not.
func (r *reader) last(head room.Head, id int64) (*room.Event, error) {
	rows, err := r.lastMessage.QueryContext(background, id, head.Seq-room.LastWithin, head.Seq)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	if !rows.Next() {
		return nil, rows.Err()
	}
	e, gone, err := newEventRow(true).scan(rows)
	if err == nil {
		err = rows.Close()
	}
	list := []room.Event{e}
	if err == nil && gone {
		err = r.fillGone(id, list)
	}
	return &list[0], err
}

var _ room.Overviews = (*Store)(nil)
