package storetest

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"roomlog/server/room"
)

// Bench measures what carries the load: appends by size of batch and number of rooms, and a page of a
// room. open gives an empty store, closed by the caller of the benchmark.
func Bench(b *testing.B, open func(b *testing.B) room.Store) {
	for _, rooms := range []int{1, 1000} {
		for _, size := range []int{1, 64, 1024} {
			b.Run(fmt.Sprintf("append=%d/rooms=%d", size, rooms), func(b *testing.B) { benchAppend(b, open(b), size, rooms) })
		}
	}
	b.Run("page=128", func(b *testing.B) { benchPage(b, open(b)) })
	b.Run("page=128/parallel", func(b *testing.B) { benchPages(b, open(b)) })
	b.Run("overviews=1000", func(b *testing.B) { benchOverviews(b, open(b), 0) })
	b.Run("overviews=1of1000", func(b *testing.B) { benchOverviews(b, open(b), 1) })
	for _, users := range []int{16, 1024} {
		b.Run(fmt.Sprintf("marks=%d", users), func(b *testing.B) { benchMarks(b, open(b), users) })
	}
	b.Run("erase=100000", func(b *testing.B) { benchErase(b, open(b), 100_000) })
	b.Run("heads=1000", func(b *testing.B) { benchHeads(b, open(b)) })
}

// timedTag is a tag as clients make them (UUIDv7): time first, then chance.
func timedTag() room.Tag {
	var t room.Tag
	binary.BigEndian.PutUint64(t[:8], uint64(time.Now().UnixMilli())<<16|0x7000|rand.Uint64()&0xfff)
	binary.BigEndian.PutUint64(t[8:], rand.Uint64()&^(3<<62)|2<<62)
	return t
}

func roomName(i int) room.ID { return room.ID(fmt.Sprintf("chat:%d", i)) }

// benchSend is an event of ordinary size, 100 bytes of data.
func benchSend(id room.ID) room.Send {
	return room.Send{Room: id, Author: "user-17", Tag: timedTag(), Type: "message", Data: fmt.Appendf(nil, `{"text":"%087d"}`, 1)}
}

func benchAppend(b *testing.B, s room.Store, size, rooms int) {
	batch := make([]room.Send, size)
	next := 0
	b.ReportAllocs()
	for b.Loop() {
		for i := range batch {
			next++
			batch[i] = benchSend(roomName(next * 7 % rooms))
		}
		if _, err := s.Append(context.Background(), batch); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "sends/s")
}

const (
	benchRooms = 200
	pageEvents = 128
)

// benchFill writes pageEvents events into each of benchRooms rooms.
func benchFill(b *testing.B, s room.Store) {
	b.Helper()
	for range pageEvents {
		batch := make([]room.Send, benchRooms)
		for i := range batch {
			batch[i] = benchSend(roomName(i))
		}
		if _, err := s.Append(context.Background(), batch); err != nil {
			b.Fatal(err)
		}
	}
}

func readPage(b *testing.B, s room.Store, i int) {
	p, err := s.Read(context.Background(), room.Query{Room: roomName(i % benchRooms), Anchor: room.After, Limit: pageEvents, MaxBytes: 1 << 20})
	if err != nil || len(p.Events) != pageEvents {
		b.Errorf("a page of %d events: %v", len(p.Events), err)
	}
}

func benchPage(b *testing.B, s room.Store) {
	benchFill(b, s)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		readPage(b, s, i)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pages/s")
}

func benchPages(b *testing.B, s room.Store) {
	benchFill(b, s)
	b.ReportAllocs()
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := rand.IntN(benchRooms); pb.Next(); i++ {
			readPage(b, s, i)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pages/s")
}

func benchHeads(b *testing.B, s room.Store) {
	ids := make([]room.ID, 1000)
	batch := make([]room.Send, len(ids))
	for i := range ids {
		ids[i] = roomName(i)
		batch[i] = benchSend(ids[i])
	}
	if _, err := s.Append(context.Background(), batch); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Heads(context.Background(), ids); err != nil {
			b.Fatal(err)
		}
	}
}

// benchOverviews sums up a user's 1,000 rooms of 20 messages, half of them unread and one a mention: all of them by pages of 100, or of some one.
func benchOverviews(b *testing.B, s room.Store, some int) {
	const rooms, messages = 1000, 20
	ctx := context.Background()
	for i := range rooms {
		batch := []room.Send{member(roomName(i), "ann", "ben", "member")}
		for range messages {
			batch = append(batch, benchSend(roomName(i)))
		}
		batch[messages].Mentions = []string{"ben"}
		if _, err := s.Append(ctx, batch); err != nil {
			b.Fatal(err)
		}
	}
	var marks []room.Marking
	for i := range rooms {
		marks = append(marks, room.Marking{Room: roomName(i), User: "ben", Read: 1 + messages/2})
	}
	if _, err := s.(room.Receipts).Mark(ctx, marks); err != nil {
		b.Fatal(err)
	}
	q := room.OverviewQuery{User: "ben", Limit: 500}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		n := 0
		q.After = ""
		if some > 0 {
			q.Rooms = []room.ID{roomName(i % rooms)}
		}
		for more := true; more; {
			page, err := s.(room.Overviews).Overviews(ctx, q)
			if err != nil {
				b.Fatal(err)
			}
			for _, o := range page {
				if o.Unread != messages/2 || o.Mentions != 1 || o.Last == nil {
					b.Fatalf("%+v", o)
				}
			}
			n += len(page)
			if more = len(page) == q.Limit; more {
				q.After = page[len(page)-1].Room
			}
		}
		if want := max(some, rooms*(1-some)); n != want {
			b.Fatalf("%d overviews, not %d", n, want)
		}
	}
}
