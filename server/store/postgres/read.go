package postgres

import (
	"context"
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"roomlog/server/room"
)

// headColumns are a room's head, of r beside the store's meta m; without a room, that of an empty one.
const headColumns = `m.epoch || case when r.generation > 0 then '-' || r.generation else '' end as epoch,
	coalesce(r.floor, 1) as floor, coalesce(r.floor_mark, 0) as floor_mark,
	coalesce(r.head, 0) as head, coalesce(r.head_mark, 0) as head_mark`

const headsSQL = `select ` + headColumns + `
	from unnest($1::text[]) with ordinality as j (name, n)
	cross join roomlog.meta m left join roomlog.rooms r on r.name = j.name order by j.n`

// pageSQL reads a page in one statement, which is one snapshot. at is room.Query.Span in SQL (storetest
// compares them); kept is what the bytes allow, nearest to the center first, so that it is contiguous.
// The first row is the page itself: prev and its mark as seq and mark, the epoch as type, and the head;
// the others are its events, with target and gone where the first has floor and its mark. Who deleted what is looked up for
// what was deleted alone.
var pageSQL = spanSQL + `, ` + keptSent(inSpan) + `, ` + startSQL + `, null, null` + stateColumns + `
from start
union all
` + sentColumns + `, null, null, null, null
from kept
order by 10 nulls last, 1`

// inSpan are the events of a page that lists all there are.
const inSpan = `span join roomlog.events e on e.room = span.id and e.seq > span.prev and e.seq <= span.last`

// keptSent are those of the events e of from that the bytes allow, as they were sent.
func keptSent(from string) string {
	return `kept as materialized (
	select * from (
		select e.seq, e.mark, e.at, e.tag, e.type, e.author, e.data, e.target, e.gone,
			sum(octet_length(e.data)) over near as size, row_number() over near as place
		from ` + from + `
		window near as (order by abs(e.seq - $5::bigint), e.seq)
	) sized where size <= $6::bigint or place = 1
)`
}

var sentColumns = `select seq, mark, at, tag, type, author, data, target, ` + goneSeq("(select id from span)", "gone") + `, null, null, ` + goneColumns

// presentSQL is pageSQL with the present content: edits in place of data, which count for the bytes, and reactions as $7 is told of them.
var presentSQL = spanSQL + `, ` + keptPresent(inSpan) + `, ` + startSQL + `, null, null, null, null, null` + stateColumns + `
from start
union all
` + presentColumns + `, null, null, null, null
from kept
order by 10 nulls last, 1`

// keptPresent is keptSent with the present content.
func keptPresent(from string) string {
	return `kept as materialized (
	select * from (
		select e.seq, e.mark, e.at, e.tag, e.type, e.author, coalesce(d.data, e.data) as data, e.target, e.gone, d.edit_seq, d.at as edited_at,
			sum(octet_length(coalesce(d.data, e.data))) over near as size, row_number() over near as place
		from ` + from + `
		left join lateral (select x.edit_seq, x.at, x.data from roomlog.edits x where x.room = span.id and x.seq = e.seq limit 1) d on true
		window near as (order by abs(e.seq - $5::bigint), e.seq)
	) sized where size <= $6::bigint or place = 1
)`
}

var presentColumns = sentColumns + `, edit_seq, edited_at,
	case when type = 'message' and gone is null then (
		select json_agg(json_build_object('emoji', u.emoji, 'count', u.count, 'users', u.users) order by u.first) from (
			select x.emoji, count(*) as count, min(x.at_seq) as first,
				array_agg(x.who order by x.at_seq) filter (where x.place <= ` + maxReactors + ` or x.who = $7::text) as users
			from (
				select emoji, who, at_seq, row_number() over (partition by emoji order by at_seq) as place
				from roomlog.reactions where room = (select id from span) and seq = kept.seq) x
			group by x.emoji) u) end`

