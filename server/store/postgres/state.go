package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"roomlog/server/room"
)

// stateRoom is how far the runs of a room's log go.
type stateRoom struct {
	id            *int64
	newest, swept *room.Seq // nil: there never was an event of another layer
	other         *room.Seq // the newest event of the log layer
}

// folds reports whether a page passes over other layers than the log.
func (s *stateRoom) folds(q room.Query) bool {
	return s.newest != nil && (q.State != room.StateEvents || q.Present || q.Anchor == room.Before || q.Anchor == room.Around ||
		q.Anchor == room.After && q.Seq < *s.swept)
}

// log is the newest event of the log layer; 0: none.
func (s *stateRoom) log(h room.Head) room.Seq {
	if s.other == nil || *s.other < h.Floor {
		return 0
	}
	return *s.other
}

const (
	stateRoomSQL = `select r.id, s.newest, s.pruned, s.swept, ` + headColumns + `
		from roomlog.meta m left join roomlog.rooms r on r.name = $1 left join roomlog.state_rooms s on s.room = r.id`
	runsUpSQL = `select first, last from roomlog.log_runs where room = $1 and last > $2 order by last limit $3`
	// Runs do not overlap: the one that reaches $2 is the first behind it, where it begins in time.
	runsDownSQL = `select first, last from roomlog.log_runs where room = $1 and last < coalesce((
		select case when x.first <= $2 then x.last + 1 end from roomlog.log_runs x where x.room = $1 and x.last >= $2 order by x.last limit 1), $2)
		order by last desc limit $3`
	runsLeftSQL  = `select coalesce(sum(last - greatest(first, $2 + 1) + 1), 0)::bigint from roomlog.log_runs where room = $1 and last > $2`
	seqMarkSQL   = `select mark from roomlog.events where room = $1 and seq = $2`
	stateInSQL   = `select key, value, seq, author, at from roomlog.state where room = $1 and seq > $2 and seq <= $3 order by seq, key`
	stateFullSQL = `select key, value, seq, author, at from roomlog.state where room = $1 and seq <= $3 and $2 = $2::bigint and value is not null order by seq, key`
	docsInSQL    = `select exists (select from roomlog.events where room = $1 and type = 'doc' and seq > $2 and seq <= $3)`
	everSetSQL   = `select exists (select from roomlog.state where room = $1)`
	sweepStates  = `select r.name from roomlog.rooms r where r.name >= $1 and r.name < $2 and r.name > $3
		and exists (select from roomlog.state_rooms s where s.room = r.id) order by r.name limit $4`
)

// The events of runs, $2 and $3, of the room $1.
var (
	runsSentSQL    = runsSQL(keptSent, sentColumns)
	runsPresentSQL = runsSQL(keptPresent, presentColumns)
)

func runsSQL(kept func(from string) string, columns string) string {
	sql := `with span as materialized (select $1::bigint as id), ` +
		kept(`unnest($2::bigint[], $3::bigint[]) as run (first, last) join roomlog.events e on e.room = $1 and e.seq >= run.first and e.seq <= run.last`) + `
		` + columns + ` from kept order by 1`
	return strings.NewReplacer("$5", "$4", "$6", "$5", "$7", "$6").Replace(sql)
}

// folded reads a page that lists the log layer alone, in one snapshot; has: the room has had other layers.
func (s *Store) folded(ctx context.Context, q room.Query) (p room.Page, has bool, err error) {
	err = s.snapshot(ctx, func(tx pgx.Tx) error {
		p, has, err = fold(ctx, tx, q)
		return err
	})
	return p, has, err
}

