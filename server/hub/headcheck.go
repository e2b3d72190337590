package hub

import (
	"context"
	"slices"
	"time"

	"roomlog/server/room"
)

// checkRooms is how many rooms one query of a head check names.
const checkRooms = 512

// stood is where a room stood when a head check began.
type stood struct {
	room  *liveRoom
	forks int
	epoch room.Epoch
	head  room.Seq
}

// checkHeads compares the rooms in memory with the store (rule RESET-7): every CheckEvery, and as soon as
// the store says that its database may be another one. An append would show a fork too, but a room
// that nobody writes to would stay on a history that is no more.
func (h *Hub) checkHeads(ctx context.Context) {
	var changed <-chan struct{}
	if w, ok := h.cfg.Store.(room.Watcher); ok {
		changed = w.Changed()
	}
	ticker := time.NewTicker(h.cfg.CheckEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-ticker.C:
		}
		for some := range slices.Chunk(h.standing(), checkRooms) {
			if !h.compare(ctx, some) {
				break
			}
		}
	}
}

// stands notes where the room stands. The caller holds r.mu.
func (r *liveRoom) stands() stood {
	return stood{room: r, forks: r.forks, epoch: r.epoch, head: r.head}
}

// standing lists the rooms in memory and where they stand.
func (h *Hub) standing() []stood {
	h.mu.Lock()
	rooms := make([]*liveRoom, 0, len(h.rooms))
	for _, r := range h.rooms {
		rooms = append(rooms, r)
	}
	h.mu.Unlock()
	all := make([]stood, 0, len(rooms))
	for _, r := range rooms {
		r.mu.Lock()
		if r.loaded && !r.dead {
			all = append(all, r.stands())
		}
		r.mu.Unlock()
	}
	return all
}

// compare reads the heads of rooms and looks whether history is still what it was. false: the store does
// not answer, and the rest is left to the next check.
func (h *Hub) compare(ctx context.Context, rooms []stood) bool {
	ids := make([]room.ID, len(rooms))
	for i, s := range rooms {
		ids[i] = s.room.id
	}
	heads, err := h.heads(ctx, ids)
	if err != nil {
		if ctx.Err() == nil {
			h.log.Warn("head check failed", "rooms", len(ids), "error", err)
		}
		return false
	}
	for i, s := range rooms {
		s.compare(heads[i])
	}
	return true
}

// compare takes a head that was read after s was noted: one that is lower has gone back, for what the tail
// has was committed before.
func (s stood) compare(h room.Head) {
	r := s.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.forks != s.forks || r.dead {
		return
	}
	if h.Epoch == s.epoch && h.Seq < s.head {
		r.diverge(room.ResetDiverged)
		return
	}
	r.see(h)
}

// standsAt notes where a room stands, before a page is read from the store for somebody else; nil: it is not
// in memory.
func (h *Hub) standsAt(id room.ID) *stood {
	h.mu.Lock()
	r := h.rooms[id]
	h.mu.Unlock()
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stands()
	return &s
}

// witness compares the head of a page that was read since s was noted. The page may be older than the tail,
// but if the room began anew meanwhile it says nothing.
func (s *stood) witness(head room.Head) {
	if s == nil {
		return
	}
	s.room.mu.Lock()
	defer s.room.mu.Unlock()
	if s.room.forks == s.forks {
		s.room.see(head)
	}
}
