package hub

import (
	"math/rand/v2"
	"slices"
	"sort"
	"sync"

	"roomlog/server/room"
)

// liveRoom is a room that somebody reads, or lately did: its head as far as this node has seen the
// log, the segments it has in memory, and its subscribers. It owns no goroutine.
//
// Locks: a connection's lock is taken before a room's, never after; the hub's map lock and the
// cache's are leaves.
type liveRoom struct {
	hub *Hub
	id  room.ID

	mu        sync.Mutex
	dead      bool // evicted from the hub; whoever finds it so asks the hub again
	loaded    bool // the fields below are known
	epoch     room.Epoch
	floor     room.Seq
	floorMark room.Mark
	head      room.Seq // the last event the tail has
	mark      room.Mark
	known     room.Seq           // a head the store was seen at; the tail is repaired until it gets there
	later     []growth           // appends that did not adjoin, by where they begin, kept while what is missing may come
	laterSize int                // of what is in later, in bytes
	hinted    room.Seq           // a head that another node told of; the store has the last word about it
	doubted   bool               // what another node told does not agree with the tail: the store is to be asked
	mending   bool               // it is queued to be read on, unless what is missing comes first
	missing   room.Seq           // and that is up to here
	swept     room.Seq           // the head at the last round of the sweep
	turn      int                // of the rounds of the sweep, which one looks at the room though it does not grow
	resting   int64              // since when nobody was seen to read it, on the hub's clock; 0: somebody did
	segments  []*segment         // by prev; the last is the tail and ends at head
	loads     map[room.Seq]*load // reads in flight, by where they start
	folds     map[foldKey]*fold  // in a room with other layers than the log
	layered   bool               // it has had events of another layer than the log: what is not in memory is folded
	passed    int64              // how many of those came while it is in memory
	other     room.Seq           // the newest event of the log layer; 0: none is known
	finer     int                // by how many halves reads are aligned finer than to segmentEvents, because events are large
	subs      [][]*cursor        // per worker
	marked    []int64            // per worker: since when it is queued to have its subscribers marked dirty, on the hub's clock; 0: it is not
	changed   chan struct{}      // closed when the room grows or forks; nil when nobody waits
	waiters   int                // parked polls, and readers between a read and its use
	fork      room.ResetReason   // why the last fork happened
	forks     int                // how often the tail was thrown away
	account   uint64             // see Hub.Account; 0: there is none
	judgings  int                // how often permits of its cursors had to be asked anew
	former    room.Epoch         // of the room that was deleted here; what was appended to it may come late
	deleted   deletions          // of messages, the latest
}

// growth is an append with its events.
type growth struct {
	room.Growth
	events []room.Event
}

// size is about how many bytes of memory it keeps.
func (g *growth) size() int {
	size := 0
	for i := range g.events {
		size += len(g.events[i].Data) + 256
	}
	return size
}

// maxLater bounds the bytes that are kept for a tail that is being read. Past it they are read, too.
const maxLater = 4 << 20

func newLiveRoom(h *Hub, id room.ID) *liveRoom {
	return &liveRoom{
		hub: h, id: id, subs: make([][]*cursor, len(h.workers)), marked: make([]int64, len(h.workers)),
		swept: -1, turn: rand.IntN(idleRounds),
	}
}

func (r *liveRoom) headValue() room.Head {
	return room.Head{Room: r.id, Epoch: r.epoch, Floor: r.floor, FloorMark: r.floorMark, Seq: r.head, Mark: r.mark}
}

// find returns the segment that holds what follows seq, or nil. At the head there is nothing to hold.
func (r *liveRoom) find(seq room.Seq) *segment {
	i := sort.Search(len(r.segments), func(i int) bool { return r.segments[i].prev > seq }) - 1
	if i < 0 || seq >= r.segments[i].last() {
		return nil
	}
	return r.segments[i]
}

// markAt is the mark of seq, and whether memory has it.
func (r *liveRoom) markAt(seq room.Seq) (room.Mark, bool) {
	switch {
	case seq == r.head:
		return r.mark, r.mark != 0 || seq == 0
	case seq == r.floor-1:
		return r.floorMark, r.floorMark != 0 || seq == 0
	}
	i := sort.Search(len(r.segments), func(i int) bool { return r.segments[i].prev > seq }) - 1
	if i >= 0 && seq <= r.segments[i].last() {
		mark := r.segments[i].markAt(seq)
		return mark, mark != 0 || seq == 0 // that of state which was swept is not known
	}
	return 0, false
}

