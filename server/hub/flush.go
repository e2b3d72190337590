package hub

import (
	"context"
	"errors"
	"sync"
	"time"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// worker flushes the connections of its share. Rooms that grew and connections that have something
// to write gather on its lists while it works; it never waits for a peer or for the store.
type worker struct {
	hub   *Hub
	index int

	mu    sync.Mutex
	rooms []*liveRoom
	conns []*Conn
	woken chan struct{} // holds at most one token

	delivery times // from growth to write, of this worker's connections

	// Owned by the worker's goroutine, kept to be filled again.
	subs       []*cursor
	bufs       [][]byte
	spareRooms []*liveRoom
	spareConns []*Conn
	rounds     int // of marking
}

// sampleAbove is how many subscribers of a room are timed each time it grows; of more, one in as many.
// Reading the clock for each would be a sixth of what a delivery costs.
const sampleAbove = 16

func newWorker(h *Hub, index int) *worker {
	return &worker{hub: h, index: index, woken: make(chan struct{}, 1)}
}

func (w *worker) addRoom(r *liveRoom) {
	w.mu.Lock()
	w.rooms = append(w.rooms, r)
	w.mu.Unlock()
	w.wake()
}

func (w *worker) addConn(c *Conn) {
	w.mu.Lock()
	w.conns = append(w.conns, c)
	w.mu.Unlock()
	w.wake()
}

func (w *worker) wake() {
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

func (w *worker) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.woken:
		}
		for w.round() {
		}
	}
}

// round flushes what has gathered, and reports whether there was anything.
func (w *worker) round() bool {
	w.mu.Lock()
	w.spareRooms, w.rooms = w.rooms, w.spareRooms[:0]
	w.mu.Unlock()
	for i, r := range w.spareRooms {
		w.markSubscribers(r)
		w.spareRooms[i] = nil
	}
	// Taken after the marking: what it put on the list is flushed in this round, together
	// with the acks that came meanwhile.
	w.mu.Lock()
	w.spareConns, w.conns = w.conns, w.spareConns[:0]
	w.mu.Unlock()
	for i, c := range w.spareConns {
		c.flush(w)
		w.spareConns[i] = nil
	}
	return len(w.spareConns) > 0
}

// markSubscribers marks the cursors of this worker's share of a room dirty.
func (w *worker) markSubscribers(r *liveRoom) {
	r.mu.Lock()
	since := r.marked[w.index]
	r.marked[w.index] = 0
	w.subs = append(w.subs[:0], r.subs[w.index]...)
	r.mu.Unlock()
	w.rounds++
	for i, cur := range w.subs {
		timed := since
		if len(w.subs) > sampleAbove && (i+w.rounds)%sampleAbove != 0 {
			timed = 0
		}
		cur.conn.dirtied(cur, timed)
		w.subs[i] = nil
	}
}

// flush writes what has gathered, replies first, in one call; what does not fit stays for the next
// round, so that one connection far behind does not hold up the others.
func (c *Conn) flush(w *worker) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flushLocked(w)
}

// flushLocked is flush for who holds c.mu.
func (c *Conn) flushLocked(w *worker) {
	c.queued = false
	if c.closed || c.stalled {
		c.mutateQueue()
		return
	}
	bufs, size := w.bufs[:0], 0
	if len(c.replies) > 0 {
		bufs, size = append(bufs, c.replies), len(c.replies)
	}
	if c.latest != nil {
		bufs, size = append(bufs, c.latest), size+len(c.latest)
	}
	bufs, size = c.gather(bufs, size)
	if size > 0 {
		c.write(bufs, size)
	}
	clear(bufs)
	w.bufs = bufs[:0]
	if len(c.dirty) > 0 {
		c.enqueue()
	}
}

// gather pulls the bytes between the dirty cursors and their rooms' heads, room after room.
func (c *Conn) gather(bufs [][]byte, size int) ([][]byte, int) {
	replies := len(bufs)
	for tries := len(c.dirty); tries > 0 && size < maxWrite; tries-- {
		cur := c.dirty[0]
		before := len(bufs)
		var more bool
		bufs, more = cur.pull(bufs, maxWrite-size, before > replies)
		for _, b := range bufs[before:] {
			size += len(b)
		}
		if cur.gone { // reset: no longer on the list
			continue
		}
		c.dirty = c.dirty[:copy(c.dirty, c.dirty[1:])]
		if more {
			c.dirty = append(c.dirty, cur) // behind the others, who have not had their turn
		} else {
			cur.marked = false
		}
	}
	return bufs, size
}

// write hands the bytes to the sink. The rest of a partial write is copied off the shared bytes and
// finished by a goroutine that lives only while the connection is stalled.
func (c *Conn) write(bufs [][]byte, size int) {
	n, err := c.sink.TryWrite(bufs)
	c.hub.counts.writes.Add(1)
	c.hub.counts.written.Add(int64(n))
	c.replies, c.latest = nil, nil
	if err != nil {
		c.fail(nil)
		return
	}
	if n < size {
		c.rest = make([]byte, 0, size-n)
		for _, b := range bufs {
			if n >= len(b) {
				n -= len(b)
				continue
			}
			c.rest = append(c.rest, b[n:]...)
			n = 0
		}
		c.stalled, c.stalledAt = true, c.hub.now()
		c.hub.counts.stalls.Add(1)
		if !c.hub.background(func(context.Context) { c.drain() }) {
			c.sink.Close(goingAway())
		}
		return
	}
	c.release()
}

// fail ends a connection that cannot be written to. The caller holds c.mu.
func (c *Conn) fail(why *room.Error) {
	c.failed, c.stalled = true, true
	c.replies, c.latest, c.rest = nil, nil, nil
	c.release()
	c.sink.Close(why)
}

