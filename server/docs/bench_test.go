package docs

import (
	"encoding/binary"
	"path/filepath"
	"testing"

	"roomlog/server/room"
	"roomlog/server/store/sqlite"
	"roomlog/server/yjs"
)

// longText is a document of n updates of a character each, as it is stored once they are compacted.
func longText(b *testing.B, store *sqlite.Store, n int) {
	b.Helper()
	updates := make([][]byte, n)
	for i := range updates {
		u := binary.AppendUvarint([]byte{1, 1, 1}, uint64(i))
		if i == 0 {
			u = append(u, 0x04, 1, 1, 't')
		} else {
			u = binary.AppendUvarint(append(u, 0x84, 1), uint64(i-1))
		}
		updates[i] = append(u, 1, 'x', 0)
	}
	all, err := yjs.Merge(updates...)
	if err != nil {
		b.Fatal(err)
	}
	if all, err = yjs.Merge(all, typed(2, 0, "y")); err != nil { // not joined with the rest
		b.Fatal(err)
	}
	change := room.DocChange{Name: "main", Update: all}
	if _, err := store.Append(b.Context(), []room.Send{{Room: pad, Author: "u1", Tag: room.Tag{1}, Type: room.TypeDoc, Data: change.Data()}}); err != nil {
		b.Fatal(err)
	}
}

func benchStore(b *testing.B) *sqlite.Store {
	store, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "roomlog.db"), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = store.Close() })
	return store
}

// Opening a document of 100,000 updates, not compacted and compacted.
func BenchmarkOpen(b *testing.B) {
	store := benchStore(b)
	longText(b, store, 100_000)
	d := New(Config{Store: store})
	for _, state := range []string{"merged", "compacted"} {
		b.Run(state, func(b *testing.B) {
			for b.Loop() {
				if _, err := d.Read(b.Context(), pad, "main", nil); err != nil {
					b.Fatal(err)
				}
			}
		})
		if err := d.Compact(b.Context(), pad); err != nil {
			b.Fatal(err)
		}
	}
}

// What judging a keystroke costs in such a document.
func BenchmarkTrim(b *testing.B) {
	store := benchStore(b)
	longText(b, store, 100_000)
	d := New(Config{Store: store})
	change := &room.DocChange{Name: "main", Update: typed(3, 0, "z")}
	send := room.Send{Room: pad, Author: "u1", Type: room.TypeDoc, Data: change.Data(), Doc: change}
	for b.Loop() {
		if _, err := d.Trim(b.Context(), send, room.DocPolicy{}); err != nil {
			b.Fatal(err)
		}
	}
}
