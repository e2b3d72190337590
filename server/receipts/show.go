package receipts

import (
	"context"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
)

// watch is a room that somebody here reads the receipts of. Only the goroutine that shows looks into it.
type watch struct {
	loaded  bool
	anew    bool // the readers may have been told what the room does not show any more
	epoch   room.Epoch
	version int64           // the readers have been told everything up to here
	totals  bool            // nobody is named
	users   map[string]bool // that were named

	compared int64 // the version when it was last compared with the store; -1: it was not
	turn     int   // of the rounds of comparisons, which one looks at the room though nothing is marked in it
}

func newWatch() *watch { return &watch{compared: -1, turn: rand.IntN(idleRounds)} }

// Needed implements [hub.SideSource].
func (d *Desk) Needed(id room.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rooms[id] = newWatch()
	d.loads[id] = true
	wake(d.shows)
}

// Unneeded implements [hub.SideSource].
func (d *Desk) Unneeded(id room.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.rooms, id)
	delete(d.loads, id)
}

// Erased implements [hub.SideForgetter]: what is shown of the room is read anew, without the marks that are no more.
func (d *Desk) Erased(id room.ID, _ string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rooms[id] != nil {
		d.rooms[id] = newWatch()
		d.loads[id] = true
		wake(d.shows)
	}
}

// Again has what is shown of every room told anew: how much rooms show may have changed.
func (d *Desk) Again() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id := range d.rooms {
		w := newWatch()
		w.anew = true
		d.rooms[id] = w
		d.loads[id] = true
	}
	wake(d.shows)
}

// Check implements [hub.SideChecker]: changes may have been missed, of any room.
func (d *Desk) Check() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.check = true
	wake(d.shows)
}

// work is what there is to show.
type work struct {
	changes []change
	loads   []room.ID
	owns    map[pair]*asking
	check   bool
	closed  bool
}

func (d *Desk) work() work {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := work{changes: d.changes, loads: slices.Collect(maps.Keys(d.loads)), owns: d.owns, check: d.check, closed: d.closed && len(d.queue) == 0}
	d.changes, d.owns, d.check = nil, make(map[pair]*asking), false
	clear(d.loads)
	return w
}

func (d *Desk) watched(id room.ID) *watch {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rooms[id]
}

// show tells readers what became of receipts, and users where they stand.
func (d *Desk) show() {
	checks := time.NewTicker(d.cfg.CheckEvery)
	defer checks.Stop()
	totals := time.NewTicker(d.cfg.TotalEvery)
	defer totals.Stop()
	for {
		var retry <-chan time.Time
		w := d.work()
		ok := d.showAll(w)
		if d.ended(w) {
			return
		}
		if !ok {
			retry = time.After(again)
		}
		select {
		case <-d.ctx.Done():
		case <-retry:
		case <-checks.C:
			d.rounds++
			d.begins(false)
		case <-totals.C:
			d.total()
		case <-d.shows:
			if retry != nil { // what the store does not answer now, it will hardly in a moment
				select {
				case <-retry:
				case <-d.ctx.Done():
				}
			}
		}
	}
}

// ended reports whether nothing is to come after the work that was done.
func (d *Desk) ended(w work) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.closed && (d.answers == 0 || d.ctx.Err() != nil && w.closed)
}

// showAll does what there is to do; false: the store did not answer, and some of it is left.
func (d *Desk) showAll(w work) bool {
	ok := true
	for _, c := range w.changes {
		d.apply(c)
	}
	if w.check {
		d.begins(true)
	}
	if len(d.round) > 0 {
		ok = d.compare() && ok
		w.loads = append(w.loads, d.pendingLoads()...)
	}
	for _, id := range w.loads {
		if !d.load(id) {
			d.later(id)
			ok = false
		}
	}
	return d.tellOwn(w.owns) && ok
}

