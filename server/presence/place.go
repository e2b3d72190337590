package presence

import (
	"slices"
	"strings"
	"time"

	"roomlog/server/agenda"
	"roomlog/server/room"
)

// entry is a connection that is present in a room, on this node or on another.
type entry struct {
	connection string
	user       string
	idle       bool
	since      time.Time // when the user came
	data       []byte    // JSON; nil: none was set
	stamp      uint64    // when data was set: of a user's, the highest counts
	leaving    bool      // it has ended, and the user is given the grace

	handle any       // of the coming; own entries
	ends   time.Time // of one that is leaving: when it is forgotten; own entries
	ghost  bool      // nobody has it any more, but the room is unsure
}

// person is what a room has of a user.
type person struct {
	entries []*entry
	shown   shown
	counted bool // in the room's counts
}

// shown is what is counted of a user.
type shown struct {
	since   time.Time
	devices int
}

// place is the presence of a room. The lock of Presence guards it.
type place struct {
	p    *Presence
	id   room.ID
	next agenda.Entry[*place]

	own    map[string]*entry // by connection
	ends   time.Time         // the earliest end of one of them, or before; zero: none ends
	people map[string]*person
	parts  map[room.Lease]*part

	needed bool                // somebody reads it here
	wanted time.Time           // until then somebody asked for it
	unsure time.Time           // until then at least nobody is taken to be gone: other nodes are asked who is there
	ghosts map[string]struct{} // users who have gone meanwhile
	whole  bool                // readers are given everything
	asking time.Time           // until then at least what is shown is stale: other nodes are asked who is there; zero: they were

	silent  int           // nodes that were asked and have not answered: nobody is taken to be gone, and what is shown is stale
	doubted time.Time     // since when there are some
	all     bool          // they are all that live: nobody followed the room here before, or somebody would be gone
	waits   time.Time     // until then readers are given nothing, unless all have answered
	settled chan struct{} // closed when they have; nil: nobody waits for it

	dirty map[string]struct{} // users that may have changed
	flush time.Time           // when what changed is shown and told; zero: nothing did
	last  time.Time           // when that was done last

	users       int
	connections int
	order       []string // who is counted, sorted, for who asks for pages; nil: nobody did since many came or went
	moves       int      // of the order, since a page was asked for
	digest      uint32
	counting    bool // counts are shown, not names

	followed time.Time         // until then others want to hear of it
	told     uint64            // the number of the last message about it
	untold   map[string]*entry // own entries that changed since, by connection; nil: it is gone
	answer   bool              // somebody lacks something: all is told
	reply    time.Time         // when that is done for who asked, whatever else was told just now; zero: nobody did
	replied  time.Time         // when it was done last
	keepTold bool              // that this node drains
	echo     time.Time         // when it is said that this was all, so that a lost message is missed; zero: it was
	ask      time.Time         // when others are asked next; zero: never
}

func newPlace(p *Presence, id room.ID) *place {
	at := &place{
		p: p, id: id, own: make(map[string]*entry), people: make(map[string]*person), parts: make(map[room.Lease]*part),
		dirty: make(map[string]struct{}), ghosts: make(map[string]struct{}), untold: make(map[string]*entry),
	}
	at.next.Of = at
	return at
}

// since is since when a user who comes now is here.
func (at *place) since(user string, now time.Time) time.Time {
	since := now.Truncate(time.Microsecond)
	if who := at.people[user]; who != nil {
		for _, e := range who.entries {
			if e.since.Before(since) {
				since = e.since
			}
		}
	}
	return since
}

// join adds an entry to its user.
func (at *place) join(e *entry) {
	who := at.people[e.user]
	if who == nil {
		who = &person{}
		at.people[e.user] = who
	}
	if _, has := at.ghosts[e.user]; has {
		who.entries = nil
		delete(at.ghosts, e.user)
	}
	who.entries = append(who.entries, e)
	at.dirty[e.user] = struct{}{}
}

// drop takes an entry from its user.
func (at *place) drop(e *entry) {
	who := at.people[e.user]
	who.entries = slices.DeleteFunc(who.entries, func(other *entry) bool { return other == e })
	at.dirty[e.user] = struct{}{}
	if len(who.entries) == 0 && (at.silent > 0 || at.p.stale() || time.Now().Before(at.unsure)) {
		ghost := *e
		ghost.leaving, ghost.ghost = true, true
		who.entries = append(who.entries, &ghost)
		at.ghosts[e.user] = struct{}{}
	}
}

// doubt says that something was missed, so that another node may know of users who seem to have gone: they stay until it was asked.
func (at *place) doubt(until time.Time) {
	if until.After(at.unsure) {
		at.unsure = until
	}
	at.schedule()
}

// layGhosts lets go of users of whom no node has told.
func (at *place) layGhosts() {
	for user := range at.ghosts {
		who := at.people[user]
		who.entries = slices.DeleteFunc(who.entries, func(e *entry) bool { return e.ghost })
		at.dirty[user] = struct{}{}
	}
	clear(at.ghosts)
}

// changed says that an own entry did.
func (at *place) changed(e *entry) {
	at.untold[e.connection] = e
	at.dirty[e.user] = struct{}{}
	at.flushSoon()
}

