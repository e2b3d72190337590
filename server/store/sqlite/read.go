package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"roomlog/server/room"
)

// headColumns are a room's head and row, of r beside the store's meta m; without a room, those of an empty one.
const headColumns = `m.epoch, coalesce(r.generation, 0), coalesce(r.floor, 1), coalesce(r.floor_mark, 0),
	coalesce(r.head, 0), coalesce(r.head_mark, 0), coalesce(r.id, 0), coalesce(r.created_at, 0), coalesce(r.created_by, ''),
	coalesce(r.messages, 0)`

// selectHead joins a room by name to the store's epoch.
const selectHead = `select ` + headColumns + ` from meta m left join rooms r on r.name = ?`

// reader is a connection that reads. Whoever holds it is alone.
type reader struct {
	session
	glancing
	begin, commit                *sql.Stmt
	head, heads, mark            *sql.Stmt
	list, overdue                *sql.Stmt
	sent, now                    events
	gone, reactions              *sql.Stmt
	member, members, memberships *sql.Stmt
	recounting
	mapping
	lastSeen *sql.Stmt
}

// newReader makes a reader. Its cache is a small one: what it reads once, the hub keeps, and the system has the
// file in memory.
func newReader(ctx context.Context, db *sql.DB) (*reader, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	r := &reader{session: session{conn: conn}}
	if _, err := conn.ExecContext(ctx, "pragma query_only = on; pragma cache_size = -4096"); err != nil {
		return r, err
	}
	return r, errors.Join(
		r.prepare(ctx, `begin`, &r.begin),
		r.prepare(ctx, `commit`, &r.commit),
		r.prepare(ctx, selectHead, &r.head),
		r.prepare(ctx, `select `+headColumns+`
			from meta m, json_each(?) j left join rooms r on r.name = j.value order by j.key`, &r.heads),
		r.prepare(ctx, selectList, &r.list),
		r.prepare(ctx, selectOverdue, &r.overdue),
		r.prepare(ctx, `select mark from events where room = ? and seq = ?`, &r.mark),
		r.sent.prepare(ctx, r, selectSent),
		r.now.prepare(ctx, r, selectNow),
		r.prepare(ctx, selectGone, &r.gone),
		r.prepare(ctx, selectReactions, &r.reactions),
		r.prepareMembers(ctx),
		r.prepareReceipts(ctx),
		r.prepareOverviews(ctx),
		r.prepareSeen(ctx),
		r.prepareState(ctx),
	)
}

// read runs f with a reader of its own, in one read transaction: everything f sees is one snapshot.
func (s *Store) read(ctx context.Context, f func(*reader) error) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	if err := ctx.Err(); err != nil {
		return unavailable(err)
	}
	select {
	case r := <-s.readers:
		defer func() { s.readers <- r }()
		if _, err := r.begin.ExecContext(background); err != nil {
			return classify("begin", err)
		}
		err := f(r)
		if _, end := r.commit.ExecContext(background); err == nil {
			err = end
		}
		if err != nil {
			return classify("read", err)
		}
		return nil
	case <-ctx.Done():
		return unavailable(ctx.Err())
	}
}

// Read is [room.Store.Read]. ctx bounds the wait for a connection.
func (s *Store) Read(ctx context.Context, q room.Query) (page room.Page, err error) {
	err = s.read(ctx, func(r *reader) error {
		page, err = r.page(q)
		return err
	})
	return page, err
}

// Heads is [room.Store.Heads]. ctx bounds the wait for a connection.
func (s *Store) Heads(ctx context.Context, ids []room.ID) ([]room.Head, error) {
	heads := make([]room.Head, 0, len(ids))
	err := s.read(ctx, func(r *reader) error {
		if len(ids) == 0 {
			return nil // json_each makes a row of null
		}
		names, err := json.Marshal(ids)
		if err != nil {
			return err
		}
		rows, err := r.heads.QueryContext(background, string(names))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			h, _, err := scanHead(rows, ids[len(heads)])
			if err != nil {
				return err
			}
			heads = append(heads, h)
		}
		return rows.Err()
	})
	return heads, err
}

