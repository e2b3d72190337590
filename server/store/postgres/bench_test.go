package postgres

import (
	"testing"

	"roomlog/server/room"
	"roomlog/server/room/storetest"
	"roomlog/server/store/postgres/pgtest"
)

func BenchmarkStore(b *testing.B) {
	storetest.Bench(b, func(b *testing.B) room.Store {
		s := open(b, pgtest.DB(b))
		b.Cleanup(func() {
			if err := s.Close(); err != nil {
				b.Error(err)
			}
		})
		return s
	})
}
