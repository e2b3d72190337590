package hub

import (
	"context"
	"slices"
	"sync"
	"time"

	"roomlog/server/room"
)

// Guest is who reads a room over a connection, as far as others are shown it.
type Guest struct {
	Connection string
	User       string
	Present    bool   // to be seen in the room's presence
	Data       []byte // what is to be seen of it besides; nil: nothing
}

// Company is told who reads which rooms. Its methods are called under locks of the hub, in order for each connection: they must
// neither block nor call the hub. A guest that takes the place of another on the same connection comes before that one goes.
type Company interface {
	Came(id room.ID, g *Guest)
	Went(id room.ID, g *Guest)
}

// beside is what a cursor is given beside the log, and who its reader is.
type beside struct {
	guest *Guest
	with  SideSet
	sides *roomSides // nil where with is empty

	// Guarded by the connection's lock.
	at      [SideParts]uint64   // the versions that it was given; 0: none
	parts   map[room.Seq]partAt // where it stands in texts
	own     []byte              // a frame for this reader alone; nil: there is none
	greeted bool                // such a frame was given
}

// roomSides are the sides of a room, and the cursors that read them. Its lock is a leaf.
type roomSides struct {
	hub *Hub
	id  room.ID

	mu      sync.Mutex
	readers map[*cursor]SideSet
	users   map[string]map[*cursor]SideSet // the readers of whom it is said who they are
	count   [Sides]int                     // of the readers of each
	of      [SideParts]*side               // nil where nobody reads it
	parts   *parts                         // likewise
}

// sides are those of all rooms that somebody reads the sides of, and the ticks at which what changed is shown.
type sides struct {
	mu      sync.Mutex // before the locks of the rooms
	rooms   map[room.ID]*roomSides
	pending []tick
	woken   chan struct{} // holds one: pending has one that may be the next
}

// tick is when what changed of a side is shown, on the hub's clock.
type tick struct {
	room *roomSides
	side Side
	at   int64
}

func newSides() *sides {
	return &sides{rooms: make(map[room.ID]*roomSides), woken: make(chan struct{}, 1)}
}

// accompany begins what a join asks for beside the log. The caller holds the connection's lock.
func (cur *cursor) accompany(j *Join) {
	if j.Guest == nil && j.With == 0 {
		return
	}
	h := cur.conn.hub
	cur.beside = &beside{guest: j.Guest, with: j.With}
	for seq, at := range j.Parts {
		cur.beside.stand(seq, partAt{at: at})
	}
	if j.With != 0 {
		cur.beside.sides = h.sides.enter(h, cur)
	}
	if j.Guest != nil && h.cfg.Company != nil {
		h.cfg.Company.Came(cur.room.id, j.Guest)
	}
}

// part ends it. The caller holds the connection's lock.
func (cur *cursor) part() {
	b := cur.beside
	if b == nil {
		return
	}
	cur.beside = nil
	h := cur.conn.hub
	if b.sides != nil {
		h.sides.leave(b.sides, cur, b.user(), b.with)
	}
	if b.guest != nil && h.cfg.Company != nil {
		h.cfg.Company.Went(cur.room.id, b.guest)
	}
}

func (all *sides) enter(h *Hub, cur *cursor) *roomSides {
	all.mu.Lock()
	defer all.mu.Unlock()
	r := all.rooms[cur.room.id]
	if r == nil {
		r = &roomSides{hub: h, id: cur.room.id, readers: make(map[*cursor]SideSet), users: make(map[string]map[*cursor]SideSet)}
		all.rooms[r.id] = r
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.readers[cur] = cur.beside.with
	r.note(cur)
	for s := range Side(Sides) {
		if !cur.beside.with.Has(s) {
			continue
		}
		if r.count[s]++; r.count[s] == 1 {
			r.open(s)
			if source := h.cfg.Beside[s]; source != nil {
				source.Needed(r.id)
			}
		}
	}
	h.greet(r.id, cur.beside)
	return r
}

func (all *sides) leave(r *roomSides, cur *cursor, user string, with SideSet) {
	all.mu.Lock()
	defer all.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.readers, cur)
	r.drop(cur, user)
	for s := range Side(Sides) {
		if !with.Has(s) {
			continue
		}
		if r.count[s]--; r.count[s] == 0 {
			r.close(s)
			if source := r.hub.cfg.Beside[s]; source != nil {
				source.Unneeded(r.id)
			}
		}
	}
	if len(r.readers) == 0 {
		delete(all.rooms, r.id)
	}
}

// open begins to keep a side, and close ends that. The caller holds the lock.
func (r *roomSides) open(s Side) {
	if s == SideParts {
		r.parts = new(parts)
	} else {
		r.of[s] = newSide(sideEvery[s])
	}
}

func (r *roomSides) close(s Side) {
	if s == SideParts {
		r.parts = nil
	} else {
		r.of[s] = nil
	}
}

