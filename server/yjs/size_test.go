package yjs

import (
	"bytes"
	"fmt"
	"runtime"
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

// hostile are inputs of a size, and for each the algorithm that would take longest with it.
var hostile = []struct {
	name string
	make func(n uint64) []byte
	do   func(update []byte, n uint64) error
}{
	{"a text of which every other unit is deleted", func(n uint64) []byte { return deleting(emoji(n/2), n/2, func(i uint64) uint64 { return 2*i + 1 }) }, compacted},
	{"an array of which every other unit is deleted", func(n uint64) []byte { return deleting(nulls(n), n/2, func(i uint64) uint64 { return 2*i + 1 }) }, compacted},
	{"types within types, the first deleted", func(n uint64) []byte {
		structs := []byte{7, 1, 1, 't', 0}
		for i := range n - 1 {
			structs = append(appendUint(append(structs, 7, 0, 7), i), 0)
		}
		return append(append([]byte{1}, section(7, 0, n, structs)...), 1, 7, 1, 0, 1)
	}, compacted},
	{"two clients beside one another", func(n uint64) []byte {
		var nine, seven []byte
		for i := range n / 2 {
			nine = append(appendUint(append(nine, 0x84, 7), i+1), 1, 'y')
			seven = append(appendUint(append(seven, 0x84, 9), i), 1, 'x')
		}
		return append(append(append([]byte{2}, section(9, 0, n/2, nine)...), section(7, 0, n/2, seven)...), 0)
	}, compacted},
	{"a text where there is a gap after each unit", gaps, func(update []byte, n uint64) error {
		_, err := Missing(update, emoji(n))
		return err
	}},
	{"an array where there is a gap after each unit", gaps, func(update []byte, n uint64) error {
		_, err := Missing(update, nulls(2*n))
		return err
	}},
	{"deletions backwards", func(n uint64) []byte { return deleting([]byte{0, 0}, n, func(i uint64) uint64 { return 2 * (n - i) }) }, added},
	{"the same section again and again", func(n uint64) []byte {
		return append(append(appendUint(nil, n), bytes.Repeat([]byte{1, 7, 0, 0, 1}, int(n))...), 0)
	}, compacted},
	{"sections that begin ever earlier", func(n uint64) []byte {
		update := appendUint(nil, n)
		for i := range n {
			update = append(update, section(7, n-i, 1, append([]byte{0}, appendUint(nil, 2*n+i)...))...)
		}
		return append(update, 0)
	}, compacted},
}

func emoji(n uint64) []byte {
	text := bytes.Repeat([]byte{0xf0, 0x9f, 0x98, 0x80}, int(n))
	return one(4, append(appendUint(nil, 4*n), text...)...)
}

func nulls(n uint64) []byte {
	return one(8, append(appendUint(nil, n), bytes.Repeat([]byte{anyNull}, int(n))...)...)
}

func gaps(n uint64) []byte {
	return append(append([]byte{1}, section(7, 0, 2*n, bytes.Repeat([]byte{0, 1, 10, 1}, int(n)))...), 0)
}

// deleting lets an update delete n units of client 7.
func deleting(update []byte, n uint64, unit func(i uint64) uint64) []byte {
	update = appendUint(append(update[:len(update)-1:len(update)-1], 1, 7), n)
	for i := range n {
		update = append(appendUint(update, unit(i)), 1)
	}
	return update
}

func compacted(update []byte, _ uint64) error {
	_, err := Compact(update)
	return err
}

func added(update []byte, _ uint64) error { return new(Extent).Add(update) }

// TestHostileSizes: what is eight times as large is about eight times the work, not sixty-four times. That is the CPU time of the thread, since
// others use the machine as well; the best of all runs counts, of which there are more while it does not look like that, for caches are shared.
// What is large also takes fresh memory from the system, which some machines are slow to give: up to five times as much for each is let pass.
func TestHostileSizes(t *testing.T) {
	const n = 3000
	for _, h := range hostile {
		t.Run(h.name, func(t *testing.T) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			small, large := time.Hour, time.Hour
			measure := func(least *time.Duration, n uint64) {
				update := h.make(n)
				for range 3 {
					began := worked()
					if err := h.do(update, n); err != nil {
						t.Fatal(err)
					}
					*least = min(*least, worked()-began)
				}
			}
			for tries := 1; ; tries++ {
				measure(&small, n)
				measure(&large, 8*n)
				if large < 40*small+time.Millisecond {
					return
				}
				if tries == 20 {
					t.Fatalf("%d of them take %v, %d take %v", n, small, 8*n, large)
				}
			}
		})
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
