package hub

import (
	"context"
	"errors"

	"roomlog/server/room"
	"roomlog/server/wire"
)

const (
	// foldAfter is how many state and doc events a cursor may lack that is given each of them from memory; one that lacks more is given the latest
	// value of each key instead, and told that documents have changed.
	foldAfter = 256
	// maxFolds bounds the folds of a room that are kept, and foldLag how many events may have come since.
	maxFolds = 8
	foldLag  = 64
)

// foldKey is what a fold is asked for.
type foldKey struct {
	at     room.Seq // behind which it begins; first: the latest page
	limit  int      // of events of the log layer
	bottom room.Seq // as Query.Bottom
	whole  bool     // with the whole map
}

// fold is a page that lists the log layer alone: what follows a place, or the latest, with the map. It is read once for all who stand in
// the same place, and kept for a while: what has come since follows from the tail. Guarded by the room's lock but for what load says.
type fold struct {
	load
	count  int   // of its events
	weight int64 // charged against the byte budget
	over   bool  // it was read: page and what follows it are there, unless err says otherwise
	page   room.Page
	events []byte // encoded, separated by commas
	state  []byte // encoded, an object; nil: nothing is said
	frames [wire.Framings][]byte
}

// errMoved says that a fold has to be read anew, since the room has become another meanwhile.
var errMoved = errors.New("the room has changed")

// fold gives what was asked for, or begins to read it. The caller holds r.mu.
func (r *liveRoom) fold(key foldKey) *fold {
	if f := r.folds[key]; f != nil && (!f.over || r.head-f.page.Seq() <= foldLag) {
		return f
	}
	r.dropFold(key)
	f := &fold{load: load{start: key.at, why: ReadReplay, done: make(chan struct{}), forks: r.forks, head: r.head}}
	f.query = room.Query{Room: r.id, Anchor: room.After, Seq: key.at, Limit: key.limit, MaxBytes: blockBytes, State: room.StateChanges, Bottom: key.bottom}
	if key.at == first {
		f.query.Anchor, f.query.Seq = room.Latest, 0
	}
	if key.whole {
		f.query.State = room.StateWhole
	}
	r.makePlace()
	if r.folds == nil {
		r.folds = make(map[foldKey]*fold)
	}
	r.folds[key] = f
	r.waiters++ // the room stays until it is read
	if !r.hub.background(func(ctx context.Context) { r.readFold(ctx, key, f) }) {
		r.waiters--
		f.err = goingAway()
		delete(r.folds, key)
		close(f.done)
	}
	return f
}

// makePlace lets go of a fold that was read, where there are as many as there may be.
func (r *liveRoom) makePlace() {
	if len(r.folds) < maxFolds {
		return
	}
	for key, f := range r.folds {
		if f.over {
			r.dropFold(key)
			return
		}
	}
}

// dropFolds lets go of those that were read: they may hold what is no longer there.
func (r *liveRoom) dropFolds() {
	for key, f := range r.folds {
		if f.over {
			r.dropFold(key)
		}
	}
}

// dropLate lets go of those that too much has come after since.
func (r *liveRoom) dropLate() {
	for key, f := range r.folds {
		if f.over && r.head-f.page.Seq() > foldLag {
			r.dropFold(key)
		}
	}
}

func (r *liveRoom) dropFold(key foldKey) {
	if f := r.folds[key]; f != nil {
		r.hub.cache.grew(-f.weight)
		f.weight = 0
		delete(r.folds, key)
	}
}

// weigh charges what a fold holds against the byte budget.
func (r *liveRoom) weigh(f *fold) {
	w := int64(len(f.events) + len(f.state) + segmentCost)
	for _, frame := range f.frames {
		w += int64(len(frame))
	}
	r.hub.cache.grew(w - f.weight)
	f.weight = w
}

func (r *liveRoom) readFold(ctx context.Context, key foldKey, f *fold) {
	page, err := r.hub.read(ctx, f.why, f.query)
	if err != nil && ctx.Err() != nil {
		err = goingAway()
	}
	r.mu.Lock()
	r.waiters--
	if err == nil {
		err = r.takeFold(f, page)
	}
	if err != nil && r.folds[key] == f {
		delete(r.folds, key)
	}
	if f.err, f.over = err, true; r.folds[key] == f {
		r.weigh(f)
	}
	r.mu.Unlock()
	r.hub.cache.hold()
	close(f.done)
	if err != nil && !errors.Is(err, errMoved) && ctx.Err() == nil {
		r.hub.log.Warn("read failed", "room", r.id, "after", key.at, "error", err)
		pause(ctx, retryRead) // cursors try again later
	}
	r.mu.Lock()
	waiting := f.waiting
	f.waiting = nil
	if ctx.Err() == nil && r.loaded && !r.dead && r.behind() { // the page ends behind the tail
		r.repairSoon()
	}
	r.retire()
	r.mu.Unlock()
	for _, c := range waiting {
		c.conn.dirtied(c, 0)
	}
	r.hub.cache.trim()
}

