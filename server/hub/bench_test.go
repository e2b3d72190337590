package hub

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// drain is a peer that takes everything and looks at nothing.
type drain struct {
	mu    sync.Mutex
	cond  *sync.Cond
	bytes int
}

func newDrain() *drain {
	d := &drain{}
	d.cond = sync.NewCond(&d.mu)
	return d
}

func (d *drain) TryWrite(bufs [][]byte) (int, error) {
	n := 0
	for _, b := range bufs {
		n += len(b)
	}
	d.mu.Lock()
	d.bytes += n
	d.mu.Unlock()
	d.cond.Signal()
	return n, nil
}

func (d *drain) WriteAll(p []byte) error { _, err := d.TryWrite([][]byte{p}); return err }
func (d *drain) Close(*room.Error)       {}

func (d *drain) wait(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.bytes < n {
		d.cond.Wait()
	}
}

// BenchmarkFanOut publishes to a room of 1,000 readers: one operation is one event to all of them.
func BenchmarkFanOut(b *testing.B) {
	for _, f := range []wire.Framing{wire.WebSocket, wire.EventStream} {
		b.Run(fmt.Sprint(f), func(b *testing.B) {
			const readers = 1000
			h := newHub(b, Config{Store: newModel()})
			drains := make([]*drain, readers)
			for i := range drains {
				drains[i] = newDrain()
				c, err := h.Attach(drains[i], f)
				if err != nil {
					b.Fatal(err)
				}
				defer c.Detach()
				if err := c.Join(context.Background(), Join{Room: "chat:a"}, func(Joined) []byte { return nil }); err != nil {
					b.Fatal(err)
				}
			}
			r := h.live("chat:a")
			var mark room.Mark
			size := 0
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				s := send("chat:a")
				e := room.Event{Seq: room.Seq(i + 1), Mark: 1, Type: s.Type, Author: s.Author, Tag: s.Tag, Data: s.Data}
				g := room.Growth{Head: room.Head{Room: "chat:a", Epoch: "e1", Floor: 1, Seq: e.Seq, Mark: 1}, Before: e.Seq - 1, BeforeMark: mark}
				mark = 1
				r.publish(g, []room.Event{e})
				p := wire.Page{Room: "chat:a", Epoch: "e1", Prev: e.Seq - 1, Seq: e.Seq, Mark: 1}
				size += len(f.AppendPage(nil, p, wire.AppendEvent(nil, "chat:a", &e)))
				if i%32 == 31 { // a burst, as a batch is
					for _, d := range drains {
						d.wait(size)
					}
				}
			}
			for _, d := range drains {
				d.wait(size)
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)*readers/b.Elapsed().Seconds(), "deliveries/s")
		})
	}
}

// BenchmarkJoin joins a room that is in memory, from a position fifty events back.
func BenchmarkJoin(b *testing.B) {
	m := newModel()
	m.grow("chat:a", 1000)
	h := newHub(b, Config{Store: m})
	c, err := h.Attach(newDrain(), wire.WebSocket)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Detach()
	j := Join{Room: "chat:a", Position: m.at("chat:a", 950), HasPosition: true, Replay: -1}
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Join(context.Background(), j, func(Joined) []byte { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSubmit sends to a store in memory, a thousand under way at a time: what the hub itself costs
// from Submit to the answer.
func BenchmarkSubmit(b *testing.B) {
	m := newModel()
	h := newHub(b, Config{Store: m})
	c, err := h.Attach(newDrain(), wire.WebSocket)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Detach()
	slots := make(chan struct{}, 1000)
	done := func(o Outcome) {
		if o.Err != nil {
			b.Error(o.Err)
		}
		<-slots
	}
	n := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		n++
		slots <- struct{}{}
		h.Submit(Submit{Send: send("chat:a"), Conn: c, N: n}, done)
	}
	for range cap(slots) {
		slots <- struct{}{}
	}
}
