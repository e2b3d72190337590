package receipts

import (
	"context"
	"maps"
	"slices"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/wire"
)

// asking is a user who is to be told where they stand in a room.
type asking struct {
	greet   bool // by a frame to those of their cursors here that have come
	tell    bool // and to all others of them
	answers []func(room.Own, error)
}

// Came implements [hub.SideGreeter]: whoever comes is told where they stand.
func (d *Desk) Came(id room.ID, user string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ask(pair{id, user}).greet = true
	wake(d.shows)
}

// ask has a user be told where they stand. The caller holds d.mu.
func (d *Desk) ask(p pair) *asking {
	a := d.owns[p]
	if a == nil {
		a = &asking{}
		d.owns[p] = a
	}
	return a
}

// ownMost is how many users one query of where they stand names.
const ownMost = 256

// tellOwn tells users where they stand. false: the store did not answer, and those who only are to be told are told later.
func (d *Desk) tellOwn(owns map[pair]*asking) bool {
	all := true
	for pairs := range slices.Chunk(slices.Collect(maps.Keys(owns)), ownMost) {
		asked := make([]room.Standing, len(pairs))
		for i, p := range pairs {
			asked[i] = room.Standing{Room: p.room, User: p.user}
		}
		ctx, cancel := context.WithTimeout(d.ctx, storeWithin)
		out, err := d.cfg.Store.Own(ctx, asked)
		cancel()
		for i, p := range pairs {
			a := owns[p]
			if err != nil {
				d.answered(a.answers, room.Own{}, err)
				if a.tell || a.greet {
					d.mu.Lock()
					again := d.ask(p)
					again.tell, again.greet = again.tell || a.tell, again.greet || a.greet
					d.mu.Unlock()
				}
				continue
			}
			d.answered(a.answers, out[i], nil)
			if a.tell || a.greet {
				d.hub.Tell(p.room, hub.SideReceipts, p.user, !a.tell, Frame(out[i]))
			}
		}
		all = all && err == nil
	}
	return all
}

// Frame gives the frame that tells users where they stand, by framing.
func Frame(o room.Own) func(wire.Framing) []byte {
	m := wire.Marked{
		Room: o.Room, Delivered: o.Delivered, Read: o.Read, Head: o.Head, Unread: o.Unread, More: o.More, FirstUnread: o.FirstUnread, Mentions: o.Mentions,
	}
	return func(f wire.Framing) []byte { return f.AppendMarked(nil, m) }
}
