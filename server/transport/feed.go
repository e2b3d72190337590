package transport

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/transport/auth"
	"roomlog/server/wire"
)

const (
	// feedEvery is the least time between two looks at the rooms of a user: what changes meanwhile is told together.
	feedEvery = 250 * time.Millisecond
	// feedAgain is how long it waits after a store that did not answer.
	feedAgain = time.Second
	// feedSweep is how often all rooms of a user are looked at though nobody told of them.
	feedSweep = 5 * time.Minute
	// feedPage is how many overviews are read at a time, and feedBytes about how many bytes of them one frame has.
	feedPage, feedBytes = 100, 64 << 10
	// feedRooms is how many rooms of a user are followed.
	feedRooms = 5000
	// feeders are how many users are looked after at a time.
	feeders = 2
)

// feed tells users of their rooms, without a cursor in any of them (rules MEM-10 to MEM-12). Who watches is one [watch] per user, whatever
// the number of their connections. A room that has grown, by an append of this node, the beat of another or a poke, marks the watches that
// have it, as does a membership or a mark of the user. A few workers read the marked rooms of one watch after the other, in one
// query, and tell each connection what it has not been told. What is said is read in one snapshot that has the membership beside the
// room: so no order of events says anything of a room to who may not read it.
type feed struct {
	srv  *Server
	seed maphash.Seed

	mu     sync.Mutex
	ready  *sync.Cond // there is something due, or it is over
	closed bool
	users  map[string]*watch
	rooms  map[room.ID]map[*watch]struct{} // who has which
	of     map[*hub.Conn]*watcher
	due    []*watch
	lists  map[room.ID]struct{} // rooms of which others may have become members
	listed due                  // there are some
}

// watch is the rooms of a user that watches them. Its fields are guarded by the feed's lock.
type watch struct {
	user     string
	watchers map[*watcher]struct{}
	rooms    map[room.ID]struct{} // the user's, as far as that was read
	stale    bool                 // which they are is to be read
	all      bool                 // all of them are to be looked at
	busy     bool                 // a worker has it
	queued   bool                 // it is due, or its timer runs
	next     time.Time            // not looked at before
	timer    *time.Timer
}

// watcher is a connection that watches.
type watcher struct {
	conn    *hub.Conn
	framing wire.Framing
	who     func() *auth.Identity
	marked  map[room.ID]struct{} // rooms to be looked at; guarded by the feed's lock
	asked   *asked               // it is given all; guarded by the feed's lock
	gone    bool                 // guarded by the feed's lock

	told map[room.ID]uint64 // a hash of what it was told last; of the worker that has its watch
}

// asked is a question for all rooms that is being answered.
type asked struct {
	id     int64
	hasID  bool
	answer func([]byte, error) // nil: the first page comes as the others do
	after  room.ID             // they are told up to here
	begun  bool
}

func newFeed(s *Server) *feed {
	f := &feed{
		srv: s, seed: maphash.MakeSeed(), users: make(map[string]*watch), rooms: make(map[room.ID]map[*watch]struct{}),
		of: make(map[*hub.Conn]*watcher), lists: make(map[room.ID]struct{}), listed: make(due, 1),
	}
	f.ready = sync.NewCond(&f.mu)
	return f
}

// watch has a connection told of its user's rooms, from all of them on. One that ended meanwhile is forgotten: who ends it calls leave
// once it is detached, which may have been before this.
func (f *feed) watch(conn *hub.Conn, framing wire.Framing, who func() *auth.Identity, q *asked) *room.Error {
	err := f.enter(conn, framing, who, q)
	if err == nil && conn.Detached() { // with no lock held: the hub calls with its own
		f.leave(conn)
	}
	return err
}

func (f *feed) enter(conn *hub.Conn, framing wire.Framing, who func() *auth.Identity, q *asked) *room.Error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return goingAway()
	}
	v := f.of[conn]
	switch {
	case v == nil:
		v = &watcher{conn: conn, framing: framing, who: who, marked: make(map[room.ID]struct{}), told: make(map[room.ID]uint64)}
		f.of[conn] = v
	case v.asked != nil:
		return &room.Error{Code: room.CodeOverloaded, Title: "Your rooms are being told already; wait for the answer.", RetryAfter: time.Second}
	}
	v.asked = q
	user := who().User
	w := f.users[user]
	if w == nil {
		w = &watch{user: user, watchers: make(map[*watcher]struct{}), rooms: make(map[room.ID]struct{}), stale: true}
		f.users[user] = w
	}
	w.watchers[v] = struct{}{}
	w.next = time.Time{} // who asks is answered at once
	f.enqueue(w)
	return nil
}

