package sqlite

import (
	"context"
	"database/sql"

	"roomlog/server/room"
)

const selectReport = `select x.number, r.name, x.seq, x.who, x.reason, x.at from rooms r join reports x on x.room = r.id where r.name = ?1 and `

const untoldRooms = `select r.name from rooms r where r.name >= ?1 and r.name < ?2 and r.name > ?3
	and exists (select 1 from reports x where x.room = r.id and x.told = 0) order by r.name limit ?4`

func scanReports(rows *sql.Rows, err error) (list []room.Report, _ error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var r room.Report
		var at sql.NullInt64
		if err := rows.Scan(&r.Number, &r.Room, &r.Seq, &r.By, &r.Reason, &at); err != nil {
			return nil, err
		}
		r.At = fromMicros(at)
		list = append(list, r)
	}
	return list, rows.Err()
}

// PutReport is [room.ReportStore.PutReport]. ctx bounds the wait for a turn.
func (s *Store) PutReport(ctx context.Context, r room.Report, most int) (_ room.Report, made bool, err error) {
	err = s.transact(ctx, "report", func(w *writer) error {
		made = false
		_, row, err := w.find(r.Room)
		if err != nil {
			return err
		}
		var there bool
		var open int
		err = w.conn.QueryRowContext(background, `select exists (select 1 from events where room = ?1 and seq = ?2),
			(select count(*) from (select 1 from reports where who = ?3 limit ?4))`, row.id, r.Seq, r.By, most).Scan(&there, &open)
		if err != nil {
			return err
		}
		if !there {
			return room.NoSuchEvent()
		}
		was, err := scanReports(w.conn.QueryContext(background, selectReport+`x.seq = ?2 and x.who = ?3`, string(r.Room), r.Seq, r.By))
		switch {
		case err != nil:
			return err
		case len(was) > 0:
			r = was[0]
			return nil
		case open >= most:
			return room.TooManyReports(most)
		}
		at := s.clock().UnixMicro()
		made, r.At = true, fromMicros(sql.NullInt64{Int64: at, Valid: true})
		return w.conn.QueryRowContext(background, `insert into reports (room, seq, who, reason, at) values (?, ?, ?, ?, ?) returning number`,
			row.id, r.Seq, r.By, r.Reason, at).Scan(&r.Number)
	})
	return r, made && err == nil, err
}

func (s *Store) reports(ctx context.Context, query string, args ...any) (list []room.Report, err error) {
	err = s.read(ctx, func(r *reader) error {
		list, err = scanReports(r.conn.QueryContext(background, query, args...))
		return err
	})
	return list, err
}

// Reports is [room.ReportStore.Reports]. ctx bounds the wait for a connection.
func (s *Store) Reports(ctx context.Context, id room.ID, after int64, limit int) (list []room.Report, more bool, err error) {
	list, err = s.reports(ctx, selectReport+`x.number > ?2 order by x.number limit ?3`, string(id), after, limit+1)
	if len(list) > limit {
		return list[:limit], true, err
	}
	return list, false, err
}

// UntoldReport is [room.ReportStore.UntoldReport]. ctx bounds the wait for a connection.
func (s *Store) UntoldReport(ctx context.Context, id room.ID) (room.Report, bool, error) {
	list, err := s.reports(ctx, selectReport+`x.told = 0 order by x.number limit 1`, string(id))
	if err != nil || len(list) == 0 {
		return room.Report{}, false, err
	}
	return list[0], true, nil
}

// DropReport is [room.ReportStore.DropReport]. ctx bounds the wait for a turn.
func (s *Store) DropReport(ctx context.Context, id room.ID, number int64) (bool, error) {
	rows, err := s.change(ctx, `delete from reports where number = ?2 and room = (select id from rooms where name = ?1)`, string(id), number)
	return rows > 0, err
}

// ReportTold is [room.ReportStore.ReportTold]. ctx bounds the wait for a turn.
func (s *Store) ReportTold(ctx context.Context, number int64) error {
	_, err := s.change(ctx, `update reports set told = 1 where number = ?`, number)
	return err
}

// UntoldRooms is [room.ReportStore.UntoldRooms]. ctx bounds the wait for a connection.
func (s *Store) UntoldRooms(ctx context.Context, kind string, after room.ID, limit int) (ids []room.ID, next room.ID, err error) {
	prefix := kind + ":"
	err = s.read(ctx, func(r *reader) error {
		ids, next = nil, ""
		rows, err := r.conn.QueryContext(background, untoldRooms, prefix, room.PrefixEnd(prefix), string(after), limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id room.ID
			if err := rows.Scan(&id); err != nil {
				return err
			}
			ids = append(ids, id)
		}
		if len(ids) == limit {
			next = ids[limit-1]
		}
		return rows.Err()
	})
	return ids, next, err
}

var _ room.ReportStore = (*Store)(nil)
