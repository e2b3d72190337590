package postgres

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"roomlog/server/room"
)

// Indexed is [room.SearchStore.Indexed].
func (s *Store) Indexed(ctx context.Context, ids []room.ID) (seqs []room.Seq, err error) {
	err = s.query(ctx, `select coalesce(c.seq, 0) from unnest($1::text[]) with ordinality as j (name, n)
		left join roomlog.rooms r on r.name = j.name left join roomlog.search_cursors c on c.room = r.id order by j.n`,
		[]any{namesOf(ids)}, func(rows pgx.Rows) error {
			seqs = make([]room.Seq, 0, len(ids))
			for rows.Next() {
				var seq room.Seq
				if err := rows.Scan(&seq); err != nil {
					return err
				}
				seqs = append(seqs, seq)
			}
			return nil
		})
	return seqs, err
}

func namesOf(ids []room.ID) []string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = string(id)
	}
	return names
}

const (
	makeSearchCursorsSQL = `insert into roomlog.search_cursors (room, seq, floor)
		select r.id, 0, 0 from roomlog.rooms r where r.name = any($1::text[]) order by r.id on conflict do nothing`

	// moveSearchCursorsSQL moves those that stand where they are said to, and gives the ids of their rooms. They are locked in one
	// order, whoever else moves some of them.
	moveSearchCursorsSQL = `
with step as materialized (
	select r.id, j.n, j.seq, r.floor from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) with ordinality as j (name, epoch, was, seq, n)
	join roomlog.rooms r on r.name = j.name cross join roomlog.meta m
	join roomlog.search_cursors c on c.room = r.id
	where c.seq = j.was and j.epoch = ` + epochOf + ` order by r.id for update of c
)
update roomlog.search_cursors c set seq = step.seq, floor = step.floor from step where c.room = step.id returning step.n, c.room`

	// pruneSearchSQL removes what was pruned; of a room whose index begins again, all.
	pruneSearchSQL = `delete from roomlog.search s using unnest($1::bigint[], $2::boolean[]) as j (room, whole)
		join roomlog.search_cursors c on c.room = j.room where s.room = j.room and (j.whole or s.seq < c.floor)`

	// putSearchSQL puts messages; $4 is null for words that replace others.
	putSearchSQL = `
with entry as materialized (
	select j.room, j.seq, j.at, (j.words || ''':' || j.room || '''')::tsvector as words
	from unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::text[]) as j (room, seq, at, words)
), put as (
	insert into roomlog.search (room, seq, at, words) select * from entry where at is not null
	on conflict (room, seq) do update set at = excluded.at, words = excluded.words
)
update roomlog.search s set words = entry.words from entry where entry.at is null and s.room = entry.room and s.seq = entry.seq`

	// dropGoneSQL removes what was deleted.
	dropGoneSQL = `delete from roomlog.search s using roomlog.events e where s.room = any($1::bigint[]) and e.room = s.room and e.seq = s.seq and e.gone is not null`

	dropSearchSQL = `delete from roomlog.search s using unnest($1::bigint[], $2::bigint[]) as j (room, seq) where s.room = j.room and s.seq = j.seq`
)

// searchBatch is what steps that were taken write.
type searchBatch struct {
	ids, erased, wordRooms, wordSeqs, dropRooms, dropSeqs []int64
	whole                                                 []bool
	ats                                                   []*time.Time
	words                                                 []string
}

func (b *searchBatch) add(id int64, step room.IndexStep) {
	b.ids, b.whole = append(b.ids, id), append(b.whole, step.To < step.From)
	if step.Gone {
		b.erased = append(b.erased, id)
	}
	for _, e := range step.Entries {
		if e.Words == nil {
			b.dropRooms, b.dropSeqs = append(b.dropRooms, id), append(b.dropSeqs, e.Seq)
			continue
		}
		b.wordRooms, b.wordSeqs = append(b.wordRooms, id), append(b.wordSeqs, e.Seq)
		b.ats, b.words = append(b.ats, kept(e.At)), append(b.words, lexemes(e.Words))
	}
}