// start takes the first page of the room as its tail.
func (r *liveRoom) start(p room.Page) {
	r.loaded = true
	r.account = r.hub.accounts.Add(1)
	r.epoch, r.floor, r.floorMark = p.Head.Epoch, p.Head.Floor, p.Head.FloorMark
	r.layered, r.other = p.Layered, p.Log
	r.head, r.mark = p.Prev, p.PrevMark
	r.segments = nil
	r.newTail()
	r.extend(p.Events)
	r.known = max(r.known, p.Head.Seq)
}

func (r *liveRoom) newTail() *segment {
	s := newSegment(r, r.head, r.mark)
	r.segments = append(r.segments, s)
	r.hub.cache.add(s)
	return s
}

// extend appends events that adjoin the tail.
func (r *liveRoom) extend(events []room.Event) {
	if len(events) == 0 {
		return
	}
	r.redact(events)
	if r.hub.tellMembers(r.id, events, false) {
		r.judgings++
	}
	r.noteLayers(events)
	tail := r.segments[len(r.segments)-1]
	tail.touch()
	var grown int64
	for len(events) > 0 {
		if tail.full() {
			tail = r.newTail()
		}
		n, by := tail.add(events)
		grown += by
		r.head, r.mark = events[n-1].Seq, events[n-1].Mark
		events = events[n:]
	}
	r.hub.cache.grew(grown)
	r.dropLate()
	r.wake()
}

// noteLayers counts the events of other layers than the log that are about to follow the tail.
func (r *liveRoom) noteLayers(events []room.Event) {
	for i := range events {
		if events[i].InLog() {
			r.other = events[i].Seq
		} else {
			r.layered = true
			r.passed++
		}
	}
}

// publish takes what an append of this node did to the room. It is taken only if it adjoins what the tail has
// (same epoch, its mark before); anything else is repaired from the store.
func (r *liveRoom) publish(g room.Growth, events []room.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch rest, adjoins := r.rest(g, events); {
	case r.dead || r.former != "" && g.Head.Epoch == r.former:
	case !r.loaded:
		r.known = max(r.known, g.Head.Seq)
		r.keep(g, events)
	case g.Head.Epoch != r.epoch:
		r.diverge(room.ResetEpoch)
	case adjoins:
		r.extend(rest)
		r.catchUp()
	case g.Before == r.head && g.BeforeMark != r.mark:
		r.diverge(room.ResetDiverged)
	default:
		r.keep(g, events)
		if r.sight(g.Head) {
			r.repairSoon()
		}
		r.dropLater() // unless something is missing
	}
}

// rest is what of a growth follows the tail, and whether it adjoins it.
func (r *liveRoom) rest(g room.Growth, events []room.Event) ([]room.Event, bool) {
	had := r.head - g.Before // of the events, the tail has these
	switch {
	case !r.loaded || g.Head.Epoch != r.epoch || room.Seq(len(events)) != g.Head.Seq-g.Before:
		return nil, false
	case had == 0:
		return events, g.BeforeMark == r.mark && len(events) > 0
	case had < 0 || had >= room.Seq(len(events)):
		return nil, false
	}
	return events[had:], events[had-1].Mark == r.mark
}

// keep holds an append until what is before it has come, by a read in flight or from another node. Without it
// a room that is written faster than it is read would be read for ever.
func (r *liveRoom) keep(g room.Growth, events []room.Event) {
	if len(events) == 0 {
		return
	}
	at := len(r.later)
	for at > 0 && r.later[at-1].Before > g.Before {
		at--
	}
	if at > 0 && r.later[at-1].Growth == g {
		return // a hint that came twice
	}
	one := growth{g, events}
	if r.laterSize += one.size(); r.laterSize > maxLater {
		r.later, r.laterSize = nil, 0
		return
	}
	r.later = slices.Insert(r.later, at, one)
}

// catchUp takes what was kept and adjoins by now, and lets go of what came otherwise.
func (r *liveRoom) catchUp() {
	kept := r.later[:0]
	r.laterSize = 0
	for _, g := range r.later {
		if rest, adjoins := r.rest(g.Growth, g.events); adjoins && !r.dead {
			r.extend(rest)
		} else if !r.loaded || g.Head.Epoch == r.epoch && g.Head.Seq > r.head {
			kept = append(kept, g)
			r.laterSize += g.size()
		}
	}
	clear(r.later[len(kept):])
	r.later = kept
	r.dropLater()
}

