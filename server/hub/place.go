package hub

import (
	"context"

	"roomlog/server/room"
)

// Join asks for a room's log from a position on.
type Join struct {
	Room        room.ID
	Position    room.Position
	HasPosition bool             // false: from the latest page on
	Limit       int              // events of the latest page; 0 is 100, more than 500 means 500
	Replay      int64            // the most events to catch up on, more is a reset; negative is no limit
	Seen        room.Seq         // the highest seq that was acked to this client: where the tail is behind it, the store is asked
	Floor       room.Seq         // what is below is given to nobody who joins so, as if it were pruned (rule MEM-6); 0: nothing is
	Permit      Permit           // asked when the cursor begins; nil: it is permitted
	With        SideSet          // what the reader is given beside the log
	Parts       map[room.Seq]int // of messages that stream, how many bytes of text the reader has; else none
	Guest       *Guest           // who the reader is, for others; nil: nobody is told
}

const (
	defaultPage = 100
	// maxPlacing bounds how often a reader starts over because the room changed under it (evicted,
	// forked, grown) before it is told to come back later.
	maxPlacing = 50
)

func (h *Hub) pageLimit(n int) int {
	if n <= 0 {
		return defaultPage
	}
	return min(n, h.cfg.MaxPage)
}

// place finds where a reader starts: at its position, if the log continues it, else before the
// latest page with the reason why. It returns the room locked, with what follows the place in
// memory, so that the caller can put a cursor there and miss nothing.
func (h *Hub) place(ctx context.Context, j Join) (*liveRoom, room.Seq, room.ResetReason, error) {
	at, asked := first, false
	if !j.HasPosition && h.cfg.Link != nil { // else what lacks follows as pages
		if err := h.freshen(ctx, j.Room); err != nil {
			h.log.Debug("room joined without a look at its head", "room", j.Room, "error", err)
		}
		asked = true
	}
	for range maxPlacing {
		r, err := h.lockAt(ctx, j.Room, at)
		if err != nil {
			return nil, 0, "", err
		}
		j.Floor = floorBy(j.Permit, j.Room, j.Floor)
		from, why, needs := r.judge(j)
		// The client may know more than this node, which may be behind, or on a history that is no more (rules RESET-4 and
		// NODE-4). The store decides, asked once after the client came.
		elsewhere := h.cfg.Link != nil && (why == room.ResetEpoch || why == room.ResetDiverged)
		if !asked && (why == room.ResetAhead || j.Seen > r.head || elsewhere) {
			r.mu.Unlock()
			if err := h.freshen(ctx, j.Room); err != nil {
				return nil, 0, "", err
			}
			at, asked = first, true
			continue
		}
		if why != "" || !j.HasPosition {
			from, needs = r.latest(h.pageLimit(j.Limit), j.Floor)
		}
		needs = needs && !r.layered // what is not in memory is folded by who asks
		if !needs && !r.dead && r.loaded {
			if why != "" {
				h.counts.reset(why)
			}
			return r, from, why, nil
		}
		at = from
		r.mu.Unlock()
	}
	return nil, 0, "", overloaded("The room changes faster than it can be read; try again.")
}

// placeAtOnce is place for a room of which memory has all that is needed, and about which the store need not
// be asked; nil: this is none.
func (h *Hub) placeAtOnce(j Join) (*liveRoom, room.Seq) {
	r := h.inMemory(j.Room)
	if r == nil || h.cfg.Link != nil && !j.HasPosition { // which is to have what is acked anywhere (NODE-4)
		return nil, 0
	}
	r.mu.Lock()
	if !r.dead && r.loaded && r.known <= r.head && j.Seen <= r.head && !r.layered {
		j.Floor = floorBy(j.Permit, j.Room, j.Floor)
		from, why, needs := r.judge(j)
		if why == "" && !j.HasPosition {
			from, needs = r.latest(h.pageLimit(j.Limit), j.Floor)
		}
		if why == "" && !needs { // a reset is not at once: it is rare, and what is told of it may have to be read
			return r, from
		}
	}
	r.mu.Unlock()
	return nil, 0
}

// floorFor is the floor for who may be given nothing below base.
func (r *liveRoom) floorFor(base room.Seq) room.Seq { return max(r.floor, min(base, r.head+1)) }

