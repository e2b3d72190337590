package hub

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// TestHerdAtAColdNode: those who followed rooms at a node that is no more come to one that has none of them in memory, from
// positions that are behind. The store is read once for each block that they need, however many come, and whether or not
// other nodes write to the rooms: one room that has all of them, and a hundred that have fifty each.
func TestHerdAtAColdNode(t *testing.T) {
	const head, missed = 1500, 100
	for _, test := range []struct{ rooms, each int }{{1, 5000}, {100, 50}} {
		t.Run(fmt.Sprintf("%d rooms, %d each", test.rooms, test.each), func(t *testing.T) {
			m := newModel()
			for i := range test.rooms {
				m.grow(herdRoom(i), head)
			}
			m.onRead = func(context.Context, room.Query) error {
				pauseFor(time.Millisecond)
				return nil
			}
			h := newHub(t, Config{Store: m, CheckEvery: time.Hour})
			var herd sync.WaitGroup
			var readers []*reader
			for i := range test.rooms * test.each {
				r := newCounter(t, h, m, wire.WebSocket)
				readers = append(readers, r)
				id := herdRoom(i % test.rooms)
				herd.Go(func() {
					at := m.at(id, head-missed)
					if err := r.join(t, Join{Room: id, Position: at, HasPosition: true, Replay: -1, Seen: head}); err != nil {
						t.Error(err)
					}
				})
			}
			herd.Wait()
			for _, r := range readers {
				r.conn.Detach()
			}
			// One block of 128 holds the last hundred.
			if n := m.reads.Load() + m.heads.Load(); n > int64(test.rooms) {
				t.Errorf("%d reads of the store for %d rooms", n, test.rooms)
			}
		})
	}
}

func herdRoom(i int) room.ID { return room.ID(fmt.Sprintf("chat:herd-%d", i)) }
