package retention

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"roomlog/server/room"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rooms is a store of numbers: how many events each room has, all of them as old as the bubble.
type rooms struct {
	mu     sync.Mutex
	floor  map[room.ID]room.Seq
	head   map[room.ID]room.Seq
	left   int // rows to sweep
	tags   time.Duration
	steps  []int // events of each prune
	broken map[room.ID]bool
	walks  int
}

func (s *rooms) Prune(_ context.Context, id room.ID, keep room.Retention, tags time.Duration, limit int) (room.Pruned, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken[id] {
		return room.Pruned{}, errors.New("its lock is held")
	}
	s.tags = tags
	n := min(s.over(id, keep), room.Seq(limit))
	s.floor[id] += n
	s.steps = append(s.steps, int(n))
	return room.Pruned{Head: room.Head{Room: id, Floor: s.floor[id], Seq: s.head[id]}, Events: int(n)}, nil
}

func (s *rooms) over(id room.ID, keep room.Retention) room.Seq {
	if keep.Events == 0 {
		return 0
	}
	return max(0, s.head[id]-s.floor[id]+1-keep.Events)
}

func (s *rooms) Overdue(_ context.Context, kind string, keep room.Retention, after room.ID, scan int) (due []room.ID, next room.ID, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.walks++
	var ids []room.ID
	for id := range s.head {
		if strings.HasPrefix(string(id), kind+":") && id > after {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	if len(ids) > scan {
		ids, next = ids[:scan], ids[scan-1]
	}
	for _, id := range ids {
		if s.over(id, keep) > 0 {
			due = append(due, id)
		}
	}
	return due, next, nil
}

func (s *rooms) Sweep(_ context.Context, _ time.Duration, limit int) (room.Swept, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(s.left, limit)
	s.left -= n
	return room.Swept{Rows: n, More: n == limit}, nil
}

func (s *rooms) kept(id room.ID) room.Seq {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.head[id] - s.floor[id] + 1
}

func newRooms(n int, events room.Seq) *rooms {
	s := &rooms{floor: map[room.ID]room.Seq{}, head: map[room.ID]room.Seq{}, broken: map[room.ID]bool{}}
	for i := range n {
		for _, kind := range []string{"chat", "feed"} {
			id := room.ID(fmt.Sprintf("%s:%d", kind, i))
			s.floor[id], s.head[id] = 1, events
		}
	}
	return s
}

func keeping(events int64) map[string]room.Policy {
	return map[string]room.Policy{"chat": {Retention: room.Retention{Events: events}}, "feed": {}}
}

// TestRounds holds RET-1 and RET-4: rooms are brought to the policy of their kind in bounded steps, those of
// other kinds are left alone, and a policy that changes is taken at once when the keeper is told.
func TestRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRooms(12, 1000)
		s.left, s.broken["chat:3"] = 25, true
		kinds := room.NewKinds(keeping(400))
		var told []room.Head
		k := New(Config{Store: s, Kinds: kinds, Told: func(h room.Head) { told = append(told, h) }, Step: 50, Scan: 5})
		k.Start()
		defer k.Stop()
		time.Sleep(30 * time.Second) // the first round begins at once, and each step pauses
		synctest.Wait()
		for i := range 12 {
			id := room.ID(fmt.Sprintf("chat:%d", i))
			want := room.Seq(400)
			if id == "chat:3" {
				want = 1000
			}
			if n := s.kept(id); n != want || s.kept(room.ID(fmt.Sprintf("feed:%d", i))) != 1000 {
				t.Errorf("RET-1: %s keeps %d events, not %d", id, n, want)
			}
		}
		if st := k.Stats(); st.Pruned != 11*600 || st.Swept != 25 || st.Rounds != 1 || st.Failures != 1 || !st.Last.Before(time.Now()) {
			t.Errorf("%+v", st)
		}
		if slices.Max(s.steps) > 50 || s.tags != 30*24*time.Hour || len(told) != 11*12 || told[len(told)-1].Floor != 601 {
			t.Errorf("steps of up to %d, tags for %s, told %d times", slices.Max(s.steps), s.tags, len(told))
		}
		s.mu.Lock()
		s.broken["chat:3"] = false
		s.mu.Unlock()
		kinds.Replace(keeping(300))
		k.Now()
		time.Sleep(25 * time.Second) // less than the minute until the next round
		synctest.Wait()
		for i := range 12 {
			if n := s.kept(room.ID(fmt.Sprintf("chat:%d", i))); n != 300 {
				t.Errorf("RET-4: chat:%d keeps %d events after the policy changed", i, n)
			}
		}
		kinds.Replace(keeping(500))
		k.Now()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := s.kept("chat:0"); n != 300 {
			t.Errorf("RET-4: a wider policy left %d events", n)
		}
		if st := k.Stats(); st.Rounds < 4 {
			t.Errorf("%d rounds in three minutes", st.Rounds)
		}
	})
}

// One room with very much to be pruned does not keep the others waiting: it goes on in further rounds, at once.
func TestLargeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRooms(1, 100_000)
		s.head["chat:z"], s.floor["chat:z"] = 20, 1
		k := New(Config{Store: s, Kinds: room.NewKinds(keeping(10)), Step: 100, Steps: 10})
		k.Start()
		defer k.Stop()
		time.Sleep(150 * time.Millisecond)
		synctest.Wait()
		if big, small := s.kept("chat:0"), s.kept("chat:z"); small != 10 || big < 90_000 {
			t.Errorf("after the first round the large room keeps %d events, the small one %d", big, small)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := s.kept("chat:0"); n != 10 {
			t.Errorf("RET-1: after a minute it keeps %d events", n)
		}
	})
}

// Stop ends a round in its middle, and a keeper that was stopped before it was started never starts.
func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newRooms(1, 100_000)
		k := New(Config{Store: s, Kinds: room.NewKinds(keeping(10)), Step: 1})
		k.Start()
		time.Sleep(time.Second)
		k.Stop()
		kept := s.kept("chat:0")
		time.Sleep(time.Hour)
		if n := s.kept("chat:0"); n != kept || kept < 99_000 || kept == 100_000 {
			t.Errorf("%d events when it was stopped, %d an hour later", kept, n)
		}
		k.Stop()
		k = New(Config{Store: s, Kinds: room.NewKinds(keeping(10))})
		k.Stop()
		k.Start()
		time.Sleep(time.Hour)
		if n := s.kept("chat:0"); n != kept {
			t.Errorf("a keeper that was stopped pruned %d events", kept-n)
		}
	})
}
