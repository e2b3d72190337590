package postgres

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"roomlog/server/room"
)

// pokesKept is for how long a poke can be told at least.
const pokesKept = time.Minute

const pokeSQL = `insert into roomlog.pokes (topic) select distinct t.topic from unnest($1::text[]) as t (topic)`

// pokedSQL tells a reader what was not visible to it when it last asked: at place $1, in snapshot $2 (null: it never
// did). One statement has one snapshot, which is the next one to ask from.
//
// The place is where that snapshot means something: transactions have their numbers from one server process
// ($1 of a copy, a restore or a failover has another start), since its last crash (drawn), in one table; and who
// loaded these rows from a dump without making the tables anew bumps the epoch. The reader has missed nothing that
// was removed if what is visible in gone was visible to it, which is exact: snapshots of one line are ordered. Rows
// whose transaction is still to come are of another line.
const pokedSQL = `
with line as materialized (
	select extract(epoch from pg_postmaster_start_time()) || '/' || 'roomlog.poke_line'::regclass::oid || '/' || l.drawn || '/' || m.epoch as place,
		l.gone, $2::text::pg_snapshot as seen, pg_current_snapshot() as now, clock_timestamp() >= l.at + $3::interval as old
	from roomlog.poke_line l cross join roomlog.meta m
), reader as materialized (
	select line.*, coalesce(place = $1 and pg_snapshot_xmax(seen) between pg_snapshot_xmax(gone) and pg_snapshot_xmax(now)
		and not exists (select from pg_snapshot_xip(seen) x where pg_visible_in_snapshot(x, gone)), false) as knows
	from line
)
select place, now::text, old, not knows, array(
	select distinct p.topic from roomlog.pokes p where r.knows and p.xid >= pg_snapshot_xmin(r.seen) and p.xid < pg_snapshot_xmax(r.now)
		and not pg_visible_in_snapshot(p.xid, r.seen))
from reader r`

const (
	drawLineSQL = `insert into roomlog.poke_line default values on conflict do nothing`

	// forgetPokesSQL removes what was visible when next was taken, if that is long enough ago, and takes the next one.
	// Nodes that find out together do it once.
	forgetPokesSQL = `
with old as materialized (
	select case when pg_snapshot_xmax(next) <= pg_snapshot_xmax(pg_current_snapshot()) then next else pg_current_snapshot() end as gone
	from roomlog.poke_line where clock_timestamp() >= at + $1::interval for update skip locked
), removed as (
	delete from roomlog.pokes p using old
	where p.xid < pg_snapshot_xmax(old.gone) and pg_visible_in_snapshot(p.xid, old.gone) or p.xid >= pg_snapshot_xmax(pg_current_snapshot())
)
update roomlog.poke_line l set gone = old.gone, next = pg_current_snapshot(), at = clock_timestamp() from old`
)

// Poke is [room.Pokes.Poke].
func (s *Store) Poke(ctx context.Context, topics []room.Topic) error {
	if len(topics) == 0 {
		return nil
	}
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = string(t)
	}
	_, err := s.exec(ctx, "poke", pokeSQL, names)
	return err
}

// poke tells of a room within a transaction that changed it.
func poke(ctx context.Context, tx pgx.Tx, id room.ID) error {
	_, err := tx.Exec(ctx, pokeSQL, []string{string(room.RoomTopic(id))})
	return err
}

// Poked is [room.Pokes.Poked]. What is old enough is removed on the way.
func (s *Store) Poked(ctx context.Context, since string) (topics []room.Topic, now string, err error) {
	a, err := s.poked(ctx, since)
	if err == nil && a.place == "" {
		if _, err = s.exec(ctx, "draw line", drawLineSQL); err == nil {
			a, err = s.poked(ctx, since)
		}
	}
	if err == nil && a.place == "" {
		err = refusal("read pokes", errShort)
	}
	if err != nil {
		return nil, "", err
	}
	if a.old { // one that fails is made up for by the next
		_, _ = s.exec(ctx, "forget pokes", forgetPokesSQL, s.pokesKept)
	}
	now = a.place + "|" + a.now
	if a.missed && since != "" {
		return nil, now, room.ErrPokesMissed
	}
	return a.topics, now, nil
}

// pokes is the row that pokedSQL gives; without a place there was none.
type pokes struct {
	place, now  string
	old, missed bool
	topics      []room.Topic
}

func (s *Store) poked(ctx context.Context, since string) (a pokes, err error) {
	place, seen, told := strings.Cut(since, "|")
	snapshot := &seen
	if !told {
		snapshot = nil
	}
	err = s.query(ctx, pokedSQL, []any{place, snapshot, s.pokesKept}, func(rows pgx.Rows) error {
		a = pokes{}
		for rows.Next() {
			if err := rows.Scan(&a.place, &a.now, &a.old, &a.missed, &a.topics); err != nil {
				return err
			}
		}
		return nil
	})
	if e := (*pgconn.PgError)(nil); told && errors.As(err, &e) && e.Code == notASnapshot {
		return s.poked(ctx, place) // not one of ours
	}
	return a, err
}

// notASnapshot is the code of a text that is not what its type takes.
const notASnapshot = "22P02"

var _ room.Pokes = (*Store)(nil)
