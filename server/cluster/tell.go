package cluster

import (
	"time"

	"roomlog/server/room"
)

// Appended implements [hub.Link]: the events go to the nodes that follow the room, now, and the room into the next beat.
func (n *Node) Appended(g room.Growth, events []room.Event) {
	if n.cfg.Bus == nil {
		return
	}
	id := g.Head.Room
	for len(events) > 0 {
		part := g
		some := fitting(events)
		part.Head.Seq, part.Head.Mark = some[len(some)-1].Seq, some[len(some)-1].Mark
		if n.publish(room.RoomTopic(id), n.sayHint(part, some)) {
			n.counts.told.Add(1)
		} else { // it is too large for the bus: it is to be read
			n.publish(room.RoomTopic(id), begin(kindChanged, n.id))
		}
		g.Before, g.BeforeMark = part.Head.Seq, part.Head.Mark
		events = events[len(some):]
	}
	n.touch(id, g.Head)
}

// fitting is the first of events: as many as one hint carries, and at least one.
func fitting(events []room.Event) []room.Event {
	size := 0
	for i := range events {
		if size += len(events[i].Data) + 64; size > hintBytes && i > 0 {
			return events[:i]
		}
	}
	return events
}

// touch notes that others may have to hear of a room by a beat, or by a poke.
func (n *Node) touch(id room.ID, head room.Head) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.troubled.IsZero() {
		n.touched[id] = head
	} else {
		n.lost[id] = true
	}
}

// Changed implements [hub.Link].
func (n *Node) Changed(head room.Head) {
	if n.cfg.Bus == nil {
		return
	}
	n.publish(room.RoomTopic(head.Room), begin(kindChanged, n.id))
	n.touch(head.Room, head)
}

// AccessChanged tells the others that access was taken back or given again, after the store keeps it.
func (n *Node) AccessChanged() {
	if n.cfg.Bus != nil {
		n.tellCluster(kindAccess, beat{name: n.cfg.Name})
	}
}

// publish seals a message and gives it to the bus. false: it will not arrive.
func (n *Node) publish(topic room.Topic, message []byte) bool {
	if err := n.cfg.Bus.Publish(topic, n.seals.seal(topic, message)); err != nil {
		n.log.Error("the bus does not take a message", "topic", topic, "error", err)
		return false
	}
	return true
}

// tellCluster numbers a message to all nodes and publishes it. It comes back to this node as well, which is how the node
// learns that the bus carries what it says.
func (n *Node) tellCluster(k kind, b beat) {
	n.beating.Lock()
	defer n.beating.Unlock()
	n.number++
	b.number = n.number
	one := sent{number: b.number, at: time.Now(), rooms: make([]room.ID, len(b.heads))}
	for i, h := range b.heads {
		one.rooms[i] = h.Room
	}
	n.mu.Lock()
	if n.unheard = append(n.unheard, one); len(n.unheard) > maxUnheard {
		n.deafen() // nothing comes back at all
	}
	n.mu.Unlock()
	n.publish(room.ClusterTopic, appendBeat(begin(k, n.id), b))
}

// maxUnheard bounds the messages that have not come back. So many of a moment are those of very many rooms.
const maxUnheard = 1024

// beat sends beats and watches for what does not come, until the node stops.
func (n *Node) beat() {
	ticker := time.NewTicker(n.cfg.BeatEvery)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-ticker.C:
		}
		now := time.Now()
		if now.Sub(last) > n.cfg.SilentAfter { // this process did not run: what it did not hear in time is no sign of others
			n.log.Warn("this node was paused", "for", now.Sub(last))
			n.excuse(now)
			n.checks.every()
		}
		last = now
		n.watch(now)
		n.sendBeats(now)
	}
}

// sendBeats names the rooms that this node appended to since the last beat. Where it did not, a beat now and then says that
// it lives.
func (n *Node) sendBeats(now time.Time) {
	n.mu.Lock()
	touched := n.touched
	if len(touched) == 0 && now.Sub(n.beaten) < n.cfg.RestEvery {
		n.mu.Unlock()
		return
	}
	n.touched = make(map[room.ID]room.Head, len(touched))
	n.beaten = now
	n.mu.Unlock()
	b := beat{name: n.cfg.Name}
	size := 0
	for _, head := range touched {
		b.heads = append(b.heads, head)
		if size += len(head.Room) + len(head.Epoch) + 16; size > beatBytes {
			n.tellCluster(kindBeat, b)
			b.heads, size = nil, 0
		}
	}
	n.tellCluster(kindBeat, b)
}
