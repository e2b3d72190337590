package hub

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// Sink is the byte pipe of one connection, implemented by the transport.
type Sink interface {
	// TryWrite writes what the peer takes without blocking, and says how much that was. Less than
	// all without an error means that the peer is full. It does not keep the slices.
	TryWrite(bufs [][]byte) (int, error)
	// WriteAll writes p, blocking; it fails when the peer makes no progress for the write deadline, by an
	// error whose Timeout is true.
	// It is called by one goroutine, and never beside TryWrite.
	WriteAll(p []byte) error
	// Close ends the connection and says why; nil is a normal end. It must not block, and may be
	// called from any goroutine, any number of times, also while the hub holds locks: it does not call
	// back. The goroutine that reads the connection then ends and calls Conn.Detach.
	Close(why *room.Error)
}

const (
	// maxWrite is how much one write gathers: enough that system calls no longer matter, small
	// enough that a stalled connection, which keeps a copy, costs little.
	maxWrite = 32 << 10
	// maxReplies is how much a connection may have unsent before the server stops reading it.
	maxReplies = 64 << 10
)

// Conn is one connection: cursors, not queues of events. All methods may be called concurrently.
type Conn struct {
	hub     *Hub
	sink    Sink
	worker  *worker
	framing wire.Framing
	bucket  int // of the keepalive wheel

	heard atomic.Int64 // when the peer was last heard, on the hub's clock
	asked atomic.Int32 // sends that have a place among the hub's asks

	mu        sync.Mutex
	closed    bool
	pinged    int64 // when a ping was sent that the peer must answer, on the hub's clock; 0: none
	queued    bool  // the worker has it on its list
	held      bool  // what there is to write waits for Flush
	wanted    bool  // there is something
	stalled   bool  // the peer is full: rest is being written by a goroutine
	stalledAt int64 // since when, on the hub's clock
	parting   bool  // the hub stops: what is unsent of the replies is the last that is written
	failed    bool  // it cannot be written to any more; stalled too
	cursors   []*cursor
	dirty     []*cursor
	replies   []byte // framed, not yet written: the one queue
	latest    []byte // framed, shared, not yet written; the next takes its place
	rest      []byte // what a partial write left
	senders   map[room.ID]*sender
	drained   chan struct{} // closed when replies were written; nil when no reader waits
}

// cursor is where one connection stands in one room.
type cursor struct {
	conn  *Conn
	room  *liveRoom
	limit int // of the latest page, should a stream have to start anew

	permit Permit
	base   room.Seq // the least seq that it may be given; 0: any (Join.Floor)

	// Guarded by the room's lock.
	index  int   // among the room's subscribers; -1 when not there
	awaits *load // the last read it waited for

	// Guarded by the connection's lock.
	seq     room.Seq // handed to the sink up to here
	mark    room.Mark
	epoch   room.Epoch
	forks   int   // of the room when the cursor was placed
	judged  int   // and of its judgings when the permit was asked last
	since   int64 // when the oldest event it has to be given live came, on the hub's clock; 0: none
	started bool  // the joined frame is queued: pages may follow
	gone    bool
	marked  bool    // on the dirty list
	whole   bool    // it is to be given the whole map next
	late    bool    // it has to be given a fold next, whatever memory has
	beside  *beside // nil where nothing was asked for but the log
}

// Attach registers a connection. Errors: going_away after Stop.
func (h *Hub) Attach(s Sink, f wire.Framing) (*Conn, error) {
	n := h.counts.attached.Add(1)
	c := &Conn{hub: h, sink: s, framing: f, worker: h.workers[n%int64(len(h.workers))]}
	c.heard.Store(h.now())
	if !h.keep(c, int(n)) {
		return nil, goingAway()
	}
	return c, nil
}

// Detach forgets the connection: its cursors, senders and what it had not sent. It is idempotent.
func (c *Conn) Detach() {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	cursors := c.cursors
	c.cursors, c.dirty, c.replies, c.latest, c.senders = nil, nil, nil, nil, nil
	for _, cur := range cursors {
		cur.gone = true
		cur.part()
	}
	c.release()
	c.mu.Unlock()
	for _, cur := range cursors {
		cur.room.unsubscribe(cur)
	}
	c.hub.drop(c)
}

// Detached reports whether the connection was forgotten.
func (c *Conn) Detached() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// Heard says that the peer is alive.
func (c *Conn) Heard() { c.heard.Store(c.hub.now()) }

// Rooms is how many rooms the connection has joined.
func (c *Conn) Rooms() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.cursors)
}

