package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"roomlog/server/room"
)

// mapping are a reader's statements for the maps of rooms, and for pages that pass over other layers than the log.
type mapping struct {
	stateRoom          *sql.Stmt
	runsUp, runsDown   *sql.Stmt
	runsLeft           *sql.Stmt
	stateIn, stateFull *sql.Stmt
	docsIn, everSet    *sql.Stmt
}

func (r *reader) prepareState(ctx context.Context) error {
	m := &r.mapping
	return errors.Join(
		r.prepare(ctx, selectStateRoom, &m.stateRoom),
		r.prepare(ctx, selectStateRuns+`last > ? order by last limit ? + 0`, &m.runsUp),
		// Runs do not overlap: the one that reaches ?2 is the first behind it, where it begins in time.
		r.prepare(ctx, selectStateRuns+`last < coalesce((select last + 1 from log_runs where room = ?1 and last >= ?2 and first <= ?2 order by last limit 1), ?2) order by last desc limit ?3 + 0`, &m.runsDown),
		r.prepare(ctx, `select coalesce(sum(last - max(first, ?2 + 1) + 1), 0) from log_runs where room = ?1 and last > ?2`, &m.runsLeft),
		r.prepare(ctx, `select seq, at, author, value, key from state where room = ? and seq > ? and seq <= ? order by seq, key`, &m.stateIn),
		r.prepare(ctx, `select seq, at, author, value, key from state where room = ? and seq <= ? and value is not null order by seq, key`, &m.stateFull),
		r.prepare(ctx, `select exists (select 1 from events indexed by events_docs where room = ? and type = 'doc' and seq > ? and seq <= ?)`, &m.docsIn),
		r.prepare(ctx, `select exists (select 1 from state where room = ?)`, &m.everSet),
	)
}

// folds reports whether a page passes over other layers than the log.
func folds(q room.Query, s stateRoom) bool {
	return s.has && (q.State != room.StateEvents || q.Present || q.Anchor == room.Before || q.Anchor == room.Around ||
		q.Anchor == room.After && q.Seq < s.swept)
}

// runs are those of a room that reach behind at, or that begin at or before it.
func (r *reader) runs(id int64, s stateRoom, head, at room.Seq, down bool, n int) (runs []room.Run, err error) {
	open := room.Run{First: s.newest + 1, Last: head} // it has no row
	stmt := r.runsUp
	if down {
		stmt = r.runsDown
		if open.First <= min(at, head) {
			runs = append(runs, open)
		}
	}
	rows, err := stmt.QueryContext(background, id, at, n)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var one room.Run
		if err := rows.Scan(&one.First, &one.Last); err != nil {
			return nil, err
		}
		runs = append(runs, one)
	}
	if !down && len(runs) < n && open.Last >= open.First {
		runs = append(runs, open)
	}
	return runs, rows.Err()
}

// folded reads a page that lists the log layer alone.
func (r *reader) folded(q room.Query, head room.Head, id int64, s stateRoom) (room.Page, error) {
	p := room.Page{Head: head}
	w, err := q.Walk(head.Floor, head.Seq, func(at room.Seq, down bool, n int) ([]room.Run, error) {
		return r.runs(id, s, head.Seq, at, down, n)
	})
	if err != nil {
		return p, fmt.Errorf("the runs of %s: %w", q.Room, err)
	}
	p.Prev, p.End = w.Prev, w.End
	if err := r.fillRuns(q, &p, id, w.Runs); err != nil {
		return p, fmt.Errorf("events of %s: %w", q.Room, err)
	}
	if p.PrevMark, err = r.markAt(head, id, p.Prev); err == nil {
		p.EndMark, err = r.markAt(head, id, p.End)
	}
	if err != nil || q.Anchor == room.Before || q.Anchor == room.Around || q.Present {
		return p, err
	}
	p.Full = q.State == room.StateWhole || q.Anchor == room.After && q.Seq != p.Prev || p.Prev < s.pruned
	if p.State, err = r.stateOf(id, p.Prev, p.End, p.Full); err != nil {
		return p, err
	}
	if p.Full && len(p.State) == 0 && s.pruned == 0 { // of a room that has documents alone nothing is said of a map
		if err = r.everSet.QueryRowContext(background, id).Scan(&p.Full); err != nil {
			return p, err
		}
	}
	if err = r.docsIn.QueryRowContext(background, id, p.Prev, p.End).Scan(&p.Docs); err != nil {
		return p, err
	}
	if err = r.runsLeft.QueryRowContext(background, id, p.End).Scan(&p.Left); err == nil && head.Seq > s.newest {
		p.Left += head.Seq - max(p.End, s.newest)
	}
	return p, err
}

// fillRuns reads the events of runs, those first that stay when bytes run short.
func (r *reader) fillRuns(q room.Query, p *room.Page, id int64, runs []room.Run) error {
	part := func(q room.Query, run room.Run, center room.Seq, size *int) (short bool, err error) {
		if q.MaxBytes > 0 {
			q.MaxBytes = max(q.MaxBytes-*size, 1)
		}
		events, err := r.events(q, id, run.First-1, run.Last, center)
		if err != nil {
			return false, err
		}
		if *size > 0 && len(events) == 1 && q.MaxBytes > 0 && len(events[0].Data) > q.MaxBytes { // the one that is always given
			return true, nil
		}
		for i := range events {
			*size += len(events[i].Data)
		}
		if center > run.Last {
			p.Events = append(events, p.Events...)
		} else {
			p.Events = append(p.Events, events...)
		}
		return room.Seq(len(events)) < run.Last-run.First+1, nil
	}
	size, below := 0, runs
	if q.Anchor == room.After || q.Anchor == room.Around {
		at := 0
		for q.Anchor == room.Around && at < len(runs) && runs[at].Last < q.Seq {
			at++
		}
		half := q
		if below = runs[:at]; at > 0 {
			half.MaxBytes /= 2
		}
		for _, run := range runs[at:] {
			short, err := part(half, run, run.First-1, &size)
			if err != nil {
				return err
			}
			if short {
				p.End = p.Events[len(p.Events)-1].Seq
				break
			}
		}
	}
	for _, run := range slices.Backward(below) {
		short, err := part(q, run, run.Last+1, &size)
		if err != nil {
			return err
		}
		if short {
			p.Prev = p.Events[0].Seq - 1
			return nil
		}
	}
	return nil
}

func (r *reader) stateOf(id int64, prev, end room.Seq, full bool) (entries []room.StateEntry, err error) {
	stmt, args := r.stateIn, []any{id, prev, end}
	if full {
		stmt, args = r.stateFull, []any{id, end}
	}
	rows, err := stmt.QueryContext(background, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e room.StateEntry
		if err := scanState(rows, &e, &e.Key); err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, rows.Err()
}

// newestOther is the newest event of the log layer; 0: there is none.
func (r *reader) newestOther(head room.Head, id int64, s stateRoom) (room.Seq, error) {
	if !s.has || head.Seq > s.newest {
		return max(head.Seq, 0), nil
	}
	runs, err := r.runs(id, s, head.Seq, head.Seq, true, 1)
	if err != nil || len(runs) == 0 || runs[0].Last < head.Floor {
		return 0, err
	}
	return runs[0].Last, nil
}
