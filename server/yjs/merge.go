package yjs

import (
	"cmp"
	"maps"
	"slices"
)

// sort brings the runs into the order of an update: higher clients first, clocks ascending. Of equals the first
// given stays first, so that a state that was there wins over an update that repeats it.
func (s *scan) sort() {
	if slices.IsSortedFunc(s.runs, run.compare) {
		return
	}
	// Updates come from few clients in turns, each in order: putting them apart is nearly all that is to do.
	count := map[uint64]int{}
	for i := range s.runs {
		count[s.runs[i].client]++
	}
	clients := slices.Sorted(maps.Keys(count))
	slices.Reverse(clients)
	place, at := make(map[uint64]int, len(count)), 0
	for _, client := range clients {
		place[client] = at
		at += count[client]
	}
	apart := make([]run, len(s.runs))
	for i := range s.runs {
		client := s.runs[i].client
		apart[place[client]] = s.runs[i]
		place[client]++
	}
	s.runs = apart
	for _, client := range clients {
		if own := apart[:count[client]]; !slices.IsSortedFunc(own, run.compare) {
			slices.SortFunc(own, run.compare)
		}
		apart = apart[count[client]:]
	}
}

func (r run) compare(other run) int {
	switch {
	case r.client != other.client:
		return cmp.Compare(other.client, r.client)
	case r.clock != other.clock:
		return cmp.Compare(r.clock, other.clock)
	}
	return cmp.Compare(r.order, other.order)
}

// merge writes the structs of all runs, each unit once, without those that are known.
func (s *scan) merge(known ranges) *writer {
	s.sort()
	m := merging{out: newWriter(s.size)}
	for i := range s.runs {
		r := &s.runs[i]
		if i == 0 || r.client != m.out.client {
			m.out.close()
			m.out.open(r.client)
			m.known, m.end = known[r.client], 0
		}
		if r.end > m.end {
			m.run(r)
		}
	}
	m.out.close()
	return m.out
}

// merging is where merge is in a client's runs. Having no gap, a run is written at once: runs that begin later
// can only add what is behind its end.
type merging struct {
	out   *writer
	walk  walker
	known spans  // from end on
	end   uint64 // the clock behind what was written or known
}

func (m *merging) run(r *run) {
	w := &m.walk
	w.begin(r)
	for join := true; w.next(); {
		if w.end() > m.end {
			m.put(&w.block, join)
			join = false // within a run they are as their writer chose
		}
	}
}

// put writes what is new of a struct. A GC struct is joined with one before it, if that is asked for.
func (m *merging) put(b *block, join bool) {
	from, end := max(b.clock, m.end), b.end()
	m.end = end
	for from < end {
		to := end
		if m.known = m.known.from(from); len(m.known) > 0 && m.known[0].start < end {
			if to = m.known[0].start; to <= from {
				from = m.known[0].end
				continue
			}
			// The known half of a character came with U+FFFD for the other: the whole one is better.
			if b.splits(from-b.clock, to-b.clock) {
				to++
			}
		}
		m.out.put(b, from, to, join)
		from = to
	}
}