// pendingLoads takes the loads that a comparison asked for.
func (d *Desk) pendingLoads() []room.ID {
	d.mu.Lock()
	defer d.mu.Unlock()
	ids := slices.Collect(maps.Keys(d.loads))
	clear(d.loads)
	return ids
}

// later has the receipts of a room read, if it is still watched.
func (d *Desk) later(id room.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rooms[id] != nil {
		d.loads[id] = true
	}
}

// shown is how much of others' receipts a room's readers may see.
func (d *Desk) shown(id room.ID) room.Show {
	policy, known := d.cfg.Kinds.Policy(id.Kind())
	if !known {
		return room.ShowNone
	}
	return policy.Receipts
}

// apply shows a change to the readers of its room, where it adjoins what they were told; else the store is read.
func (d *Desk) apply(c change) {
	w := d.watched(c.room)
	switch {
	case w == nil || !w.loaded: // a load is on its way
		return
	case w.epoch == c.epoch && c.after <= w.version:
		return
	case w.epoch != c.epoch || w.version != c.before:
		d.later(c.room)
		wake(d.shows)
		return
	}
	w.version = c.after
	d.put(c.room, w, c.rows)
}

// put shows receipts that changed, and has those users who read here be told where they stand.
func (d *Desk) put(id room.ID, w *watch, rows []room.Receipt) {
	for _, r := range rows {
		if d.hub.ReadBy(id, hub.SideReceipts, r.User) {
			d.mu.Lock()
			d.ask(pair{id, r.User}).tell = true
			d.mu.Unlock()
			wake(d.shows)
		}
	}
	if show := d.shown(id); show != room.ShowAll && show != room.ShowCounts || len(rows) == 0 {
		return
	}
	for _, r := range rows {
		if !w.totals {
			w.users[r.User] = true
		}
	}
	if w.totals = w.totals || len(w.users) > d.cfg.Named; w.totals {
		w.users = nil
		d.due[id] = w
		return
	}
	d.hub.SetSide(id, hub.SideReceipts, hub.SideUpdate{Set: entries(rows)})
}

// load reads what changed of the receipts of a room since the version that is known, or all of them. false: the store did not
// answer.
func (d *Desk) load(id room.ID) bool {
	w := d.watched(id)
	if w == nil {
		return true
	}
	d.counts.loads.Add(1)
	if w.loaded {
		d.counts.repairs.Add(1)
	}
	for {
		from := w.version
		if !w.loaded {
			from = 0
		}
		ctx, cancel := context.WithTimeout(d.ctx, storeWithin)
		p, err := d.cfg.Store.ReceiptsSince(ctx, id, from, d.cfg.Named)
		cancel()
		switch {
		case err != nil:
			return false
		case !w.loaded:
			return d.begin(id, w, p)
		case p.Epoch != w.epoch || p.Version < w.version || p.Removed > w.version: // the room was deleted, or the store lost something; or a user was erased
			*w = *newWatch()
			continue
		}
		w.version = p.Version
		d.put(id, w, p.Receipts)
		if !p.More {
			return true
		}
	}
}

// begin shows the receipts of a room to its first readers, or anew after it began anew.
func (d *Desk) begin(id room.ID, w *watch, p room.ReceiptPage) bool {
	show := d.shown(id)
	w.totals = show == room.ShowCounts || p.More
	w.users = make(map[string]bool)
	if w.totals || show != room.ShowAll {
		if !d.totalOf(id, w) {
			return false
		}
		if w.loaded = true; w.anew && show != room.ShowAll && show != room.ShowCounts {
			d.hub.SetSide(id, hub.SideReceipts, hub.SideUpdate{Whole: true, About: []byte{}})
		}
		return true
	}
	for _, r := range p.Receipts {
		w.users[r.User] = true
	}
	w.loaded, w.epoch, w.version = true, p.Epoch, p.Version
	d.hub.SetSide(id, hub.SideReceipts, hub.SideUpdate{Whole: true, Set: entries(p.Receipts), About: []byte{}})
	return true
}

