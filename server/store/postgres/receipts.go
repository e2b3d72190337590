package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"roomlog/server/room"
)

// markSQL takes a batch as arrays, in one statement, which is one transaction.
const markSQL = `select * from roomlog.mark($1::text[], $2::integer[], $3::text[], $4::bigint[], $5::bigint[])`

// receiptsSinceSQL begins with a row of the room itself.
const receiptsSinceSQL = `
with at as materialized (
	select r.id, ` + epochOf + ` as epoch, coalesce(v.version, 0) as version, coalesce(v.removed, 0) as removed
	from roomlog.meta m left join roomlog.rooms r on r.name = $1 left join roomlog.receipt_versions v on v.room = r.id
)
select true, epoch, '', removed, 0, version, null from at
union all
select false, '', c.who, c.delivered, c.read, c.version, c.at from (
	select c.* from at join roomlog.receipts c on c.room = at.id and c.version > $2 order by c.version limit $3) c
order by 1 desc, 6`

const receiptTotalsSQL = `
select ` + epochOf + `, coalesce(v.version, 0), c.users, c.most_delivered, c.least_delivered, c.most_read, c.least_read
from roomlog.meta m left join roomlog.rooms r on r.name = $1 left join roomlog.receipt_versions v on v.room = r.id
left join lateral (
	select count(*) as users, coalesce(max(x.delivered), 0) as most_delivered, coalesce(min(x.delivered), 0) as least_delivered,
		coalesce(max(x.read), 0) as most_read, coalesce(min(x.read), 0) as least_read
	from roomlog.receipts x where x.room = r.id) c on true`

const ownSQL = `
select ` + epochOf + `, coalesce(r.head, 0), coalesce(c.delivered, 0), coalesce(c.read, 0), coalesce(c.version, 0), c.at,
	coalesce(u.unread, 0), coalesce(u.more, false), coalesce(u.first_unread, 0), coalesce(u.mentions, 0)
from unnest($1::text[], $2::text[], $3::bigint[]) with ordinality as j (name, who, since, n)
cross join roomlog.meta m left join roomlog.rooms r on r.name = j.name
left join roomlog.receipts c on c.room = r.id and c.who = j.who
left join roomlog.members b on b.room = r.id and b.who = j.who
left join lateral roomlog.unread(j.who, r.id, r.floor, r.head, r.messages,
	greatest(coalesce(c.read, 0), coalesce(b.since_seq, 0), j.since), coalesce(c.read, 0), coalesce(c.read_ordinal, 0)) u on r.head > 0
order by j.n`

const readersSQL = `
with these as materialized (
	select c.who, c.read >= $2 as has_read from roomlog.rooms r join roomlog.receipts c on c.room = r.id and c.delivered >= $2 where r.name = $1
)
select array(select who from these where has_read order by who limit $3), array(select who from these order by who limit $3),
	(select count(*) from these where has_read), (select count(*) from these)`

const receiptVersionsSQL = `select ` + epochOf + `, coalesce(v.version, 0)
	from unnest($1::text[]) with ordinality as j (name, n)
	cross join roomlog.meta m left join roomlog.rooms r on r.name = j.name left join roomlog.receipt_versions v on v.room = r.id
	order by j.n`

const (
	// endReceiptsSQL has markings that are under way come before the deletion, or find that the room is another (see roomlog.mark).
	endReceiptsSQL = `insert into roomlog.receipt_versions (room) values ($1) on conflict (room) do update set version = 0, removed = 0`

	// sweepReceiptsSQL removes receipts of the room that sweepSQL is at.
	sweepReceiptsSQL = `
with next as materialized (
	select room from roomlog.leftovers order by room limit 1 for update skip locked
), gone as (
	delete from roomlog.receipts where ctid = any (array(
		select c.ctid from roomlog.receipts c where c.room = (select room from next) limit $1)) returning 1
), counted as (
	delete from roomlog.receipt_versions where room = (select room from next)
)
select count(*) from gone`
)

// Mark is [room.Receipts.Mark]. If ctx ends after the batch was sent, the outcome is unknown.
func (s *Store) Mark(ctx context.Context, batch []room.Marking) ([]room.Marked, error) {
	if len(batch) == 0 {
		return nil, nil
	}
	leave, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, refusal("connect", err)
	}
	defer s.release(ctx, conn)
	places, args := layMarks(batch)
	rows, err := conn.Query(ctx, markSQL, args...)
	if err != nil {
		return nil, appendFailure(err, false)
	}
	var answers []room.Marked
	for rows.Next() && err == nil {
		var m room.Marked
		var at *time.Time
		err = rows.Scan(nil, &m.Epoch, &m.Before, &m.After, &m.Delivered, &m.Read, &m.Version, &at)
		if at != nil {
			m.At = at.UTC()
		}
		answers = append(answers, m)
	}
	rows.Close()
	if failed := rows.Err(); failed != nil {
		return nil, appendFailure(failed, len(answers) > 0)
	}
	if err != nil {
		return nil, err
	}
	out := make([]room.Marked, len(batch))
	for i, m := range batch {
		if places[i] >= len(answers) {
			return nil, errShort
		}
		out[i] = answers[places[i]]
		out[i].Room, out[i].User = m.Room, m.User
	}
	return out, nil
}

