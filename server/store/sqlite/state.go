package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"roomlog/server/room"
)

// keeping are the writer's statements for the maps of rooms.
type keeping struct {
	stateRoom, keepRoom            *sql.Stmt
	stateOf, setState              *sql.Stmt
	tooDead, dropDead              *sql.Stmt
	newRun                         *sql.Stmt
	firstState, doomedState        *sql.Stmt
	dropState, sweptTo, deadBefore *sql.Stmt
}

const (
	selectStateRoom = `select newest, keys, bytes, pruned, swept from state_rooms where room = ?`
	selectStateRuns = `select first, last from log_runs where room = ? and `
)

func (w *writer) prepareState(ctx context.Context) error {
	k := &w.keeping
	return errors.Join(
		w.prepare(ctx, selectStateRoom, &k.stateRoom),
		w.prepare(ctx, `insert or replace into state_rooms (newest, keys, bytes, pruned, swept, room) values (?, ?, ?, ?, ?, ?)`, &k.keepRoom),
		w.prepare(ctx, `select seq, at, author, value from state where room = ? and key = ?`, &k.stateOf),
		w.prepare(ctx, `insert or replace into state (room, key, seq, at, author, value) values (?, ?, ?, ?, ?, ?)`, &k.setState),
		w.prepare(ctx, `select seq from state where room = ? and value is null order by seq desc limit 1 offset ? + 0`, &k.tooDead),
		w.prepare(ctx, `delete from state where room = ? and value is null and seq <= ?`, &k.dropDead),
		w.prepare(ctx, `insert into log_runs (room, last, first) values (?, ?, ?)`, &k.newRun),
		// The first event behind ?2 that is in no run: where that lies in one, behind it.
		w.prepare(ctx, `select coalesce((select last from log_runs where room = ?1 and last > ?2 and first <= ?2 + 1 order by last limit 1), ?2) + 1`, &k.firstState),
		w.prepare(ctx, `select seq, tag, author from events where room = ? and seq >= ? and seq <= ? and type = 'state' and at < ? order by seq limit ? + 0`, &k.doomedState),
		w.prepare(ctx, `delete from events where room = ? and seq = ?`, &k.dropState),
		w.prepare(ctx, `update state_rooms set swept = ?2 where room = ?1`, &k.sweptTo),
		w.prepare(ctx, `select coalesce(max(seq), 0) from (select seq, at from state where room = ? and value is null order by seq limit ? + 0) where at < ?`, &k.deadBefore),
	)
}

// stateRoom is what there is of the map of a room beside its keys, and how far the runs of its log go.
type stateRoom struct {
	newest, keys, bytes, pruned, swept int64
	has, changed                       bool
}

func scanStateRoom(from *sql.Row) (s stateRoom, err error) {
	err = from.Scan(&s.newest, &s.keys, &s.bytes, &s.pruned, &s.swept)
	if errors.Is(err, sql.ErrNoRows) {
		return stateRoom{}, nil
	}
	s.has = err == nil
	return s, err
}

func scanState(from interface{ Scan(...any) error }, e *room.StateEntry, more ...any) error {
	var at int64
	err := from.Scan(append([]any{&e.Seq, &at, &e.Author, &e.Value}, more...)...)
	e.At = time.UnixMicro(at).UTC()
	return err
}

