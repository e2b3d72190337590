package hub

import (
	"context"
	"time"

	"roomlog/server/room"
)

// first is the key of the read that makes a room live.
const first room.Seq = -1

// load is one read of the store in flight. Whoever needs the same block waits for the same load.
type load struct {
	start room.Seq
	query room.Query
	why   ReadCause
	done  chan struct{} // closed when the read is over
	err   error         // readable once done is closed
	more  bool          // the store had more than the read brought

	// What the room knew when the read began: a snapshot that is behind it shows a fork.
	forks int
	head  room.Seq
	known room.Seq

	waiting []*cursor // cursors to mark dirty when it is over; guarded by the room's lock
}

// fetch starts the read that begins at start, or joins the one in flight. The caller holds r.mu.
func (r *liveRoom) fetch(start room.Seq) *load {
	if l := r.loads[start]; l != nil {
		return l
	}
	l := &load{start: start, done: make(chan struct{}), forks: r.forks, head: r.head, known: r.known}
	if !r.loaded {
		l.head = 0
	}
	if r.loads == nil {
		r.loads = make(map[room.Seq]*load)
	}
	r.loads[start] = l
	l.query = room.Query{Room: r.id, Anchor: room.After, Seq: start, Limit: segmentEvents, MaxBytes: blockBytes}
	switch {
	case start == first:
		l.query.Anchor, l.why = room.Latest, ReadOpen
	case start < r.head:
		l.query.Limit, l.why = int(r.blockEnd(start)-start), ReadReplay
	default:
		l.why = ReadRepair
	}
	if !r.hub.background(func(ctx context.Context) { r.load(ctx, l) }) {
		l.err = goingAway()
		delete(r.loads, start)
		close(l.done)
	}
	return l
}

// blockStart is where the read begins that brings what follows seq: at the fixed alignment, unless
// memory already has events after it that the read need not bring again. Where events are so large that a
// read does not bring a whole block, the alignment is what it does bring.
func (r *liveRoom) blockStart(seq room.Seq) room.Seq {
	align := room.Seq(segmentEvents >> r.finer)
	start := max(seq/align*align, r.floor-1)
	for _, s := range r.segments {
		if s.last() <= seq && s.last() > start {
			start = s.last()
		}
	}
	return start
}

func (r *liveRoom) blockEnd(start room.Seq) room.Seq {
	end := min((start/segmentEvents+1)*segmentEvents, r.head)
	for _, s := range r.segments {
		if s.prev > start && s.prev < end {
			end = s.prev
		}
	}
	return end
}

// load runs a read and gives its page to the room. It is one goroutine for as long as the read takes.
func (r *liveRoom) load(ctx context.Context, l *load) {
	if link := r.hub.cfg.Link; link != nil && l.start == first {
		link.Follow(ctx, r.id) // then read: nothing is between
	}
	page, err := r.hub.read(ctx, l.why, l.query)
	if err != nil && ctx.Err() != nil {
		err = goingAway() // the hub stops: the store is not to blame
	}
	r.mu.Lock()
	if err == nil && l.forks == r.forks && !r.dead {
		r.take(l, page)
	}
	// A store that does not give what it says it has is not asked again at once.
	futile := err != nil || l.start != first && len(page.Events) == 0 && page.Head.Seq > r.head
	l.more = err == nil && page.Seq() < page.Head.Seq
	delete(r.loads, l.start)
	if len(r.later) > 0 && r.loaded && r.hub.cfg.Link != nil {
		r.repairSoon() // what is between may come yet, and is not let go of meanwhile
	}
	r.catchUp()
	r.mu.Unlock()
	if err != nil {
		l.err = err
	}
	if err != nil && ctx.Err() == nil {
		r.hub.log.Warn("read failed", "room", r.id, "after", l.start, "error", err)
	}
	r.hub.cache.hold()
	close(l.done) // whoever waits is told at once
	if futile {
		pause(ctx, retryRead) // cursors and repairs, which nobody waits for, try again later
	}
	r.resume(l, ctx.Err() != nil)
	r.hub.cache.trim()
}

