package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"roomlog/server/room"
)

// newest is how many of the newest events are looked at first: mostly they decide that there are more than are counted.
const newest = 4096

// Own is [room.Receipts.Own]. ctx bounds the wait for a connection.
func (s *Store) Own(ctx context.Context, asked []room.Standing) ([]room.Own, error) {
	all := make([]room.Own, len(asked))
	err := s.read(ctx, func(r *reader) error {
		for i, a := range asked {
			var err error
			if all[i], err = r.ownIn(a); err != nil {
				return fmt.Errorf("unread in %s: %w", a.Room, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// ownIn is where a user stands in one room.
func (r *reader) ownIn(a room.Standing) (room.Own, error) {
	k := kept{Receipt: room.Receipt{User: a.User}}
	var messages, at int64
	var since room.Seq
	from := ahead{r.stands.QueryRowContext(background, string(a.Room), a.User), []any{&messages, &k.Delivered, &k.Read, &k.ordinal, &k.Version, &at, &since}}
	head, row, err := scanHead(from, a.Room)
	if err != nil {
		return room.Own{}, err
	}
	if k.Version > 0 {
		k.At = time.UnixMicro(at).UTC()
	}
	o := room.Own{Room: a.Room, Receipt: k.Receipt, Epoch: head.Epoch, Head: head.Seq}
	return o, r.unread(&o, head, row.id, messages, max(k.Read, since, a.Since), k)
}

// selectStanding is a room's head, and where a user stands in it.
const selectStanding = `select ` + headColumns + `, coalesce(r.messages, 0), coalesce(c.delivered, 0), coalesce(c.read, 0),
	coalesce(c.read_ordinal, 0), coalesce(c.version, 0), coalesce(c.at, 0), coalesce(b.since_seq, 0)
	from meta m left join rooms r on r.name = ?1
	left join receipts c on c.room = r.id and c.who = ?2 left join members b on b.room = r.id and b.who = ?2`

// ahead is a row that begins with a head and goes on with more.
type ahead struct {
	row  *sql.Row
	more []any
}

// Scan reads the head and the rest.
func (a ahead) Scan(head ...any) error { return a.row.Scan(append(head, a.more...)...) }

// unread counts the messages of others after base that are not deleted. It never walks the log: the messages after the base
// are a difference of ordinals, one's own and deleted ones are counted by their indexes. What was pruned, and what was stored before
// messages had ordinals, is not unread.
func (r *reader) unread(o *room.Own, head room.Head, id, messages int64, base room.Seq, k kept) error {
	base = max(base, head.Floor-1)
	if base >= head.Seq || messages == 0 {
		return nil
	}
	found := int64(0)
	for low := max(base, head.Seq-newest); ; low = base {
		before, err := r.ordinalAt(head, id, low, k)
		if err != nil {
			return err
		}
		if found = messages - before; found > 0 {
			var not int64 // one's own, and deleted ones of others
			if err := r.notUnread.QueryRowContext(background, id, o.User, low).Scan(&not); err != nil {
				return err
			}
			found -= not
		}
		if found > room.MaxUnread || low == base {
			break
		}
	}
	if found <= 0 {
		return nil
	}
	o.Unread, o.More = int(min(found, room.MaxUnread)), found > room.MaxUnread
	return r.firstUnread.QueryRowContext(background, id, o.User, base, room.MaxUnread).Scan(&o.FirstUnread, &o.Mentions)
}

// ordinalAt is how many messages the room had up to a seq, which is at least the floor - 1.
func (r *reader) ordinalAt(head room.Head, id int64, seq room.Seq, k kept) (n int64, err error) {
	var message bool
	switch {
	case seq == 0:
		return 0, nil
	case seq < head.Floor:
		err = r.recounting.ordinalOf.QueryRowContext(background, id, head.Floor).Scan(&n, &message)
		if message && n > 0 {
			n--
		}
		return n, err
	case seq == k.Read:
		return k.ordinal, nil
	}
	return n, r.recounting.ordinalOf.QueryRowContext(background, id, seq).Scan(&n, &message)
}