// maxPlace is the last place of a word that a tsvector tells from others.
const maxPlace = 16383

// lexemes are words as a tsvector is written, but for that of the room. Words have neither quotes nor backslashes.
func lexemes(words []string) string {
	var b strings.Builder
	for i, w := range words {
		b.WriteByte('\'')
		b.WriteString(w)
		b.WriteString("':")
		b.WriteString(strconv.Itoa(min(i+1, maxPlace)))
		b.WriteByte(' ')
	}
	return b.String()
}

// Index is [room.SearchStore.Index].
func (s *Store) Index(ctx context.Context, steps []room.IndexStep) (taken []bool, err error) {
	names, epochs := make([]string, len(steps)), make([]string, len(steps))
	was, to := make([]int64, len(steps)), make([]int64, len(steps))
	for i, step := range steps {
		names[i], epochs[i], was[i], to[i] = string(step.Room), string(step.Epoch), step.From, step.To
	}
	err = s.transact(ctx, "index", func(tx pgx.Tx) error {
		taken = make([]bool, len(steps))
		if _, err := tx.Exec(ctx, makeSearchCursorsSQL, names); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, moveSearchCursorsSQL, names, epochs, was, to)
		if err != nil {
			return err
		}
		var b searchBatch
		var n, id int64
		if _, err := pgx.ForEachRow(rows, []any{&n, &id}, func() error {
			taken[n-1] = true
			b.add(id, steps[n-1])
			return nil
		}); err != nil {
			return err
		}
		var q pgx.Batch
		q.Queue(pruneSearchSQL, b.ids, b.whole)
		if len(b.words) > 0 {
			q.Queue(putSearchSQL, b.wordRooms, b.wordSeqs, b.ats, b.words)
		}
		if len(b.dropSeqs) > 0 {
			q.Queue(dropSearchSQL, b.dropRooms, b.dropSeqs)
		}
		if len(b.erased) > 0 {
			q.Queue(dropGoneSQL, b.erased)
		}
		return tx.SendBatch(ctx, &q).Close()
	})
	if err != nil {
		return nil, err
	}
	return taken, nil
}

const searchBehindSQL = `
select r.name, r.head > 0 and (c.room is null or c.seq <> r.head or c.floor <> r.floor)
from (select * from roomlog.rooms where name > $3 and name >= $1 and name < $2 order by name limit $4) r
left join roomlog.search_cursors c on c.room = r.id order by r.name`

// IndexBehind is [room.SearchStore.IndexBehind].
func (s *Store) IndexBehind(ctx context.Context, kind string, after room.ID, limit int) (behind []room.ID, next room.ID, err error) {
	prefix := ""
	if kind != "" {
		prefix = kind + ":"
	}
	err = s.query(ctx, searchBehindSQL, []any{prefix, room.PrefixEnd(prefix), string(after), limit}, func(rows pgx.Rows) error {
		behind, next = nil, ""
		n := 0
		for ; rows.Next(); n++ {
			var lacks bool
			if err := rows.Scan(&next, &lacks); err != nil {
				return err
			}
			if lacks {
				behind = append(behind, next)
			}
		}
		if n < limit {
			next = ""
		}
		return nil
	})
	return behind, next, err
}

// sweepSearchSQL removes what one room left that is no more, and its cursor when nothing is left.
const sweepSearchSQL = `
with next as materialized (
	select c.room from roomlog.search_cursors c where not exists (select from roomlog.rooms r where r.id = c.room) order by c.room limit 1
), gone as (
	delete from roomlog.search where ctid = any (array(
		select s.ctid from roomlog.search s where s.room = (select room from next) order by s.seq limit $1)) returning 1
), done as (
	delete from roomlog.search_cursors where room = (select room from next) and (select count(*) from gone) < $1
)
select count(*) from next`

// SweepIndex is [room.SearchStore.SweepIndex].
func (s *Store) SweepIndex(ctx context.Context, limit int) (more bool, err error) {
	err = s.transact(ctx, "sweep the index", func(tx pgx.Tx) error {
		var rooms int
		err := tx.QueryRow(ctx, sweepSearchSQL, limit).Scan(&rooms)
		more = rooms > 0
		return err
	})
	return more, err
}