// dropLater lets go of what was kept if nothing is under way that could bring what is before it.
func (r *liveRoom) dropLater() {
	if len(r.loads) == 0 && !r.mending {
		r.later, r.laterSize = nil, 0
	}
}

// see compares a head read from the store, which may be older or newer than the tail, and reads on if it is newer.
func (r *liveRoom) see(h room.Head) {
	if r.sight(h) {
		r.repair()
	}
}

// sight notes a head that the store had, which may be older or newer than the tail. false: history is not what
// it was, or the room is not in memory.
func (r *liveRoom) sight(h room.Head) bool {
	if r.dead {
		return false
	}
	if !r.loaded {
		r.known = max(r.known, h.Seq) // a read in flight may have begun before
		return false
	}
	if h.Epoch != r.epoch {
		r.diverge(room.ResetEpoch)
		return false
	}
	switch mark, ok := r.markAt(h.Seq); {
	case ok && mark != h.Mark:
		r.diverge(room.ResetDiverged)
		return false
	case !ok && h.Seq < r.head:
		r.fetch(r.head) // an old head, or a store that went back: a read tells
	}
	r.known = max(r.known, h.Seq)
	r.raise(h)
	return r.loaded && !r.dead
}

// repair reads on from the store while the tail is behind a head that was seen.
func (r *liveRoom) repair() {
	if r.loaded && !r.dead && r.known > r.head {
		r.fetch(r.head)
	}
}

// diverge begins the room anew: history is not what it was.
func (r *liveRoom) diverge(why room.ResetReason) {
	r.hub.log.Warn("room forked", "room", r.id, "reason", why, "head", r.head)
	r.hub.counts.forks.Add(1)
	r.startOver(why)
}

// drop lets go of the segments. Nobody can find them; the cache's hand takes them when it comes by.
func (r *liveRoom) drop() {
	r.dropFolds()
	for _, s := range r.segments {
		s.lives.Store(0)
	}
	r.segments = nil
}

// retire takes a room off the hub that has nothing in memory and that nobody reads. One that has is
// left to the budget.
func (r *liveRoom) retire() {
	if !r.loaded && !r.dead && r.idle() {
		r.dead = true
		r.hub.forget(r)
	}
}

// wake has the subscribers marked dirty and parked polls look again.
func (r *liveRoom) wake() {
	if r.changed != nil {
		close(r.changed)
		r.changed = nil
	}
	for w := range r.subs {
		if len(r.subs[w]) > 0 && r.marked[w] == 0 {
			r.marked[w] = r.hub.now()
			r.hub.workers[w].addRoom(r)
		}
	}
}

// wait returns a channel that is closed when the room grows or forks.
func (r *liveRoom) wait() <-chan struct{} {
	if r.changed == nil {
		r.changed = make(chan struct{})
	}
	return r.changed
}

func (r *liveRoom) subscribe(c *cursor) {
	r.resting = 0
	w := c.conn.worker.index
	c.index = len(r.subs[w])
	r.subs[w] = append(r.subs[w], c)
}

func (r *liveRoom) unsubscribe(c *cursor) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leave(c)
	r.retire()
}

// leave takes a cursor off the subscribers, if it is among them. The caller holds r.mu.
func (r *liveRoom) leave(c *cursor) {
	subs := r.subs[c.conn.worker.index]
	if c.index < 0 {
		return
	}
	last := len(subs) - 1
	subs[c.index] = subs[last]
	subs[c.index].index = c.index
	subs[last] = nil
	r.subs[c.conn.worker.index] = subs[:last]
	c.index = -1
}

func (r *liveRoom) idle() bool {
	for _, subs := range r.subs {
		if len(subs) > 0 {
			return false
		}
	}
	return r.waiters == 0 && len(r.loads) == 0
}

// evict gives a segment's bytes back. A room whose tail goes and that nobody reads goes with it.
func (r *liveRoom) evict(s *segment) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hub.cache.grew(-s.weight())
	r.dropFolds()
	at := -1
	for i := range r.segments {
		if r.segments[i] == s {
			at = i
		}
	}
	if at < 0 {
		return // thrown away by a fork
	}
	tail := at == len(r.segments)-1
	if tail && len(s.marks) == 0 && !r.idle() {
		r.hub.cache.add(s) // there is nothing to give back
		return
	}
	r.segments = append(r.segments[:at:at], r.segments[at+1:]...)
	switch {
	case !tail:
	case r.idle():
		r.dead = true
		r.hub.forget(r)
		r.drop()
	default:
		r.newTail().lives.Store(0) // empty: it earns its place when it grows
	}
}
