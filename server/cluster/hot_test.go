package cluster

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/room/bustest"
)

// Three nodes append to one room as fast as they can while the hints of the others are on their way, and somebody polls: what
// is read of the store is what the polls ask for, and nothing goes round by itself.
func TestHotRoomIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 30)
		var nodes []*member
		for i := range 3 {
			nodes = append(nodes, w.join(string(rune('a'+i)), on(&roughStore{log: w.log, random: rand.New(rand.NewPCG(uint64(i), 1))})))
		}
		settle()
		for _, n := range nodes {
			n.read(t, w.log, roomA)
		}
		time.Sleep(time.Second)
		w.log.set(func(l *log) { l.slow = time.Millisecond })
		w.faults.Set(bustest.Rates{Delay: 3 * time.Millisecond})
		count := func() (head room.Seq, reads int) {
			w.log.set(func(l *log) { head, reads = l.rooms[roomA].head(roomA).Seq, l.reads[roomA] })
			return head, reads
		}
		nodes[0].send(t, roomA)
		from, before := count()
		for i, n := range nodes {
			random := rand.New(rand.NewPCG(uint64(i), 2))
			go func() {
				for until := time.Now().Add(2 * time.Second); time.Now().Before(until); {
					n.send(t, roomA)
					time.Sleep(time.Duration(random.IntN(1000)) * time.Microsecond)
				}
			}()
		}
		const polls = 20
		for i := range polls {
			head, _ := count()
			p, err := nodes[i%3].hub.Poll(t.Context(), hub.Join{Room: roomA, Position: room.Position{Seq: head}}, 0)
			if err != nil || p.Head.Seq < head {
				t.Fatalf("head %d of %d, %v", p.Head.Seq, head, err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(100 * time.Millisecond)
		head, after := count()
		t.Logf("%d appends, %d polls: %d reads", head-from, polls, after-before)
		if n := after - before; n > 5*polls {
			t.Errorf("%d reads of the room for %d polls and %d appends", n, polls, head-from)
		}
	})
}
