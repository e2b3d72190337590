package hub

import (
	"roomlog/server/room"
	"roomlog/server/wire"
)

// SideGreeter is a [SideSource] that has something to say to each reader who comes. Came is called as the methods of a SideSource are,
// after Needed; user is whose connection it is, as its [Guest] says.
type SideGreeter interface {
	Came(id room.ID, user string)
}

// SideChecker is a [SideSource] that is told when the hub compares all rooms with the store, since something may have been
// missed. It must not block.
type SideChecker interface {
	Check()
}

// SideForgetter is a [SideSource] that is told that a room has lost what it had of a user, so that some of what the source told is no
// more. It is called with locks of the hub held: it must neither block nor call the hub.
type SideForgetter interface {
	Erased(id room.ID, user string)
}

// SideDeleter is a [SideSource] that is told that a message of a room was deleted. It is called as a SideForgetter is.
type SideDeleter interface {
	Deleted(id room.ID, seq room.Seq)
}

// deletedBeside tells the sources that a message was deleted, of which nothing more is shown (rule CHG-7).
func (h *Hub) deletedBeside(id room.ID, seq room.Seq) {
	for _, source := range h.cfg.Beside {
		if s, ok := source.(SideDeleter); ok {
			h.EndPart(id, seq)
			s.Deleted(id, seq)
		}
	}
}

// forgetSides tells the sources that a user's data was erased from a room (rule ERASE-2). Whose the texts are is for their source to say: it
// tells those again that are left.
func (h *Hub) forgetSides(e *room.Event, id room.ID) {
	of, _ := e.MemberChange()
	h.sides.with(id, func(r *roomSides) {
		if r.parts != nil {
			r.parts.of = nil
		}
	})
	for _, source := range h.cfg.Beside {
		if s, ok := source.(SideForgetter); ok {
			s.Erased(id, of.User)
		}
	}
}

// checkSides tells the sources that something may have been missed.
func (h *Hub) checkSides() {
	for _, source := range h.cfg.Beside {
		if s, ok := source.(SideChecker); ok {
			s.Check()
		}
	}
}

// user is who reads by the cursor; "": it is not said.
func (b *beside) user() string {
	if b.guest == nil {
		return ""
	}
	return b.guest.User
}

// greet tells the sources who has come. The caller holds the locks of a SideSource's calls.
func (h *Hub) greet(id room.ID, b *beside) {
	for s := range Side(Sides) {
		if source, ok := h.cfg.Beside[s].(SideGreeter); ok && b.with.Has(s) && b.guest != nil {
			source.Came(id, b.guest.User)
		}
	}
}

// readersBy are the cursors of a user that read a side of a room.
func (h *Hub) readersBy(id room.ID, s Side, user string, f func(*cursor)) {
	h.sides.mu.Lock()
	r := h.sides.rooms[id]
	h.sides.mu.Unlock()
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for cur, with := range r.users[user] {
		if with.Has(s) {
			f(cur)
		}
	}
}

// ReadBy reports whether a user reads a side of a room over a connection of this hub.
func (h *Hub) ReadBy(id room.ID, s Side, user string) (found bool) {
	h.readersBy(id, s, user, func(*cursor) { found = true })
	return found
}

// Tell gives the readers of a side of a room who are this user a frame of their own, framed by frame; with greeting only those who were given none
// yet. Of several that a reader has not taken yet the last is given: it goes after the pages.
func (h *Hub) Tell(id room.ID, s Side, user string, greeting bool, frame func(wire.Framing) []byte) {
	var found []*cursor
	h.readersBy(id, s, user, func(cur *cursor) { found = append(found, cur) })
	var framed [wire.Framings][]byte
	for _, cur := range found {
		f := cur.conn.framing
		if framed[f] == nil {
			framed[f] = frame(f)
		}
		cur.told(framed[f], greeting)
	}
}

// told puts a frame of its own where the next write of its connection finds it.
func (cur *cursor) told(frame []byte, greeting bool) {
	c := cur.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if cur.beside == nil || greeting && cur.beside.greeted {
		return
	}
	cur.beside.own, cur.beside.greeted = frame, true
	if c.mark(cur) {
		c.enqueue()
	}
}

// note and drop keep the readers by user. The caller holds r.mu.
func (r *roomSides) note(cur *cursor) {
	user := cur.beside.user()
	if user == "" {
		return
	}
	if r.users[user] == nil {
		r.users[user] = make(map[*cursor]SideSet)
	}
	r.users[user][cur] = cur.beside.with
}

func (r *roomSides) drop(cur *cursor, user string) {
	delete(r.users[user], cur)
	if len(r.users[user]) == 0 {
		delete(r.users, user)
	}
}
