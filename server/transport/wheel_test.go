package transport

import (
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"roomlog/server/room"
)

func TestWheelEndsEachOnItsTime(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	now := time.Unix(1_000_000, 0)
	w := newWheel(func() time.Time { return now })
	type entry struct {
		d  deadline
		at time.Time
	}
	var all []*entry
	for range 500 {
		a, b := net.Pipe()
		t.Cleanup(func() { _, _ = a.Close(), b.Close() })
		e := &entry{at: now.Add(time.Duration(rng.IntN(20_000)) * time.Millisecond)}
		e.d.sink = &sink{pipe: newPlainPipe(a, time.Second)}
		w.set(&e.d, now.Add(time.Hour), room.CodeAuthTimeout)
		w.set(&e.d, e.at, room.CodeTokenExpired)
		all = append(all, e)
	}
	dropped := all[:50]
	for _, e := range dropped {
		w.drop(&e.d)
		w.drop(&e.d)
	}
	end := now.Add(22 * time.Second)
	for now.Before(end) {
		step := time.Duration(rng.IntN(900)) * time.Millisecond
		if rng.IntN(10) == 0 {
			step = 5 * time.Second // the process was asleep
		}
		now = now.Add(step)
		w.turn()
		for i, e := range all {
			ended := e.d.sink.why.Load()
			switch {
			case i < len(dropped) && ended != nil:
				t.Fatalf("seed %d: one that was dropped was ended", seed)
			case i >= len(dropped) && ended == nil && !now.Before(e.at.Add(2*tick)):
				t.Fatalf("seed %d: not ended %v after its time", seed, now.Sub(e.at))
			case ended != nil && now.Before(e.at):
				t.Fatalf("seed %d: ended %v early", seed, e.at.Sub(now))
			case ended != nil && ended.err.Code != room.CodeTokenExpired:
				t.Fatalf("ended as %v", ended.err)
			}
		}
	}
	if len(w.slots) != 0 {
		t.Errorf("%d slots are left", len(w.slots))
	}
}

// I28: the time of day is set a day on, and back again. What is due afterwards is ended on its time.
func TestWheelAfterTheClockWasSet(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	w := newWheel(func() time.Time { return now })
	for _, jump := range []time.Duration{24 * time.Hour, -24 * time.Hour, -24 * time.Hour, 24 * time.Hour} {
		now = now.Add(jump)
		for _, turned := range []bool{false, true} {
			if turned {
				w.turn()
			}
			a, b := net.Pipe()
			t.Cleanup(func() { _, _ = a.Close(), b.Close() })
			d := deadline{sink: &sink{pipe: newPlainPipe(a, time.Second)}}
			w.set(&d, now.Add(10*time.Second), room.CodeAuthTimeout)
			now = now.Add(9 * time.Second)
			w.turn()
			if d.sink.why.Load() != nil {
				t.Errorf("after a jump by %v, one is ended a second early", jump)
			}
			now = now.Add(2 * time.Second)
			w.turn()
			if d.sink.why.Load() == nil {
				t.Errorf("after a jump by %v, one is not ended", jump)
			}
		}
	}
}

// A token may be good for longer than any clock counts: its connection is not ended for that.
func TestWheelOfTheFarthestTime(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	w := newWheel(func() time.Time { return now })
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	d := deadline{sink: &sink{pipe: newPlainPipe(a, time.Second)}}
	w.set(&d, time.Unix(1<<62, 0), room.CodeTokenExpired)
	now = now.Add(time.Hour)
	w.turn()
	if d.sink.why.Load() != nil {
		t.Error("ended as soon as it began")
	}
}
