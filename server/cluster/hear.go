package cluster

import (
	"time"

	"roomlog/server/room"
)

// receiver hears the bus. What it does is quick: the hub takes hints under the lock of their room, and all that asks the
// store is left to others.
type receiver struct{ *Node }

// Received implements [room.BusReceiver].
func (n receiver) Received(topic room.Topic, message []byte) {
	id, ofRoom := topic.Room()
	if from, ok := claimed(message); ok && ofRoom && from == n.id {
		return // its own, or of somebody who says so: nothing to look at
	}
	k, from, body, ok := n.seals.open(topic, message)
	if !ok {
		n.counts.refused.Add(1)
		return
	}
	switch {
	case ofRoom && k == kindHint:
		n.hint(readHint(id, body))
	case ofRoom && k == kindHintOfChanges:
		n.hint(readHintOfChanges(id, body))
	case ofRoom && k == kindChanged:
		n.checks.room(id)
	case k == kindSaid:
		n.said(from, id, body)
	case topic == room.ClusterTopic && (k == kindBeat || k == kindAccess || k == kindBye):
		b, ok := readBeat(body)
		switch {
		case !ok:
			n.counts.refused.Add(1)
		case from == n.id:
			n.cameBack(b.number)
		default:
			n.hears(k, from, b)
		}
	default: // of a newer node: that it said something is understood
		n.counts.refused.Add(1)
		if ofRoom {
			n.checks.room(id)
		} else {
			n.missed()
		}
	}
}

// hint gives the hub what another node appended, where it could be read.
func (n *Node) hint(g room.Growth, events []room.Event, ok bool) {
	if !ok {
		n.counts.refused.Add(1)
		return
	}
	n.counts.heard.Add(1)
	n.hub.Hint(g, mutateTargets(events)) // mutant redact_local
}

// hears takes what another node says to all.
func (n *Node) hears(k kind, from nodeID, b beat) {
	isNew, missed := n.counted(k, from, b)
	if missed {
		n.counts.gaps.Add(1)
		n.missed()
	}
	if !isNew {
		return
	}
	for _, head := range b.heads {
		n.hub.Beat(head)
		if n.cfg.Named != nil {
			n.cfg.Named(head.Room)
		}
	}
	if k == kindAccess {
		n.access.ask()
	}
}

// missed has everything looked at again that others may have said in vain.
func (n *Node) missed() {
	n.checks.every()
	n.access.ask()
	if n.cfg.Missed != nil {
		n.cfg.Missed()
	}
}

// counted notes the number of a message to all. It reports whether the message is new: one that comes again, or so late that
// those after it were taken for a gap, says nothing, and is no sign of life; and whether some before it may have been missed.
func (n *Node) counted(k kind, from nodeID, b beat) (isNew, missed bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.peers[from]
	if p == nil {
		if len(n.peers) >= maxPeers {
			return true, true
		}
		p = &peer{name: b.name}
		n.peers[from] = p
		n.log.Info("a node is there", "peer", p.name)
	}
	if b.number <= p.number {
		return false, false
	}
	if p.silent {
		n.log.Info("a node is back", "peer", p.name)
	}
	missed = b.number > p.number+1
	p.number, p.heard, p.silent, p.look = b.number, time.Now(), false, n.cfg.SilentAfter
	if p.gone = k == kindBye; p.gone {
		n.log.Info("a node has gone", "peer", p.name)
	}
	return true, missed
}

// maxPeers bounds the nodes that are remembered, those that are gone included.
const maxPeers = 1024

// cameBack takes a message to all of this node: the bus carries what it says, up to there. One from before the bus was
// found not to says nothing.
func (n *Node) cameBack(number uint64) {
	n.mu.Lock()
	waited := len(n.unheard)
	for len(n.unheard) > 0 && n.unheard[0].number <= number {
		n.unheard = n.unheard[1:]
	}
	hears := n.up && n.deaf && len(n.unheard) < waited
	if hears {
		n.deaf, n.troubled = false, time.Time{}
	}
	n.mu.Unlock()
	if hears {
		n.log.Info("the bus carries messages again")
		n.missed()
	}
}