// leaveAll ends all of a user's own entries; mutant leave_any.
func (at *place) leaveAll(user string) {
	for _, e := range at.own {
		if e.user == user {
			e.leaving, e.ends = true, time.Now()
			at.endsAt(e.ends)
		}
	}
}

// follows reports whether somebody here wants to know of others.
func (at *place) follows(now time.Time) bool { return at.needed || now.Before(at.wanted) }

// flushSoon has what changed shown and told, not sooner after the last time than is configured.
func (at *place) flushSoon() {
	if at.flush.IsZero() {
		at.flush = time.Now()
		if next := at.last.Add(at.p.cfg.Coalesce); next.After(at.flush) {
			at.flush = next
		}
	}
	at.schedule()
}

// schedule works out when something is due.
func (at *place) schedule() {
	due := at.flush
	sooner := func(t time.Time) {
		if !t.IsZero() && (due.IsZero() || t.Before(due)) {
			due = t
		}
	}
	sooner(at.ask)
	sooner(at.reply)
	sooner(at.echo)
	sooner(at.ends)
	sooner(at.unsure)
	sooner(at.asking)
	if !at.p.stale() {
		for _, one := range at.parts {
			sooner(one.ends(at.p))
		}
	}
	if !at.needed {
		sooner(at.wanted)
		sooner(at.followed) // then it may be forgotten
	}
	at.p.agenda.Put(&at.next, due)
}

// act does what is due in a room.
func (at *place) act(now time.Time, out *output) {
	at.expire(now)
	if !at.asking.IsZero() && !at.asking.After(now) {
		at.asking = time.Time{}
		at.flushSoon()
	}
	if !at.followed.After(now) {
		at.followed = time.Time{}
	}
	if !at.follows(now) {
		at.ask, at.wanted = time.Time{}, time.Time{}
		for _, one := range at.parts {
			at.forget(one, now)
		}
	}
	if !at.ask.IsZero() && !at.ask.After(now) {
		at.sayAsk(now, out)
	}
	if !at.reply.IsZero() && !at.reply.After(now) {
		at.reply, at.replied, at.answer = time.Time{}, now, true
		at.tell(now, out)
	}
	if !at.echo.IsZero() && !at.echo.After(now) {
		at.sayEcho(now, out)
	}
	if len(at.dirty) > 0 && at.flush.IsZero() {
		at.flush = now
		if next := at.last.Add(at.p.cfg.Coalesce); next.After(now) {
			at.flush = next
		}
	}
	if !at.flush.IsZero() && !at.flush.After(now) {
		at.flush, at.last = time.Time{}, now
		at.tell(now, out)
		at.show(out)
	}
	if len(at.own) == 0 && len(at.people) == 0 && len(at.parts) == 0 && at.flush.IsZero() && at.reply.IsZero() && at.echo.IsZero() && !at.follows(now) {
		at.p.agenda.Put(&at.next, time.Time{})
		delete(at.p.places, at.id)
		return
	}
	at.schedule()
}

// expire ends entries and parts whose time is over.
func (at *place) expire(now time.Time) {
	if !at.ends.IsZero() && !at.ends.After(now) {
		at.endOwn(now)
	}
	if !at.unsure.IsZero() && !at.unsure.After(now) {
		at.unsure = time.Time{}
		at.settle(now)
	}
	if at.p.stale() {
		return // who does not hear takes nobody to be gone
	}
	for _, one := range at.parts {
		if end := one.ends(at.p); !end.IsZero() && !end.After(now) {
			one.peer.over = true
			at.forget(one, now)
		}
	}
}

// endOwn drops the own entries whose grace is over.
func (at *place) endOwn(now time.Time) {
	at.ends = time.Time{}
	for connection, e := range at.own {
		switch {
		case e.ends.IsZero():
		case e.ends.After(now):
			at.endsAt(e.ends)
		default:
			delete(at.own, connection)
			at.drop(e)
			known := slices.ContainsFunc(at.people[e.user].entries, func(other *entry) bool { return !other.ghost })
			at.p.leaves(e.user, e.ends.Add(-at.p.grace()), known)
			at.untold[connection] = nil
		}
	}
}

func (at *place) endsAt(t time.Time) {
	if at.ends.IsZero() || t.Before(at.ends) {
		at.ends = t
	}
}

// forget drops what another node said of the room.
func (at *place) forget(one *part, now time.Time) {
	for _, e := range one.entries {
		at.drop(e)
	}
	delete(at.parts, one.peer.lease)
	delete(one.peer.parts, at)
	at.answered(one, now)
}

// devices are the connections that are shown of a user: those that have ended where there are no others, for as long as the grace lasts.
func (who *person) devices() []*entry {
	live := make([]*entry, 0, len(who.entries))
	for _, e := range who.entries {
		if !e.leaving {
			live = append(live, e)
		}
	}
	if len(live) == 0 {
		live = append(live, who.entries...)
	}
	slices.SortFunc(live, func(a, b *entry) int { return strings.Compare(a.connection, b.connection) })
	return slices.CompactFunc(live, func(a, b *entry) bool { return a.connection == b.connection })
}