// total tells the totals that have changed.
func (d *Desk) total() {
	for id, w := range d.due {
		if d.watched(id) != w || !w.loaded || d.totalOf(id, w) {
			delete(d.due, id)
		}
	}
}

// totalOf tells how far some and how far all have got in a room. false: the store did not answer.
func (d *Desk) totalOf(id room.ID, w *watch) bool {
	ctx, cancel := context.WithTimeout(d.ctx, storeWithin)
	defer cancel()
	t, err := d.cfg.Store.ReceiptTotals(ctx, id)
	if err != nil {
		return false
	}
	if !w.loaded { // else a version that was not told is still to be read, for those who read here
		w.epoch, w.version = t.Epoch, t.Version
	}
	if show := d.shown(id); show == room.ShowAll || show == room.ShowCounts {
		d.hub.SetSide(id, hub.SideReceipts, hub.SideUpdate{Whole: true, About: about(t), Every: d.cfg.TotalEvery})
	}
	return true
}

// idleRounds is how many rounds pass between two comparisons of a room that nobody marks anything in: a change that was not heard of shows as a
// gap in what its node says, which has all rooms compared.
const idleRounds = 8

// begins begins a round of comparisons anew, of all rooms or of those that are due: of rooms that the last one did not come to first.
func (d *Desk) begins(all bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	rest := make(map[room.ID]bool, len(d.round))
	for _, id := range d.round {
		rest[id] = true
	}
	for id, w := range d.rooms {
		idle := w.loaded && w.compared == w.version
		if !rest[id] && (all || !idle || (d.rounds+w.turn)%idleRounds == 0) {
			d.round = append(d.round, id)
		}
	}
}

// compare looks at the versions of some of the rooms of the round: of a large one others are told what changed in between. false: the store
// did not answer.
func (d *Desk) compare() bool {
	var ids []room.ID
	var watches []*watch
	d.mu.Lock()
	for len(ids) < checkRooms && len(d.round) > 0 {
		id := d.round[0]
		if d.round = d.round[1:]; d.rooms[id] != nil {
			ids, watches = append(ids, id), append(watches, d.rooms[id])
		}
	}
	d.mu.Unlock()
	if len(d.round) > 0 {
		wake(d.shows)
	}
	if len(ids) == 0 {
		return true
	}
	ctx, cancel := context.WithTimeout(d.ctx, storeWithin)
	defer cancel()
	versions, err := d.cfg.Store.ReceiptVersions(ctx, ids)
	if err != nil {
		d.round = append(ids, d.round...)
		return false
	}
	for i, w := range watches {
		w.compared = w.version
		if !w.loaded || w.epoch != versions[i].Epoch || w.version != versions[i].Version {
			d.later(ids[i])
		}
	}
	return true
}

// checkRooms is how many rooms one query of a comparison names.
const checkRooms = 512

// entries are receipts as a side has them.
func entries(rows []room.Receipt) []hub.SideEntry {
	all := make([]hub.SideEntry, len(rows))
	for i, r := range rows {
		user, _ := json.Marshal(r.User) // a text always marshals
		v := append(append([]byte(`{"user":`), user...), `,"delivered":`...)
		v = append(strconv.AppendInt(v, r.Delivered, 10), `,"read":`...)
		all[i] = hub.SideEntry{Key: r.User, Value: append(strconv.AppendInt(v, r.Read, 10), '}')}
	}
	return all
}

// about is what a room shows where nobody is named.
func about(t room.ReceiptTotals) []byte {
	reach := func(b []byte, name string, r room.Reach) []byte {
		b = append(append(append(b, `,"`...), name...), `":{"any":`...)
		b = append(strconv.AppendInt(b, r.Any, 10), `,"all":`...)
		return append(strconv.AppendInt(b, r.All, 10), '}')
	}
	return reach(reach([]byte(`"counts":true`), "delivered", t.Delivered), "read", t.Read)
}
