package sqlite

import (
	"path/filepath"
	"testing"

	"roomlog/server/room"
	"roomlog/server/room/storetest"
)

func BenchmarkStore(b *testing.B) {
	storetest.Bench(b, func(b *testing.B) room.Store {
		s := open(b, filepath.Join(b.TempDir(), "room.db"))
		b.Cleanup(func() {
			if err := s.Close(); err != nil {
				b.Error(err)
			}
		})
		return s
	})
}
