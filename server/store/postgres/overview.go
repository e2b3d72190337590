package postgres

import (
	"context"
	"strconv"

	"github.com/jackc/pgx/v5"

	"roomlog/server/room"
)

// overviewsSQL and theseOverviewsSQL are everything about a page of a user's rooms, or of those that are named, in one statement. The rooms
// come first, so that nothing is looked up of others; what is unread is counted by indexes (migration 12), and the last message looked for
// among the newest events.
var (
	overviewsSQL = `
with mine as materialized (
	select ` + mineColumns + ` from roomlog.members m join roomlog.rooms r on r.id = m.room
	where m.who = $1 and r.name > $2 order by r.name limit $3
)` + overviewsOfMine
	theseOverviewsSQL = `
with mine as materialized (
	select ` + mineColumns + `
	from (select distinct j.name from unnest($4::text[]) as j (name)) j
	join roomlog.rooms r on r.name = j.name
	join lateral (select x.* from roomlog.members x where x.room = r.id and x.who = $1 limit 1) m on true
	where r.name > $2 order by r.name limit $3
)` + overviewsOfMine
)

const mineColumns = `r.id, r.name, m.role, m.since_seq, m.at, r.generation, r.floor, r.head, r.messages`

var overviewsOfMine = `
select r.name, $1, r.role, r.since_seq, r.at, ` + epochOf + `, r.head, coalesce(c.delivered, 0), coalesce(c.read, 0),
	coalesce(u.unread, 0), coalesce(u.more, false), coalesce(u.first_unread, 0), coalesce(u.mentions, 0),
	e.seq, e.mark, e.at, e.tag, e.type, e.author, coalesce(n.data, e.data), e.target,
	` + goneSeq("r.id", "e.gone") + `, d.who, ` + goneAt("r.id", "e.gone", "d.at") + `, n.edit_seq, n.at
from mine r cross join roomlog.meta m
left join roomlog.receipts c on c.room = r.id and c.who = $1
left join lateral roomlog.unread($1, r.id, r.floor, r.head, r.messages,
	greatest(coalesce(c.read, 0), r.since_seq), coalesce(c.read, 0), coalesce(c.read_ordinal, 0)) u on true
left join lateral (
	select x.seq, x.mark, x.at, x.tag, x.type, x.author, x.data, x.target, x.gone
	from roomlog.events x where x.room = r.id and x.seq > r.head - ` + strconv.Itoa(room.LastWithin) + ` and x.seq <= r.head and x.type = 'message'
	order by x.seq desc limit 1) e on true
left join roomlog.redactions d on d.room = r.id and d.seq = e.seq and e.gone is not null
left join lateral (select x.edit_seq, x.at, x.data from roomlog.edits x where x.room = r.id and x.seq = e.seq limit 1) n on true
order by r.name`

// Overviews is [room.Overviews.Overviews].
func (s *Store) Overviews(ctx context.Context, q room.OverviewQuery) (list []room.Overview, err error) {
	sql, args := overviewsSQL, []any{q.User, string(q.After), q.Limit}
	if q.Rooms != nil {
		names := make([]string, len(q.Rooms))
		for i, id := range q.Rooms {
			names[i] = string(id)
		}
		sql, args = theseOverviewsSQL, append(args, names)
	}
	err = s.query(ctx, sql, args, func(rows pgx.Rows) error {
		list = nil
		for rows.Next() {
			o, err := scanOverview(rows)
			if err != nil {
				return err
			}
			list = append(list, o)
		}
		return nil
	})
	return list, err
}

// scanOverview reads a row of overviewsSQL, whose event may be none.
func scanOverview(rows pgx.Rows) (o room.Overview, err error) {
	var seq, mark *int64
	var typ, author *string
	var r eventRow
	err = rows.Scan(&o.Room, &o.User, &o.Role, &o.Since, &o.At, &o.Epoch, &o.Head, &o.Delivered, &o.Read,
		&o.Unread, &o.More, &o.FirstUnread, &o.Mentions,
		&seq, &mark, &r.at, &r.tag, &typ, &author, &r.e.Data, &r.target, &r.gone, &r.goneBy, &r.goneAt, &r.editSeq, &r.editedAt)
	if err != nil {
		return o, err
	}
	if o.At = o.At.UTC(); seq == nil {
		return o, nil
	}
	r.e.Seq, r.mark, r.e.Type, r.e.Author = *seq, *mark, *typ, *author
	if err := r.fill(); err != nil {
		return o, err
	}
	o.Last = &r.e
	return o, nil
}

var _ room.Overviews = (*Store)(nil)
