package hub

import (
	"context"

	"roomlog/server/room"
)

// deletions are the latest deletions of messages that the tail took: what a page may lack that was read before they were
// committed and comes after. The zero value is none.
type deletions struct {
	latest []room.Deletion // in the order of their events
	before room.Seq        // the latest deletion that is not among them any more; 0: all are
}

// maxDeletions bounds those that are kept of a room. A read during which more came is made again.
const maxDeletions = 64

func (d *deletions) add(one room.Deletion) {
	if len(d.latest) >= maxDeletions {
		n := maxDeletions / 2
		d.before = d.latest[n-1].Gone.Seq
		d.latest = d.latest[:copy(d.latest, d.latest[n:])]
	}
	d.latest = append(d.latest, one)
}

// from takes out of a page what was deleted since its snapshot. false: it cannot be told what that was.
func (d *deletions) from(p *room.Page) bool {
	if p.Head.Seq < d.before {
		return false
	}
	for _, one := range d.latest {
		if one.Gone.Seq > p.Head.Seq {
			p.Events = one.Redact(p.Events)
		}
	}
	return true
}

// redact forgets what events, which are about to follow the tail, say was deleted: the message and its edits are given to
// nobody from memory any more (rule CHG-7). Segments are not rewritten: those that may hold them are let go of, and whoever is
// still there reads from the store, where they are gone. Who stands at the head notices nothing.
func (r *liveRoom) redact(events []room.Event) {
	lowest := r.head + 1
	for i := range events {
		if events[i].Type == room.TypeErase { // of what is in memory nobody knows what it took: all of it, and what was read before (rule ERASE-3)
			r.deleted, lowest = deletions{before: events[i].Seq}, 0
			r.hub.forgetSides(&events[i], r.id)
		}
		if d, is := events[i].Deletion(); is {
			r.deleted.add(d)
			r.hub.deletedBeside(r.id, d.Target)
			lowest = min(lowest, d.Target)
		}
	}
	if lowest > r.head { // events themselves lack what they deleted
		return
	}
	r.dropFolds()
	kept := r.segments[:0]
	for _, s := range r.segments {
		if s.last() < lowest {
			kept = append(kept, s)
		} else {
			s.wipe()
		}
	}
	clear(r.segments[len(kept):])
	r.segments = kept
	r.newTail()
}

// wipe lets go of all that a segment holds, when nobody can find it any more; what was handed to connections stays good.
func (s *segment) wipe() {
	before := s.weight()
	s.lives.Store(0)
	s.marks, s.spans, s.upto, s.frames = nil, nil, nil, [len(s.frames)]strip{}
	s.room.hub.cache.grew(s.weight() - before)
}

// readNow reads a page for one who is given it as it is: without what was deleted before it comes, as far as this node has
// heard.
func (h *Hub) readNow(ctx context.Context, q room.Query) (room.Page, error) {
	for range maxPlacing {
		p, err := h.read(ctx, ReadHistory, q)
		if err != nil || h.current(q.Room, &p) {
			return p, err
		}
	}
	return room.Page{}, overloaded("More is deleted in the room than can be read meanwhile; try again.")
}

// current takes out of a page what was deleted since its snapshot. false: it has to be read again.
func (h *Hub) current(id room.ID, p *room.Page) bool {
	r := h.inMemory(id)
	if r == nil {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.loaded || r.epoch != p.Head.Epoch || r.deleted.from(p)
}