// RoomIDs lists the rooms that the connection has joined.
func (c *Conn) RoomIDs() []room.ID {
	c.mu.Lock()
	defer c.mu.Unlock()
	ids := make([]room.ID, len(c.cursors))
	for i, cur := range c.cursors {
		ids[i] = cur.room.id
	}
	return ids
}

// Joined reports whether the connection has a cursor in the room.
func (c *Conn) Joined(id room.ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cursorOf(id) >= 0
}

// Reply queues a framed reply, which is copied. Replies go before pages.
func (c *Conn) Reply(frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.failed {
		return
	}
	c.replies = append(c.replies, frame...)
	c.enqueue()
}

// ReplyLatest queues a framed reply of which only the latest matters: it takes the place of the one before where that
// is not written yet, so that a peer that takes nothing costs no more than one. It goes after the other replies. The
// frame is not copied, and must not be changed.
func (c *Conn) ReplyLatest(frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.failed {
		return
	}
	c.latest = frame
	c.enqueue()
}

// Full reports whether too much is unsent for anything that can wait. It does not block.
func (c *Conn) Full() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.replies)+len(c.rest) > maxReplies
}

// WaitWritable blocks while too much is unsent, and reports whether the connection can still be written to.
// The goroutine that reads a connection calls it before it reads on, so that a peer who asks
// faster than it listens is slowed, not queued for.
func (c *Conn) WaitWritable() bool {
	for {
		c.mu.Lock()
		open := !c.closed && !c.failed
		if !open || len(c.replies)+len(c.rest) <= maxReplies {
			c.mu.Unlock()
			return open
		}
		if c.drained == nil {
			c.drained = make(chan struct{})
		}
		drained := c.drained
		c.mu.Unlock()
		<-drained // closed by release: after a write, or by Detach
	}
}

func (c *Conn) release() {
	if c.drained != nil {
		close(c.drained)
		c.drained = nil
	}
}

// enqueue puts the connection on its worker's list. The caller holds c.mu.
func (c *Conn) enqueue() {
	if c.held {
		c.wanted = true
		return
	}
	if !c.queued && (!c.stalled || mutateEnqueue) && !c.closed {
		c.queued = true
		c.worker.addConn(c)
	}
}

// dirtied notes that the room of a cursor has something for it, since when (0: not newly grown).
func (c *Conn) dirtied(cur *cursor, since int64) {
	c.mu.Lock()
	if since != 0 && cur.since == 0 && !cur.marked {
		cur.since = since
	}
	if c.mark(cur) {
		c.enqueue()
	}
	c.mu.Unlock()
}

// mark puts a cursor on the dirty list, and reports whether the connection wants a flush.
func (c *Conn) mark(cur *cursor) bool {
	if cur.gone || !cur.started || c.closed {
		return false
	}
	if !cur.marked {
		cur.marked = true
		c.dirty = append(c.dirty, cur)
	}
	return true
}

// Joined says where a cursor was placed. Events is the first page, (Prev, Seq], encoded and
// separated by commas; it may end before the head: the rest follows as pages.
type Joined struct {
	Head   room.Head
	Reset  room.ResetReason // why the position asked for could not be continued; empty if it was
	Prev   room.Seq
	Seq    room.Seq
	Mark   room.Mark // of Seq
	Events []byte
	State  []byte // of a room with state: by key, encoded; nil: nothing is said
	Full   bool   // State is the whole map
	Docs   bool   // updates of documents are left out
}

// joinBytes is about how many bytes of events go into a joined frame; the rest follows as pages,
// whose bytes are shared.
const joinBytes = 32 << 10

// Join places a cursor in a room, in place of the one that was there, which goes on until then. encode
// makes the framed reply, which is not its any more and is queued before any page of the new cursor. It blocks while the store is
// read.
// Errors: unavailable, overloaded, going_away (all retryable), and what j.Permit says.
func (c *Conn) Join(ctx context.Context, j Join, encode func(Joined) []byte) error {
	var found room.ResetReason // what a fold says of the position
	for range maxPlacing {
		r, from, why, err := c.hub.place(ctx, j)
		if err != nil {
			return err
		}
		if found != "" && why == "" {
			why = found
		}
		if !r.layered || why == "" && j.HasPosition && r.remembers(from, j) {
			return c.start(r, from, why, j, nil, encode)
		}
		found = why
		if done, err := c.joinFolded(ctx, r, from, &found, j, encode); done || err != nil {
			return err
		}
	}
	return overloaded("The room changes faster than it can be read; try again.")
}