const retryRead = 250 * time.Millisecond

// resume lets the cursors that waited for a read look again, and reads on if the head has moved on. stops: nothing can be
// read any more.
func (r *liveRoom) resume(l *load, stops bool) {
	r.mu.Lock()
	waiting := l.waiting
	l.waiting = nil
	if !stops {
		r.readOn(l)
	}
	r.retire()
	r.mu.Unlock()
	for _, c := range waiting {
		c.conn.dirtied(c, 0)
	}
}

// readOn asks for what a read did not bring.
func (r *liveRoom) readOn(l *load) {
	if l.err != nil && l.why == ReadRepair {
		r.doubted = true // what was told of is still not here
	}
	if l.more {
		r.repair()
	}
	if r.loaded && !r.dead && r.behind() { // of what was told of while the room was read; its hint may come
		r.repairSoon()
	}
}

// take gives the room the page that a read brought.
func (r *liveRoom) take(l *load, p room.Page) {
	switch {
	case l.start == first:
		if !r.loaded {
			r.start(p)
			r.wake()
		}
		return
	case p.Head.Epoch != r.epoch:
		r.diverge(room.ResetEpoch)
		return
	case p.Prev > r.head || p.End != 0: // what follows the tail is gone, or is no longer there event by event
		r.startOver(room.ResetPruned)
		return
	case p.Head.Seq < l.head || !r.agrees(p): // the store went back, or somewhere else
		r.diverge(room.ResetDiverged)
		return
	}
	r.raise(p.Head) // cursors below the floor are to hear of it
	if p.Head.Seq < l.known && r.known == l.known {
		r.known = r.head // the head that was seen is no more
	}
	if l.why == ReadReplay && len(p.Events) > 0 && len(p.Events) < l.query.Limit {
		for len(p.Events) < segmentEvents>>r.finer {
			r.finer++
		}
	}
	if p.Seq() <= r.head {
		// That the store's head is beyond the tail says nothing here: the append that moved it may be about
		// to be published.
		if r.deleted.from(&p) { // else it is read anew
			r.insert(p)
		}
		return
	}
	r.extend(after(p.Events, r.head))
	r.known = max(r.known, p.Head.Seq)
}

// agrees reports whether a page has the marks that memory has, at both its ends and at the head.
func (r *liveRoom) agrees(p room.Page) bool {
	same := func(seq room.Seq, mark room.Mark) bool {
		known, ok := r.markAt(seq)
		return !ok || known == mark
	}
	if !same(p.Prev, p.PrevMark) || p.Seq() <= r.head && !same(p.Seq(), p.Position().Mark) {
		return false
	}
	if r.head <= p.Prev || r.head > p.Seq() {
		return true
	}
	return same(r.head, p.Events[r.head-p.Prev-1].Mark)
}

// insert adds a block behind the tail, among the segments in the order of prev: as much of the page as
// fills the first gap in it, for segments never overlap.
func (r *liveRoom) insert(p room.Page) {
	for s := r.find(p.Prev); s != nil && len(p.Events) > 0; s = r.find(p.Prev) {
		p.PrevMark, p.Prev = s.markAt(s.last()), s.last()
		p.Events = after(p.Events, p.Prev)
	}
	for _, s := range r.segments {
		if s.prev > p.Prev && s.prev < p.Seq() {
			p.Events = p.Events[:s.prev-p.Prev]
		}
	}
	if len(p.Events) == 0 {
		return
	}
	s := newSegment(r, p.Prev, p.PrevMark)
	for events := p.Events; len(events) > 0; {
		n, _ := s.add(events)
		events = events[n:]
	}
	at := len(r.segments)
	for at > 0 && r.segments[at-1].prev > s.prev {
		at--
	}
	r.segments = append(r.segments, nil)
	copy(r.segments[at+1:], r.segments[at:])
	r.segments[at] = s
	r.hub.cache.add(s)
}

// after drops the events at or before seq.
func after(events []room.Event, seq room.Seq) []room.Event {
	for len(events) > 0 && events[0].Seq <= seq {
		events = events[1:]
	}
	return events
}

// pause waits for d or for ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
