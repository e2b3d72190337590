package webhook

import "roomlog/server/room"

// sweepRooms is how many rooms one question to the store looks at.
const sweepRooms = 256

// sweep is a look at all rooms of a hook, kind by kind, as far as it has come.
type sweep struct {
	active bool
	kind   int
	after  room.ID
}

func (s *sweep) begin() { *s = sweep{active: true} } // a hook has a kind at least

// look asks the store once, where a sweep is under way or due and there is room in mind for what it finds, and
// reports whether there is more to look at now. What does not fit is looked at when what was found is delivered.
func (h *hook) look() bool {
	h.mu.Lock()
	if !h.sweep.active && h.due() {
		h.missed = false
		h.sweep.begin()
	}
	s, free := h.sweep, h.engine.Rooms-len(h.rooms)
	h.mu.Unlock()
	if !s.active || free <= 0 {
		return false
	}
	behind, next, err := h.source.behind(h.ctx, h.cfg.Kinds[s.kind], s.after, min(sweepRooms, free))
	if err != nil {
		h.swept(err)
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range behind {
		if h.rooms[id] == nil {
			h.note(id)
		}
	}
	h.sweep.after = next
	if next == "" {
		h.sweep.kind++
		h.sweep.active = h.sweep.kind < len(h.cfg.Kinds)
	}
	return h.sweep.active || h.due()
}

// due reports whether a look at all rooms would find a place in mind for what was missed. The caller holds h.mu.
func (h *hook) due() bool { return h.missed && len(h.rooms) <= h.engine.Rooms/2 }

// swept notes that the store did not answer: the sweep is begun again later.
func (h *hook) swept(err error) {
	if h.ctx.Err() != nil {
		return
	}
	h.engine.Log.Warn("webhook cannot look for rooms", "hook", h.cfg.Name, "error", err)
	h.mu.Lock()
	h.sweep = sweep{}
	h.mu.Unlock()
	h.tasks.Go(func() {
		if pause(h.ctx, h.backoff(3, 0)) {
			h.mu.Lock()
			h.missed = true
			h.mu.Unlock()
			h.rouse()
		}
	})
}