// snapshot runs f in a transaction that only reads, in one snapshot. Where the connection was lost while idle it runs once more.
func (s *Store) snapshot(ctx context.Context, f func(pgx.Tx) error) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	select {
	case s.reads <- struct{}{}:
		defer func() { <-s.reads }()
	case <-ctx.Done():
		return refusal("read", ctx.Err())
	}
	once := func() (lost bool, err error) {
		conn, err := s.pool.Acquire(ctx)
		if err != nil {
			return false, err
		}
		defer s.release(ctx, conn)
		err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, f)
		return err != nil && conn.Conn().IsClosed() && ctx.Err() == nil, err
	}
	lost, err := once()
	if lost {
		_, err = once()
	}
	if err != nil {
		return refusal("read", err)
	}
	return nil
}

func fold(ctx context.Context, tx pgx.Tx, q room.Query) (p room.Page, has bool, err error) {
	var id *int64
	var newest, pruned, swept *room.Seq
	h := room.Head{Room: q.Room}
	err = tx.QueryRow(ctx, stateRoomSQL, string(q.Room)).Scan(&id, &newest, &pruned, &swept, &h.Epoch, &h.Floor, &h.FloorMark, &h.Seq, &h.Mark)
	if err != nil || newest == nil {
		return p, false, err
	}
	p = room.Page{Head: h, Layered: true}
	runs := func(at room.Seq, down bool, n int) ([]room.Run, error) {
		return runsOf(ctx, tx, *id, room.Run{First: *newest + 1, Last: h.Seq}, at, down, n)
	}
	w, err := q.Walk(h.Floor, h.Seq, runs)
	if err != nil {
		return p, true, err
	}
	p.Prev, p.End = w.Prev, w.End
	if err := fillRuns(ctx, tx, q, &p, *id, w.Runs); err != nil {
		return p, true, err
	}
	if p.PrevMark, err = markOf(ctx, tx, h, *id, p.Prev); err == nil {
		p.EndMark, err = markOf(ctx, tx, h, *id, p.End)
	}
	if err != nil {
		return p, true, err
	}
	last, err := runs(h.Seq, true, 1)
	if err != nil {
		return p, true, err
	}
	if len(last) > 0 && last[0].Last >= h.Floor {
		p.Log = last[0].Last
	}
	if q.Anchor == room.Before || q.Anchor == room.Around || q.Present {
		return p, true, nil
	}
	p.Full = q.State == room.StateWhole || q.Anchor == room.After && q.Seq != p.Prev || p.Prev < *pruned
	sql := stateInSQL
	if p.Full {
		sql = stateFullSQL
	}
	if p.State, err = entries(ctx, tx, sql, *id, p.Prev, p.End); err != nil {
		return p, true, err
	}
	if p.Full && len(p.State) == 0 && *pruned == 0 { // of a room that has documents alone nothing is said of a map
		if err = tx.QueryRow(ctx, everSetSQL, *id).Scan(&p.Full); err != nil {
			return p, true, err
		}
	}
	if err = tx.QueryRow(ctx, docsInSQL, *id, p.Prev, p.End).Scan(&p.Docs); err != nil {
		return p, true, err
	}
	if err = tx.QueryRow(ctx, runsLeftSQL, *id, p.End).Scan(&p.Left); err == nil && h.Seq > *newest {
		p.Left += h.Seq - max(p.End, *newest)
	}
	return p, true, err
}

func runsOf(ctx context.Context, tx pgx.Tx, id int64, open room.Run, at room.Seq, down bool, n int) (runs []room.Run, err error) {
	sql := runsUpSQL
	if down {
		sql = runsDownSQL
		if open.First <= min(at, open.Last) {
			runs = append(runs, open)
		}
	}
	rows, err := tx.Query(ctx, sql, id, at, n)
	if err != nil {
		return nil, err
	}
	var one room.Run
	_, err = pgx.ForEachRow(rows, []any{&one.First, &one.Last}, func() error {
		runs = append(runs, one)
		return nil
	})
	if !down && len(runs) < n && open.Last >= open.First {
		runs = append(runs, open)
	}
	return runs, err
}

