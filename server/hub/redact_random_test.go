package hub

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// TestDeletesUnderReaders holds I8 and CHG-7 while messages are sent and deleted as fast as may be, with tails of any size:
// everybody's pages adjoin, nobody is reset, and what was deleted before somebody came is not given to them.
func TestDeletesUnderReaders(t *testing.T) {
	for name, budget := range map[string]int64{"no memory": 1, "ample": 64 << 20} {
		t.Run(name, func(t *testing.T) { deletesUnderReaders(t, budget) })
	}
}

func deletesUnderReaders(t *testing.T, budget int64) {
	seed := newSeed(t)
	store := redacting{newModel()}
	store.grow("chat:a", 300)
	store.onRead = func(context.Context, room.Query) error { pauseFor(rand.N(500 * time.Microsecond)); return nil }
	h := newHub(t, Config{Store: store, TailBytes: budget, Workers: 2})
	var mu sync.Mutex
	var head room.Seq = 300
	gone := make(map[room.Seq]bool) // of which the delete was acked
	done := make(chan struct{})
	var readers sync.WaitGroup
	for i := range 6 {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				mu.Lock()
				known := slices.Collect(func(yield func(room.Seq) bool) {
					for seq := range gone {
						if !yield(seq) {
							return
						}
					}
				})
				to := head
				mu.Unlock()
				w := newWitness(t, h, wire.Framing(rng.IntN(wire.Framings)))
				w.enter(t, rng.Int64N(to))
				w.reach(t, to)
				w.conn.Detach()
				w.mu.Lock()
				checkGone(t, w.got, known)
				w.mu.Unlock()
			}
		})
	}
	rng := rand.New(rand.NewPCG(seed, 100))
	for range 600 {
		s := send("chat:a")
		target := rng.Int64N(head) + 1
		mu.Lock()
		remove := rng.IntN(2) == 0 && !gone[target]
		mu.Unlock()
		if remove {
			s = deleteOf(target)
		}
		o := submit(h, Submit{Send: s})
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		mu.Lock()
		head = o.Verdict.Seq
		if remove {
			gone[target] = true
		}
		mu.Unlock()
	}
	close(done)
	readers.Wait()
	if s := h.Stats(); s.Forks != 0 {
		t.Errorf("%d forks", s.Forks)
	}
}

// checkGone fails where one of the events is as it was sent although it is among gone.
func checkGone(t *testing.T, events []string, gone []room.Seq) {
	deleted := make(map[room.Seq]bool, len(gone))
	for _, seq := range gone {
		deleted[seq] = true
	}
	for _, text := range events {
		var e struct {
			Seq     room.Seq
			Data    json.RawMessage
			Deleted *struct{ Seq room.Seq }
		}
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			t.Errorf("%s: %v", text, err)
			return
		}
		if deleted[e.Seq] && (string(e.Data) != "null" || e.Deleted == nil) {
			t.Errorf("CHG-7: %s was deleted before its reader came", text)
		}
	}
}
