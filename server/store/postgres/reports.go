package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"roomlog/server/room"
)

const (
	// lockReporterSQL has the reports of one user be stored one after the other, so that they can be counted.
	lockReporterSQL = `select pg_advisory_xact_lock(1919708009, hashtext($1))`
	// lockReportedSQL keeps the room from being deleted meanwhile.
	lockReportedSQL = `select r.id from roomlog.rooms r where r.name = $1 and exists (select from roomlog.events e where e.room = r.id and e.seq = $2) for share of r`

	openReportsSQL = `select count(*) from (select from roomlog.reports where who = $1 limit $2) x`
	putReportSQL   = `insert into roomlog.reports (room, seq, who, reason) values ($1, $2, $3, $4) returning number, at`
)

const reportColumns = `x.number, r.name, x.seq, x.who, x.reason, x.at`

const (
	findReportSQL = `select ` + reportColumns + ` from roomlog.rooms r join roomlog.reports x on x.room = r.id where r.name = $1 and x.seq = $2 and x.who = $3`
	reportsSQL    = `select ` + reportColumns + ` from roomlog.rooms r join roomlog.reports x on x.room = r.id where r.name = $1 and x.number > $2 order by x.number limit $3`
	untoldSQL     = `select ` + reportColumns + ` from roomlog.rooms r join roomlog.reports x on x.room = r.id where r.name = $1 and not x.told order by x.number limit 1`
	dropReportSQL = `delete from roomlog.reports x using roomlog.rooms r where r.name = $1 and x.room = r.id and x.number = $2`

	untoldRoomsSQL = `select r.name from roomlog.rooms r where r.name >= $1 and r.name < $2 and r.name > $3
		and exists (select from roomlog.reports x where x.room = r.id and not x.told) order by r.name limit $4`

	// sweepReportsSQL removes reports of the room that sweepSQL is at.
	sweepReportsSQL = `
with gone as (
	delete from roomlog.reports where number = any (array(select x.number from roomlog.reports x
		where x.room = (select room from roomlog.leftovers order by room limit 1) order by x.number limit $1)) returning 1
)
select count(*) from gone`
)

func scanReport(row pgx.Row, r *room.Report) error {
	err := row.Scan(&r.Number, &r.Room, &r.Seq, &r.By, &r.Reason, &r.At)
	r.At = r.At.UTC()
	return err
}

// PutReport is [room.ReportStore.PutReport]. If ctx ends meanwhile, it may have happened.
func (s *Store) PutReport(ctx context.Context, r room.Report, most int) (_ room.Report, made bool, err error) {
	err = s.transact(ctx, "report", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockReporterSQL, r.By); err != nil {
			return err
		}
		var id int64
		switch err := tx.QueryRow(ctx, lockReportedSQL, string(r.Room), r.Seq).Scan(&id); {
		case errors.Is(err, pgx.ErrNoRows):
			return room.NoSuchEvent()
		case err != nil:
			return err
		}
		var was room.Report
		switch err := scanReport(tx.QueryRow(ctx, findReportSQL, string(r.Room), r.Seq, r.By), &was); {
		case err == nil:
			r = was
			return nil
		case !errors.Is(err, pgx.ErrNoRows):
			return err
		}
		var open int
		if err := tx.QueryRow(ctx, openReportsSQL, r.By, most).Scan(&open); err != nil {
			return err
		}
		if open >= most {
			return room.TooManyReports(most)
		}
		made = true
		err := tx.QueryRow(ctx, putReportSQL, id, r.Seq, r.By, r.Reason).Scan(&r.Number, &r.At)
		r.At = r.At.UTC()
		return err
	})
	return r, made && err == nil, err
}

func (s *Store) reports(ctx context.Context, sql string, args ...any) (list []room.Report, err error) {
	err = s.query(ctx, sql, args, func(rows pgx.Rows) error {
		list = nil
		for rows.Next() {
			var r room.Report
			if err := scanReport(rows, &r); err != nil {
				return err
			}
			list = append(list, r)
		}
		return nil
	})
	return list, err
}

// Reports is [room.ReportStore.Reports].
func (s *Store) Reports(ctx context.Context, id room.ID, after int64, limit int) (list []room.Report, more bool, err error) {
	list, err = s.reports(ctx, reportsSQL, string(id), after, limit+1)
	if len(list) > limit {
		return list[:limit], true, err
	}
	return list, false, err
}

// UntoldReport is [room.ReportStore.UntoldReport].
func (s *Store) UntoldReport(ctx context.Context, id room.ID) (room.Report, bool, error) {
	list, err := s.reports(ctx, untoldSQL, string(id))
	if err != nil || len(list) == 0 {
		return room.Report{}, false, err
	}
	return list[0], true, nil
}

// DropReport is [room.ReportStore.DropReport].
func (s *Store) DropReport(ctx context.Context, id room.ID, number int64) (bool, error) {
	tag, err := s.exec(ctx, "resolve a report", dropReportSQL, string(id), number)
	return tag.RowsAffected() > 0, err
}

// ReportTold is [room.ReportStore.ReportTold].
func (s *Store) ReportTold(ctx context.Context, number int64) error {
	_, err := s.exec(ctx, "note that a report was told", `update roomlog.reports set told = true where number = $1`, number)
	return err
}

// UntoldRooms is [room.ReportStore.UntoldRooms].
func (s *Store) UntoldRooms(ctx context.Context, kind string, after room.ID, limit int) (ids []room.ID, next room.ID, err error) {
	prefix := kind + ":"
	err = s.query(ctx, untoldRoomsSQL, []any{prefix, room.PrefixEnd(prefix), string(after), limit}, func(rows pgx.Rows) error {
		ids, next = nil, ""
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
		return nil
	})
	return ids, next, err
}

var _ room.ReportStore = (*Store)(nil)
