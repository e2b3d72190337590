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
	done    chan struct{} // closed when the read is over
	err     error         // readable once done is closed
	waiting []*cursor     // cursors to mark dirty then; guarded by the room's lock
}

// fetch starts the read that begins at start, or joins the one in flight. The caller holds r.mu.
func (r *liveRoom) fetch(start room.Seq) *load {
	if l := r.loads[start]; l != nil {
		return l
	}
	l := &load{done: make(chan struct{})}
	if r.loads == nil {
		r.loads = make(map[room.Seq]*load)
	}
	r.loads[start] = l
	q := room.Query{Room: r.id, Anchor: room.After, Seq: start, Limit: segmentEvents, MaxBytes: blockBytes}
	switch {
	case start == first:
		q.Anchor = room.Latest
	case start < r.head:
		q.Limit = int(r.blockEnd(start) - start)
	}
	forks := r.forks
	if !r.hub.background(func(ctx context.Context) { r.load(ctx, l, start, q, forks) }) {
		l.err = goingAway()
		delete(r.loads, start)
		close(l.done)
	}
	return l
}

// blockStart is where the read begins that brings what follows seq: at the fixed alignment, unless
// memory already has events after it that the read need not bring again.
func (r *liveRoom) blockStart(seq room.Seq) room.Seq {
	start := max(seq/segmentEvents*segmentEvents, r.floor-1)
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
func (r *liveRoom) load(ctx context.Context, l *load, start room.Seq, q room.Query, forks int) {
	page, err := r.hub.read(ctx, q)
	r.mu.Lock()
	if err == nil && forks == r.forks && !r.dead {
		r.take(start, page)
	}
	futile := err != nil || start != first && len(page.Events) == 0
	delete(r.loads, start)
	r.mu.Unlock()
	if err != nil {
		l.err = err
		r.hub.log.Warn("read failed", "room", r.id, "after", start, "error", err)
	}
	close(l.done) // whoever waits is told at once
	if futile {
		pause(ctx, retryRead) // cursors and repairs, which nobody waits for, try again later
	}
	r.resume(l)
	r.hub.cache.trim()
}

const retryRead = 250 * time.Millisecond

// resume lets the cursors that waited for a read look again, and reads on if the head has moved on.
func (r *liveRoom) resume(l *load) {
	r.mu.Lock()
	waiting := l.waiting
	l.waiting = nil
	r.repair()
	r.mu.Unlock()
	for _, c := range waiting {
		c.conn.dirtied(c)
	}
}

// take gives the room a page that was read from start.
func (r *liveRoom) take(start room.Seq, p room.Page) {
	switch {
	case start == first:
		if !r.loaded {
			r.start(p)
			r.wake()
		}
		return
	case p.Head.Epoch != r.epoch:
		r.diverge(room.ResetEpoch)
		return
	}
	if p.Head.Floor > r.floor {
		r.floor, r.floorMark = p.Head.Floor, p.Head.FloorMark
		r.wake() // cursors below the floor are to hear of it
	}
	r.known = max(r.known, p.Head.Seq)
	if mark, ok := r.markAt(p.Prev); ok && mark != p.PrevMark {
		r.diverge(room.ResetDiverged)
		return
	}
	if p.Prev <= r.head && p.Seq() > r.head {
		r.extend(after(p.Events, r.head))
		return
	}
	if len(p.Events) > 0 && p.Seq() <= r.head && r.find(p.Prev) == nil {
		r.insert(p)
	}
}

// insert adds a block behind the tail, among the segments in the order of prev.
func (r *liveRoom) insert(p room.Page) {
	if mark, ok := r.markAt(p.Seq()); ok && mark != p.Position().Mark {
		r.diverge(room.ResetDiverged)
		return
	}
	s := newSegment(r, p.Prev, p.PrevMark)
	for i := range p.Events {
		s.add(&p.Events[i])
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