// watch finds out who is silent: the others, or the bus.
func (n *Node) watch(now time.Time) {
	n.mu.Lock()
	silent := n.listensFor(now)
	if n.up && !n.deaf && len(n.unheard) > 0 && now.Sub(n.unheard[0].at) > n.cfg.DeafAfter {
		n.deafen()
		n.log.Warn("the bus does not carry messages")
	}
	degraded := !n.troubled.IsZero() && now.Sub(n.troubled) >= n.cfg.RestEvery
	tell := degraded != n.told && (degraded || n.troubled.IsZero())
	if tell {
		n.told = degraded
	}
	n.mu.Unlock()
	if silent {
		n.checks.every()
	}
	if tell && n.cfg.Degraded != nil {
		n.cfg.Degraded(degraded)
	}
}

// listensFor reports whether a node has been quiet for so long that it may have appended what nobody told. One that is cut
// off from the bus says it by pokes, and may be killed before the next of them: so it is looked after again, each time after
// twice as long. One that said that it goes may have left an append of which it did not know the outcome. The caller holds n.mu.
func (n *Node) listensFor(now time.Time) (silent bool) {
	for id, p := range n.peers {
		quiet := now.Sub(p.heard)
		switch {
		case quiet > forgetPeer:
			delete(n.peers, id)
		case quiet <= p.look:
		case p.gone:
			silent, p.look = true, forgetPeer
		default:
			if !p.silent {
				n.log.Warn("a node is silent", "peer", p.name)
			}
			silent, p.silent, p.look = true, true, 2*p.look
		}
	}
	return silent
}

// forgetPeer is how long a node is remembered that is silent or has gone.
const forgetPeer = time.Minute

// excuse forgets how long others have been silent: this node did not listen.
func (n *Node) excuse(now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.peers {
		p.heard = now
	}
	for i := range n.unheard {
		n.unheard[i].at = now
	}
}

// deafen says that the bus does not carry what this node says. The caller holds n.mu.
func (n *Node) deafen() {
	if n.up && !n.deaf {
		n.deaf, n.troubled = true, time.Now()
	}
	n.giveUp()
}

// giveUp leaves to pokes what others may not have heard by the bus. The caller holds n.mu.
func (n *Node) giveUp() {
	for _, one := range n.unheard {
		for _, id := range one.rooms {
			n.lost[id] = true
		}
	}
	n.unheard = nil
	for id := range n.touched {
		n.lost[id] = true
	}
	clear(n.touched)
}

// Subscribed implements [room.BusReceiver].
func (n receiver) Subscribed(topic room.Topic) {
	if id, ok := topic.Room(); ok {
		n.follows(id)
	}
}

// Up implements [room.BusReceiver].
func (n receiver) Up() {
	n.mu.Lock()
	n.up, n.deaf, n.troubled = true, false, time.Time{}
	n.giveUp() // what was said before it was known to be down
	n.beaten = time.Time{}
	for _, f := range n.followed {
		f.settle()
	}
	n.mu.Unlock()
	n.log.Info("the bus works")
	n.sendBeats(time.Now()) // so that the others miss this node, should it go without a word
	n.missed()
}

// Down implements [room.BusReceiver].
func (n receiver) Down(reason error) {
	n.mu.Lock()
	if n.up || n.troubled.IsZero() {
		n.troubled = time.Now()
	}
	n.up, n.deaf = false, false
	n.giveUp()
	for _, f := range n.followed { // nobody needs to wait for a subscription now
		f.settle()
	}
	n.mu.Unlock()
	n.log.Warn("the bus does not work; other nodes are heard of by the store", "error", reason)
}

// Missed implements [room.BusReceiver].
func (n receiver) Missed(int) {
	n.counts.gaps.Add(1)
	n.missed()
}