// layMarks gives the arguments of markSQL, and the place of each marking's answer among those it gives.
func layMarks(batch []room.Marking) (places []int, args []any) {
	type pair struct {
		room room.ID
		user string
	}
	var names, users []string
	var rooms []int32
	var delivered, read []room.Seq
	for _, m := range batch {
		names = append(names, string(m.Room))
	}
	slices.Sort(names)
	names = slices.Compact(names)
	at := make(map[pair]int, len(batch))
	places = make([]int, len(batch))
	for i, m := range batch {
		p := pair{m.Room, m.User}
		n, known := at[p]
		if !known {
			n = len(users)
			at[p] = n
			place, _ := slices.BinarySearch(names, string(m.Room))
			rooms, users = append(rooms, int32(place+1)), append(users, m.User)
			delivered, read = append(delivered, 0), append(read, 0)
		}
		places[i] = n
		delivered[n], read[n] = max(delivered[n], m.Delivered), max(read[n], m.Read)
	}
	return places, []any{names, rooms, users, delivered, read}
}

// ReceiptsSince is [room.Receipts.ReceiptsSince].
func (s *Store) ReceiptsSince(ctx context.Context, id room.ID, version int64, limit int) (p room.ReceiptPage, err error) {
	err = s.query(ctx, receiptsSinceSQL, []any{string(id), version, limit + 1}, func(rows pgx.Rows) error {
		p = room.ReceiptPage{}
		for rows.Next() {
			var c room.Receipt
			var epoch room.Epoch
			var itself bool
			var at *time.Time
			if err := rows.Scan(&itself, &epoch, &c.User, &c.Delivered, &c.Read, &c.Version, &at); err != nil {
				return err
			}
			switch {
			case itself:
				p.Epoch, p.Version, p.Removed = epoch, c.Version, c.Delivered
			case len(p.Receipts) == limit:
				p.More, p.Version = true, p.Receipts[limit-1].Version
			default:
				c.At = at.UTC()
				p.Receipts = append(p.Receipts, c)
			}
		}
		return nil
	})
	return p, err
}

// ReceiptTotals is [room.Receipts.ReceiptTotals].
func (s *Store) ReceiptTotals(ctx context.Context, id room.ID) (t room.ReceiptTotals, err error) {
	err = s.query(ctx, receiptTotalsSQL, []any{string(id)}, func(rows pgx.Rows) error {
		if !rows.Next() {
			return errShort
		}
		return rows.Scan(&t.Epoch, &t.Version, &t.Users, &t.Delivered.Any, &t.Delivered.All, &t.Read.Any, &t.Read.All)
	})
	return t, err
}

// Own is [room.Receipts.Own].
func (s *Store) Own(ctx context.Context, asked []room.Standing) ([]room.Own, error) {
	names, users, since := make([]string, len(asked)), make([]string, len(asked)), make([]room.Seq, len(asked))
	for i, a := range asked {
		names[i], users[i], since[i] = string(a.Room), a.User, a.Since
	}
	all := make([]room.Own, 0, len(asked))
	err := s.query(ctx, ownSQL, []any{names, users, since}, func(rows pgx.Rows) error {
		all = all[:0]
		for rows.Next() {
			a := asked[len(all)]
			o := room.Own{Room: a.Room, Receipt: room.Receipt{User: a.User}}
			var at *time.Time
			if err := rows.Scan(&o.Epoch, &o.Head, &o.Delivered, &o.Read, &o.Version, &at, &o.Unread, &o.More, &o.FirstUnread, &o.Mentions); err != nil {
				return err
			}
			if at != nil {
				o.At = at.UTC()
			}
			all = append(all, o)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Readers is [room.Receipts.Readers].
func (s *Store) Readers(ctx context.Context, id room.ID, seq room.Seq, limit int) (r room.Readers, err error) {
	err = s.query(ctx, readersSQL, []any{string(id), seq, limit}, func(rows pgx.Rows) error {
		if !rows.Next() {
			return errShort
		}
		r = room.Readers{}
		return rows.Scan(&r.Read, &r.Delivered, &r.ReadCount, &r.DeliveredCount)
	})
	return r, err
}

// ReceiptVersions is [room.Receipts.ReceiptVersions].
func (s *Store) ReceiptVersions(ctx context.Context, ids []room.ID) ([]room.ReceiptVersion, error) {
	all := make([]room.ReceiptVersion, 0, len(ids))
	err := s.query(ctx, receiptVersionsSQL, []any{names(ids)}, func(rows pgx.Rows) error {
		all = all[:0]
		for rows.Next() {
			var v room.ReceiptVersion
			if err := rows.Scan(&v.Epoch, &v.Version); err != nil {
				return err
			}
			all = append(all, v)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

func names(ids []room.ID) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = string(id)
	}
	return out
}

var _ room.Receipts = (*Store)(nil)
