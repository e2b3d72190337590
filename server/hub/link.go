package hub

import (
	"context"
	"time"

	"roomlog/server/room"
)

// Link joins a hub to the other nodes that serve the rooms of its store. What a link carries are hints: the hub
// takes of them only what adjoins what it has, and reads the rest from the store, so that a hint that is lost,
// repeated, late or false costs time and nothing else.
//
// Its methods may be called concurrently, some with locks of the hub held: but for Follow they must neither block nor
// call the hub.
type Link interface {
	// Follow is called before a room is first read: from its return on, what other nodes append to the room is given
	// to [Hub.Hint]. It may wait a moment for that, or until ctx ends; where it gives up, the link asks for the room to be
	// checked later. A room that is followed already is left as it is.
	Follow(ctx context.Context, id room.ID)

	// Unfollow ends that: the room is not in memory any more.
	Unfollow(id room.ID)

	// Appended is what an append of this node has just committed to a room.
	Appended(g room.Growth, events []room.Event)

	// Changed says that something else became of a room by this node: it was pruned or deleted, or may have grown by
	// an append whose outcome was lost. This is its head since.
	Changed(head room.Head)
}

// Hint tells the hub what another node says that it appended to a room. A room that is not in memory needs no hint. It
// takes the room's lock and does not wait for the store.
func (h *Hub) Hint(g room.Growth, events []room.Event) {
	if r := h.inMemory(g.Head.Room); r != nil {
		r.hint(g, events)
		h.cache.trim()
	}
}

// Beat tells the hub which head a room has by what another node says: where that is beyond the tail, a hint was lost.
func (h *Hub) Beat(head room.Head) {
	if r := h.inMemory(head.Room); r != nil {
		r.hint(room.Growth{Head: head, Before: head.Seq, BeforeMark: head.Mark}, nil)
	}
}

// hint takes what adjoins. What does not may come too early: what is before it is waited for, briefly. It is no witness
// against the tail: where it disagrees, the store is asked.
func (r *liveRoom) hint(g room.Growth, events []room.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rest, adjoins := r.rest(g, events)
	if !adjoins {
		rest, adjoins = r.mutateTrust(g, events) // mutant hint_trusted
	}
	switch {
	case r.dead || r.former != "" && g.Head.Epoch == r.former:
	case !r.loaded:
		r.hinted = max(r.hinted, g.Head.Seq) // the read in flight may have begun before
		r.keep(g, events)
	case adjoins:
		r.extend(rest)
		r.catchUp()
		r.hub.counts.hinted.Add(1)
	case r.disputes(g):
		r.doubted = true
		r.repairSoon()
	case g.Head.Seq > r.head:
		r.hinted = max(r.hinted, g.Head.Seq)
		r.repairSoon()
		r.keep(g, events)
	}
}

// disputes reports whether a hint and the tail cannot both be right, as far as memory tells.
func (r *liveRoom) disputes(g room.Growth) bool {
	differs := func(seq room.Seq, mark room.Mark) bool {
		have, ok := r.markAt(seq)
		return ok && have != mark
	}
	return g.Head.Epoch != r.epoch || g.Before <= r.head && differs(g.Before, g.BeforeMark) || g.Head.Seq <= r.head && differs(g.Head.Seq, g.Head.Mark)
}

// letGo lets go of rooms that nobody has read for a while, so that the link need not follow them.
func (h *Hub) letGo(ctx context.Context) {
	ticker := time.NewTicker(max(h.cfg.Linger/4, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, r := range h.allRooms() {
			r.rests(h.now(), h.cfg.Linger)
		}
	}
}