// maxReactors is [room.MaxReactors] in SQL.
var maxReactors = strconv.Itoa(room.MaxReactors)

const spanSQL = `
with at as materialized (
	select r.id, s.newest, s.swept, case when s.newest is null or r.head > s.newest then coalesce(r.head, 0)
			else coalesce((select x.last from roomlog.log_runs x where x.room = r.id order by x.last desc limit 1), 0) end as other, ` + headColumns + `
	from roomlog.meta m left join roomlog.rooms r on r.name = $1 left join roomlog.state_rooms s on s.room = r.id
), upper as materialized (
	select at.*, case $2::int
		when 0 then least(greatest(least($3::bigint, head), floor - 1) + $4::bigint, head)
		when 1 then greatest(least($3 - 1, head), floor - 1)
		when 2 then least(greatest(least($3 - 1 - $4 / 2, head), floor - 1) + $4, head)
		else head end as last,
		case when $2 = 3 then greatest(floor, swept + 1) else floor end as bottom -- what is below is no longer without holes
	from at
), span as materialized (
	select upper.*, case $2 when 0 then greatest(least($3, head), floor - 1) else greatest(last - $4, bottom - 1) end as prev
	from upper
)`

const startSQL = `start as (
	select span.*, coalesce((select min(seq) from kept) - 1, prev) as seq from span
)
select start.seq, case start.seq when floor - 1 then floor_mark when head then head_mark
		else coalesce((select e.mark from roomlog.events e where e.room = start.id and e.seq = start.seq), case when newest > 0 then 0 end) end as mark,
	null::timestamptz, null::uuid, epoch, null, null, floor, floor_mark, head, head_mark`

// stateColumns end the first row: what the folding of state needs to know.
const stateColumns = `, id, newest, swept, other`

var goneColumns = `
	case when gone is not null then (select d.who from roomlog.redactions d where d.room = (select id from span) and d.seq = kept.seq) end,
	case when gone is not null then (select ` + goneAt("d.room", "gone", "d.at") + ` from roomlog.redactions d where d.room = (select id from span) and d.seq = kept.seq) end`

// Read is [room.Store.Read].
func (s *Store) Read(ctx context.Context, q room.Query) (room.Page, error) {
	size := int64(q.MaxBytes)
	if size == 0 {
		size = math.MaxInt64
	}
	page := room.Page{Head: room.Head{Room: q.Room}}
	if q.State != room.StateEvents {
		folded, has, err := s.folded(ctx, q)
		if err != nil || has {
			return folded, err
		}
	}
	var state stateRoom
	sql, args := pageSQL, []any{string(q.Room), int32(q.Anchor), q.Seq, int64(q.Limit), center(q), size}
	if q.Present {
		sql, args = presentSQL, append(args, q.As)
	}
	err := s.query(ctx, sql, args, func(rows pgx.Rows) error {
		page.Events = page.Events[:0]
		return scanPage(rows, q.Limit, &page, &state)
	})
	if err != nil {
		return room.Page{}, err
	}
	if state.folds(q) {
		page, _, err = s.folded(ctx, q)
		return page, err
	}
	page.Layered, page.Log = state.newest != nil, state.log(page.Head)
	return page, nil
}

// center is where a page that runs out of bytes is cut last: its distance to the events orders them as
// the center of room.Query.Span does, without knowing the head.
func center(q room.Query) room.Seq {
	switch q.Anchor {
	case room.After:
		return 0
	case room.Around:
		return q.Seq
	default:
		return 2 * room.MaxSeq
	}
}

