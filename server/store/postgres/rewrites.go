package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"roomlog/server/room"
)

// resentSQL finds the events of tags, also of those that were pruned, and whether their authors sent then what
// they send now.
const resentSQL = `with j as (
		select j.*, r.id from unnest($1::text[], $2::text[], $3::uuid[], $4::bytea[]) with ordinality as j (room, author, tag, sent, n)
		join roomlog.rooms r on r.name = j.room
	)
	select j.n::integer, e.seq, e.mark, e.at, coalesce(w.sent, roomlog.fingerprint(e.type, e.data)) = j.sent
	from j join roomlog.events e on e.tag = j.tag and e.room = j.id and e.author = j.author
	left join roomlog.rewrites w on w.tag = j.tag and w.room = j.id and w.author = j.author
	union all
	select j.n::integer, t.seq, t.mark, t.at, t.sum = roomlog.sum((select secret from roomlog.meta), j.sent)
	from j join roomlog.tags t on t.tag = j.tag and t.room = j.id and t.author = j.author`

// resent looks again at what was called a conflict: where the stored event was rewritten before it was stored,
// what its author sent is compared. The batch is committed; an error leaves its outcome unknown to the caller.
func resent(ctx context.Context, conn *pgx.Conn, batch []room.Send, verdicts []room.Verdict) error {
	var places []int
	var rooms, authors []string
	var tags [][16]byte
	var sent [][]byte
	for i := range verdicts {
		if v := verdicts[i].Refused; v == nil || v.Code != room.CodeTagConflict {
			continue
		}
		s, as := &batch[i], batch[i].AsSent()
		places, rooms, authors = append(places, i), append(rooms, string(s.Room)), append(authors, s.Author)
		tags, sent = append(tags, s.Tag), append(sent, as[:])
	}
	if places == nil {
		return nil
	}
	rows, err := conn.Query(ctx, resentSQL, rooms, authors, tags, sent)
	if err != nil {
		return fmt.Errorf("append: compare what was sent: %w: %w", room.ErrOutcomeUnknown, err)
	}
	var n int
	var seq, mark int64
	var at pgtype.Timestamptz
	var same bool
	_, err = pgx.ForEachRow(rows, []any{&n, &seq, &mark, &at, &same}, func() error {
		if same {
			verdicts[places[n-1]] = room.Verdict{Seq: seq, Mark: room.Mark(mark), At: at.Time.UTC(), Duplicate: true}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("append: compare what was sent: %w: %w", room.ErrOutcomeUnknown, err)
	}
	return nil
}
