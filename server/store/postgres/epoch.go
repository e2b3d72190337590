package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"roomlog/server/room"
)

// recorded is what a database says of itself.
type recorded struct {
	epoch         room.Epoch
	system, place string // empty until a node has looked
	timeline      int32
}

// newEpochSQL draws an epoch as the first migration does.
const newEpochSQL = `update roomlog.meta set epoch = left(replace(gen_random_uuid()::text, '-', ''), 12) returning epoch`

// lostSQL counts the rooms that lack an event which was seen stored in this numbering, or have another in
// its place. A room that was recreated since, an event that was pruned since, is not lost.
const lostSQL = `
with seen as (
	select name, seq, mark, split_part(epoch, '-', 1) as epoch, coalesce(nullif(split_part(epoch, '-', 2), ''), '0')::int as generation
	from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) as s (name, epoch, seq, mark)
)
select count(*) from seen s join roomlog.meta m on m.epoch = s.epoch left join roomlog.rooms r on r.name = s.name
left join roomlog.events e on e.room = r.id and e.seq = s.seq
where r.id is null or r.generation < s.generation or r.generation = s.generation and s.seq >= r.floor - 1
	and coalesce(case when s.seq = r.floor - 1 then r.floor_mark else e.mark end, 0) <> s.mark`

// settle compares a database with what it recorded of itself and with the events that this node knows to
// be stored. A copy, a restore or a failover that lost events gets a new epoch; anything else keeps its own.
// Nodes that find out together take turns, and the first draws the epoch for all.
func (g *ground) settle(ctx context.Context, conn *pgx.Conn, id identity) error {
	var was recorded
	var epoch room.Epoch
	var why string
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) (err error) {
		if was, err = readRecorded(ctx, tx); err != nil {
			return err
		}
		epoch = was.epoch
		lost, err := g.lost(ctx, tx)
		if err != nil {
			return err
		}
		if why = mutateFork(was.forked(id, lost)); why != "" { // mutant epoch_kept
			if err := tx.QueryRow(ctx, newEpochSQL).Scan(&epoch); err != nil {
				return err
			}
		}
		return record(ctx, tx, was, id)
	})
	switch {
	case err != nil:
		return err
	case why != "":
		g.log.Error("the database is not the one it was: every room has a new epoch, and every client starts again with the latest page",
			"reason", why, "old_epoch", was.epoch, "epoch", epoch)
	case was.timeline != 0 && was.timeline != id.timeline:
		g.log.Warn("the database cluster was promoted or recovered to a point in time; nothing that is known to be stored is missing, so the epoch stays. If events were lost, run `roomlog epoch bump`",
			"was_timeline", was.timeline, "timeline", id.timeline, "epoch", epoch)
	}
	return nil
}

func readRecorded(ctx context.Context, tx pgx.Tx) (was recorded, err error) {
	err = tx.QueryRow(ctx, `select epoch, coalesce(system, ''), coalesce(place, ''), coalesce(timeline, 0) from roomlog.meta for update`).
		Scan(&was.epoch, &was.system, &was.place, &was.timeline)
	return was, err
}

// forked says why the database is another than the one that recorded was; empty: it is not. A timeline
// alone says nothing: a failover that lost nothing has a new one, too.
func (was recorded) forked(id identity, lost int) string {
	switch {
	case lost > 0:
		return fmt.Sprintf("%d rooms lack events that this server had stored", lost)
	case was.system != "" && id.system != "" && was.system != id.system:
		return "it was written by another cluster"
	case was.place != "" && was.place != id.place:
		return "it was copied or loaded from a dump"
	}
	return ""
}

// record writes down where the database is, if it has moved.
func record(ctx context.Context, tx pgx.Tx, was recorded, id identity) error {
	system := id.system
	if system == "" { // not known to this user; what another user recorded still holds
		system = was.system
	}
	if was.system == system && was.place == id.place && was.timeline == id.timeline {
		return nil
	}
	_, err := tx.Exec(ctx, `update roomlog.meta set system = nullif($1, ''), place = $2, timeline = $3`, system, id.place, id.timeline)
	return err
}

// lost counts the rooms in which an event is missing that this node knows to be stored.
func (g *ground) lost(ctx context.Context, tx pgx.Tx) (n int, err error) {
	g.seenMu.Lock()
	var names, epochs []string
	var seqs, marks []int64
	for id, p := range g.seen {
		names, epochs = append(names, string(id)), append(epochs, string(p.Epoch))
		seqs, marks = append(seqs, p.Seq), append(marks, int64(p.Mark))
	}
	g.seenMu.Unlock()
	if len(names) == 0 {
		return 0, nil
	}
	err = tx.QueryRow(ctx, lostSQL, names, epochs, seqs, marks).Scan(&n)
	return n, err
}

// BumpEpoch gives the database of dsn a new epoch, for the operator after a restore: every position that
// was given out is reset. Nodes that run go over to it by themselves, within their next head check.
func BumpEpoch(ctx context.Context, dsn string) (before, after room.Epoch, err error) {
	cfg, err := configure(dsn)
	if err != nil {
		return "", "", fmt.Errorf("bump epoch: %w", err)
	}
	conn, err := pgx.ConnectConfig(ctx, cfg.ConnConfig)
	if err != nil {
		return "", "", fmt.Errorf("bump epoch: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, `select epoch from roomlog.meta for update`).Scan(&before); err != nil {
			return err
		}
		return tx.QueryRow(ctx, newEpochSQL).Scan(&after)
	})
	if err != nil {
		return "", "", fmt.Errorf("bump epoch: %w", err)
	}
	return before, after, nil
}
