package hub

import (
	"context"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// Followed says where a room of a stream was placed: after Position. With a Reset, that is before
// the latest page.
type Followed struct {
	Head     room.Head
	Reset    room.ResetReason
	Position room.Position
}

// Follow places the cursors of a one-way stream, all at once: the rooms are those of its URL, and
// where each stands is in the id of every event. encode makes the stream's beginning from the
// placed rooms, in the order of joins; it is queued before any page. A join without position starts
// at the head.
// Errors: unavailable, overloaded, going_away (all retryable), and what the joins' permits say.
func (c *Conn) Follow(ctx context.Context, joins []Join, encode func(rooms []Followed) []byte) error {
	cursors := make([]*cursor, 0, len(joins))
	placed := make([]Followed, 0, len(joins))
	for _, j := range joins {
		cur, f, err := c.follow(ctx, j)
		if err != nil {
			for _, cur := range cursors {
				cur.room.unsubscribe(cur)
			}
			return err
		}
		cursors, placed = append(cursors, cur), append(placed, f)
	}
	return c.begin(cursors, joins, encode(placed))
}

func (c *Conn) follow(ctx context.Context, j Join) (*cursor, Followed, error) {
	r, from, why, err := c.hub.place(ctx, j)
	if err != nil {
		return nil, Followed{}, err
	}
	defer r.mu.Unlock()
	if !j.HasPosition {
		from = r.head
	}
	mark, _ := r.markAt(from)
	cur := newCursor(c, r, j, from, mark)
	cur.late = why == "" && r.foldsAt(from, false)
	if cur.whole = why != "" && r.layered; why == "" && mark == 0 {
		cur.mark = j.Position.Mark // which a fold will compare
	}
	r.subscribe(cur)
	head := r.headValue()
	head.Floor = r.shownFloor(j.Floor)
	return cur, Followed{
		Head: head, Reset: why,
		Position: room.Position{Epoch: r.epoch, Seq: from, Mark: mark},
	}, nil
}

// streamID is the id of the event that brings the stream to where its cursors stand: the position,
// or the positions named by room when there are several. The caller holds c.mu.
func (c *Conn) streamID() []byte {
	named := make([]wire.NamedPosition, 0, len(c.cursors))
	for _, cur := range c.cursors {
		named = append(named, wire.NamedPosition{
			Room:     cur.room.id,
			Position: room.Position{Epoch: cur.epoch, Seq: cur.seq, Mark: cur.mark},
		})
	}
	return wire.AppendStreamID(nil, named)
}