// fillRuns reads the events of runs, as far as the bytes allow, nearest first to where the page is cut last.
func fillRuns(ctx context.Context, tx pgx.Tx, q room.Query, p *room.Page, id int64, runs []room.Run) error {
	if len(runs) == 0 {
		return nil
	}
	size := int64(q.MaxBytes)
	if size == 0 {
		size = math.MaxInt64
	}
	firsts, lasts := make([]room.Seq, len(runs)), make([]room.Seq, len(runs))
	for i, r := range runs {
		firsts[i], lasts[i] = r.First, r.Last
	}
	sql, args, more := runsSentSQL, []any{id, firsts, lasts, center(q), size}, 0
	if q.Present {
		sql, args, more = runsPresentSQL, append(args, q.As), 3
	}
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var r eventRow
	fields := r.fields()[:13+more]
	for rows.Next() {
		r.e.Data = nil // its own for each event
		if err := rows.Scan(fields...); err != nil {
			return err
		}
		if err := r.fill(); err != nil {
			return err
		}
		p.Events = append(p.Events, r.e)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if len(p.Events) == 0 {
		return errShort
	}
	if first := p.Events[0].Seq; first > firsts[0] {
		p.Prev = first - 1
	}
	if last := p.Events[len(p.Events)-1].Seq; last < lasts[len(lasts)-1] {
		p.End = last
	}
	return nil
}

// markOf is the mark of a seq; none of state that was swept.
func markOf(ctx context.Context, tx pgx.Tx, h room.Head, id int64, seq room.Seq) (m room.Mark, err error) {
	switch seq {
	case 0:
		return 0, nil
	case h.Floor - 1:
		return h.FloorMark, nil
	case h.Seq:
		return h.Mark, nil
	}
	err = tx.QueryRow(ctx, seqMarkSQL, id, seq).Scan(&m)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	return m, err
}

func entries(ctx context.Context, tx pgx.Tx, sql string, args ...any) (list []room.StateEntry, err error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	var e room.StateEntry
	_, err = pgx.ForEachRow(rows, []any{&e.Key, &e.Value, &e.Seq, &e.Author, &e.At}, func() error {
		e.At = e.At.UTC()
		list = append(list, e)
		e.Value = nil // its own for each
		return nil
	})
	return list, err
}

// inTheWay reads what judge_state says of the keys that a send may not set.
func inTheWay(text string) []room.StateEntry {
	var list []struct {
		Key, Author string
		Value       *string
		Seq         room.Seq
		At          time.Time
	}
	if json.Unmarshal([]byte(text), &list) != nil {
		return nil
	}
	current := make([]room.StateEntry, len(list))
	for i, e := range list {
		current[i] = room.StateEntry{Key: e.Key, Seq: e.Seq, Author: e.Author, At: e.At.UTC()}
		if e.Value != nil {
			current[i].Value = []byte(*e.Value)
		}
	}
	return current
}

// SweepState is [room.StateKeeper.SweepState].
func (s *Store) SweepState(ctx context.Context, kind string, events, keys time.Duration, after room.ID, limit int) (next room.ID, n int, err error) {
	from, to := "a", "{" // a kind begins with a letter
	if kind != "" {
		from, to = kind+":", room.PrefixEnd(kind+":")
	}
	var names []string
	err = s.query(ctx, sweepStates, []any{from, to, string(after), limit}, func(rows pgx.Rows) error {
		names, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		return "", 0, err
	}
	if len(names) == limit {
		next = room.ID(names[limit-1])
	}
	var old *time.Duration
	if events > 0 {
		old = &events
	}
	last := after
	for _, name := range names {
		var swept int
		err := s.transact(ctx, "sweep state", func(tx pgx.Tx) error {
			return tx.QueryRow(ctx, `select roomlog.sweep_state($1, $2, $3, $4)`, name, old, keys, limit-n).Scan(&swept)
		})
		if n += swept; err != nil || n >= limit {
			return last, n, err // there may be more of this room
		}
		last = room.ID(name)
	}
	return next, n, nil
}

var _ room.StateKeeper = (*Store)(nil)
