package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"roomlog/server/room"
)

const (
	selectThrough = `select through from doc_rooms where room = ?`
	selectDocs    = `select name, id, seq, mark, length(state) from docs where room = ? order by name`
	selectDoc     = `select state from docs where room = ? and name = ?`
	selectUpdates = `select seq, mark, data from events indexed by events_docs where room = ? and type = 'doc' and seq > ? and gone is null order by seq limit ? + 0`
	// selectUnkept is the oldest event of a room that its documents need. The index alone has it: an append of another type writes nothing there.
	selectUnkept = `select seq from events indexed by events_docs where room = ?1 and type = 'doc'
		and seq > coalesce((select through from doc_rooms where room = ?1), 0) and gone is null order by seq limit 1`
	// selectIs looks for what tells a document from others: the event that began it or, where that was pruned, what was compacted.
	selectIs = `select exists (select 1 from events where room = ?1 and seq = ?2 and mark = ?3 and type = 'doc')
		or exists (select 1 from docs where room = ?1 and name = ?4 and id = ?5)`
)

// Docs is [room.DocStore.Docs]. ctx bounds the wait for a connection.
func (s *Store) Docs(ctx context.Context, q room.DocQuery) (out room.Docs, err error) {
	err = s.read(ctx, func(r *reader) error {
		out, err = r.docs(q)
		return err
	})
	return out, err
}

func (r *reader) docs(q room.DocQuery) (out room.Docs, err error) {
	head, row, err := scanHead(r.head.QueryRowContext(background, string(q.Room)), q.Room)
	out.Head = head
	if err != nil || row.id == 0 {
		return out, err
	}
	if q.After <= head.Seq {
		if out.Mark, err = r.markAt(head, row.id, q.After); err != nil {
			return out, err
		}
	}
	if out.Through, err = throughOf(r.conn, row.id); err != nil {
		return out, err
	}
	err = r.each(background, selectDocs, []any{row.id}, func(rows *sql.Rows) error {
		var d room.Doc
		err := rows.Scan(&d.Name, &d.ID, &d.Seq, &d.Mark, &d.Stored)
		out.Docs = append(out.Docs, d)
		return err
	})
	for i := range out.Docs {
		if d := &out.Docs[i]; err == nil && slices.Contains(q.Names, d.Name) {
			err = r.conn.QueryRowContext(background, selectDoc, row.id, d.Name).Scan(&d.State)
		}
	}
	if err != nil {
		return out, fmt.Errorf("the documents of %s: %w", q.Room, err)
	}
	size := 0
	err = r.each(background, selectUpdates, []any{row.id, max(out.Through, q.After), q.Limit + 1}, func(rows *sql.Rows) error {
		e := room.Event{Type: room.TypeDoc}
		if err := rows.Scan(&e.Seq, &e.Mark, &e.Data); err != nil || out.More {
			return err
		}
		if size += len(e.Data); len(out.Updates) == q.Limit || q.Bytes > 0 && size > q.Bytes && len(out.Updates) > 0 {
			out.More = true
			return nil
		}
		out.Updates = append(out.Updates, e)
		return nil
	})
	return out, err
}

func throughOf(conn *sql.Conn, id int64) (through room.Seq, err error) {
	err = conn.QueryRowContext(background, selectThrough, id).Scan(&through)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return through, err
}

// KeepDocs is [room.DocStore.KeepDocs]. ctx bounds the wait for a turn.
func (s *Store) KeepDocs(ctx context.Context, id room.ID, epoch room.Epoch, from, to room.Seq, docs []room.Doc) (kept bool, err error) {
	err = s.transact(ctx, "keep documents", func(w *writer) error {
		kept = false
		head, row, err := w.find(id)
		if err != nil || row.id == 0 || head.Epoch != epoch || head.Seq < to {
			return err
		}
		through, err := throughOf(w.conn, row.id)
		if err != nil || through != from && !mutateKeep() { // mutant compact_over
			return err
		}
		for _, d := range docs {
			_, err := w.conn.ExecContext(background, `insert or replace into docs (room, name, id, seq, mark, state) values (?, ?, ?, ?, ?, ?)`,
				row.id, d.Name, d.ID, d.Seq, int64(d.Mark), d.State)
			if err != nil {
				return err
			}
		}
		_, err = w.conn.ExecContext(background, `insert or replace into doc_rooms (room, through) values (?, ?)`, row.id, to)
		kept = err == nil
		return err
	})
	return kept, err
}

// judgeDoc refuses an update whose document the room does not have.
func (w *writer) judgeDoc(id int64, c *room.DocChange) (*room.Error, error) {
	if c.ID == "" {
		return nil, nil
	}
	seq, mark := c.First()
	var is bool
	err := w.isDoc.QueryRowContext(background, id, seq, int64(mark), c.Name, c.ID).Scan(&is)
	if err != nil {
		return nil, fmt.Errorf("look for the document %s: %w", c.ID, err)
	}
	if !is {
		return c.Replaced(), nil
	}
	return nil, nil
}

// unkept is the oldest event that the documents of a room need; upto where that is later, or there is none.
func (w *writer) unkept(id int64, upto room.Seq) (room.Seq, error) {
	var seq room.Seq
	err := w.conn.QueryRowContext(background, selectUnkept, id).Scan(&seq)
	if errors.Is(err, sql.ErrNoRows) {
		return upto, nil
	}
	return min(seq, upto), err
}

var _ room.DocStore = (*Store)(nil)