// takeFold compares the page of a fold with what is known, and encodes it.
func (r *liveRoom) takeFold(f *fold, p room.Page) error {
	if r.dead || !r.loaded || f.forks != r.forks || !r.deleted.from(&p) {
		return errMoved
	}
	known, ok := r.markAt(p.Head.Seq)
	switch {
	case p.Head.Epoch != r.epoch:
		r.diverge(room.ResetEpoch)
		return errMoved
	case p.Head.Seq < f.head || ok && known != p.Head.Mark:
		r.diverge(room.ResetDiverged)
		return errMoved
	}
	r.raise(p.Head)
	if !r.loaded {
		return errMoved
	}
	r.known = max(r.known, p.Head.Seq)
	f.page, f.page.Docs = p, mutateDocs(p.Docs) // mutant docs_untold
	for i := range p.Events {
		if i > 0 {
			f.events = append(f.events, ',')
		}
		f.events = wire.AppendEvent(f.events, r.id, &p.Events[i])
	}
	if len(p.State) > 0 {
		f.state = wire.AppendState(nil, mutateFold(p.State)) // mutants fold_thin, dead_untold
	}
	f.page.Events, f.page.State = nil, nil // they are encoded
	f.count = len(p.Events)
	return nil
}

// frame is the page of a fold as a frame of its own.
func (r *liveRoom) frame(f *fold, framing wire.Framing) []byte {
	if f.frames[framing] == nil {
		f.frames[framing] = framing.AppendPage(nil, wire.Page{
			Room: r.id, Epoch: f.page.Head.Epoch, Prev: f.page.Prev, Seq: f.page.Seq(), Mark: f.page.Position().Mark, Full: f.page.Full, State: f.state, Docs: f.page.Docs,
		}, f.events)
		r.weigh(f)
	}
	return f.frames[framing]
}

// continues says why the page of a fold does not go on from a position that asks for so much replay, or that it does only with the whole map: the mark of the position
// is not known any more, and the log has nothing that could be missed (rule STATE-11).
func (f *fold) continues(p room.Position, replay int64) (why room.ResetReason, whole bool) {
	switch page := &f.page; {
	case p.Seq != page.Prev:
		return room.ResetPruned, false
	case replay >= 0 && int64(f.count)+page.Left > replay:
		return room.ResetTooFar, false
	case p.Mark == 0 || p.Seq == 0 || p.Mark == page.PrevMark:
		return "", false
	case page.PrevMark != 0:
		return room.ResetDiverged, false
	case page.Log != 0:
		return room.ResetPruned, false
	}
	return "", true
}

// foldsAt reports whether a cursor behind seq is to be given a fold: memory does not have what follows, or has more of other layers than is
// worth telling one by one. In a room of which only the map is kept nobody who asks is told otherwise (live is false).
func (r *liveRoom) foldsAt(seq room.Seq, live bool) bool {
	if !r.layered || seq >= r.head {
		return false
	}
	s := r.find(seq)
	return s == nil || r.passed-s.passed > foldAfter+segmentEvents || !live && r.mapOnly()
}

// remembers reports whether memory has all that who joins a room with other layers at a position is given, event by event.
func (r *liveRoom) remembers(from room.Seq, j Join) bool {
	_, known := r.markAt(from)
	return (known || j.Position.Mark == 0) && !r.foldsAt(from, false) && (j.Replay < 0 || r.head-from <= j.Replay)
}

func (r *liveRoom) mapOnly() bool {
	return r.hub.cfg.MapOnly != nil && r.hub.cfg.MapOnly(r.id.Kind())
}

// shownFloor is the floor as it is told: of a room that holds nothing but a map it is behind the head (rule STATE-11), though nobody is reset
// for that.
func (r *liveRoom) shownFloor(base room.Seq) room.Seq {
	if r.layered && r.other < r.floor && r.mapOnly() {
		return r.head + 1
	}
	return r.floorFor(base)
}

// joinFolded is Join in a room with other layers than the log, where what the reader lacks has to be folded. r is locked where the join was placed; done: it
// answered. Else it is to be placed anew, and why is the reset that is found out by then.
func (c *Conn) joinFolded(ctx context.Context, r *liveRoom, from room.Seq, why *room.ResetReason, j Join, encode func(Joined) []byte) (done bool, err error) {
	key := foldKey{at: first, limit: c.hub.pageLimit(j.Limit), bottom: floorBy(j.Permit, j.Room, j.Floor), whole: true}
	if j.HasPosition && *why == "" {
		key = foldKey{at: from, limit: c.hub.cfg.MaxPage}
	}
	for range 2 {
		f := r.fold(key)
		if !f.over {
			r.mu.Unlock()
			return false, f.wait(ctx)
		}
		if f.err != nil {
			r.mu.Unlock()
			return false, f.failure()
		}
		if key.at != first && !key.whole {
			var whole bool
			if *why, whole = f.continues(j.Position, j.Replay); *why != "" {
				c.hub.counts.reset(*why)
				r.mu.Unlock()
				return false, nil
			}
			if whole {
				key.whole = true
				continue
			}
		}
		return true, c.startFolded(r, f, *why, j, encode)
	}
	r.mu.Unlock()
	return false, nil
}

