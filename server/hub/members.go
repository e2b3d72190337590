package hub

import (
	"roomlog/server/room"
	"roomlog/server/wire"
)

// Members hears what the log of a room says of who belongs to it, so that permits can go by it. It is called with locks of the
// hub held: it must neither block nor call the hub. What it is told it may be told again, and out of the past.
type Members interface {
	// Member is told an event of the type member, or erase, which ends a membership, before anybody is given it here: one that this node has
	// appended, or that a room in memory has come to have. When it returns, permits are asked anew for each cursor of the room, before that is given
	// anything more (rule MEM-7). own: this node has appended it.
	Member(id room.ID, e *room.Event, own bool)
	// Restarted is told that a room in memory was read anew, so that such events may have passed unseen. Who finds out calls [Hub.Judge].
	Restarted(id room.ID)
	// Grown is told the rooms that an append of this node made grow, after its commit.
	Grown(id room.ID)
}

// TellMembers has m told what rooms say of who belongs to them. It is called once, before anything is joined or sent.
func (h *Hub) TellMembers(m Members) { h.members.Store(&m) }

// Account numbers an unbroken account that this node has of a room: what was read of the store while it had a number, and is followed
// from then on by [Members], holds for as long as the room has the same. 0: the room is not in memory, or not read yet.
func (h *Hub) Account(id room.ID) uint64 {
	r := h.inMemory(id)
	if r == nil {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dead || !r.loaded {
		return 0
	}
	return r.account
}

// Judge has permits asked anew for each cursor of a room, now.
func (h *Hub) Judge(id room.ID) {
	if r := h.inMemory(id); r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.judgings++
		r.wake()
	}
}

// tellMembers passes on the member events of a growth. The caller holds r.mu, or the events are the appender's.
func (h *Hub) tellMembers(id room.ID, events []room.Event, own bool) (any bool) {
	m := h.members.Load()
	if m == nil {
		return false
	}
	for i := range events {
		if events[i].Type == room.TypeMember || events[i].Type == room.TypeErase {
			(*m).Member(id, &events[i], own)
			any = true
		}
	}
	return any
}

// restarted says that member events may have passed unseen. The caller holds r.mu.
func (r *liveRoom) restarted() {
	r.account = 0
	if m := r.hub.members.Load(); m != nil {
		r.judgings++
		(*m).Restarted(r.id)
	}
}

// expelled asks whether the cursor may go on, if it may not be so by what came since it was asked last, and ends it where it may not: a
// stream with it. The caller holds the locks of the connection and of the room.
func (cur *cursor) expelled(bufs [][]byte) ([][]byte, bool) {
	r, c := cur.room, cur.conn
	if cur.judged == r.judgings || mutateJudge() { // mutant member_later
		return bufs, false
	}
	err := refused(cur.permit, r.id)
	if err == nil {
		cur.judged, cur.base = r.judgings, floorBy(cur.permit, r.id, cur.base)
		return bufs, false
	}
	r.leave(cur)
	c.remove(cur)
	if c.framing == wire.WebSocket {
		return append(bufs, wire.AppendText(nil, wire.Failure{Room: string(r.id), Err: err}.Append(nil))), true
	}
	c.sink.Close(err) // its rooms are those of its URL
	return bufs, true
}
