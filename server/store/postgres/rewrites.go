package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"roomlog/server/room"
)

// resentSQL finds the events of tags, also of those that were pruned or deleted, and whether their authors sent then what
// they send now, or what they send now is stored. Each lookup is limited to one, so that it is a probe of an index.
var resentSQL = `select j.n::integer, o.seq, o.mark, o.at, o.target, ` + goneSeq("r.id", "o.gone") + `, o.gone_who, ` + goneAt("r.id", "o.gone", "o.gone_at") + `,
		case when o.sum is null then o.sent = j.sent or o.kept = j.kept
			else o.sum in (roomlog.sum(m.secret, j.sent), roomlog.sum(m.secret, j.kept)) end
	from unnest($1::text[], $2::text[], $3::uuid[], $4::bytea[], $5::bytea[]) with ordinality as j (room, author, tag, sent, kept, n)
	cross join roomlog.meta m
	join roomlog.rooms r on r.name = j.room
	cross join lateral (
		select e.seq, e.mark, e.at, e.target, e.gone, d.who as gone_who, d.at as gone_at, d.sum, roomlog.fingerprint(e.type, e.data) as kept,
			coalesce((select w.sent from roomlog.rewrites w where w.tag = e.tag and w.room = e.room and w.author = e.author),
				roomlog.fingerprint(e.type, e.data)) as sent
		from roomlog.events e left join lateral (
			select x.who, x.at, x.sum from roomlog.redactions x where x.room = e.room and x.seq = e.seq limit 1) d on true
		where e.tag = j.tag and e.room = r.id and e.author = j.author
		union all
		select t.seq, t.mark, t.at, t.target, t.gone, t.gone_who, t.gone_at, t.sum, null, null
		from roomlog.tags t where t.tag = j.tag and t.room = r.id and t.author = j.author
		limit 1) o`

// resent looks again at what was called a conflict: where the stored event was rewritten before it was stored,
// what its author sent is compared; of one that was deleted there is only a sum of that; and a send that follows another of its
// batch was compared with that alone. The
// batch is committed; an error leaves its outcome unknown to the caller.
func resent(ctx context.Context, conn *pgx.Conn, batch []room.Send, verdicts []room.Verdict) error {
	var places []int
	var rooms, authors []string
	var tags [][16]byte
	var sent, kept [][]byte
	for i := range verdicts {
		if v := verdicts[i].Refused; v == nil || v.Code != room.CodeTagConflict {
			continue
		}
		s, as, is := &batch[i], batch[i].AsSent(), room.FingerprintOf(batch[i].Type, batch[i].Data)
		places, rooms, authors = append(places, i), append(rooms, string(s.Room)), append(authors, s.Author)
		tags, sent, kept = append(tags, s.Tag), append(sent, as[:]), append(kept, is[:])
	}
	if places == nil {
		return nil
	}
	rows, err := conn.Query(ctx, resentSQL, rooms, authors, tags, sent, kept)
	if err != nil {
		return fmt.Errorf("append: compare what was sent: %w: %w", room.ErrOutcomeUnknown, err)
	}
	var n int
	var seq, mark int64
	var at time.Time
	var target, gone *int64
	var goneBy *string
	var goneAt *time.Time
	var same bool
	_, err = pgx.ForEachRow(rows, []any{&n, &seq, &mark, &at, &target, &gone, &goneBy, &goneAt, &same}, func() error {
		if same {
			v := room.Verdict{Seq: seq, Mark: room.Mark(mark), At: at.UTC(), Duplicate: true, Gone: goneOf(gone, goneBy, goneAt)}
			if target != nil {
				v.Target = *target
			}
			verdicts[places[n-1]] = v
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("append: compare what was sent: %w: %w", room.ErrOutcomeUnknown, err)
	}
	return nil
}
