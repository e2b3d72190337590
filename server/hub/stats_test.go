package hub

import (
	"context"
	"slices"
	"testing"
	"time"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// A delivery to a live cursor is timed, a cursor that stands back is behind, and resets are counted by
// their reason, whoever is told.
func TestStatsOfCursors(t *testing.T) {
	m := newModel()
	m.grow("chat:a", 10)
	h := newHub(t, Config{Store: m})
	peer := newDrain()
	c, err := h.Attach(peer, wire.WebSocket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Detach()
	if err := c.Join(context.Background(), Join{Room: "chat:a"}, func(Joined) []byte { return []byte("j") }); err != nil {
		t.Fatal(err)
	}
	peer.wait(1)
	if all, behind := h.Cursors(); all != 1 || behind != 0 {
		t.Errorf("%d cursors, %d behind; want 1 and 0", all, behind)
	}
	done := make(chan Outcome, 1)
	h.Submit(Submit{Send: send("chat:a")}, func(o Outcome) { done <- o })
	if o := <-done; o.Err != nil {
		t.Fatal(o.Err)
	}
	peer.wait(2) // the page
	s := h.Stats()
	if n := total(s.Delivery); n != 1 || s.Delivery.Sum <= 0 {
		t.Errorf("%d deliveries timed, %v s; want 1", n, s.Delivery.Sum)
	}
	if total(s.Append) != 1 || total(s.Answer) != 1 || total(s.BatchSends) != 1 {
		t.Errorf("%+v", s)
	}
	// Stalled, the cursor stays where it is while the room grows.
	c.mu.Lock()
	c.stalled = true
	c.mu.Unlock()
	h.Submit(Submit{Send: send("chat:a")}, func(o Outcome) { done <- o })
	<-done
	if all, behind := h.Cursors(); all != 1 || behind != 1 {
		t.Errorf("stalled: %d cursors, %d behind; want 1 and 1", all, behind)
	}
	_, _ = h.Poll(context.Background(), Join{Room: "chat:a", Position: room.Position{Epoch: "other", Seq: 1}}, 0)
	_, _ = h.Poll(context.Background(), Join{Room: "chat:a", Position: room.Position{Seq: 99}}, 0)
	s = h.Stats()
	if s.Resets[room.ResetEpoch] != 1 || s.Resets[room.ResetAhead] != 1 || s.Resets[room.ResetPruned] != 0 {
		t.Errorf("resets %v", s.Resets)
	}
	if s.StoreReads[ReadOpen] != 1 || s.StoreReads[ReadHead] != 1 {
		t.Errorf("reads %v", s.StoreReads)
	}
}

func total(h Histogram) (n int64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}

func TestHistogramBounds(t *testing.T) {
	var d times
	for _, v := range []time.Duration{-1, 0, 1 << 16, 1<<16 + 1, 1 << 17, time.Hour} {
		d.add(v)
	}
	h := d.histogram()
	if !slices.Equal(h.Counts[:3], []int64{3, 2, 0}) || h.Counts[timeBuckets] != 1 || h.Bounds[0] != 65536e-9 {
		t.Errorf("%+v", h)
	}
	var n sizes
	for _, v := range []int{1, 2, 3, 4, 1024, 1025} {
		n.add(v)
	}
	if h := n.histogram(); !slices.Equal(h.Counts, []int64{1, 1, 2, 0, 0, 0, 0, 0, 0, 0, 1, 1}) || h.Bounds[10] != 1024 {
		t.Errorf("%+v", h)
	}
}
