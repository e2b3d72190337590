package presence

import (
	"time"

	"roomlog/server/room"
)

// What a node says of a room may take long, and what is not there until then must not be told as the truth. So who begins to follow a room
// asks every node that lives, and each answers, if only that it has nothing; until then it is silent. So is one of which something was lost.

// answersWithin is how long what other nodes say may be on its way until readers are shown what there is, as stale.
const answersWithin = 250 * time.Millisecond

// follow has other nodes asked for the room where nobody follows it here: what they said meanwhile was not heard.
func (at *place) follow(now time.Time) {
	p := at.p
	if !p.shared() || at.follows(now) {
		return
	}
	at.askAll(now)
	if at.silent > 0 || p.stale() {
		at.waits = now.Add(p.cfg.Coalesce + answersWithin) // they may just have told of it, and wait a little then
	}
	at.settle(now)
}

// askAll has all nodes asked at once that live, or whose users have the grace still.
func (at *place) askAll(now time.Time) {
	at.ask = now
	at.awaitAll(now)
}

func (at *place) awaitAll(now time.Time) {
	at.all = true
	for _, one := range at.p.peers {
		if one.lost.IsZero() || now.Before(one.lost.Add(at.p.cfg.Grace)) {
			at.await(at.part(one), now)
		}
	}
}

// awaitAgain has those asked who told of the room, of which something may have been lost, or all where they were not all heard yet.
func (at *place) awaitAgain(now time.Time) {
	if at.all {
		at.awaitAll(now)
		return
	}
	for _, one := range at.parts {
		if one.peer.lost.IsZero() {
			at.await(one, now)
		}
	}
}

// await has a node asked for all it has of the room.
func (at *place) await(one *part, now time.Time) {
	if one.silent || mutateSilence() { // mutant presence_hasty
		return
	}
	one.silent = true
	if at.silent++; at.silent == 1 {
		at.doubted = now
	}
	if by := now.Add(at.p.spread() + at.p.patience()); at.ask.IsZero() || by.Before(at.ask) {
		at.ask = by
	}
	at.schedule()
}

// answered says that a node has, or that nothing more is to come of it.
func (at *place) answered(one *part, now time.Time) {
	if one.silent {
		one.silent = false
		at.silent--
		at.settle(now)
	}
}

// settle shows what there is as the truth once nobody is silent, and wakes who waits for that. Before users are gone whom some node lost
// sight of, all have been asked for them.
func (at *place) settle(now time.Time) {
	if at.silent > 0 || at.p.stale() {
		return
	}
	if at.unsure.IsZero() && len(at.ghosts) > 0 && !at.all && at.follows(now) {
		if at.askAll(now); at.silent > 0 {
			return
		}
	}
	at.all = false
	if at.unsure.IsZero() {
		at.layGhosts()
	}
	if now.Before(at.waits) {
		at.flush = now
	}
	at.waits = time.Time{}
	if at.settled != nil {
		close(at.settled)
		at.settled = nil
	}
	at.flushSoon()
}

// askAgain is when those who are silent are asked the next time: later and later, since one of them may have died.
func (at *place) askAgain(now time.Time) time.Time {
	p := at.p
	return now.Add(min(max(p.spread()+p.patience(), now.Sub(at.doubted)), p.cfg.AskEvery))
}

// meet notes nodes that hold a lease, of which nothing was heard yet.
func (p *Presence) meet(all []room.Lease, now time.Time) {
	for _, lease := range all {
		if lease.Name != p.cfg.Node && lease.Generation >= p.highest[lease.Name] {
			p.peer(lease, now)
		}
	}
}

// peer is a node as it is known; nil: there are too many.
func (p *Presence) peer(lease room.Lease, now time.Time) *peer {
	one := p.peers[lease]
	if one == nil && len(p.peers) < maxPeers {
		one = &peer{lease: lease, first: now, parts: make(map[*place]*part)}
		p.peers[lease] = one
	}
	return one
}

// part is what a node said of the room.
func (at *place) part(one *peer) *part {
	is := at.parts[one.lease]
	if is == nil {
		is = &part{peer: one, entries: make(map[string]*entry)}
		at.parts[one.lease] = is
		one.parts[at] = is
	}
	return is
}
