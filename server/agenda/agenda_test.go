package agenda

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Against a model: whatever is put, in whatever order, the first is the earliest of what is due.
func TestTheFirstIsTheEarliest(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	start := time.Now()
	a := New[int]()
	entries := make([]Entry[int], 20)
	due := make([]time.Time, len(entries))
	for i := range entries {
		entries[i].Of = i
	}
	for range 5_000 {
		i := r.IntN(len(entries))
		due[i] = time.Time{}
		if r.IntN(4) > 0 {
			due[i] = start.Add(time.Duration(r.IntN(50)) * time.Second)
		}
		a.Put(&entries[i], due[i])
		var earliest time.Time
		for _, at := range due {
			if !at.IsZero() && (earliest.IsZero() || at.Before(earliest)) {
				earliest = at
			}
		}
		of, at := a.First()
		if !at.Equal(earliest) || !at.IsZero() && !due[of].Equal(at) {
			t.Fatalf("first is %d at %v, want the one at %v", of, at, earliest)
		}
	}
}

// What is due is done at its time, what is put sooner is not waited for, and what was taken back is not done.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var mu sync.Mutex
		var tasks sync.WaitGroup
		a, start := New[string](), time.Now()
		late, soon, never := Entry[string]{Of: "late"}, Entry[string]{Of: "soon"}, Entry[string]{Of: "never"}
		entries := map[string]*Entry[string]{"late": &late, "soon": &soon, "never": &never}
		done := map[string]time.Duration{}
		tasks.Go(func() {
			a.Run(ctx, time.Second, func(now time.Time) time.Time {
				mu.Lock()
				defer mu.Unlock()
				for {
					of, due := a.First()
					if due.IsZero() || due.After(now) {
						return due
					}
					done[of] = now.Sub(start)
					a.Put(entries[of], time.Time{})
				}
			})
		})
		put := func(e *Entry[string], after time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			a.Put(e, time.Now().Add(after))
		}
		put(&late, time.Minute)
		put(&never, time.Minute)
		synctest.Wait()
		put(&soon, 10*time.Second)
		synctest.Wait()
		mu.Lock()
		a.Put(&never, time.Time{})
		mu.Unlock()
		time.Sleep(time.Hour)
		mu.Lock()
		if len(done) != 2 || done["soon"] != 10*time.Second || done["late"] != time.Minute {
			t.Errorf("done: %v", done)
		}
		mu.Unlock()
		stop()
		tasks.Wait()
	})
}
