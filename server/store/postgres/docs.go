package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"roomlog/server/room"
)

const (
	docRoomSQL = `select r.id, coalesce(d.through, 0), ` + headColumns + `
		from roomlog.meta m left join roomlog.rooms r on r.name = $1 left join roomlog.doc_rooms d on d.room = r.id`
	docsSQL    = `select name, id, seq, mark, octet_length(state), case when name = any ($2::text[]) then state end from roomlog.docs where room = $1 order by name`
	updatesSQL = `select seq, mark, data from roomlog.events where room = $1 and type = 'doc' and seq > $2 and gone is null order by seq limit $3`

	lockRoomSQL = `select r.id, ` + headColumns + ` from roomlog.meta m cross join roomlog.rooms r where r.name = $1 for update of r`
	throughSQL  = `select through from roomlog.doc_rooms where room = $1`
	keepDocSQL  = `insert into roomlog.docs (room, name, id, seq, mark, state) values ($1, $2, $3, $4, $5, $6)
		on conflict (room, name) do update set id = excluded.id, seq = excluded.seq, mark = excluded.mark, state = excluded.state`
	keepThroughSQL = `insert into roomlog.doc_rooms (room, through) values ($1, $2) on conflict (room) do update set through = excluded.through`
)

// Docs is [room.DocStore.Docs].
func (s *Store) Docs(ctx context.Context, q room.DocQuery) (out room.Docs, err error) {
	err = s.snapshot(ctx, func(tx pgx.Tx) error {
		out, err = docsOf(ctx, tx, q)
		return err
	})
	return out, err
}

func docsOf(ctx context.Context, tx pgx.Tx, q room.DocQuery) (out room.Docs, err error) {
	var id *int64
	h := &out.Head
	h.Room = q.Room
	err = tx.QueryRow(ctx, docRoomSQL, string(q.Room)).Scan(&id, &out.Through, &h.Epoch, &h.Floor, &h.FloorMark, &h.Seq, &h.Mark)
	if err != nil || id == nil {
		return out, err
	}
	if q.After <= h.Seq {
		if out.Mark, err = markOf(ctx, tx, *h, *id, q.After); err != nil {
			return out, err
		}
	}
	rows, err := tx.Query(ctx, docsSQL, *id, q.Names)
	if err != nil {
		return out, err
	}
	out.Docs, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (d room.Doc, err error) {
		return d, row.Scan(&d.Name, &d.ID, &d.Seq, &d.Mark, &d.Stored, &d.State)
	})
	if err != nil {
		return out, err
	}
	if rows, err = tx.Query(ctx, updatesSQL, *id, max(out.Through, q.After), q.Limit+1); err != nil {
		return out, err
	}
	defer rows.Close()
	for size := 0; rows.Next(); {
		e := room.Event{Type: room.TypeDoc}
		if err := rows.Scan(&e.Seq, &e.Mark, &e.Data); err != nil {
			return out, err
		}
		if size += len(e.Data); len(out.Updates) == q.Limit || q.Bytes > 0 && size > q.Bytes && len(out.Updates) > 0 {
			out.More = true
			return out, nil
		}
		out.Updates = append(out.Updates, e)
	}
	return out, rows.Err()
}

// KeepDocs is [room.DocStore.KeepDocs]. If ctx ends meanwhile, it may have happened.
func (s *Store) KeepDocs(ctx context.Context, id room.ID, epoch room.Epoch, from, to room.Seq, docs []room.Doc) (kept bool, err error) {
	err = s.transact(ctx, "keep documents", func(tx pgx.Tx) error {
		kept = false
		var number int64
		var h room.Head
		err := tx.QueryRow(ctx, lockRoomSQL, string(id)).Scan(&number, &h.Epoch, &h.Floor, &h.FloorMark, &h.Seq, &h.Mark)
		if errors.Is(err, pgx.ErrNoRows) || err == nil && (h.Epoch != epoch || h.Seq < to) {
			return nil
		}
		if err != nil {
			return err
		}
		var through room.Seq
		if err := tx.QueryRow(ctx, throughSQL, number).Scan(&through); err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if through != from {
			return nil
		}
		for _, d := range docs {
			if _, err := tx.Exec(ctx, keepDocSQL, number, d.Name, d.ID, d.Seq, d.Mark, d.State); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, keepThroughSQL, number, to)
		kept = err == nil
		return err
	})
	return kept, err
}

var _ room.DocStore = (*Store)(nil)