// failure is what a reader is told of a fold that was not read; nil: the room changed, and it may look again.
func (f *fold) failure() error {
	if errors.Is(f.err, errMoved) {
		return nil
	}
	return unavailable(f.err)
}

// startFolded puts a cursor behind a fold and lets go of the room, which is locked.
func (c *Conn) startFolded(r *liveRoom, f *fold, why room.ResetReason, j Join, encode func(Joined) []byte) error {
	at := f.page.Position()
	out := Joined{
		Head: r.headValue(), Reset: why, Prev: f.page.Prev, Seq: at.Seq, Mark: at.Mark, Events: f.events, State: f.state, Full: f.page.Full, Docs: f.page.Docs,
	}
	out.Head.Floor = r.shownFloor(j.Floor)
	out.Head.Seq = max(out.Head.Seq, f.page.Head.Seq)
	cur := newCursor(c, r, j, out.Seq, out.Mark)
	r.subscribe(cur)
	r.mu.Unlock()
	return c.begin([]*cursor{cur}, []Join{j}, encode(out))
}

// pullFold gives a cursor the fold of where it stands. The caller holds both locks.
func (cur *cursor) pullFold(limit int, paged bool) (frame []byte, why room.ResetReason, wait bool) {
	r := cur.room
	key := foldKey{at: cur.seq, limit: cur.conn.hub.cfg.MaxPage, whole: cur.whole}
	f := r.fold(key)
	switch {
	case !f.over:
		cur.await(&f.load)
		return nil, "", true
	case f.err != nil || f.page.Prev != cur.seq:
		r.dropFold(key)
		return nil, "", false
	case cur.mark != 0 && f.page.PrevMark != 0 && cur.mark != f.page.PrevMark:
		return nil, room.ResetDiverged, false
	}
	frame = r.frame(f, cur.conn.framing)
	if paged && len(frame) > limit {
		return nil, "", false
	}
	at := f.page.Position()
	cur.seq, cur.mark, cur.whole, cur.late = at.Seq, at.Mark, false, false
	return frame, "", false
}

// State reads the map of a room: all of it, or what changed behind a position that can be continued (rule STATE-13).
// Errors: unavailable (retryable).
func (h *Hub) State(ctx context.Context, id room.ID, since *room.Position) (Page, error) {
	q := room.Query{Room: id, Anchor: room.Latest, State: room.StateWhole}
	if since != nil {
		q.Anchor, q.Seq, q.State = room.After, since.Seq, room.StateChanges
	}
	got, err := h.readNow(ctx, q)
	if err != nil {
		return Page{}, unavailable(err)
	}
	if since != nil && (since.Epoch != "" && since.Epoch != got.Head.Epoch || since.Seq != got.Prev || since.Mark != 0 && since.Mark != got.PrevMark) {
		return h.State(ctx, id, nil)
	}
	p := Page{Head: got.Head, Prev: got.Prev, Seq: got.Head.Seq, Mark: got.Head.Mark, Full: got.Full || since == nil}
	p.State = wire.AppendState(nil, got.State)
	return p, nil
}

// pollFolded is what Poll reads from the store for a place in a room with other layers than the log. Of a room of which only the map is kept it is folded, else all
// that is stored.
func (h *Hub) pollFolded(ctx context.Context, j Join, from room.Seq, only bool) (Page, error) {
	q := room.Query{Room: j.Room, Anchor: room.After, Seq: from, Limit: h.pageLimit(j.Limit), MaxBytes: pollBytes}
	if only {
		q.State = room.StateChanges
	}
	got, err := h.readNow(ctx, q)
	if err != nil {
		return Page{}, unavailable(err)
	}
	f := fold{page: got}
	why, whole := f.continues(room.Position{Seq: from, Mark: j.Position.Mark}, -1)
	switch {
	case j.Position.Epoch != "" && j.Position.Epoch != got.Head.Epoch:
		why = room.ResetEpoch
	case why == "" && whole && q.State != room.StateWhole:
		q.State = room.StateWhole
		if got, err = h.readNow(ctx, q); err != nil {
			return Page{}, unavailable(err)
		}
	}
	if why != "" {
		h.counts.reset(why)
		got.Head.Floor = max(got.Head.Floor, min(j.Floor, got.Head.Seq+1))
		return Page{}, &ResetError{Reason: why, Head: got.Head}
	}
	p := pageOf(j.Room, got)
	if only && got.Log < got.Head.Floor {
		p.Head.Floor = got.Head.Seq + 1
	} else {
		p.Head.Floor = max(got.Head.Floor, min(j.Floor, got.Head.Seq+1))
	}
	return p, nil
}

// pageOf encodes a page of the store.
func pageOf(id room.ID, got room.Page) Page {
	p := Page{Head: got.Head, Prev: got.Prev, Seq: got.Seq(), Mark: got.Position().Mark, Count: len(got.Events), Full: got.Full, Docs: got.Docs}
	for i := range got.Events {
		if i > 0 {
			p.Events = append(p.Events, ',')
		}
		p.Events = wire.AppendEvent(p.Events, id, &got.Events[i])
	}
	if len(got.State) > 0 {
		p.State = wire.AppendState(nil, got.State)
	}
	return p
}
