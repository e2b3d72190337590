// Package presence knows who is in which room. Each node holds the entries of its own connections and tells them to the nodes where
// somebody asks for them; what is shown is folded per user. A node speaks under a lease with a generation: the lease is what
// expires, and what an older generation says comes too late, whatever it says.
//
// What crosses nodes are hints that may be lost, repeated or late. A node that follows a room asks for it now and then and names a
// digest of what it has of each other node; who sees that it is not right answers with all there is. While the leases or the bus are
// away, or a node that lives was asked and has not answered, nobody is taken to be gone: what is known stays, marked as stale.
package presence

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"roomlog/server/agenda"
	"roomlog/server/room"
)

// Update is what became of the presence of a room.
type Update struct {
	Set   []Value
	Whole bool          // what Set does not name is gone
	About []byte        // members of every frame from now on (rule PRES-5); nil: as before
	Every time.Duration // at least so long is between frames from now on; 0: as before
}

// Value is what a room shows of a user: a JSON object; nil: the user is gone.
type Value struct {
	User string
	JSON []byte
}

// Guest is who reads a room over a connection.
type Guest struct {
	Connection string
	User       string
	Data       []byte // that [CheckData] gave; nil: nothing
}

// Presence is the presence of all rooms of a node. All methods may be called concurrently; but for Start, Stop and Page they neither
// block nor call what Config gives.
type Presence struct {
	cfg   Config
	lease chan struct{} // holds one: the lease is looked at now
	ctx   context.Context
	stop  context.CancelFunc
	tasks sync.WaitGroup

	mu         sync.Mutex
	places     map[room.ID]*place
	agenda     *agenda.Agenda[*place]
	stamp      uint64 // of the latest data that this node knows of
	number     uint64 // of the latest message of this node
	generation room.Generation
	peers      map[room.Lease]*peer
	highest    map[string]room.Generation // the latest generation of each node that was heard of
	troubled   bool                       // the leases do not say who lives
	deaf       bool                       // the bus does not carry what others say
	trusting   time.Time                  // until then nobody is taken to be gone: a trouble is just over
	draining   bool
	keep       time.Duration // how long others keep this node's entries once it drains
	counts     Stats
	here       map[string]*stay               // users of this node
	unseen     map[string]room.LastSeen       // who have gone, to be stored
	known      map[string]map[*place]struct{} // the rooms in which a user is
}

// Stats is what presence counted since the start, and what there is.
type Stats struct {
	Rooms, Entries int    // entries: of this node's connections
	Said, Heard    uint64 // messages of other nodes
	Shown          uint64 // updates
	Stale          bool
}

// New makes the presence of a node, which does nothing on time before Start.
func New(cfg Config) *Presence {
	p := &Presence{
		cfg: cfg.withDefaults(), agenda: agenda.New[*place](), lease: make(chan struct{}, 1), places: make(map[room.ID]*place),
		peers: make(map[room.Lease]*peer), highest: make(map[string]room.Generation),
		here: make(map[string]*stay), unseen: make(map[string]room.LastSeen), known: make(map[string]map[*place]struct{}),
	}
	p.troubled = p.shared() // until the lease is held
	p.ctx, p.stop = context.WithCancel(context.Background())
	return p
}

// shared reports whether there are other nodes.
func (p *Presence) shared() bool { return p.cfg.Leases != nil && p.cfg.Say != nil && p.cfg.Ask != nil }

// Start begins to show, and to hold this node's lease.
func (p *Presence) Start() {
	p.tasks.Go(func() { p.agenda.Run(p.ctx, leastSleep, p.do) })
	if p.shared() {
		p.tasks.Go(p.holdLease)
	}
	if p.cfg.Seen != nil {
		p.tasks.Go(p.keepSeen)
	}
}

// Stop ends what Start began, and waits for it. The lease of a node that drains is given up: what it was told to keep, the others keep.
func (p *Presence) Stop(ctx context.Context) error {
	p.stop()
	p.tasks.Wait()
	if !p.shared() {
		return nil
	}
	p.mu.Lock()
	own, drained := p.self(), p.draining
	p.mu.Unlock()
	if !drained || own.Generation == 0 {
		return nil // it ends by itself
	}
	return p.cfg.Leases.Release(ctx, own)
}