// leave forgets a connection; one that does not watch is none the worse.
func (f *feed) leave(conn *hub.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.of[conn]
	if v == nil {
		return
	}
	delete(f.of, conn)
	f.drop(f.users[v.who().User], v)
}

// drop takes a watcher off its watch. The caller holds f.mu.
func (f *feed) drop(w *watch, v *watcher) {
	v.gone = true
	delete(w.watchers, v)
	if len(w.watchers) > 0 {
		return
	}
	delete(f.users, w.user)
	for id := range w.rooms {
		f.unindex(w, id)
	}
	if w.timer != nil {
		w.timer.Stop()
	}
}

func (f *feed) unindex(w *watch, id room.ID) {
	delete(w.rooms, id)
	delete(f.rooms[id], w)
	if len(f.rooms[id]) == 0 {
		delete(f.rooms, id)
	}
}

// grew marks a room for all who have it. It does not block.
func (f *feed) grew(id room.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.rooms[id] {
		f.mark(w, id)
	}
}

// concerns marks a room for one user: a mark or a membership of theirs has changed (membership).
func (f *feed) concerns(id room.ID, user string, membership bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if w := f.users[user]; w != nil {
		w.stale = w.stale || membership
		f.mark(w, id)
	}
}

// again marks all rooms, of one user or ("") of all: what they may read may have changed, or something have been missed.
func (f *feed) again(user string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, w := range f.users {
		if user == "" || name == user {
			w.stale, w.all = true, true
			f.enqueue(w)
		}
	}
}

func (f *feed) mark(w *watch, id room.ID) {
	for v := range w.watchers {
		v.marked[id] = struct{}{}
	}
	f.enqueue(w)
}

// enqueue has a watch looked at, not before its time. The caller holds f.mu.
func (f *feed) enqueue(w *watch) {
	if w.busy || f.closed {
		return // it is looked at again when it is done
	}
	wait := time.Until(w.next)
	switch {
	case wait > 0 && !w.queued:
		w.queued = true
		w.timer = time.AfterFunc(wait, func() { f.timed(w) })
	case wait <= 0 && w.queued && w.timer != nil:
		if w.timer.Stop() {
			w.timer = nil
			f.push(w)
		}
	case wait <= 0 && !w.queued:
		w.queued = true
		f.push(w)
	}
}

func (f *feed) timed(w *watch) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.timer = nil
	f.push(w)
}

func (f *feed) push(w *watch) {
	f.due = append(f.due, w)
	f.ready.Signal()
}

// run looks at watches until ctx ends. There are several of it.
func (f *feed) run(ctx context.Context) {
	for {
		f.mu.Lock()
		for len(f.due) == 0 && !f.closed {
			f.ready.Wait()
		}
		if f.closed {
			f.mu.Unlock()
			return
		}
		w := f.due[0]
		f.due = f.due[1:]
		w.queued, w.busy = false, true
		f.mu.Unlock()
		left, err := f.look(ctx, w)
		if err != nil && ctx.Err() == nil {
			f.srv.log.Warn("the rooms of a user could not be read; trying again", "error", err)
		}
		f.mu.Lock()
		w.busy = false
		if w.next = time.Now().Add(feedEvery); err != nil {
			w.next = time.Now().Add(feedAgain)
		}
		if left && err == nil {
			w.next = time.Time{}
		}
		f.resume(w)
		f.mu.Unlock()
	}
}

// resume has a watch looked at again where there is something left. The caller holds f.mu.
func (f *feed) resume(w *watch) {
	if len(w.watchers) == 0 {
		return
	}
	wants := w.stale || w.all
	for v := range w.watchers {
		wants = wants || len(v.marked) > 0 || v.asked != nil
	}
	if wants {
		f.enqueue(w)
	}
}

// close ends it. The workers end when they have done what they are at.
func (f *feed) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for _, w := range f.users {
		if w.timer != nil {
			w.timer.Stop()
		}
	}
	f.ready.Broadcast()
}

// due is something to be done soon, once, however often it is asked for.
type due chan struct{}

func (d due) ask() {
	select {
	case d <- struct{}{}:
	default:
	}
}

// poked marks a room of which nothing is known but that it has grown: somebody may have become a member by it.
func (f *feed) poked(id room.ID) {
	f.grew(id)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.users) > 0 {
		f.lists[id] = struct{}{}
		f.listed.ask()
	}
}
