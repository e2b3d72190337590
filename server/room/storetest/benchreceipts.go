package storetest

import (
	"context"
	"fmt"
	"testing"

	"roomlog/server/room"
)

const (
	markedRooms  = 100
	markedEvents = 1000
)

// benchMarks raises the marks of many users by one, in the rooms of all of them, each in one: what one commit of a server stores.
func benchMarks(b *testing.B, s room.Store, users int) {
	ctx := context.Background()
	batch := make([]room.Send, 0, markedEvents)
	for i := range markedRooms {
		batch = batch[:0]
		for range markedEvents {
			batch = append(batch, benchSend(roomName(i)))
		}
		if _, err := s.Append(ctx, batch); err != nil {
			b.Fatal(err)
		}
	}
	marks := make([]room.Marking, users)
	asked := make([]room.Standing, users)
	for i := range marks {
		marks[i] = room.Marking{Room: roomName(i % markedRooms), User: fmt.Sprintf("user-%d", 100+i)}
		asked[i] = room.Standing{Room: marks[i].Room, User: marks[i].User}
	}
	receipts := s.(room.Receipts)
	b.Run("mark", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for i := range marks {
				marks[i].Read = marks[i].Read%markedEvents + 1
			}
			if _, err := receipts.Mark(ctx, marks); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N*users)/b.Elapsed().Seconds(), "marks/s")
	})
	b.Run("own", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			out, err := receipts.Own(ctx, asked)
			if err != nil {
				b.Fatal(err)
			}
			if got := out[0]; got.Unread != int(markedEvents-got.Read) {
				b.Fatalf("%+v", got)
			}
		}
		b.ReportMetric(float64(b.N*users)/b.Elapsed().Seconds(), "users/s")
	})
}