// latest is where the latest page of a room begins. needs: memory must hold what follows first.
func (r *liveRoom) latest(limit int, base room.Seq) (from room.Seq, needs bool) {
	from = max(r.head-room.Seq(limit), r.floorFor(base)-1)
	return from, from < r.head && r.find(from) == nil
}

// judge says whether the log continues a position. needs: memory must hold what follows it first.
func (r *liveRoom) judge(j Join) (from room.Seq, why room.ResetReason, needs bool) {
	p := j.Position
	r.mutateFloor(&p) // mutant floor_clamp
	switch {
	case !j.HasPosition:
		return 0, "", false
	case p.Epoch != "" && p.Epoch != r.epoch:
		return 0, room.ResetEpoch, false
	case p.Seq > r.head:
		return 0, room.ResetAhead, false
	case p.Seq < r.floorFor(j.Floor)-1:
		return 0, room.ResetPruned, false
	case j.Replay >= 0 && r.head-p.Seq > j.Replay && !r.layered: // which does not count
		return 0, room.ResetTooFar, false
	}
	if p.Mark != 0 {
		mark, ok := r.markAt(p.Seq)
		if !ok {
			return p.Seq, "", true
		}
		if mark != p.Mark {
			return 0, room.ResetDiverged, false
		}
	}
	return p.Seq, "", p.Seq < r.head && r.find(p.Seq) == nil
}

// lockAt returns the room, live and locked, with what follows seq in memory (first: anything).
func (h *Hub) lockAt(ctx context.Context, id room.ID, seq room.Seq) (*liveRoom, error) {
	for range maxPlacing {
		r := h.live(id)
		r.mu.Lock()
		r.resting = 0
		r.waiters++ // it must not be forgotten between a read and its use
		var err error
		for try := 0; !r.dead && err == nil && try < maxPlacing; try++ {
			l := r.lacks(seq)
			if l == nil {
				r.waiters--
				return r, nil
			}
			r.mu.Unlock()
			err = l.wait(ctx)
			r.mu.Lock()
		}
		dead := r.dead
		r.waiters--
		r.retire()
		r.mu.Unlock()
		if err != nil {
			return nil, err
		}
		if !dead {
			break
		}
	}
	return nil, overloaded("The room changes faster than it can be read; try again.")
}

// lacks returns the read that a reader at seq has to wait for; nil: none.
func (r *liveRoom) lacks(seq room.Seq) *load {
	switch {
	case !r.loaded:
		return r.fetch(first)
	case r.known > r.head: // an event may be acked already that the tail does not have (ACK-8)
		return r.fetch(r.head)
	case seq != first && seq >= r.floor-1 && seq < r.head && r.find(seq) == nil && !r.layered:
		return r.fetch(r.blockStart(seq))
	}
	return nil
}

func (l *load) wait(ctx context.Context) error {
	select {
	case <-l.done:
		if l.err != nil {
			return unavailable(l.err)
		}
		return nil
	case <-ctx.Done():
		return unavailable(ctx.Err())
	}
}

// collect appends the encoded events after from to events, which is empty, separated by commas: as many as
// memory holds without a hole, at most limit and about maxBytes, and says where they end. The caller holds r.mu.
func (r *liveRoom) collect(events []byte, from room.Seq, limit, maxBytes int) (_ []byte, seq room.Seq, count int) {
	seq = from
	for seq < r.head && count < limit {
		s := r.find(seq)
		if s == nil {
			break
		}
		s.touch()
		for i := int(seq - s.prev); i < len(s.marks) && count < limit; i++ {
			e := s.event(i)
			if count > 0 && len(events)+len(e) > maxBytes {
				return events, seq, count
			}
			if count > 0 {
				events = append(events, ',')
			}
			events = append(events, e...)
			seq++
			count++
		}
	}
	return events, seq, count
}

func unavailable(err error) *room.Error {
	if e := room.AsError(err); e.Code != room.CodeInternal {
		return e
	}
	return &room.Error{Code: room.CodeUnavailable, Title: "The store cannot be read right now.", Cause: err}
}

func overloaded(title string) *room.Error {
	return &room.Error{Code: room.CodeOverloaded, Title: title, RetryAfter: retryOverload}
}

func goingAway() *room.Error {
	return &room.Error{Code: room.CodeGoingAway, Title: "This server is going away; connect again."}
}