// judgeState says why a state event may not be stored (rules STATE-3, STATE-6), and otherwise how much larger it makes the map.
func (a *appending) judgeState(g *growing, set *room.StateSet) (keys, bytes int64, refused *room.Error, err error) {
	if err := a.openState(g); err != nil {
		return 0, 0, nil, err
	}
	var current []room.StateEntry
	for _, c := range set.Changes {
		e := room.StateEntry{Key: c.Key}
		err := scanState(a.stateOf.QueryRowContext(background, g.id, c.Key), &e)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return 0, 0, nil, fmt.Errorf("a key of %s: %w", g.Head.Room, err)
		}
		if set.If && !mutateCompare() && (set.Seq == 0 && e.Value != nil || set.Seq > 0 && e.Seq > set.Seq) {
			current = append(current, e)
		}
		if e.Value != nil {
			keys, bytes = keys-1, bytes-int64(len(c.Key)+len(e.Value))
		}
		if c.Value != nil {
			keys, bytes = keys+1, bytes+int64(len(c.Key)+len(c.Value))
		}
	}
	mostKeys, mostBytes := set.Bounds()
	switch {
	case current != nil:
		refused = room.Conflict(current)
	case keys > 0 && g.state.keys+keys > int64(mostKeys):
		refused = room.TooMuchState("keys", mostKeys)
	case bytes > 0 && g.state.bytes+bytes > int64(mostBytes):
		refused = room.TooMuchState("bytes", mostBytes)
	}
	return keys, bytes, refused, nil
}

// setKeys does to the map what the event at seq says, which was stored just now.
func (a *appending) setKeys(g *growing, s *room.Send, seq room.Seq, keys, bytes int64) error {
	dead := false
	for _, c := range s.State.Changes {
		var value any
		if c.Value != nil {
			value = string(c.Value)
		} else {
			dead = true
		}
		if _, err := a.setState.ExecContext(background, g.id, c.Key, seq, a.at.UnixMicro(), s.Author, value); err != nil {
			return err
		}
	}
	st := g.state
	st.keys, st.bytes = st.keys+keys, st.bytes+bytes
	if !dead {
		return nil
	}
	most, _ := s.State.Bounds()
	var upto room.Seq
	err := a.tooDead.QueryRowContext(background, g.id, most).Scan(&upto)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil {
		st.pruned = upto
		_, err = a.dropDead.ExecContext(background, g.id, upto)
	}
	return err
}

// openState reads what there is of a room's map beside its keys, once per batch.
func (a *appending) openState(g *growing) error {
	if g.state != nil {
		return nil
	}
	s, err := scanStateRoom(a.stateRoom.QueryRowContext(background, g.id))
	if err != nil {
		return fmt.Errorf("the map of %s: %w", g.Head.Room, err)
	}
	g.state = &s
	return nil
}

// passOver takes the event at seq, which was stored just now, out of the runs of the log: pages pass over it.
func (a *appending) passOver(g *growing, seq room.Seq) error {
	if err := a.openState(g); err != nil {
		return err
	}
	st := g.state
	if seq > st.newest+1 {
		if _, err := a.newRun.ExecContext(background, g.id, seq-1, st.newest+1); err != nil {
			return err
		}
	}
	st.newest, st.has, st.changed = seq, true, true
	return nil
}

func (a *appending) keepState(g *growing) error {
	if g.state == nil || !g.state.changed {
		return nil
	}
	s := g.state
	_, err := a.keepRoom.ExecContext(background, s.newest, s.keys, s.bytes, s.pruned, s.swept, g.id)
	return err
}

// eraseState deletes the values of a user, as the erase event at seq says (rule STATE-15).
func (w *writer) eraseState(id int64, user string, seq room.Seq, by string, at time.Time) error {
	_, err := w.conn.ExecContext(background, `update state set value = null, seq = ?, author = ?, at = ? where room = ? and author = ? and value is not null`,
		seq, by, at.UnixMicro(), id, user)
	if err == nil {
		_, err = w.conn.ExecContext(background, `update state_rooms set (keys, bytes) = (
			select count(*), coalesce(sum(length(cast(key as blob)) + length(cast(value as blob))), 0) from state where room = ?1 and value is not null) where room = ?1`, id)
	}
	if err != nil {
		return fmt.Errorf("erase what a map has of a user: %w", err)
	}
	return nil
}

