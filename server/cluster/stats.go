package cluster

import (
	"sync/atomic"

	"roomlog/server/room"
)

type counts struct{ told, heard, refused, gaps, checks, pokes, poked atomic.Int64 }

// Stats is what a node counted since it started, and how it stands.
type Stats struct {
	Degraded bool // other nodes are heard of by the store alone
	Peers    int  // other nodes that were heard of lately
	Followed int  // rooms that hints of others are heard of
	Told     int64
	Heard    int64 // hints, of others
	Refused  int64 // messages that are not of this cluster, or not understood
	Gaps     int64 // times that something of another node was missed
	Checks   int64 // of the heads of all rooms in memory
	Pokes    int64 // rooms that were poked by this node
	Poked    int64 // pokes that were read from the store
	Bus      room.BusStats
}

// Stats counts.
func (n *Node) Stats() Stats {
	s := Stats{
		Told: n.counts.told.Load(), Heard: n.counts.heard.Load(), Refused: n.counts.refused.Load(), Gaps: n.counts.gaps.Load(),
		Checks: n.counts.checks.Load(), Pokes: n.counts.pokes.Load(), Poked: n.counts.poked.Load(),
	}
	if n.cfg.Bus != nil {
		s.Bus = n.cfg.Bus.Stats()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	s.Degraded, s.Followed = !n.troubled.IsZero(), len(n.followed)
	for _, p := range n.peers {
		if !p.silent && !p.gone {
			s.Peers++
		}
	}
	return s
}