// scanPage reads the rows of pageSQL, or of presentSQL, which has more columns.
func scanPage(rows pgx.Rows, limit int, page *room.Page, state *stateRoom) error {
	h := &page.Head
	if !rows.Next() {
		return errShort
	}
	more := len(rows.FieldDescriptions()) - 11
	first := append(append([]any{&page.Prev, &page.PrevMark, nil, nil, &h.Epoch, nil, nil, &h.Floor, &h.FloorMark, &h.Seq, &h.Mark}, make([]any, more-4)...), &state.id, &state.newest, &state.swept, &state.other)
	if err := rows.Scan(first...); err != nil {
		return err
	}
	if n := min(int64(limit), h.Seq-page.Prev); n > 0 {
		page.Events = make([]room.Event, 0, n)
	}
	var r eventRow
	fields := append(r.fields()[:11+more-4:11+more-4], nil, nil, nil, nil)
	for rows.Next() {
		r.e.Data = nil // its own for each event
		if err := rows.Scan(fields...); err != nil {
			return err
		}
		if err := r.fill(); err != nil {
			return err
		}
		page.Events = append(page.Events, r.e)
	}
	return nil
}

// eventRow is a row of an event.
type eventRow struct {
	e            room.Event
	mark         int64
	at           *time.Time
	tag          pgtype.UUID
	target, gone *int64
	goneBy       *string
	goneAt       *time.Time
	// of presentSQL
	editSeq   *int64
	editedAt  *time.Time
	reactions []byte
}

func (r *eventRow) fields() []any {
	return []any{
		&r.e.Seq, &r.mark, &r.at, &r.tag, &r.e.Type, &r.e.Author, &r.e.Data, &r.target, &r.gone, nil, nil,
		&r.goneBy, &r.goneAt, &r.editSeq, &r.editedAt, &r.reactions,
	}
}

// fill completes the event.
func (r *eventRow) fill() error {
	r.e.Mark, r.e.At, r.e.Tag = room.Mark(r.mark), r.at.UTC(), r.tag.Bytes
	r.e.Target, r.e.Gone, r.e.Edited, r.e.Reactions = 0, goneOf(r.gone, r.goneBy, r.goneAt), nil, nil
	if r.target != nil {
		r.e.Target = *r.target
	}
	if r.editSeq != nil && r.editedAt != nil {
		r.e.Edited = &room.Edited{Seq: *r.editSeq, At: r.editedAt.UTC()}
	}
	if r.reactions != nil {
		return json.Unmarshal(r.reactions, &r.e.Reactions) // keys of Go's and of SQL's differ by case alone
	}
	return nil
}

// Heads is [room.Store.Heads].
func (s *Store) Heads(ctx context.Context, ids []room.ID) ([]room.Head, error) {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = string(id)
	}
	heads := make([]room.Head, 0, len(ids))
	err := s.query(ctx, headsSQL, []any{names}, func(rows pgx.Rows) error {
		heads = heads[:0]
		for rows.Next() {
			h := room.Head{Room: ids[len(heads)]}
			if err := rows.Scan(&h.Epoch, &h.Floor, &h.FloorMark, &h.Seq, &h.Mark); err != nil {
				return err
			}
			heads = append(heads, h)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return heads, nil
}

// query runs a statement that only reads. A connection that was lost while idle shows only when it is
// used, so a read that finds one is run once more on a new one.
func (s *Store) query(ctx context.Context, sql string, args []any, scan func(pgx.Rows) error) error {
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
	lost, err := s.queryOnce(ctx, sql, args, scan)
	if lost {
		_, err = s.queryOnce(ctx, sql, args, scan)
	}
	if err != nil {
		return refusal("read", err)
	}
	return nil
}

// queryOnce also says whether the connection was lost on the way.
func (s *Store) queryOnce(ctx context.Context, sql string, args []any, scan func(pgx.Rows) error) (lost bool, err error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return false, err
	}
	defer s.release(ctx, conn)
	rows, err := conn.Query(ctx, sql, args...)
	if err == nil {
		err = scan(rows)
		rows.Close()
		if rows.Err() != nil {
			err = rows.Err()
		}
	}
	return err != nil && conn.Conn().IsClosed() && ctx.Err() == nil, err
}