const (
	// searchLookSQL looks through the newest messages of a room, $3 of them: words that are common are found there, and the
	// index would name all that ever were.
	searchLookSQL = `
with looked as materialized (
	select s.room, s.seq, s.words from roomlog.search s where s.room = (select id from roomlog.rooms where name = $1) and s.seq < $2
	order by s.seq desc limit $3
)
select l.seq, (select count(*) from looked) from (select 1) one left join lateral (
	select k.seq from looked k where k.words @@ $4::tsquery and exists (` + standsSQL + `) order by k.seq desc limit $5) l on true
order by 1 desc`

	// searchRoomSQL finds within a room by its word, so that the index alone answers.
	searchRoomSQL = `
select k.seq from roomlog.search k where k.seq < $2
	and k.words @@ ((select ''':' || id || '''' from roomlog.rooms where name = $1)::tsquery && $3::tsquery) and exists (` + standsSQL + `)
order by k.seq desc limit $4`

	searchRoomsSQL = `
select r.name, k.seq from roomlog.search k join roomlog.rooms r on r.id = k.room
join unnest($1::text[], $4::bigint[]) as f (name, floor) on f.name = r.name
where k.words @@ ((select string_agg(''':' || id || '''', ' | ') from roomlog.rooms where name = any($1::text[]))::tsquery && $2::tsquery)
	and k.seq >= coalesce(f.floor, 0) and exists (` + standsSQL + `)
order by k.at desc, k.room, k.seq desc limit $3`

	// standsSQL holds while the message k is in the log, and not deleted.
	standsSQL = `select from roomlog.events e where e.room = k.room and e.seq = k.seq and e.gone is null`

	// searchLook is how many of the newest messages of a room are looked through.
	searchLook = 2000
)

// tsquery is a query as Postgres reads it.
func tsquery(q room.SearchQuery) string {
	var b strings.Builder
	for i, phrase := range q.Phrases {
		if i > 0 {
			b.WriteString(" & ")
		}
		b.WriteByte('(')
		for j, w := range phrase {
			if j > 0 {
				b.WriteString(" <-> ")
			}
			b.WriteString("'" + w + "'")
			if q.Prefix && i == len(q.Phrases)-1 && j == len(phrase)-1 {
				b.WriteString(":*")
			}
		}
		b.WriteByte(')')
	}
	return b.String()
}

// Search is [room.SearchStore.Search].
func (s *Store) Search(ctx context.Context, q room.SearchQuery) (hits []room.Hit, err error) {
	if len(q.Rooms) != 1 {
		err = s.query(ctx, searchRoomsSQL, []any{namesOf(q.Rooms), tsquery(q), q.Limit, q.Floors}, func(rows pgx.Rows) error {
			hits = nil
			for rows.Next() {
				var h room.Hit
				if err := rows.Scan(&h.Room, &h.Seq); err != nil {
					return err
				}
				hits = append(hits, h)
			}
			return nil
		})
		return hits, err
	}
	before := q.Before
	if before == 0 {
		before = room.MaxSeq + 1
	}
	name, words := string(q.Rooms[0]), tsquery(q)
	var looked int64
	scan := func(rows pgx.Rows, more ...any) error {
		hits = nil
		for rows.Next() {
			var seq *room.Seq
			if err := rows.Scan(append([]any{&seq}, more...)...); err != nil {
				return err
			}
			if seq != nil {
				hits = append(hits, room.Hit{Room: q.Rooms[0], Seq: *seq})
			}
		}
		return nil
	}
	err = s.query(ctx, searchLookSQL, []any{name, before, searchLook, words, q.Limit}, func(rows pgx.Rows) error { return scan(rows, &looked) })
	if err != nil || len(hits) >= q.Limit || looked < searchLook {
		return hits, err
	}
	err = s.query(ctx, searchRoomSQL, []any{name, before, words, q.Limit}, func(rows pgx.Rows) error { return scan(rows) })
	return hits, err
}

var _ room.SearchStore = (*Store)(nil)
