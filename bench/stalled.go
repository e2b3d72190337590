package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// liveReaders read all the time; their latency is what the stalled ones must not change.
	liveReaders = 8
	// pacedSenders share out bytesPerSecond, in events of pacedBytes.
	pacedSenders   = 8
	pacedBytes     = 4000
	bytesPerSecond = 1_000_000
	// phases is how often the row goes to and fro between the room with stalled readers and the one without.
	phases = 4
	// stallWithin bounds the time until all that stop are found to have stopped.
	stallWithin = 2 * time.Minute
	// readAgainWithin bounds the time until all of them have read everything.
	readAgainWithin = 5 * time.Minute

	// What the server may grow by: twice its tails and what it keeps of each stalled reader.
	tailBudget = 64 << 20
	perStalled = 32 << 10
)

// stalled: t.Stalled readers join a room and read nothing, while 1 MB/s is written to it. Live readers in the
// same room, and in another of the same rate, are timed in turn. In the end every stalled reader reads again,
// from a new connection where it was cut, and must get each event once.
func stalled(ctx context.Context, t *trial) ([]measured, error) {
	s := t.server.(*roomlog)
	run := newTag()
	with, without := "bench:stalled-"+run, "bench:alone-"+run
	live, err := t.enterAll(ctx, 2*liveReaders, sameUser, func(i int) string { return []string{with, without}[i%2] })
	if err != nil {
		return nil, err
	}
	defer closeAll(live)
	senders, err := t.enterSenders(ctx, pacedSenders)
	if err != nil {
		return nil, err
	}
	defer closeSenders(senders)
	before, err := s.usage()
	if err != nil {
		return nil, err
	}
	stop, err := t.enterAll(ctx, t.Stalled, sameUser, func(int) string { return with })
	if err != nil {
		return nil, err
	}
	defer closeAll(stop)
	t.step("filling the readers that stop", 0)
	load := &pacedLoad{senders: senders}
	timed := timeReaders(live, time.Now().Add(stallWithin+4*t.Duration+slack))
	err = errors.Join(s.untilStalled(ctx, load, with, t.Stalled))
	timed.clear()
	t.lasting("timing those that read", 2*t.Duration)
	memory := watchMemory(s)
	began, sent := time.Now(), load.total()
	for range phases {
		if err == nil {
			err = load.run(ctx, without, t.Duration/phases)
		}
		if err == nil {
			err = load.run(ctx, with, t.Duration/phases)
		}
	}
	rate := float64(load.total()-sent) * pacedBytes / time.Since(began).Seconds() / 1e6
	peak, errMemory := memory.stop()
	timed.until(load.sent(with), load.sent(without))
	for _, room := range []string{with, without} { // once more, so that those who have all of it look again
		err = errors.Join(err, load.run(ctx, room, 0))
	}
	if err := errors.Join(err, errMemory, timed.wait(err != nil)); err != nil {
		return nil, err
	}
	growth, bound := float64(peak-before.RSS), float64(2*(tailBudget+int64(t.Stalled)*perStalled))
	if growth >= bound {
		return nil, fmt.Errorf("the server grew by %.0f MiB, and may by %.0f", growth/(1<<20), bound/(1<<20))
	}
	t.step("reading again", 0)
	memory = watchMemory(s)
	cut, took, err := readAgain(ctx, s, stop, load.sent(with))
	after, errMemory := memory.stop()
	if err := errors.Join(err, errMemory); err != nil {
		return nil, err
	}
	on, off := timed.latencies(0), timed.latencies(1)
	p99on, p99off := percentile(on, 99).Seconds()*1000, percentile(off, 99).Seconds()*1000
	return []measured{
		{"memory grew by", "MiB", growth / (1 << 20)},
		{"memory may grow by", "MiB", bound / (1 << 20)},
		{"and while they read again", "MiB", float64(after-before.RSS) / (1 << 20)},
		{"p50 of the others, none stalled", "ms", percentile(off, 50).Seconds() * 1000},
		{"p50 of the others", "ms", percentile(on, 50).Seconds() * 1000},
		{"p99 of the others, none stalled", "ms", p99off},
		{"p99 of the others", "ms", p99on},
		{"p99, ratio", "", p99on / p99off},
		{"written to the rooms", "MB/s", rate},
		{"stalled readers that were cut", "", float64(cut)},
		{"until all had read everything", "s", took.Seconds()},
	}, nil
}

// untilStalled writes to the room until the server has found all of its n readers that stop to be full.
func (s *roomlog) untilStalled(ctx context.Context, load *pacedLoad, room string, n int) error {
	deadline := time.Now().Add(stallWithin)
	for {
		if err := load.run(ctx, room, 500*time.Millisecond); err != nil {
			return err
		}
		stalls, err := s.metric(ctx, "roomlog_stalls_total")
		if err != nil || stalls >= float64(n) {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("only %.0f of %d readers have stalled", stalls, n)
		}
	}
}

// memoryWatch takes the most memory that the server has had.
type memoryWatch struct {
	quit, ended chan struct{}
	peak        int64
	err         error
}

func watchMemory(s *roomlog) *memoryWatch {
	w := &memoryWatch{quit: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		look := time.NewTicker(100 * time.Millisecond)
		defer look.Stop()
		for {
			u, err := s.usage()
			if w.peak = max(w.peak, u.RSS); err != nil {
				w.err = err
				return
			}
			select {
			case <-w.quit:
				return
			case <-look.C:
			}
		}
	}()
	return w
}

func (w *memoryWatch) stop() (peak int64, err error) {
	close(w.quit)
	<-w.ended
	return w.peak, w.err
}
