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
	told  bool // that something became of the room
}

// checkAgain is when a check that the store did not answer is begun anew.
const checkAgain = 500 * time.Millisecond

// sweepParts is into how many parts a round of the sweep is cut, so that its load is even.
const sweepParts = 15

// idleRounds is how many rounds pass between two checks of a room that does not grow, where other nodes say what they
// append: what is left for the sweep then is rare. The store says by itself when its database is another (Watcher).
const idleRounds = 8

// checkHeads compares the rooms in memory with the store (rule RESET-7): each once in CheckEvery, a part at a time, and all
// as soon as the store says that its database may be another one, or was away. An append would show a fork too, but a room
// that nobody writes to would stay on a history that is no more, or lack what others have written. Where the store does not
// answer, all are checked when it does.
func (h *Hub) checkHeads(ctx context.Context) {
	var changed <-chan struct{}
	if w, ok := h.cfg.Store.(room.Watcher); ok {
		changed = w.Changed()
	}
	ticker := time.NewTicker(max(h.cfg.CheckEvery/sweepParts, time.Millisecond))
	defer ticker.Stop()
	var round []*liveRoom
	var again <-chan time.Time
	for part := 0; ; {
		answered := true
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if part%sweepParts == 0 {
				round = h.allRooms()
			}
			size := (len(round) + sweepParts - 1) / sweepParts
			at := min(part%sweepParts*size, len(round))
			answered = h.sweep(ctx, round[at:min(at+size, len(round))], part/sweepParts)
			part++
		case <-changed:
			answered = h.CheckAll(ctx)
		case <-h.recheck:
			answered = h.CheckAll(ctx)
		case <-again:
			again, answered = nil, h.CheckAll(ctx)
		}
		if !answered && again == nil {
			again = time.After(checkAgain)
		}
	}
}

// sweep checks those of rooms that are due in a round. false: as CheckAll.
func (h *Hub) sweep(ctx context.Context, rooms []*liveRoom, round int) bool {
	if h.cfg.Link != nil {
		rooms = slices.DeleteFunc(slices.Clone(rooms), func(r *liveRoom) bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			idle := r.swept == r.head
			r.swept = r.head
			return idle && (round+r.turn)%idleRounds != 0
		})
	}
	return h.compareAll(ctx, standing(rooms))
}

// CheckAll compares all rooms in memory with the store. It returns when that is done; false: the store did not answer, or
// ctx ended.
func (h *Hub) CheckAll(ctx context.Context) bool {
	h.checkSides()
	return h.compareAll(ctx, standing(h.allRooms()))
}

// CheckRooms compares those of rooms that are in memory with the store, since something may have become of them. A room
// that was deleted begins anew, which is no fork. It returns as CheckAll does.
func (h *Hub) CheckRooms(ctx context.Context, ids []room.ID) bool {
	rooms := make([]*liveRoom, 0, len(ids))
	for _, id := range ids {
		if r := h.inMemory(id); r != nil {
			rooms = append(rooms, r)
		}
	}
	all := standing(rooms)
	for i := range all {
		all[i].told = true
	}
	return h.compareAll(ctx, all)
}

func (h *Hub) compareAll(ctx context.Context, all []stood) bool {
	if mutateBlind() { // mutant bus_blind
		return true
	}
	for some := range slices.Chunk(all, checkRooms) {
		if !h.compare(ctx, some) {
			return false
		}
	}
	return true
}

// allRooms lists the rooms in memory.
func (h *Hub) allRooms() []*liveRoom {
	h.mu.Lock()
	defer h.mu.Unlock()
	rooms := make([]*liveRoom, 0, len(h.rooms))
	for _, r := range h.rooms {
		rooms = append(rooms, r)
	}
	return rooms
}

// stands notes where the room stands. The caller holds r.mu.
func (r *liveRoom) stands() stood {
	return stood{room: r, forks: r.forks, epoch: r.epoch, head: r.head}
}

// standing notes where rooms stand.
func standing(rooms []*liveRoom) []stood {
	all := make([]stood, 0, len(rooms))
	for _, r := range rooms {
		r.mu.Lock()
		if !r.dead {
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
		if ctx.Err() == nil && !h.unchecked.Swap(true) { // it is tried again often
			h.log.Warn("heads cannot be compared with the store; they are as soon as it answers", "rooms", len(ids), "error", err)
		}
		return false
	}
	h.unchecked.Store(false)
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
	switch {
	case r.forks != s.forks || r.dead:
	case !r.loaded:
		r.sight(h)
	case s.told && h.Epoch != r.epoch:
		r.begins()
	case h.Epoch == s.epoch && h.Seq < s.head:
		r.diverge(room.ResetDiverged)
	default:
		r.see(h)
	}
}

// standsAt notes where a room stands, before a page is read from the store for somebody else; nil: it is not
// in memory.
func (h *Hub) standsAt(id room.ID) *stood {
	r := h.inMemory(id)
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
