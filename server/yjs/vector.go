package yjs

import (
	"cmp"
	"maps"
	"slices"
)

// Vector is a state vector: of each client, how many units are there without gap. Clients without any are left out.
type Vector map[uint64]uint64

// DecodeVector reads a state vector as Yjs encodes it.
func DecodeVector(encoded []byte) (Vector, error) {
	d := decoder{buf: encoded, limits: &wide}
	v := Vector{}
	for n := d.uint(); n > 0 && d.err == nil; n-- {
		client, clock := d.uint(), d.uint()
		if _, twice := v[client]; twice {
			d.fail("The state vector has a client twice.")
		}
		v[client] = clock
	}
	if d.err == nil && d.at < len(d.buf) {
		d.fail("Something follows the end of the state vector.")
	}
	if d.err != nil {
		return nil, d.err
	}
	return v, nil
}

// Encode gives the bytes that Yjs gives: higher clients first.
func (v Vector) Encode() []byte {
	clients := slices.SortedFunc(maps.Keys(v), func(a, b uint64) int { return cmp.Compare(b, a) })
	out := appendUint(nil, uint64(len(v)))
	for _, client := range clients {
		out = appendUint(appendUint(out, client), v[client])
	}
	return out
}

func (v Vector) ranges() ranges {
	all := make(ranges, len(v))
	for client, clock := range v {
		if clock > 0 {
			all[client] = spans{{0, clock}}
		}
	}
	return all
}

// vector is that of sorted runs.
func (s *scan) vector() Vector {
	v := Vector{}
	for _, r := range s.runs {
		if r.clock <= v[r.client] {
			v[r.client] = max(v[r.client], r.end)
		}
	}
	return v
}
