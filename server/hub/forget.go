package hub

// Forget lets go of what the hub has in memory of rooms, because it may be long out of date: this process was paused.
// A room that nobody reads begins anew from the store. Of one that somebody reads the head is compared at once, and what
// it lacks is read on: who stands in it loses nothing and, where history is what it was, is not reset.
func (h *Hub) Forget() {
	for _, r := range h.allRooms() {
		r.mu.Lock()
		if !r.dead && r.idle() {
			r.dead = true
			h.forget(r)
			r.drop()
		}
		r.mu.Unlock()
	}
	h.checkSoon()
}

// checkSoon has the heads of all rooms in memory compared with the store as soon as it answers.
func (h *Hub) checkSoon() {
	select {
	case h.recheck <- struct{}{}:
	default: // one that has not begun sees all that this one would
	}
}
