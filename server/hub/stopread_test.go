package hub

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// A hub that is told to stop at once, while an append is in flight, lets go of a room that is behind: it does not ask the store
// for it again and again until the append is answered.
func TestStopReadsNothingOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel()
		m.grow("chat:a", 1)
		flying := make(chan struct{})
		release := sync.OnceFunc(func() { close(flying) })
		m.onAppend = func(context.Context, []room.Send) fault { <-flying; return fault{} }
		h := New(Config{Store: m, CheckEvery: time.Hour})
		h.Start()
		r := newReader(t, h, m, wire.WebSocket)
		if err := r.join(t, Join{Room: "chat:a", Replay: -1}); err != nil {
			t.Fatal(err)
		}
		m.onRead = func(ctx context.Context, _ room.Query) error {
			if m.reads.Load() > 1000 {
				release() // else time stands still
			}
			<-ctx.Done()
			return ctx.Err()
		}
		m.grow("chat:a", 1)
		h.CheckAll(t.Context())
		h.Submit(Submit{Send: send("chat:b")}, func(Outcome) {})
		synctest.Wait()
		time.AfterFunc(time.Second, release)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = h.Stop(ctx) // it says that it was told to hurry
		if n := m.reads.Load(); n > 10 {
			t.Errorf("%d reads of the store while it stopped", n)
		}
	})
}
