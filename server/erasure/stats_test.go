package erasure

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"roomlog/server/room"
)

// away is a store that does not say what there is to do, for a while.
type away struct {
	Store
	is atomic.Bool
}

func (a *away) NextErasure(ctx context.Context) (room.Erasure, bool, error) {
	if a.is.Load() {
		return room.Erasure{}, false, errors.New("it is away")
	}
	return a.Store.NextErasure(ctx)
}

// What was erased is counted, and what had to wait.
func TestErasuresAreCounted(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "db"))
	say(t, s, "mira", 3)
	store := &away{Store: s}
	store.is.Store(true)
	x := newEraser(t, Config{Store: store})
	x.Start()
	ask(t, x, "mira")
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for x.Stats().Failures == 0 {
		<-tick.C
	}
	store.is.Store(false)
	done(t, s, "mira")
	x.Stop() // who asks for it may see that it is done before it is counted
	if got := x.Stats(); got.Users != 1 || got.Events != 3 {
		t.Errorf("counted are %+v", got)
	}
}