// JoinAtOnce, called between Hold and Flush, is Join where the answer is in memory and the peer takes what it is given. done is false where
// either would have to be waited for: nothing has happened then. encode appends the framed
// reply, and keeps nothing of what it is given.
func (c *Conn) JoinAtOnce(j Join, encode func(dst []byte, joined Joined) []byte) (done bool, err error) {
	c.mu.Lock()
	full := c.closed || c.failed || len(c.replies)+len(c.rest) > maxReplies
	c.mu.Unlock()
	if full {
		return false, nil
	}
	r, from := c.hub.placeAtOnce(j)
	if r == nil {
		return false, nil
	}
	return true, c.start(r, from, "", j, pageBuffer(), func(joined Joined) []byte {
		defer reuse(joined.Events)
		return encode(pageBuffer(), joined)
	})
}

// start puts a cursor where it was placed and lets go of the room, which is locked. events is a buffer for the
// first page, or nil.
func (c *Conn) start(r *liveRoom, from room.Seq, why room.ResetReason, j Join, events []byte, encode func(Joined) []byte) error {
	out := Joined{Head: r.headValue(), Reset: why, Prev: from}
	out.Events, out.Seq, _ = r.collect(events, from, c.hub.cfg.MaxPage, joinBytes)
	out.Mark, _ = r.markAt(out.Seq)
	out.Head.Floor = r.shownFloor(j.Floor)
	cur := newCursor(c, r, j, out.Seq, out.Mark)
	cur.mutateJoin() // mutant join_gap
	r.subscribe(cur)
	r.mu.Unlock()
	return c.begin([]*cursor{cur}, []Join{j}, encode(out))
}

// newCursor is a cursor where a join was placed. The caller holds the room's lock.
func newCursor(c *Conn, r *liveRoom, j Join, seq room.Seq, mark room.Mark) *cursor {
	return &cursor{
		conn: c, room: r, seq: seq, mark: mark, epoch: r.epoch, limit: j.Limit, forks: r.forks,
		permit: j.Permit, base: floorBy(j.Permit, j.Room, j.Floor), judged: r.judgings,
	}
}

// begin lets placed cursors deliver, after the reply. Permits are asked under the lock that Leave takes: a
// cursor either begins before access to its room is taken back, and is there to be ended, or not at all.
func (c *Conn) begin(cursors []*cursor, joins []Join, reply []byte) error {
	c.mu.Lock()
	if err := c.barred(joins); err != nil {
		c.mu.Unlock()
		for _, cur := range cursors {
			cur.room.unsubscribe(cur)
		}
		return err
	}
	c.replies = slices.Insert(reply, 0, c.replies...) // nobody else has the reply, which is the larger one
	var old []*cursor
	for i, cur := range cursors {
		cur.accompany(&joins[i])                    // before the one that was there parts: who stays does not go
		if at := c.cursorOf(cur.room.id); at >= 0 { // of a join at the same time
			old = append(old, c.cursors[at])
			c.remove(c.cursors[at])
		}
		cur.started = true
		c.cursors = append(c.cursors, cur)
		c.mark(cur) // the room may have grown since the cursor was placed
	}
	c.enqueue()
	c.mu.Unlock()
	for _, cur := range old {
		cur.room.unsubscribe(cur)
	}
	return nil
}

// barred says why cursors may not begin. The caller holds c.mu.
func (c *Conn) barred(joins []Join) error {
	if c.closed {
		return goingAway()
	}
	for _, j := range joins {
		if err := refused(j.Permit, j.Room); err != nil {
			return err
		}
	}
	return nil
}

// cursorOf finds the cursor of a room; -1: there is none. The caller holds c.mu.
func (c *Conn) cursorOf(id room.ID) int {
	return slices.IndexFunc(c.cursors, func(cur *cursor) bool { return cur.room.id == id })
}

// Leave ends the cursor of a room, and reports whether there was one. When it returns, no further page of
// the room is given to the sink; a stalled one may still be taking what it was given.
func (c *Conn) Leave(id room.ID) bool {
	c.mu.Lock()
	at := c.cursorOf(id)
	if at < 0 {
		c.mu.Unlock()
		return false
	}
	cur := c.cursors[at]
	c.remove(cur)
	c.mu.Unlock()
	cur.room.unsubscribe(cur)
	return true
}

// remove takes a cursor off the connection's lists. The caller holds c.mu.
func (c *Conn) remove(cur *cursor) {
	cur.gone = true
	cur.part()
	same := func(other *cursor) bool { return other == cur }
	c.cursors = slices.DeleteFunc(c.cursors, same)
	c.dirty = slices.DeleteFunc(c.dirty, same)
}
