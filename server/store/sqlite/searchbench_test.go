package sqlite

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/google/uuid"

	"roomlog/server/room"
	"roomlog/server/search"
)

// BenchmarkAppendIndexed is what appends lose to an index that is kept beside them: with and without one at work.
func BenchmarkAppendIndexed(b *testing.B) {
	for _, indexed := range []bool{false, true} {
		b.Run(fmt.Sprintf("indexed=%t", indexed), func(b *testing.B) {
			s, err := Open(context.Background(), filepath.Join(b.TempDir(), "bench.db"), nil)
			if err != nil {
				b.Fatal(err)
			}
			x := search.New(search.Config{Store: s, Kinds: room.NewKinds(nil)})
			if indexed {
				x.Start()
			}
			batch := make([]room.Send, 64)
			b.ReportAllocs()
			for b.Loop() {
				for i := range batch {
					batch[i] = room.Send{Room: "chat:a", Author: "u1", Tag: room.Tag(uuid.New()), Type: "message", Data: fmt.Appendf(nil, `{"text":"some words %d that are said in a room"}`, i)}
				}
				if _, err := s.Append(context.Background(), batch); err != nil {
					b.Fatal(err)
				}
				x.Grew("chat:a")
			}
			b.ReportMetric(float64(b.N*len(batch))/b.Elapsed().Seconds(), "sends/s")
			b.ReportMetric(float64(x.Stats().Indexed)/b.Elapsed().Seconds(), "indexed/s")
			x.Stop()
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
