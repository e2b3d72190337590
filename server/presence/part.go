package presence

import (
	"time"

	"roomlog/server/room"
)

// peer is another node, as one of its generations.
type peer struct {
	lease      room.Lease
	first      time.Time // when it was first heard of
	lost       time.Time // since when its lease is known to have ended; zero: it lives, as far as is known
	superseded bool      // by a later generation of the node: it never comes back
	over       bool      // what it said was forgotten: what it says comes too late
	parts      map[*place]*part
}

// part is what another node said of a room.
type part struct {
	peer    *peer
	number  uint64    // of the latest message that was taken
	keep    time.Time // until then it stays, whatever becomes of the lease: the node drained
	silent  bool      // it was asked for, and has not been told since
	whole   bool      // entries are all that it has, unless something was lost without a trace
	entries map[string]*entry
}

// ends is when a part is forgotten; zero: not yet known.
func (one *part) ends(p *Presence) time.Time {
	if one.peer.lost.IsZero() {
		return time.Time{}
	}
	end := one.peer.lost.Add(p.cfg.Grace)
	if one.keep.After(end) {
		return one.keep
	}
	return end
}

// maxPeers bounds the generations of nodes that are remembered.
const maxPeers = 4096

// heardFrom is the node that says something; nil: it is not to be listened to. An older generation of a node, and one whose
// lease has ended, say what is over (rule PRES-10).
func (p *Presence) heardFrom(lease room.Lease, now time.Time) *peer {
	if mutateGeneration() { // mutant presence_generation
		one := p.peer(lease, now)
		one.lost = time.Time{}
		return one
	}
	if lease.Generation < p.highest[lease.Name] {
		return nil
	}
	one := p.peer(lease, now)
	if one == nil || !one.lost.IsZero() {
		return nil
	}
	if lease.Generation > p.highest[lease.Name] {
		p.supersede(lease, now)
	}
	return one
}

// supersede ends the earlier generations of a node. Where one was asked it is the new one that has to answer.
func (p *Presence) supersede(lease room.Lease, now time.Time) {
	p.highest[lease.Name] = lease.Generation
	heir := p.peers[lease] // nil: this node
	for other, one := range p.peers {
		if other.Name == lease.Name && other.Generation < lease.Generation {
			one.superseded = true
			for at, is := range one.parts {
				if is.silent && heir != nil {
					at.await(at.part(heir), now)
				}
			}
			if one.lost.IsZero() {
				p.lose(one, now)
			}
		}
	}
}

// lose notes that the lease of a node has ended: it answers nothing any more. Where it never told of a room its users are not known, and
// what is shown of that is stale for their grace.
func (p *Presence) lose(one *peer, now time.Time) {
	one.lost = now
	for at, is := range one.parts {
		if !at.all {
			at.answered(is, now)
		}
		at.schedule()
	}
}

// leased takes the leases that were held at some time after began, this node's among them.
func (p *Presence) leased(all []room.Lease, began, now time.Time) {
	held := make(map[room.Lease]bool, len(all))
	for _, lease := range all {
		held[lease] = true
	}
	for lease, one := range p.peers {
		switch {
		case held[lease]:
			one.lost, one.over, one.superseded = time.Time{}, false, false
		case one.first.After(began), now.Before(p.trusting), !one.lost.IsZero():
		default:
			p.cfg.Log.Info("presence: a node is gone", "peer", lease.Name)
			p.lose(one, now)
		}
		if !one.lost.IsZero() && len(one.parts) == 0 && now.Sub(one.lost) > forgetPeer {
			delete(p.peers, lease)
			if p.highest[lease.Name] == lease.Generation {
				delete(p.highest, lease.Name)
			}
		}
	}
}

// forgetPeer is how long a generation is remembered that has ended, so that nothing it said comes late.
const forgetPeer = 24 * time.Hour

// shaken says that it has just become unknown who lives, or known again: nobody is taken to be gone before they all had the time to say that
// they are there.
func (p *Presence) shaken(now time.Time) {
	p.trusting = now.Add(p.cfg.Lease)
	for _, one := range p.peers {
		if !one.superseded && !one.over && len(one.parts) > 0 { // of which something would be gone
			one.lost = time.Time{}
		}
	}
	stale := p.stale()
	for _, at := range p.places {
		if !stale && at.follows(now) && p.shared() {
			at.ask = now.Add(jitter(p.spread()))
			at.asking = now.Add(p.spread() + p.patience())
			at.doubt(at.asking)
			at.awaitAgain(now)
		}
		at.settle(now)
		at.flushSoon()
	}
}

// spread is over how long what concerns all rooms is spread: less than the grace, so that nobody is gone meanwhile.
func (p *Presence) spread() time.Duration { return min(time.Second, p.cfg.Grace/4) }

// patience is how long other nodes are given to answer: they may just have told of a room.
func (p *Presence) patience() time.Duration { return 2*p.cfg.Coalesce + answersWithin }

// take takes what another node says of a room.
func (at *place) take(one *peer, m *message, now time.Time) {
	p := at.p
	is := at.part(one)
	if m.Number <= is.number && !mutateGeneration() { // mutant presence_generation
		return // it was said before
	}
	if m.Keep > 0 {
		is.keep = now.Add(min(time.Duration(m.Keep)*time.Millisecond, maxKeep))
	}
	full := m.Full || m.Prev == 0 // what it said first of the room was all
	if !full && m.Prev != is.number && !mutateGeneration() {
		is.whole = false
		at.await(is, now) // something was lost
		at.ask = now
		at.doubt(now.Add(p.patience()))
		return
	}
	is.number = m.Number
	if m.More {
		at.await(is, now)
	}
	is.whole = !m.More
	if full {
		for connection, e := range is.entries {
			delete(is.entries, connection)
			at.drop(e)
		}
	}
	for _, connection := range m.Gone {
		if e := is.entries[connection]; e != nil {
			delete(is.entries, connection)
			at.drop(e)
		}
	}
	for i := range m.Set {
		at.takeEntry(is, &m.Set[i])
	}
	switch {
	case m.More:
	case full && m.Prev == 0 && len(m.Set) == 0: // it has nothing, and what it says next is all again
		at.forget(is, now)
	default:
		at.answered(is, now)
	}
	at.flushSoon()
}

// maxKeep bounds how long a node may have its entries kept.
const maxKeep = 10 * time.Minute

func (at *place) takeEntry(is *part, t *told) {
	if t.Connection == "" || t.User == "" {
		return
	}
	e := is.entries[t.Connection]
	if e != nil && e.user != t.User {
		at.drop(e)
		e = nil
	}
	if e == nil {
		e = &entry{connection: t.Connection, user: t.User}
		is.entries[t.Connection] = e
		at.join(e)
	}
	e.idle, e.since, e.data, e.stamp, e.leaving = t.Idle, time.UnixMicro(t.Since).UTC(), t.Data, t.Stamp, t.Leaving
	at.p.stamp = max(at.p.stamp, t.Stamp)
	at.dirty[t.User] = struct{}{}
}
