package storetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"roomlog/server/room"
)

// benchErase erases a user with so many events in a room, of as many by another, and times what others append there meanwhile, one at a time.
func benchErase(b *testing.B, s room.Store, events int) {
	ctx := context.Background()
	const id = room.ID("chat:large")
	batch := make([]room.Send, 1000)
	for n := 0; n < 2*events; n += len(batch) {
		for i := range batch {
			if batch[i] = benchSend(id); i%2 == 0 {
				batch[i].Author = "erased"
			}
		}
		if _, err := s.Append(ctx, batch); err != nil {
			b.Fatal(err)
		}
	}
	quiet := appendWhile(b, s, id, time.After(2*time.Second))
	over := make(chan time.Time)
	b.ResetTimer()
	go func() {
		defer close(over)
		e, tag := room.Erasure{User: "erased", By: "admin"}, newTag()
		for {
			out, err := s.(room.ErasureStore).EraseIn(ctx, e, id, tag, []byte(`{"user":"erased"}`))
			if err != nil {
				b.Error(err)
			}
			if err != nil || out.Stored > 0 {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	meanwhile := appendWhile(b, s, id, over)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(b.Elapsed().Seconds(), "s-in-all")
	b.ReportMetric(quiet[len(quiet)*99/100], "ms-p99-before")
	b.ReportMetric(meanwhile[len(meanwhile)/2], "ms-p50")
	b.ReportMetric(meanwhile[len(meanwhile)*99/100], "ms-p99")
	b.ReportMetric(meanwhile[len(meanwhile)-1], "ms-most")
}

// appendWhile gives how long appends took, each until it was stored, in milliseconds, the shortest first.
func appendWhile(b *testing.B, s room.Store, id room.ID, over <-chan time.Time) (took []float64) {
	for {
		send, begun := benchSend(id), time.Now()
		for {
			if _, err := s.Append(context.Background(), []room.Send{send}); err == nil {
				break
			}
		}
		took = append(took, float64(time.Since(begun).Microseconds())/1000)
		select {
		case <-over:
			slices.Sort(took)
			return took
		case <-time.After(2 * time.Millisecond):
		}
	}
}
