package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"roomlog/server/room"
)

const pruneSQL = `select roomlog.prune($1, $2, $3, $4, $5)`

// overdueSQL looks at the oldest event of each room by its key; $2 is the end of the kind's ids. A room
// that is deleted has none.
const overdueSQL = `
select r.name, $4::bigint > 0 and r.head - r.floor >= $4 or $5::interval > interval '0' and exists (
	select from roomlog.events e where e.room = r.id and e.seq = r.floor and e.at < clock_timestamp() - $5::interval)
from roomlog.rooms r where r.name >= $1 and r.name < $2 and r.name > $3 order by r.name limit $6`

// sweepSQL removes the rows of one room that was deleted, and when it has none any more that room. Rows are
// named by where they lie: a join with what a limit chose could be planned as a scan of the table.
const sweepSQL = `
with next as materialized (
	select room from roomlog.leftovers order by room limit 1 for update skip locked
), events as (
	delete from roomlog.events where ctid = any (array(
		select e.ctid from roomlog.events e where e.room = (select room from next) order by e.seq limit $1)) returning room, tag, author
), rewrites as (
	delete from roomlog.rewrites w using events e where w.tag = e.tag and w.room = e.room and w.author = e.author
), tags as (
	delete from roomlog.tags where ctid = any (array(
		select t.ctid from roomlog.tags t where t.room = (select room from next) order by t.seq limit $1)) returning 1
), edits as (
	delete from roomlog.edits where ctid = any (array(
		select x.ctid from roomlog.edits x where x.room = (select room from next) order by x.seq limit $1)) returning 1
), reactions as (
	delete from roomlog.reactions where ctid = any (array(
		select x.ctid from roomlog.reactions x where x.room = (select room from next) order by x.seq limit $1)) returning 1
), redactions as (
	delete from roomlog.redactions where ctid = any (array(
		select x.ctid from roomlog.redactions x where x.room = (select room from next) order by x.seq limit $1)) returning 1
), mentions as (
	delete from roomlog.mentions where ctid = any (array(
		select x.ctid from roomlog.mentions x where x.room = (select room from next) order by x.seq limit $1)) returning 1
), members as (
	delete from roomlog.members where ctid = any (array(
		select x.ctid from roomlog.members x where x.room = (select room from next) order by x.who limit $1)) returning 1
), erased as (
	delete from roomlog.erased where ctid = any (array(
		select x.ctid from roomlog.erased x where x.room = (select room from next) order by x.number limit $1)) returning 1
), state as (
	delete from roomlog.state where ctid = any (array(
		select x.ctid from roomlog.state x where x.room = (select room from next) order by x.key limit $1)) returning 1
), runs as (
	delete from roomlog.log_runs where ctid = any (array(
		select x.ctid from roomlog.log_runs x where x.room = (select room from next) order by x.last limit $1)) returning 1
), state_room as (
	delete from roomlog.state_rooms x where x.room = (select room from next)
), docs as (
	delete from roomlog.docs where ctid = any (array(
		select x.ctid from roomlog.docs x where x.room = (select room from next) order by x.name limit $1)) returning 1
), doc_room as (
	delete from roomlog.doc_rooms x where x.room = (select room from next)
), counted as (
	select array[(select count(*) from events), (select count(*) from tags), (select count(*) from edits), (select count(*) from reactions),
		(select count(*) from redactions), (select count(*) from mentions), (select count(*) from members), (select count(*) from erased),
		(select count(*) from state), (select count(*) from runs), (select count(*) from docs)] as rows
), done as (
	delete from roomlog.leftovers where room = (select room from next) and $1 > all ((select rows from counted)::bigint[]) returning room
), cursors as (
	delete from roomlog.hook_cursors c using (select distinct hook from roomlog.hooks) h, done d where c.hook = h.hook and c.room = d.room
)
select (select sum(n)::bigint from unnest((select rows from counted)) as n), (select count(*) from next)`

const forgetSQL = `
with gone as (
	delete from roomlog.tags where ctid = any (array(
		select t.ctid from roomlog.tags t where t.at < clock_timestamp() - $2::interval order by t.at limit $1)) returning 1
)
select count(*) from gone`

// Prune is [room.Pruner.Prune]. If ctx ends meanwhile, it may have happened.
func (s *Store) Prune(ctx context.Context, id room.ID, keep room.Retention, tags time.Duration, limit int) (room.Pruned, error) {
	out := room.Pruned{}
	err := s.transact(ctx, "prune", func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, pruneSQL, string(id), keep.Age, keep.Events, tags, limit).Scan(&out.Events); err != nil {
			return err
		}
		if out.Events > 0 {
			if err := poke(ctx, tx, id); err != nil {
				return err
			}
		}
		record, err := find(ctx, tx, id)
		out.Head = record.Head
		return err
	})
	return out, err
}

// Overdue is [room.Pruner.Overdue].
func (s *Store) Overdue(ctx context.Context, kind string, keep room.Retention, after room.ID, scan int) (ids []room.ID, next room.ID, err error) {
	prefix := kind + ":"
	args := []any{prefix, room.PrefixEnd(prefix), string(after), keep.Events, keep.Age, scan}
	err = s.query(ctx, overdueSQL, args, func(rows pgx.Rows) error {
		ids = nil
		looked := 0
		for ; rows.Next(); looked++ {
			var due bool
			if err := rows.Scan(&next, &due); err != nil {
				return err
			}
			if due {
				ids = append(ids, next)
			}
		}
		if looked < scan {
			next = ""
		}
		return nil
	})
	return ids, next, err
}

// Sweep is [room.Pruner.Sweep]: the rows of one deleted room, and when there is none, tags.
func (s *Store) Sweep(ctx context.Context, tags time.Duration, limit int) (out room.Swept, err error) {
	err = s.transact(ctx, "sweep", func(tx pgx.Tx) error {
		var left, marks, reports int
		if err := tx.QueryRow(ctx, sweepReceiptsSQL, limit).Scan(&marks); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, sweepReportsSQL, limit).Scan(&reports); err != nil {
			return err
		}
		if out.Rows, out.More = marks+reports, marks == limit || reports == limit; out.More {
			return nil // the room is not done before they are gone
		}
		if err := tx.QueryRow(ctx, sweepSQL, limit).Scan(&out.Rows, &left); err != nil {
			return err
		}
		out.Rows += marks + reports
		if out.More = left > 0; out.More {
			return nil
		}
		err := tx.QueryRow(ctx, forgetSQL, limit, tags).Scan(&out.Rows)
		out.More = out.Rows == limit
		return err
	})
	return out, err
}

// transact runs a transaction that is not an append. One that got no answer may have been carried out; all of
// them may be run again.
func (s *Store) transact(ctx context.Context, step string, f func(pgx.Tx) error) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return refusal(step, err)
	}
	defer s.release(ctx, conn)
	err = pgx.BeginFunc(ctx, conn, f)
	var told *room.Error
	if err == nil || errors.As(err, &told) {
		return err
	}
	return refusal(step, err)
}

var _ room.Pruner = (*Store)(nil)