// Came says that a connection is present in a room from now on. handle tells this from another coming of the same connection.
func (p *Presence) Came(id room.ID, handle any, g Guest) {
	if p.cfg.Policy(id) == room.ShowNone {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.place(id)
	e := at.own[g.Connection]
	if e == nil {
		e = &entry{connection: g.Connection, user: g.User, since: at.since(g.User, time.Now().UTC())}
		at.own[g.Connection] = e
		p.enters(g.User)
		at.join(e)
	} else if e.user != g.User {
		return // a connection is one user's
	}
	e.handle, e.leaving, e.ends = handle, false, time.Time{}
	if g.Data != nil {
		e.data, e.stamp = g.Data, p.stamped()
	}
	at.changed(e)
}

// Went says that it is present no more.
func (p *Presence) Went(id room.ID, handle any, connection string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.places[id]
	if at == nil {
		return
	}
	e := at.own[connection]
	if e == nil || e.handle != handle {
		return // it came again before
	}
	e.leaving, e.ends = true, time.Now().Add(p.grace())
	at.endsAt(e.ends)
	if mutateLeave() { // mutant leave_any
		at.leaveAll(e.user)
	}
	at.changed(e)
}

// grace is for how long an entry stays that has ended: who comes back to another node at the end of the grace is told of in time.
func (p *Presence) grace() time.Duration {
	if !p.shared() {
		return p.cfg.Grace
	}
	return p.cfg.Grace + p.patience()
}

// Change sets what a connection shows. data: null, or what [CheckData] takes; nil: as before. Errors: bad_data, message_too_large,
// limit_exceeded, and bad_request where the connection is not present.
func (p *Presence) Change(id room.ID, connection string, data []byte, idle *bool) error {
	if data != nil {
		var err error
		if data, err = CheckData(data); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var e *entry
	at := p.places[id]
	if at != nil {
		e = at.own[connection]
	}
	if e == nil || e.leaving {
		return &room.Error{Code: room.CodeBadRequest, Field: "room", Title: "This connection is not present in the room: join it with presence first."}
	}
	if idle != nil {
		e.idle = *idle
	}
	if data != nil {
		e.data, e.stamp = data, p.stamped()
	}
	at.changed(e)
	return nil
}

// Needed says that somebody reads the presence of a room here: Show tells what there is, and what changes, until Unneeded. Where nobody
// followed the room here, it is shown once all nodes that live have answered, or as stale where one of them takes long.
func (p *Presence) Needed(id room.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.place(id)
	at.follow(time.Now())
	at.needed, at.whole = true, true
	at.flushSoon()
}

// Unneeded ends that.
func (p *Presence) Unneeded(id room.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at := p.places[id]; at != nil {
		at.needed = false
		at.schedule()
	}
}

// Again has what is shown of every room told anew: how much rooms show may have changed.
func (p *Presence) Again() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, at := range p.places {
		at.whole = true
		at.flushSoon()
	}
}

// Degraded says whether the bus carries what other nodes say. When it does again, rooms are compared with them, spread over a moment.
func (p *Presence) Degraded(is bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.deaf == is {
		return
	}
	p.deaf = is
	p.shaken(time.Now())
}

// Woken says that this process did not run for a while: what it knows is as old, and it speaks under a new generation.
func (p *Presence) Woken() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shared() {
		p.loseLease()
	}
}

// Drain says that this node stops, and that its clients are told to come back within a time: the others keep its entries until then.
func (p *Presence) Drain(over time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draining, p.keep = true, over+p.cfg.Grace
	for _, at := range p.places {
		at.flushSoon()
	}
}

// Stats tells what was counted.
func (p *Presence) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.counts
	s.Rooms, s.Stale = len(p.places), p.stale()
	for _, at := range p.places {
		s.Entries += len(at.own)
	}
	return s
}

// stale reports whether others may have come or gone unnoticed.
func (p *Presence) stale() bool { return p.shared() && (p.troubled || p.deaf) }

func (p *Presence) self() room.Lease { return room.Lease{Name: p.cfg.Node, Generation: p.generation} }

// stamped is the stamp of data that is set now: higher than any that this node has heard of.
func (p *Presence) stamped() uint64 {
	p.stamp++
	return p.stamp
}

func (p *Presence) place(id room.ID) *place {
	at := p.places[id]
	if at == nil {
		at = newPlace(p, id)
		at.followed = time.Now().Add(followedFor * p.cfg.AskEvery) // who follows it has not asked this node yet
		p.places[id] = at
	}
	return at
}

// jitter is a random part of d.
func jitter(d time.Duration) time.Duration { return rand.N(max(d, 1)) }

// output is what is done once the lock is let go of.
type output struct {
	shows []show
	says  []said
	asks  [][]byte // of all nodes
}

type show struct {
	id room.ID
	u  Update
}

type said struct {
	id   room.ID
	body []byte
}

// leastSleep is how long at least is between two runs of what is due: what comes due meanwhile is done at once.
const leastSleep = 5 * time.Millisecond

// do does what is due at a time, and says when something is next.
func (p *Presence) do(now time.Time) time.Time {
	out, next := p.act(now)
	for _, s := range out.shows {
		p.cfg.Show(s.id, s.u)
	}
	for _, s := range out.says {
		p.cfg.Say(s.id, s.body)
	}
	for _, body := range out.asks {
		p.cfg.Ask(body)
	}
	return next
}

func (p *Presence) act(now time.Time) (out output, next time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		at, due := p.agenda.First()
		if due.IsZero() || due.After(now) {
			p.counts.Said += uint64(len(out.says) + len(out.asks))
			p.counts.Shown += uint64(len(out.shows))
			return out, due
		}
		at.act(now, &out)
	}
}
