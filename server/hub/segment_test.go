package hub

import (
	"fmt"
	"sync/atomic"
	"testing"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// TestOnePageForWhatCameAtOnce grows a room by several events at once: its readers get them as one page.
func TestOnePageForWhatCameAtOnce(t *testing.T) {
	for _, f := range []wire.Framing{wire.WebSocket, wire.EventStream} {
		t.Run(fmt.Sprint(f), func(t *testing.T) {
			m := newModel()
			m.grow("chat:a", 5)
			h := newHub(t, Config{Store: m})
			r := newReader(t, h, m, f)
			begin(t, r, m.at("chat:a", 5))
			before := r.peer.count()
			m.grow("chat:a", 20)
			live := h.live("chat:a")
			live.mu.Lock()
			live.see(m.headOf("chat:a"))
			live.mu.Unlock()
			r.waitFor(t, "chat:a", 25)
			if n := r.peer.count() - before; n != 1 {
				t.Errorf("%d pages for 20 events that came at once, want 1", n)
			}
		})
	}
}

// TestFromInsideOfAPage begins streams at every seq of a room whose events are pages of many: what each is
// given first is cut at where it stands, and adjoins (PAGE-6).
func TestFromInsideOfAPage(t *testing.T) {
	const head = 2*segmentEvents + 20
	m := newModel()
	m.grow("chat:a", head)
	m.grow("chat:b", 3)
	h := newHub(t, Config{Store: m})
	for at := room.Seq(0); at <= head; at++ {
		r := newReader(t, h, m, wire.EventStream)
		joins := []Join{{Room: "chat:a", Position: m.at("chat:a", at), HasPosition: true, Replay: -1}}
		if at%2 == 1 { // its pages have ids of their own
			joins = append(joins, Join{Room: "chat:b", Position: m.at("chat:b", at%4), HasPosition: true, Replay: -1})
		}
		if err := r.follow(t, joins); err != nil {
			t.Fatal(err)
		}
		r.waitFor(t, "chat:a", head)
		r.conn.Detach()
	}
}

// begin places a reader in chat:a and waits until it is there.
func begin(t *testing.T, r *reader, at room.Position) {
	t.Helper()
	j := Join{Room: "chat:a", Position: at, HasPosition: true, Replay: -1}
	var err error
	if r.peer.framing == wire.EventStream {
		err = r.follow(t, []Join{j})
	} else {
		err = r.join(t, j)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.waitFor(t, "chat:a", at.Seq)
}

// BenchmarkFlush has one worker give an event to 1,000 connections that take it at once: one operation is one
// delivery, but for the system call.
func BenchmarkFlush(b *testing.B) {
	const readers = 1000
	h := New(Config{Store: newModel(), Workers: 1}) // not started: the benchmark is the worker
	r := h.live("chat:a")
	r.mu.Lock()
	r.start(room.Page{Head: room.Head{Room: "chat:a", Epoch: "e1", Floor: 1}})
	r.mu.Unlock()
	taken := &counter{}
	for range readers {
		c, err := h.Attach(taken, wire.WebSocket)
		if err != nil {
			b.Fatal(err)
		}
		cur := &cursor{conn: c, room: r, epoch: "e1", started: true}
		r.subscribe(cur)
		c.cursors = []*cursor{cur}
	}
	w := h.workers[0]
	s := send("chat:a")
	e := room.Event{Mark: 1, Type: s.Type, Author: s.Author, Tag: s.Tag, Data: s.Data}
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += readers {
		e.Seq++
		r.mu.Lock()
		r.extend([]room.Event{e})
		r.mu.Unlock()
		w.round()
		h.cache.trim()
	}
	b.StopTimer()
	if want := int(e.Seq) * readers; taken.writes != want {
		b.Fatalf("%d writes, want %d", taken.writes, want)
	}
}

// counter is a peer of one worker that takes everything and counts the writes.
type counter struct{ writes, bytes int }

func (c *counter) TryWrite(bufs [][]byte) (int, error) {
	n := 0
	for _, b := range bufs {
		n += len(b)
	}
	c.writes++
	c.bytes += n
	return n, nil
}

func (c *counter) WriteAll(p []byte) error { c.bytes += len(p); return nil }
func (c *counter) Close(*room.Error)       {}

// readRooms makes n rooms live that have a reader each, at seq 0.
func readRooms(tb testing.TB, h *Hub, n int) []*liveRoom {
	tb.Helper()
	rooms := make([]*liveRoom, n)
	for i := range rooms {
		r := h.live(room.ID(fmt.Sprintf("chat:%d", i)))
		c, err := h.Attach(&counter{}, wire.WebSocket)
		if err != nil {
			tb.Fatal(err)
		}
		cur := &cursor{conn: c, room: r, epoch: "e1", started: true}
		r.mu.Lock()
		r.start(room.Page{Head: room.Head{Room: r.id, Epoch: "e1", Floor: 1}})
		r.subscribe(cur)
		r.mu.Unlock()
		c.cursors = []*cursor{cur}
		rooms[i] = r
	}
	return rooms
}

// TestEmptyTailsStay: the tail of a room that is read and has no events gives nothing back, so it is not made anew.
func TestEmptyTailsStay(t *testing.T) {
	h := New(Config{Store: newModel(), Workers: 1, TailBytes: 1})
	rooms := readRooms(t, h, 10)
	tails := make([]*segment, len(rooms))
	for i, r := range rooms {
		tails[i] = r.segments[0]
	}
	for range 3 {
		h.cache.stuck.Store(0) // as if something had grown
		h.cache.trim()
	}
	for i, r := range rooms {
		if len(r.segments) != 1 || r.segments[0] != tails[i] || r.dead {
			t.Errorf("the tail of room %d is another one", i)
		}
	}
	if got, want := h.cache.bytes.Load(), int64(len(rooms)*segmentCost); got != want || h.cache.ring.Len() != len(rooms) {
		t.Errorf("%d bytes and %d segments are held, not %d and %d", got, h.cache.ring.Len(), want, len(rooms))
	}
}

// BenchmarkCrowded has an event come to each of many rooms that are read, by several goroutines, where the budget is less
// than their empty tails take.
func BenchmarkCrowded(b *testing.B) {
	const n = 20_000
	h := New(Config{Store: newModel(), Workers: 1, TailBytes: n * segmentCost / 2})
	rooms := readRooms(b, h, n)
	s := send("chat:a")
	var next atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r := rooms[next.Add(1)%n]
			r.mu.Lock()
			r.extend([]room.Event{{Seq: r.head + 1, Mark: 1, Type: s.Type, Author: s.Author, Tag: s.Tag, Data: s.Data}})
			r.mu.Unlock()
			h.cache.trim()
		}
	})
}
