//go:build unix

package sqlite

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"roomlog/server/room"
	"roomlog/server/search"
)

// weighed is a store that notes how many messages each transaction of the index has.
type weighed struct {
	*Store
	mu     sync.Mutex
	all    int
	most   int
	enough chan struct{}
	want   int
}

func (s *weighed) Index(ctx context.Context, steps []room.IndexStep) ([]bool, error) {
	taken, err := s.Store.Index(ctx, steps)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for i, step := range steps {
		if taken != nil && taken[i] {
			n += len(step.Entries)
		}
	}
	s.most = max(s.most, n)
	if s.all += n; s.all == s.want {
		close(s.enough)
	}
	return taken, err
}

// FIND-6: however many rooms have grown at once, appends wait for a bounded number of messages to be indexed, and all are.
func TestAppendsDoNotWaitForTheIndex(t *testing.T) {
	const rooms, each, most = 12, 30, 50
	s := &weighed{Store: open(t, filepath.Join(t.TempDir(), base)), enough: make(chan struct{}), want: rooms * each}
	t.Cleanup(func() { must(t, s.Close()) })
	x := search.New(search.Config{Store: s, Kinds: room.NewKinds(nil), Gather: time.Millisecond, Events: most})
	for i := range rooms {
		var batch []room.Send
		for n := range each {
			batch = append(batch, room.Send{Room: room.ID(fmt.Sprintf("chat:%d", i)), Author: "u", Tag: room.Tag{byte(i), byte(n), 1}, Type: room.TypeMessage, Data: []byte(`{"text":"a fox"}`)})
		}
		_, err := s.Append(t.Context(), batch)
		must(t, err)
	}
	x.Start()
	defer x.Stop()
	select {
	case <-s.enough:
	case <-time.After(time.Minute):
		s.mu.Lock()
		t.Errorf("%d of %d messages are indexed", s.all, s.want)
		s.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.most > most {
		t.Errorf("one transaction had %d messages, of %d that it may", s.most, most)
	}
}