// SetSide tells what became of a side of a room. Readers are shown it at the side's next tick: at once, where the last one is
// long enough ago. Of a room whose side nobody reads nothing is kept.
func (h *Hub) SetSide(id room.ID, s Side, u SideUpdate) {
	h.sides.with(id, func(r *roomSides) {
		if at := r.of[s]; at != nil && at.set(u) {
			r.showSoon(s, at.every, at.last, &at.due)
		}
	})
}

// with does something with the sides of a room that somebody reads, under its lock and that of all.
func (all *sides) with(id room.ID, do func(r *roomSides)) {
	all.mu.Lock()
	defer all.mu.Unlock()
	r := all.rooms[id]
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	do(r)
}

// showSoon has a tick show a side, at once or so long after it was shown last; due: the tick knows of it. The caller holds both
// locks.
func (r *roomSides) showSoon(s Side, every time.Duration, last int64, due *bool) {
	if *due {
		return
	}
	*due = true
	at := r.hub.now()
	if last > 0 {
		at = max(at, last+int64(every))
	}
	all := r.hub.sides
	all.pending = append(all.pending, tick{r, s, at})
	select {
	case all.woken <- struct{}{}:
	default:
	}
}

// tickSides shows what changed when it is time to.
func (h *Hub) tickSides(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var due []tick
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.sides.woken:
		case <-timer.C:
		}
		var next int64
		now := h.now()
		due, next = h.sides.due(due[:0], now)
		for _, t := range due {
			t.room.show(t.side, now)
		}
		clear(due)
		if next > 0 {
			timer.Reset(time.Duration(next - now))
		}
	}
}

// due takes the ticks that it is time for, and says when the next one is; 0: there is none.
func (all *sides) due(dst []tick, now int64) (due []tick, next int64) {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.pending = slices.DeleteFunc(all.pending, func(t tick) bool {
		if t.at <= now {
			dst = append(dst, t)
			return true
		}
		if next == 0 || t.at < next {
			next = t.at
		}
		return false
	})
	return dst, next
}

// show lets the readers of a side have what changed.
func (r *roomSides) show(s Side, now int64) {
	r.mu.Lock()
	if !r.advance(s, now) {
		r.mu.Unlock()
		return
	}
	readers := make([]*cursor, 0, r.count[s])
	for cur, with := range r.readers {
		if with.Has(s) {
			readers = append(readers, cur)
		}
	}
	r.mu.Unlock()
	for _, cur := range readers {
		cur.conn.dirtied(cur, 0)
	}
}

// advance moves what is shown of a side to what there is. false: nobody reads it any more. The caller holds the lock.
func (r *roomSides) advance(s Side, now int64) bool {
	if s == SideParts {
		if r.parts != nil {
			r.parts.advance(now)
		}
		return r.parts != nil
	}
	at := r.of[s]
	if at != nil {
		at.shown, at.last, at.due = at.version, now, false
	}
	return at != nil
}

// pullSides appends what brings a cursor to what its room's sides show, about limit bytes of it; the first frame of a write
// (written is false) may be larger. more: there is something left. The caller holds the connection's lock.
func (cur *cursor) pullSides(bufs [][]byte, limit int, written bool) (_ [][]byte, more bool) {
	b := cur.beside
	if b == nil || b.sides == nil {
		return bufs, false
	}
	if b.own != nil {
		if written && len(b.own) > limit {
			return bufs, true
		}
		bufs = append(bufs, b.own)
		limit, written, b.own = limit-len(b.own), true, nil
	}
	b.sides.mu.Lock()
	defer b.sides.mu.Unlock()
	for s, at := range b.sides.of {
		s := Side(s)
		if at == nil || !b.with.Has(s) {
			continue
		}
		frame, to := at.frame(cur.conn.framing, b.sides.id, s.String(), b.at[s])
		if frame == nil {
			continue
		}
		if written && len(frame) > limit {
			return bufs, true
		}
		b.at[s] = to
		bufs = append(bufs, frame)
		limit, written = limit-len(frame), true
	}
	return cur.pullParts(bufs, limit, written)
}

// Again gives a side of a room to the connection as a whole, as if it had just come. A room that it has not joined, and a side that it did
// not ask for, are left as they are.
func (c *Conn) Again(id room.ID, s Side) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.cursorOf(id)
	if at < 0 || c.cursors[at].beside == nil || !c.cursors[at].beside.with.Has(s) {
		return
	}
	if s == SideParts {
		c.cursors[at].beside.parts = nil
	} else {
		c.cursors[at].beside.at[s] = 0
	}
	if c.mark(c.cursors[at]) {
		c.enqueue()
	}
}

// GuestOf is who reads a room over the connection, as its join said; nil: nobody does, or it said nothing.
func (c *Conn) GuestOf(id room.ID) *Guest {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := c.cursorOf(id); at >= 0 && c.cursors[at].beside != nil {
		return c.cursors[at].beside.guest
	}
	return nil
}
