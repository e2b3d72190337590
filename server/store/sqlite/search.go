package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"roomlog/server/room"
)

// Indexed is [room.SearchStore.Indexed].
func (s *Store) Indexed(ctx context.Context, ids []room.ID) (seqs []room.Seq, err error) {
	names, err := json.Marshal(ids)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	err = s.read(ctx, func(r *reader) error {
		return r.each(background, `select coalesce(c.seq, 0) from json_each(?) j left join rooms r on r.name = j.value
			left join search_cursors c on c.room = r.id order by j.key`, []any{string(names)}, func(rows *sql.Rows) error {
			var seq room.Seq
			err := rows.Scan(&seq)
			seqs = append(seqs, seq)
			return err
		})
	})
	return seqs, err
}

// each runs a query and gives its rows.
func (r *reader) each(ctx context.Context, query string, args []any, row func(*sql.Rows) error) error {
	rows, err := r.conn.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Index is [room.SearchStore.Index]. ctx bounds the wait for a turn.
func (s *Store) Index(ctx context.Context, steps []room.IndexStep) (taken []bool, err error) {
	err = s.transact(ctx, "index", func(w *writer) error {
		taken = make([]bool, len(steps))
		for i, step := range steps {
			if taken[i], err = w.index(step); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return taken, nil
}

func (w *writer) index(step room.IndexStep) (taken bool, err error) {
	head, r, err := w.find(step.Room)
	if err != nil || r.id == 0 || head.Epoch != step.Epoch {
		return false, err
	}
	_, err = w.conn.ExecContext(background, `insert into search_cursors (room, seq, floor) values (?, 0, 0) on conflict do nothing`, r.id)
	if err != nil {
		return false, err
	}
	moved, err := affected(w.conn.ExecContext(background, `update search_cursors set seq = ?, floor = ? where room = ? and seq = ?`,
		step.To, head.Floor, r.id, step.From))
	if err != nil || moved == 0 {
		return false, err
	}
	below := head.Floor
	if step.To < step.From {
		below = room.MaxSeq + 1
	}
	if below > 1 {
		if err := w.unindex(`select id from search_docs where room = ? and seq < ?`, r.id, below); err != nil {
			return false, err
		}
	}
	// What a step that is Gone is about was taken out with the data of its messages.
	entries := slices.Clone(step.Entries) // ids rise with seqs
	slices.SortFunc(entries, func(a, b room.IndexEntry) int { return cmp.Compare(a.Seq, b.Seq) })
	for _, e := range entries {
		if err := w.say(r.id, e); err != nil {
			return false, err
		}
	}
	return true, nil
}

// unindex removes the messages that a query names.
func (w *writer) unindex(ids string, args ...any) error {
	_, err := w.conn.ExecContext(background, `delete from search where rowid in (`+ids+`)`, args...)
	if err == nil {
		_, err = w.conn.ExecContext(background, `delete from search_docs where id in (`+ids+`)`, args...)
	}
	return err
}

// indexing are the statements by which words are indexed: there are many in a turn, which appends wait for.
type indexing struct {
	known, doc, words, unsay, undoc *sql.Stmt
}

func (w *writer) prepareSearch(ctx context.Context) error {
	x := &w.indexing
	return errors.Join(
		w.prepare(ctx, `select coalesce((select id from search_docs where room = ?1 and seq = ?2), 0),
			exists (select 1 from events where room = ?1 and seq = ?2 and gone is not null)`, &x.known),
		w.prepare(ctx, `insert into search_docs (room, seq, at) values (?, ?, ?) returning id`, &x.doc),
		w.prepare(ctx, `insert into search (rowid, room, words) values (?, ?, ?)`, &x.words),
		w.prepare(ctx, `delete from search where rowid = ?`, &x.unsay),
		w.prepare(ctx, `delete from search_docs where id = ?`, &x.undoc),
	)
}

// say puts what the index says of one message, unless that has gone since it was read.
func (w *writer) say(id int64, e room.IndexEntry) error {
	x := &w.indexing
	var doc int64
	var gone bool
	err := x.known.QueryRowContext(background, id, e.Seq).Scan(&doc, &gone)
	if err != nil {
		return err
	}
	says := e.Words != nil && !gone && (doc != 0 || !e.At.IsZero())
	if doc != 0 {
		_, err = x.unsay.ExecContext(background, doc)
	}
	switch {
	case err != nil:
	case doc != 0 && !says:
		_, err = x.undoc.ExecContext(background, doc)
	case doc == 0 && says:
		err = x.doc.QueryRowContext(background, id, e.Seq, e.At.UnixMicro()).Scan(&doc)
	}
	if err == nil && says {
		_, err = x.words.ExecContext(background, doc, strconv.FormatInt(id, 10), strings.Join(e.Words, " "))
	}
	return err
}

const searchBehind = `select r.name, r.head > 0 and (c.room is null or c.seq <> r.head or c.floor <> r.floor)
	from (select * from rooms where name > ?3 and name >= ?1 and name < ?2 order by name limit ?4 + 0) r
	left join search_cursors c on c.room = r.id order by r.name`

// IndexBehind is [room.SearchStore.IndexBehind].
func (s *Store) IndexBehind(ctx context.Context, kind string, after room.ID, limit int) (behind []room.ID, next room.ID, err error) {
	prefix := ""
	if kind != "" {
		prefix = kind + ":"
	}
	n := 0
	err = s.read(ctx, func(r *reader) error {
		return r.each(background, searchBehind, []any{prefix, room.PrefixEnd(prefix), string(after), limit}, func(rows *sql.Rows) error {
			n++
			var lacks bool
			err := rows.Scan(&next, &lacks)
			if lacks {
				behind = append(behind, next)
			}
			return err
		})
	})
	if n < limit {
		next = ""
	}
	return behind, next, err
}

// SweepIndex is [room.SearchStore.SweepIndex]. ctx bounds the wait for a turn.
func (s *Store) SweepIndex(ctx context.Context, limit int) (more bool, err error) {
	err = s.transact(ctx, "sweep the index", func(w *writer) error {
		var id int64
		err := w.conn.QueryRowContext(background, `select room from search_cursors where room not in (select id from rooms) order by room limit 1`).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		more = true
		if err := w.unindex(`select id from search_docs where room = ? order by seq limit ? + 0`, id, limit); err != nil {
			return err
		}
		_, err = w.conn.ExecContext(background, `delete from search_cursors where room = ?1 and not exists (select 1 from search_docs where room = ?1)`, id)
		return err
	})
	return more, err
}

// searchWithin bounds one search: there are few readers.
const searchWithin = 2 * time.Second

const (
	// stands holds while the message d is in the log, and not deleted.
	stands = `exists (select 1 from events e where e.room = d.room and e.seq = d.seq and e.gone is null)`

	searchRoom = `select r.name, d.seq from search s join search_docs d on d.id = s.rowid join rooms r on r.id = d.room
		where s.search match ?1 and s.rowid <= ?2
			and ` + stands + ` order by s.rowid desc limit ?3 + 0`

	searchRooms = `select r.name, d.seq from search s join search_docs d on d.id = s.rowid join rooms r on r.id = d.room
		where s.search match ?1 and d.seq >= coalesce((select j.value from json_each(?2) j where j.key = r.name), 0) and ` + stands + ` order by d.at desc, d.room, d.seq desc limit ?3 + 0`
)

// Search is [room.SearchStore.Search].
func (s *Store) Search(ctx context.Context, q room.SearchQuery) (hits []room.Hit, err error) {
	ctx, cancel := context.WithTimeout(ctx, searchWithin)
	defer cancel()
	before, query := q.Before, searchRooms
	if before == 0 {
		before = room.MaxSeq + 1
	}
	if len(q.Rooms) == 1 {
		query = searchRoom
	}
	names, err := json.Marshal(q.Rooms)
	if err != nil || len(q.Rooms) == 0 {
		return nil, err
	}
	floors, err := json.Marshal(floorsOf(q))
	if err != nil {
		return nil, err
	}
	err = s.read(ctx, func(r *reader) error {
		var ids []int64
		var in []string
		err := r.each(background, `select r.id from json_each(?) j join rooms r on r.name = j.value`, []any{string(names)}, func(rows *sql.Rows) error {
			var id int64
			err := rows.Scan(&id)
			ids, in = append(ids, id), append(in, `"`+strconv.FormatInt(id, 10)+`"`)
			return err
		})
		if err != nil || len(in) == 0 {
			return err
		}
		if len(q.Rooms) == 1 { // ids rise with seqs
			err := r.conn.QueryRowContext(background, `select id from search_docs where room = ? and seq < ? order by seq desc limit 1`, ids[0], before).Scan(&before)
			if errors.Is(err, sql.ErrNoRows) {
				return nil
			}
			if err != nil {
				return err
			}
		}
		match := `room : (` + strings.Join(in, " OR ") + `) AND words : (` + matching(q) + `)`
		bound := any(before)
		if len(q.Rooms) != 1 {
			bound = string(floors)
		}
		return r.each(ctx, query, []any{match, bound, q.Limit}, func(rows *sql.Rows) error {
			var h room.Hit
			err := rows.Scan(&h.Room, &h.Seq)
			hits = append(hits, h)
			return err
		})
	})
	return hits, err
}

// floorsOf are the floors of a search by room, of those that have one. Who looks through one room asks no further down.
func floorsOf(q room.SearchQuery) map[room.ID]room.Seq {
	floors := make(map[room.ID]room.Seq)
	for i, floor := range q.Floors {
		if floor > 0 {
			floors[q.Rooms[i]] = floor
		}
	}
	return floors
}

// matching is the words of a query as FTS5 reads them. Words have no quotes.
func matching(q room.SearchQuery) string {
	all := make([]string, len(q.Phrases))
	for i, phrase := range q.Phrases {
		all[i] = `"` + strings.Join(phrase, " ") + `"`
	}
	text := strings.Join(all, " AND ")
	if q.Prefix {
		text += " *"
	}
	return text
}

var _ room.SearchStore = (*Store)(nil)