// newestKept is the oldest of the newest n events of a room's log layer (rules STATE-12, DOC-12).
func (w *writer) newestKept(h room.Head, id, n int64) (upto room.Seq, err error) {
	s, err := scanStateRoom(w.stateRoom.QueryRowContext(background, id))
	if err != nil || h.Seq-s.newest >= n {
		return h.Seq - n + 1, err
	}
	err = w.conn.QueryRowContext(background, `select first + total - ?2 from (
			select first, last, sum(last - first + 1) over (order by last desc) as total from log_runs where room = ?1)
		where total >= ?2 order by last desc limit 1`, id, n-(h.Seq-s.newest)).Scan(&upto)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return upto, err
}

// SweepState is [room.StateKeeper.SweepState]. ctx bounds the waits for a connection and a turn.
func (s *Store) SweepState(ctx context.Context, kind string, events, keys time.Duration, after room.ID, limit int) (next room.ID, n int, err error) {
	from, to := kindNames(kind)
	var names []room.ID
	err = s.read(ctx, func(r *reader) error {
		return r.each(background, `select name from rooms where name >= ? and name < ? and name > ? and id in (select room from state_rooms) order by name limit ? + 0`,
			[]any{from, to, string(after), limit}, func(rows *sql.Rows) error {
				names = append(names, "")
				return rows.Scan(&names[len(names)-1])
			})
	})
	if len(names) == limit && err == nil {
		next = names[limit-1]
	}
	last := after
	for _, id := range names {
		var swept int
		if err == nil {
			err = s.transact(ctx, "sweep state", func(w *writer) error {
				swept, err = w.sweepState(id, s.clock(), events, keys, limit-n)
				return err
			})
		}
		if n += swept; err != nil || n >= limit {
			return last, n, err // there may be more of this room
		}
		last = id
	}
	return next, n, err
}

// kindNames are the bounds of the names of a kind's rooms; "": of all.
func kindNames(kind string) (from, to string) {
	if kind == "" {
		return "a", "{" // a kind begins with a letter
	}
	return kind + ":", room.PrefixEnd(kind + ":")
}

func (w *writer) sweepState(id room.ID, now time.Time, events, keys time.Duration, limit int) (n int, err error) {
	_, r, err := w.find(id)
	if err != nil || r.id == 0 {
		return 0, err
	}
	st, err := scanStateRoom(w.stateRoom.QueryRowContext(background, r.id))
	if err != nil || !st.has {
		return 0, err
	}
	var upto room.Seq
	if err := w.deadBefore.QueryRowContext(background, r.id, limit, now.Add(-keys).UnixMicro()).Scan(&upto); err != nil {
		return 0, err
	}
	if upto > 0 {
		if n, err = affected(w.dropDead.ExecContext(background, r.id, upto)); err == nil {
			_, err = w.conn.ExecContext(background, `update state_rooms set pruned = ? where room = ?`, upto, r.id)
		}
	}
	if err != nil || events <= 0 || n >= limit {
		return n, err
	}
	var first room.Seq
	if err := w.firstState.QueryRowContext(background, r.id, st.swept).Scan(&first); err != nil {
		return n, err
	}
	doomed, err := w.oldState(r.id, first, st.newest, now.Add(-events).UnixMicro(), limit-n)
	if err != nil || len(doomed) == 0 {
		return n, err
	}
	for _, c := range doomed {
		_, err = w.dropState.ExecContext(background, r.id, c.seq)
		if err == nil {
			_, err = w.unsent.ExecContext(background, c.tag, r.id, c.author)
		}
		if err == nil {
			_, err = w.conn.ExecContext(background, `delete from redactions where room = ? and seq = ?`, r.id, c.seq)
		}
		if err != nil {
			return n, err
		}
	}
	_, err = w.sweptTo.ExecContext(background, r.id, doomed[len(doomed)-1].seq)
	return n + len(doomed), err
}

func (w *writer) oldState(id int64, first, last room.Seq, before int64, limit int) (doomed []content, err error) {
	rows, err := w.doomedState.QueryContext(background, id, first, last, before, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var c content
		if err := rows.Scan(&c.seq, &c.tag, &c.author); err != nil {
			return nil, err
		}
		doomed = append(doomed, c)
	}
	return doomed, rows.Err()
}

var _ room.StateKeeper = (*Store)(nil)
