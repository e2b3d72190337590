package yjs

import (
	"bytes"
	"fmt"
	"testing"
	"time"
)

// section is the structs of one client from a clock on.
func section(client, clock, count uint64, structs []byte) []byte {
	return append(appendUint(appendUint(appendUint(nil, count), client), clock), structs...)
}

// letters are n updates, each of one letter beside the one before, of some clients who take turns.
func letters(n, clients uint64) (all [][]byte) {
	for i := range n {
		client, clock := 1000003*(1+i%clients), i/clients
		u := appendUint(appendUint([]byte{1, 1}, client), clock)
		if i == 0 {
			u = append(u, 4, 1, 1, 't')
		} else {
			before := i - 1
			u = append(u, 0x84)
			u = appendUint(appendUint(u, 1000003*(1+before%clients)), before/clients)
		}
		all = append(all, append(u, 1, 'x', 0))
	}
	return all
}

// TestHostileSizes gives each algorithm the input of a megabyte or so that would take it longest. Each takes
// milliseconds; were one quadratic, it would take minutes.
func TestHostileSizes(t *testing.T) {
	const n = 100000
	text := bytes.Repeat([]byte{0xf0, 0x9f, 0x98, 0x80}, n)
	long := one(4, append(appendUint(nil, uint64(len(text))), text...)...) // n emoji
	array := one(8, append(appendUint(nil, 2*n), bytes.Repeat([]byte{126}, 2*n)...)...)
	var odd, down, holes, nested, back []byte
	for i := uint64(0); i < n; i++ {
		odd = append(appendUint(odd, 2*i+1), 1)
		down = append(appendUint(down, 2*(n-i)), 1)
		holes = append(holes, 0, 1, 10, 1)
	}
	for i := uint64(0); i < n; i++ {
		if i == 0 {
			nested = append(nested, 7, 1, 1, 't', 0)
		} else {
			nested = append(appendUint(append(nested, 7, 0, 7), i-1), 0)
		}
	}
	for i := uint64(0); i < n/2; i++ { // each beside the next one of the other client, and that beside the one before
		back = append(appendUint(append(back, 0x84, 9), i), 1, 'x')
	}
	deletes := func(update, ranges []byte) []byte {
		update = append(bytes.Clone(update[:len(update)-1]), 1, 7)
		return append(appendUint(update, n), ranges...)
	}
	var chain []byte
	for i := uint64(0); i < n/2; i++ {
		chain = append(appendUint(append(chain, 0x84, 7), i+1), 1, 'y')
	}
	inputs := map[string][]byte{
		"a text of which every other unit is deleted":   deletes(long, odd),
		"an array of which every other unit is deleted": deletes(array, odd),
		"deletions backwards":                           deletes([]byte{0, 0}, down),
		"a gap after each unit":                         append(append([]byte{1}, section(7, 0, 2*n, holes)...), 0),
		"types within types, the first deleted":         append(append([]byte{1}, section(7, 0, n, nested)...), 1, 7, 1, 0, 1),
		"two clients beside one another":                append(append(append([]byte{2}, section(9, 0, n/2, chain)...), section(7, 0, n/2, back)...), 0),
		"the same section again and again":              append(append(appendUint(nil, n), bytes.Repeat([]byte{1, 7, 0, 0, 1}, n)...), 0),
		"sections that begin ever later":                nil,
		"a text":                                        long,
	}
	var later []byte
	for i := uint64(0); i < n; i++ {
		later = append(later, section(7, i, 1, append([]byte{0}, appendUint(nil, 2*n-i)...))...)
	}
	inputs["sections that begin ever later"] = append(append(appendUint(nil, n), later...), 0)
	began := time.Now()
	for name, update := range inputs {
		t.Run(name, func(t *testing.T) {
			compact := must(Compact(update))(t)
			must(Merge(update, compact, long))(t)
			must(Missing(update, long))(t) // the text goes where something is missing
			must(Missing(long, update))(t)
			must(Diff(update, []byte{1, 7, 9}))(t)
		})
	}
	e := new(Extent)
	for i := range uint64(20000) { // one deletion after the other, each between others
		if err := e.Add(append(appendUint([]byte{0, 1, 7, 1}, 2*(i*7919%20000)), 1)); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(e.deleted[7]); got != 20000 {
		t.Errorf("%d deletions apart, not 20000", got)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("all took %v", took)
	}
}

func BenchmarkMerge(b *testing.B) {
	for _, clients := range []uint64{1, 3, 1000} {
		all := letters(100000, clients)
		b.Run(fmt.Sprintf("updates=100000/clients=%d", clients), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Merge(all...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkOpen is what a reader costs who has nothing: the state vector, and all that is missing.
func BenchmarkOpen(b *testing.B) {
	merged, _ := Merge(letters(100000, 3)...)
	b.ReportAllocs()
	for b.Loop() {
		v, err := StateVector(merged)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := Diff(merged, Vector{}.Encode()); err != nil || len(v) != 3 {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompact(b *testing.B) {
	for _, clients := range []uint64{1, 3} {
		merged, _ := Merge(letters(100000, clients)...)
		b.Run(fmt.Sprintf("structs=100000/clients=%d", clients), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Compact(merged); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAppend is what one more update costs a document of 100,000: to store what it lacks, and to merge it at once.
func BenchmarkAppend(b *testing.B) {
	all := letters(100001, 3)
	merged, _ := Merge(all[:100000]...)
	b.Run("extent", func(b *testing.B) {
		e, _ := ExtentOf(merged)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := e.Missing(all[100000]); err != nil {
				b.Fatal(err)
			}
			if err := e.Add(all[99999]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("merge", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Merge(merged, all[100000]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
