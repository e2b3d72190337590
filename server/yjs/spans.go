package yjs

import (
	"cmp"
	"slices"
)

// span is the clocks [start, end).
type span struct{ start, end uint64 }

// spans are ascending and apart: between two of them is at least one clock.
type spans []span

// extend adds a span that starts at or behind the last one's start.
func (s spans) extend(next span) spans {
	if n := len(s); n > 0 && next.start <= s[n-1].end {
		s[n-1].end = max(s[n-1].end, next.end)
		return s
	}
	return append(s, next)
}

// union adds the spans of another, which it leaves as they are.
func (s spans) union(other spans) spans {
	if len(s) == 0 {
		return append(s, other...)
	}
	if len(other) < few || other[0].start >= s[len(s)-1].start {
		for _, next := range other {
			s = s.insert(next)
		}
		return s
	}
	all := make(spans, 0, len(s)+len(other))
	for len(s) > 0 || len(other) > 0 {
		if len(other) == 0 || len(s) > 0 && s[0].start <= other[0].start {
			all, s = all.extend(s[0]), s[1:]
		} else {
			all, other = all.extend(other[0]), other[1:]
		}
	}
	return all
}

// few spans are inserted faster than merged.
const few = 8

// insert adds one span.
func (s spans) insert(next span) spans {
	if n := len(s); n == 0 || next.start >= s[n-1].start { // as when a document grows
		return s.extend(next)
	}
	i, _ := slices.BinarySearchFunc(s, next.start, func(x span, start uint64) int { return cmp.Compare(x.end, start) })
	j := i
	for ; j < len(s) && s[j].start <= next.end; j++ {
		next = span{min(next.start, s[j].start), max(next.end, s[j].end)}
	}
	return slices.Replace(s, i, j, next)
}

// from drops the spans that end at or before a clock. With clocks that ascend it costs their number altogether.
func (s spans) from(clock uint64) spans {
	for len(s) > 0 && s[0].end <= clock {
		s = s[1:]
	}
	return s
}

// has says whether a clock is in one of the spans.
func (s spans) has(clock uint64) bool {
	i, _ := slices.BinarySearchFunc(s, clock, func(x span, clock uint64) int {
		if x.end <= clock {
			return -1
		}
		return 1
	})
	return i < len(s) && s[i].start <= clock
}

// ranges are the spans of each client.
type ranges map[uint64]spans

// add adds stretches, which it reorders.
func (r ranges) add(all []stretch) {
	for all = tidy(all); len(all) > 0; {
		var client uint64
		var first []stretch
		client, first, all = ofClient(all)
		s := make(spans, len(first))
		for i := range first {
			s[i] = first[i].span
		}
		r[client] = r[client].union(s)
	}
}

// stretch is a span of one client's clocks.
type stretch struct {
	client uint64
	span
}

// tidy sorts stretches as an update has them, higher clients first, and joins those that touch.
func tidy(all []stretch) []stretch {
	order := func(a, b stretch) int {
		return cmp.Or(cmp.Compare(b.client, a.client), cmp.Compare(a.start, b.start))
	}
	if !slices.IsSortedFunc(all, order) {
		slices.SortFunc(all, order)
	}
	kept := all[:0]
	for _, next := range all {
		if n := len(kept); n > 0 && kept[n-1].client == next.client && next.start <= kept[n-1].end {
			kept[n-1].end = max(kept[n-1].end, next.end)
		} else {
			kept = append(kept, next)
		}
	}
	return kept
}

// ofClient cuts those of the first client off tidy stretches.
func ofClient(all []stretch) (client uint64, first, rest []stretch) {
	client = all[0].client
	n := 1
	for n < len(all) && all[n].client == client {
		n++
	}
	return client, all[:n], all[n:]
}

// appendDeletes appends a delete set of tidy stretches.
func appendDeletes(out []byte, all []stretch) []byte {
	clients := uint64(0)
	for i := range all {
		if i == 0 || all[i].client != all[i-1].client {
			clients++
		}
	}
	out = appendUint(out, clients)
	for len(all) > 0 {
		var client uint64
		var first []stretch
		client, first, all = ofClient(all)
		out = appendUint(appendUint(out, client), uint64(len(first)))
		for _, x := range first {
			out = appendUint(appendUint(out, x.start), x.end-x.start)
		}
	}
	return out
}
