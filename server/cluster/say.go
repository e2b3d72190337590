package cluster

import (
	"encoding/hex"
	"slices"

	"roomlog/server/room"
)

// Part is something that nodes tell each other of a room besides its log. What is said is a hint: it may be lost, repeated or late,
// and whoever hears it has a way of its own to mend that.
type Part byte

// The parts. Their numbers are on the bus and never change.
const (
	PartPresence Part = 1 + iota
	PartSignals
	PartReceipts
	PartStreams
	PartMe
	PartCommands
)

// Peer is the generation of a node: another one each time it starts.
type Peer = [8]byte

// Hearer takes what other nodes say of a part. It is called by the one goroutine that hears the bus: it must not block, and may
// keep what it is given. from is authentic.
type Hearer func(from Peer, id room.ID, body []byte)

// Self is the generation of this node.
func (n *Node) Self() Peer { return n.id }

// Say tells the nodes that follow a room something about one of its parts. It does not wait; where there is no bus, or it is
// down, nobody hears it. It may be called concurrently.
func (n *Node) Say(id room.ID, p Part, body []byte) { n.say(room.RoomTopic(id), p, body) }

// SayAll tells all nodes something about a part; what they hear names no room.
func (n *Node) SayAll(p Part, body []byte) { n.say(room.ClusterTopic, p, body) }

// SayTo tells one other node something about a part; what it hears names no room.
func (n *Node) SayTo(to Peer, p Part, body []byte) { n.say(nodeTopic(to), p, body) }

// nodeTopic is what one node alone subscribes to.
func nodeTopic(id nodeID) room.Topic { return room.Topic("node:" + hex.EncodeToString(id[:])) }

func (n *Node) say(topic room.Topic, p Part, body []byte) {
	if n.cfg.Bus == nil {
		return
	}
	message := slices.Grow(begin(kindSaid, n.id), 1+len(body)+sealLen)
	n.publish(topic, append(append(message, byte(p)), body...))
}

// said takes what another node said. A part that nobody here hears is one of a newer node.
func (n *Node) said(from nodeID, id room.ID, body []byte) {
	if len(body) == 0 {
		n.counts.refused.Add(1)
		return
	}
	if hear := n.cfg.Hears[Part(body[0])]; hear != nil && from != n.id {
		hear(from, id, body[1:])
	}
}