func (r *reader) page(q room.Query) (room.Page, error) {
	head, row, err := scanHead(r.head.QueryRowContext(background, string(q.Room)), q.Room)
	if err != nil {
		return room.Page{}, fmt.Errorf("head of %s: %w", q.Room, err)
	}
	state, err := scanStateRoom(r.stateRoom.QueryRowContext(background, row.id))
	if err != nil {
		return room.Page{}, fmt.Errorf("the map of %s: %w", q.Room, err)
	}
	if folds(q, state) {
		p, err := r.folded(q, head, row.id, state)
		if err == nil {
			p.Layered = true
			p.Log, err = r.newestOther(head, row.id, state)
		}
		return p, err
	}
	bottom := head.Floor
	if q.Anchor == room.Latest {
		bottom = max(bottom, state.swept+1)
	}
	prev, last, center := q.Span(bottom, head.Seq)
	p := room.Page{Head: head, Prev: prev, Layered: state.has}
	if p.Log, err = r.newestOther(head, row.id, state); err != nil {
		return room.Page{}, err
	}
	if last > prev {
		p.Events, err = r.events(q, row.id, prev, last, center)
		if err != nil {
			return room.Page{}, fmt.Errorf("events of %s: %w", q.Room, err)
		}
		p.Prev = p.Events[0].Seq - 1
	}
	p.PrevMark, err = r.markAt(head, row.id, p.Prev)
	return p, err
}

// events reads (prev, last], nearest to center first, and stops where the bytes run short.
func (r *reader) events(q room.Query, id int64, prev, last, center room.Seq) ([]room.Event, error) {
	in := r.sent
	if q.Present {
		in = r.now
	}
	stmt, args := in.upward, []any{id, prev, last}
	switch {
	case center > last:
		stmt = in.downward
	case center > prev:
		stmt, args = in.around, append(args, center)
	}
	rows, err := stmt.QueryContext(background, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	events := make([]room.Event, 0, last-prev)
	redacted := false
	from := newEventRow(q.Present)
	for size := 0; rows.Next(); {
		e, gone, err := from.scan(rows)
		if err != nil {
			return nil, err
		}
		size += len(e.Data)
		if q.MaxBytes > 0 && size > q.MaxBytes && len(events) > 0 {
			break
		}
		redacted = redacted || gone
		events = append(events, e)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if len(events) == 0 {
		return nil, fmt.Errorf("the log has no event in (%d, %d] although its head says so", prev, last)
	}
	if stmt != in.upward {
		slices.SortFunc(events, func(a, b room.Event) int { return int(a.Seq - b.Seq) })
	}
	if redacted {
		err = r.fillGone(id, events)
	}
	if err == nil && q.Present {
		err = r.fillReactions(id, events, q.As)
	}
	return events, err
}

// markAt is the mark of seq: none before the first event, the room's own where the event is pruned.
func (r *reader) markAt(h room.Head, id int64, seq room.Seq) (m room.Mark, err error) {
	switch seq {
	case 0:
		return 0, nil
	case h.Floor - 1:
		return h.FloorMark, nil
	case h.Seq:
		return h.Mark, nil
	}
	err = r.mark.QueryRowContext(background, id, seq).Scan(&m)
	if errors.Is(err, sql.ErrNoRows) { // of state that was swept
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("mark of %s/%d: %w", h.Room, seq, err)
	}
	return m, nil
}

// scanHead reads a row of headColumns.
func scanHead(from interface{ Scan(...any) error }, name room.ID) (room.Head, row, error) {
	var epoch string
	var generation int64
	var r row
	h := room.Head{Room: name}
	err := from.Scan(&epoch, &generation, &h.Floor, &h.FloorMark, &h.Seq, &h.Mark, &r.id, &r.createdAt, &r.createdBy, &r.messages)
	h.Epoch = room.Epoch(epoch)
	if generation > 0 {
		h.Epoch = room.Epoch(fmt.Sprintf("%s-%d", epoch, generation))
	}
	return h, r, err
}
