package hub

import "roomlog/server/room"

// Notice tells the hub what this process has just done to a room in the store, by the head that it has since
// then: events were pruned, or the room was deleted. Whoever stands below the new floor, or in the room as it
// was, is reset at once; a head check would find out, but later. Whoever stands at the head of a pruned
// room notices nothing.
func (h *Hub) Notice(head room.Head) {
	if h.cfg.Link != nil {
		h.cfg.Link.Changed(head)
	}
	if r := h.inMemory(head.Room); r != nil {
		r.notice(head)
	}
}

func (r *liveRoom) notice(h room.Head) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.dead:
	case !r.loaded:
		r.forks++ // a read in flight may bring the room as it was: it is read again
	case h.Epoch != r.epoch:
		r.begins()
	default:
		r.see(h)
	}
}

// begins begins the room anew: it was deleted. What was appended to it as it was may still come.
func (r *liveRoom) begins() {
	former := r.epoch
	r.startOver(room.ResetEpoch)
	r.former = former
}

// raise takes a floor that is higher than the one so far: what is below is let go of, and those who stand
// there hear of it.
func (r *liveRoom) raise(h room.Head) {
	if h.Floor <= r.floor {
		return
	}
	if h.Floor-1 > r.head { // what follows the tail is gone
		r.startOver(room.ResetPruned)
		return
	}
	r.floor, r.floorMark = h.Floor, h.FloorMark
	kept := r.segments[:0]
	for _, s := range r.segments {
		if s.last() >= r.floor {
			kept = append(kept, s)
		} else {
			s.lives.Store(0)
		}
	}
	clear(r.segments[len(kept):])
	if r.segments = kept; len(kept) == 0 {
		r.newTail()
	}
	r.wake()
}

// startOver throws the tail away. Every cursor gets a reset, told when the room has been read anew.
func (r *liveRoom) startOver(why room.ResetReason) {
	r.drop()
	r.restarted()
	r.loaded, r.known, r.hinted, r.doubted = false, 0, 0, false
	r.later, r.laterSize = nil, 0
	r.fork, r.former, r.deleted = why, "", deletions{}
	r.forks++
	r.wake()
	r.retire()
}