// drain finishes a partial write, then gives the connection back to its worker.
func (c *Conn) drain() {
	c.mu.Lock()
	rest := c.rest
	c.mu.Unlock()
	err := c.sink.WriteAll(rest)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parting && err == nil {
		c.farewell()
		return
	}
	if err != nil {
		c.fail(tooSlow(err))
		return
	}
	c.rest, c.stalled = nil, false
	c.release()
	if len(c.replies) > 0 || c.latest != nil || len(c.dirty) > 0 {
		c.enqueue()
	}
}

// tooSlow says why a write ended a connection; nil: the peer is gone, and nobody is told.
func tooSlow(err error) *room.Error {
	if t := (interface{ Timeout() bool })(nil); !errors.As(err, &t) || !t.Timeout() {
		return nil
	}
	return &room.Error{Code: room.CodeSlowConsumer, Title: "The client took no bytes for too long; connect again to resume.", Cause: err}
}

// farewell writes the replies that a full peer kept waiting, and ends the connection. The caller holds
// c.mu, which is let go while the peer takes them.
func (c *Conn) farewell() {
	last := c.replies
	c.replies = nil
	c.mu.Unlock()
	if len(last) > 0 {
		_ = c.sink.WriteAll(last) // ends one way or the other
	}
	c.sink.Close(goingAway())
	c.mu.Lock()
}

// pull appends the frames between the cursor and its room's head, about limit bytes of them; the first
// frame of a write (paged is false) may be larger. more: there is something left that memory has. A
// cursor whose next block is not in memory waits for the read, which marks it dirty again. The caller
// holds the connection's lock.
func (cur *cursor) pull(bufs [][]byte, limit int, paged bool) (_ [][]byte, more bool) {
	r, c := cur.room, cur.conn
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.loaded {
		if r.dead {
			return bufs, false // a room with subscribers does not die
		}
		cur.await(r.fetch(first))
		return bufs, false
	}
	if bufs, out := cur.expelled(bufs); out {
		return bufs, false
	}
	if why := cur.broken(); why != "" {
		return cur.reset(bufs, why), !cur.gone
	}
	// A stream of several rooms names the positions of all of them in each id, which nobody shares.
	named := c.framing == wire.EventStream && len(c.cursors) > 1
	size := 0
	for (cur.seq < r.head || cur.whole && cur.seq == r.head) && size < limit {
		if cur.whole || cur.late || r.foldsAt(cur.seq, true) {
			frame, why, wait := cur.pullFold(limit-size, paged)
			if why != "" {
				return cur.reset(bufs, why), !cur.gone
			}
			if frame == nil {
				return bufs, !wait
			}
			paged = true
			if named {
				id := append([]byte("id: "), c.streamID()...)
				bufs = append(bufs, append(id, '\n'))
				frame = wire.AfterID(frame)
			}
			bufs = append(bufs, frame)
			size += len(frame)
			continue
		}
		s := r.find(cur.seq)
		if s == nil {
			if cur.mutateBehind() { // mutant tail_skip
				continue
			}
			cur.await(r.fetch(r.blockStart(cur.seq)))
			return bufs, false
		}
		s.touch()
		most := limit - size
		if named {
			most = 0 // one frame at a time
		}
		frames, seq := s.slice(c.framing, cur.seq, most)
		if paged && len(frames) > limit-size {
			return bufs, true // a large frame goes by itself
		}
		paged = true
		cur.seq, cur.mark = seq, s.markAt(seq)
		if named {
			id := append([]byte("id: "), c.streamID()...)
			bufs = append(bufs, append(id, '\n'))
			frames = wire.AfterID(frames)
		}
		bufs = append(bufs, frames)
		size += len(frames)
	}
	if cur.seq > r.head { // a fold was ahead of the tail, which comes after
		return bufs, false
	}
	if cur.seq == r.head && cur.since != 0 {
		c.worker.delivery.add(time.Duration(c.hub.now() - cur.since))
		cur.since = 0
	}
	if cur.seq == r.head {
		return cur.pullSides(bufs, limit-size, paged)
	}
	return bufs, true
}

func (cur *cursor) await(l *load) {
	if cur.awaits != l {
		cur.awaits = l
		l.waiting = append(l.waiting, cur)
	}
}

// broken says why the cursor cannot go on from where it stands.
func (cur *cursor) broken() room.ResetReason {
	switch r := cur.room; {
	case cur.forks != r.forks:
		return r.fork
	case cur.seq < r.floorFor(cur.base)-1:
		return room.ResetPruned
	}
	return ""
}

// reset tells the client that its cursor cannot go on. On a WebSocket that ends the cursor and the
// client joins again; a stream starts anew before the latest page by itself.
func (cur *cursor) reset(bufs [][]byte, why room.ResetReason) [][]byte {
	r, c := cur.room, cur.conn
	c.hub.counts.reset(why)
	frame := wire.Reset{Room: r.id, Reason: why, Epoch: r.epoch, Floor: r.shownFloor(cur.base), Head: r.head}
	if c.framing == wire.WebSocket {
		r.leave(cur)
		c.remove(cur)
		return append(bufs, c.framing.AppendReset(nil, frame, nil))
	}
	cur.restart()
	return append(bufs, c.framing.AppendReset(nil, frame, c.streamID()))
}

// restart places a stream's cursor before the latest page. The mark of a place that memory does not
// have stays none: the position then names only epoch and seq.
func (cur *cursor) restart() {
	r := cur.room
	cur.epoch, cur.forks = r.epoch, r.forks
	cur.seq = max(r.head-room.Seq(cur.conn.hub.pageLimit(cur.limit)), r.floorFor(cur.base)-1)
	cur.mark, _ = r.markAt(cur.seq)
	cur.whole = r.layered
}
