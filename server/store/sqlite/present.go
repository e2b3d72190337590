package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"roomlog/server/room"
)

// The columns of an event as it was sent, and of its present content: that of its last edit, and which one that is.
const (
	selectSent = `select e.seq, e.mark, e.at, e.type, e.author, e.tag, e.data, e.target, e.gone from events e`
	selectNow  = `select e.seq, e.mark, e.at, e.type, e.author, e.tag, coalesce(d.data, e.data), e.target, e.gone, d.edit_seq, d.at
		from events e left join edits d on d.room = e.room and d.seq = e.seq`
)

// events are the statements that read those in (prev, last]. The order puts those first that stay when bytes run short.
type events struct{ upward, downward, around *sql.Stmt }

func (e *events) prepare(ctx context.Context, r *reader, columns string) error {
	columns += ` where e.room = ?1 and e.seq > ?2 and e.seq <= ?3 order by `
	return errors.Join(
		r.prepare(ctx, columns+`e.seq`, &e.upward),
		r.prepare(ctx, columns+`e.seq desc`, &e.downward),
		r.prepare(ctx, columns+`abs(e.seq - ?4), e.seq`, &e.around),
	)
}

// eventRow is where a row of selectSent or selectNow is read into, one after the other: a page has many.
type eventRow struct {
	room.Event
	at                       int64
	tag                      sql.RawBytes
	target, gone, edit, made optional
	into                     []any
}

func newEventRow(now bool) *eventRow {
	r := new(eventRow)
	r.into = []any{&r.Seq, &r.Mark, &r.at, &r.Type, &r.Author, &r.tag, &r.Data, &r.target, &r.gone}
	if now {
		r.into = append(r.into, &r.edit, &r.made)
	}
	return r
}

// scan reads the row, and says whether the event was deleted.
func (r *eventRow) scan(rows *sql.Rows) (e room.Event, gone bool, err error) {
	r.Data = nil
	if err := rows.Scan(r.into...); err != nil {
		return e, false, err
	}
	e = r.Event
	copy(e.Tag[:], r.tag)
	e.At, e.Target = time.UnixMicro(r.at).UTC(), room.Seq(r.target)
	if r.edit != 0 {
		e.Edited = &room.Edited{Seq: room.Seq(r.edit), At: time.UnixMicro(int64(r.made)).UTC()}
	}
	return e, r.gone != 0, nil
}

// selectGone reads what is left of the deleted events in [?2, ?3].
const selectGone = `select d.seq, ` + redactedBy + ` where d.room = ?1 and d.seq >= ?2 and d.seq <= ?3`

// selectReactions reads those of the messages in [?2, ?3], the emoji of the earliest first, with ?4 users of each, the earliest first, and ?5.
const selectReactions = `select seq, emoji, who, n from (
		select seq, emoji, who, at_seq, count(*) over emoji_of as n, min(at_seq) over emoji_of as first,
			row_number() over (partition by seq, emoji order by at_seq) as place
		from reactions where room = ?1 and seq >= ?2 and seq <= ?3
		window emoji_of as (partition by seq, emoji))
	where place <= ?4 or who = ?5 order by seq, first, at_seq`

// fillGone says of the deleted ones among events, which are in order, what is left of them.
func (r *reader) fillGone(id int64, events []room.Event) error {
	rows, err := r.gone.QueryContext(background, id, events[0].Seq, events[len(events)-1].Seq)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var seq room.Seq
		var gone room.Gone
		var at int64
		if err := rows.Scan(&seq, &gone.Seq, &gone.By, &at); err != nil {
			return err
		}
		gone.At = time.UnixMicro(at).UTC()
		if i, found := find(events, seq); found {
			events[i].Gone = &gone
		}
	}
	return rows.Err()
}

// fillReactions gives events, which are in order, their reactions, as somebody is told of them.
func (r *reader) fillReactions(id int64, events []room.Event, as string) error {
	rows, err := r.reactions.QueryContext(background, id, events[0].Seq, events[len(events)-1].Seq, room.MaxReactors, as)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var seq room.Seq
		var emoji, who string
		var n int
		if err := rows.Scan(&seq, &emoji, &who, &n); err != nil {
			return err
		}
		i, found := find(events, seq)
		if !found {
			continue
		}
		e := &events[i]
		last := len(e.Reactions) - 1
		if last < 0 || e.Reactions[last].Emoji != emoji {
			e.Reactions = append(e.Reactions, room.Reaction{Emoji: emoji, Count: n})
			last++
		}
		e.Reactions[last].Users = append(e.Reactions[last].Users, who)
	}
	return rows.Err()
}

func find(events []room.Event, seq room.Seq) (int, bool) {
	return slices.BinarySearchFunc(events, seq, func(e room.Event, seq room.Seq) int { return int(e.Seq - seq) })
}
