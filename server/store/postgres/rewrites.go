package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"roomlog/server/room"
)

// resentSQL finds the events of tags, also of those that were pruned, and whether their authors sent then what
// they send now, or what they send now is stored.
const resentSQL = `with j as (
		select j.*, r.id from unnest($1::text[], $2::text[], $3::uuid[], $4::bytea[], $5::bytea[])
			with ordinality as j (room, author, tag, sent, kept, n)
		join roomlog.rooms r on r.name = j.room
	)
	select j.n::integer, e.seq, e.mark, e.at,
		coalesce(w.sent, roomlog.fingerprint(e.type, e.data)) = j.sent or roomlog.fingerprint(e.type, e.data) = j.kept
	from j join roomlog.events e on e.tag = j.tag and e.room = j.id and e.author = j.author
	left join roomlog.rewrites w on w.tag = j.tag and w.room = j.id and w.author = j.author
	union all
	select j.n::integer, t.seq, t.mark, t.at,
		t.sum in (roomlog.sum((select secret from roomlog.meta), j.sent), roomlog.sum((select secret from roomlog.meta), j.kept))
	from j join roomlog.tags t on t.tag = j.tag and t.room = j.id and t.author = j.author`

// resent looks again at what was called a conflict: where the stored event was rewritten before it was stored,
// what its author sent is compared; and a send that follows another of its batch was compared with that alone. The
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
