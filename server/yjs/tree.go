package yjs

import (
	"cmp"
	"slices"
)

// tree is as much of a document as it takes to know whose parent is gone: for each struct the one that it is
// beside or in. Most items name no parent, only a neighbour, which may name only a neighbour in turn.
type tree struct {
	runs    []run
	first   []int // of each run, its first node
	nodes   []node
	deleted ranges
	path    []int
}

type node struct {
	clock uint64
	next  id // the neighbour, or the item it is in
	kind  byte
	place place
	fate  fate
	free  bool // it has no key: neighbours in a sequence may be joined
}

type place byte

const (
	atRoot place = iota // in one of the document's own types
	within              // in the type that next holds
	beside              // next
)

type fate byte

const (
	untold fate = iota
	asking      // on the path
	alive
	dead // in a type that was deleted, or in one within such
)

// newTree takes sorted runs that do not overlap.
func newTree(s *scan) *tree {
	t := &tree{runs: s.runs, deleted: ranges{}}
	s.deletes = tidy(s.deletes)
	t.deleted.add(s.deletes)
	count := 0
	for _, r := range s.runs {
		t.first = append(t.first, count)
		count += r.count
	}
	t.nodes = make([]node, 0, count)
	settled := s.settled()
	var w walker
	for i := range s.runs {
		for w.begin(&s.runs[i]); w.next(); {
			t.nodes = append(t.nodes, nodeOf(&w.block))
		}
	}
	for i := range t.nodes {
		t.ask(i)
	}
	i := 0
	for _, r := range s.runs {
		for n := range t.nodes[i : i+r.count] {
			if t.nodes[i+n].clock >= settled[r.client] {
				t.nodes[i+n].fate = alive // it waits, and as a GC struct it would not
			}
		}
		i += r.count
	}
	return t
}

// settled says up to which clock a reader can apply the units of each client. Behind it they wait, since they or
// what they refer to refer to something that is missing.
func (s *scan) settled() Vector {
	v := s.vector()
	var w walker
	for range rounds {
		changed := false
		for i := range s.runs {
			for w.begin(&s.runs[i]); w.next() && w.clock < v[w.client]; {
				if w.waits(v) {
					v[w.client] = w.clock
					changed = true
				}
			}
		}
		if !changed {
			return v
		}
	}
	return nil
}

// rounds is how often it is asked whether what waits makes more wait. Beyond, as after the effort of somebody
// hostile, everything is treated as if it waited, which costs some bytes.
const rounds = 8

// waits says whether an item refers to a unit of another client that is not settled.
func (b *block) waits(settled Vector) bool {
	missing := func(to id) bool { return to.client != b.client && to.clock >= settled[to.client] }
	switch {
	case b.kind() == kindGC:
		return false
	case b.info&(hasOrigin|hasRight) == 0:
		return !b.named && missing(b.parent)
	}
	return b.info&hasOrigin != 0 && missing(b.origin) || b.info&hasRight != 0 && missing(b.right)
}

func nodeOf(b *block) node {
	n := node{clock: b.clock, kind: b.kind(), free: b.info&hasKey == 0}
	switch {
	case n.kind == kindGC:
		n.fate = dead
	case b.info&hasOrigin != 0:
		n.place, n.next = beside, b.origin
	case b.info&hasRight != 0:
		n.place, n.next = beside, b.right
	case !b.named:
		n.place, n.next = within, b.parent
	}
	return n
}

// ask finds out the fate of a node by following it to one whose fate is known, to a root or to a unit that is
// missing, and tells all on the way.
func (t *tree) ask(i int) {
	fate, free := untold, false
	for fate == untold {
		n := &t.nodes[i]
		switch {
		case n.fate == asking: // hostile: items in a circle, which no reader ever applies
			fate, free = alive, false
			continue
		case n.fate != untold:
			fate, free = n.fate, n.free
			continue
		}
		n.fate = asking
		t.path = append(t.path, i)
		if n.place == atRoot {
			fate = alive
			continue
		}
		next, found := t.find(n.next)
		switch {
		case !found:
			fate = alive
		case n.place == within && (t.nodes[next].kind == kindDeleted || t.deleted[n.next.client].has(n.next.clock)):
			fate = dead
		default:
			i = next
		}
	}
	for ; len(t.path) > 0; t.path = t.path[:len(t.path)-1] {
		n := &t.nodes[t.path[len(t.path)-1]]
		if n.fate = fate; n.place == beside {
			n.free = free
		}
		free = n.free
	}
}

// find gives the node that has a unit.
func (t *tree) find(to id) (int, bool) {
	r, found := slices.BinarySearchFunc(t.runs, to, func(r run, to id) int {
		switch {
		case r.client != to.client:
			return cmp.Compare(to.client, r.client)
		case r.end <= to.clock:
			return -1
		case r.clock > to.clock:
			return 1
		}
		return 0
	})
	if !found {
		return 0, false
	}
	nodes := t.nodes[t.first[r] : t.first[r]+t.runs[r].count]
	i, exact := slices.BinarySearchFunc(nodes, to.clock, func(n node, clock uint64) int { return cmp.Compare(n.clock, clock) })
	if !exact {
		i--
	}
	return t.first[r] + i, true
}
