package presence

import (
	"fmt"
	"testing"
	"time"

	"roomlog/server/room"
)

// 10,000 members who join at once, on two nodes, are some messages and not 10,000 for each of 10,000 (PRES-6, PRES-7). What one reader and the bus
// are given is counted and logged.
func TestTenThousandJoin(t *testing.T) {
	const members = 10_000
	inWorld(t, 2, nil, func(w *world, nodes []*node) {
		began, said, bytes := time.Now(), w.sent, w.bytes
		for i := range members {
			nodes[i%2].open(fmt.Sprintf("user-%05d", i))
			if i%100 == 99 {
				sleep(10 * time.Millisecond) // 10,000 a second
			}
		}
		took := time.Since(began)
		sleep(3 * time.Second)
		for _, n := range nodes {
			t.Logf("%s: %d frames of %d bytes with %d values for each reader in %v", n.name, n.frames, n.bytes, n.values, took)
			if got := n.frame(); got.Users != members || got.Connections != members || !got.Counts || got.Stale {
				t.Errorf("%s shows %+v", n.name, got)
			}
			if n.frames > 25 || n.values > 800 {
				t.Errorf("%s: %d frames, %d values", n.name, n.frames, n.values)
			}
		}
		t.Logf("the bus: %d messages, %d bytes", w.sent-said, w.bytes-bytes)
		if n := w.sent - said; n > 80 {
			t.Errorf("%d messages between nodes", n)
		}
	})
}

// BenchmarkJoins is what a join of a room costs its node, with what is shown and told of it.
func BenchmarkJoins(b *testing.B) {
	p := New(Config{Node: "a", Show: func(room.ID, Update) {}})
	p.Needed(hall)
	keys := make([]int, b.N)
	users := make([]string, b.N)
	for i := range users {
		users[i] = fmt.Sprintf("user-%07d", i)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		p.Came(hall, &keys[i], Guest{Connection: users[i], User: users[i]})
		if i%1000 == 0 {
			p.do(time.Now().Add(time.Hour))
		}
	}
	p.do(time.Now().Add(time.Hour))
}
