package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// fanout: t.Senders sends are kept in flight in one room, and all readers follow.
func fanout(ctx context.Context, t *trial) ([]measured, error) {
	return t.fan(ctx, crowd{rooms: 1, readers: t.Readers, piece: largePiece})
}

// fanoutSteady: the same at t.Rate sends per second, so that there is little to put together.
func fanoutSteady(ctx context.Context, t *trial) ([]measured, error) {
	return t.fan(ctx, crowd{rooms: 1, readers: t.Readers, piece: 4096, every: time.Second / time.Duration(t.Rate)})
}

// roomsFanout: t.Rooms rooms of ten readers, t.RoomsRate sends per second over all of them.
func roomsFanout(ctx context.Context, t *trial) ([]measured, error) {
	return t.fan(ctx, crowd{rooms: t.Rooms, readers: 10 * t.Rooms, piece: 4 * smallPiece, every: time.Second / time.Duration(t.RoomsRate)})
}

// crowd is who reads, and how fast is sent to them.
type crowd struct {
	rooms, readers int
	piece          int                                                                        // what a reader reads at a time
	every          time.Duration                                                              // as of a load
	enter          func(ctx context.Context, n int, room func(int) string) ([]*client, error) // nil: WebSockets
	sendsOn        func(i int) server                                                         // where sender i is; nil: on the trial's server
	usage          func() (usage, error)                                                      // nil: that of the trial's server
	sample         int                                                                        // one reader in so many is timed; 0: sampled
	senders        int                                                                        // 0: as many as the trial has
	put            func(ctx context.Context, senders []*sender, l load) ([]ack, error)        // how is sent; nil: sendAll
}

// sampled is that the first of so many readers notes how long events took to reach it.
const sampled = 50

// audience follows rooms to their ends.
type audience struct {
	readers []*client
	room    func(i int) int // of reader i
	want    []atomic.Int64  // by room: how many events it will have; 0 until that is known
	sample  int
	put     func(ctx context.Context, senders []*sender, l load) ([]ack, error)
	took    [][]time.Duration
}

// fanned is what a crowd gave.
type fanned struct {
	deliveries, took float64 // of all readers; seconds
	sent             int64
	latency          []time.Duration // sorted
	cpu              time.Duration
	rss              int64
}

// perCPU is the deliveries per CPU-second of the servers.
func (f fanned) perCPU() float64 { return f.deliveries / max(f.cpu.Seconds(), 1.0/ticksPerSecond) }

// fan measures a crowd.
func (t *trial) fan(ctx context.Context, w crowd) ([]measured, error) {
	f, err := t.deliver(ctx, w)
	if err != nil {
		return nil, err
	}
	return []measured{
		{"deliveries per server CPU-second", "", f.perCPU()},
		{"deliveries per second", "", f.deliveries / f.took},
		{"sends per second", "", float64(f.sent) / f.took},
		{"delivery, p50", "ms", percentile(f.latency, 50).Seconds() * 1000},
		{"delivery, p99", "ms", percentile(f.latency, 99).Seconds() * 1000},
		{"server CPU", "s", f.cpu.Seconds()},
		{"server memory", "MiB", float64(f.rss) / (1 << 20)},
	}, nil
}

// deliver has readers follow rooms that are sent to. A delivery is an event that a reader has received; the CPU is
// counted until the last reader has the last event.
func (t *trial) deliver(ctx context.Context, w crowd) (f fanned, err error) {
	names := roomNames("fan", w.rooms) // nobody wrote to them
	w.withDefaults(t)
	readers, err := w.enter(ctx, w.readers, func(i int) string { return names[i%w.rooms] })
	if err != nil {
		return f, err
	}
	defer closeAll(readers)
	senders, err := t.enterSendersOn(ctx, w.senders, w.sendsOn)
	if err != nil {
		return f, err
	}
	defer closeSenders(senders)
	if err := t.settledBy(ctx, w.usage); err != nil {
		return f, err
	}
	before, err := w.usage()
	if err != nil {
		return f, err
	}
	t.lasting("sending", t.Duration)
	started := time.Now()
	a := &audience{readers: readers, room: func(i int) int { return i % w.rooms }, want: make([]atomic.Int64, w.rooms), sample: w.sample, put: w.put}
	follow := a.follow(w.piece, started.Add(t.Duration+slack))
	sent, errSend := a.send(ctx, senders, names, load{d: t.Duration, every: w.every})
	if errSend != nil {
		closeAll(readers) // what they wait for will not come
	}
	errFollow := follow()
	f.took = time.Since(started).Seconds()
	after, errAfter := w.usage()
	if err := errors.Join(errSend, errFollow, errAfter); err != nil {
		return f, err
	}
	for _, c := range readers {
		f.deliveries += float64(c.got)
	}
	f.sent, f.cpu, f.rss = sent, after.CPU-before.CPU, after.RSS
	f.latency = slices.Sorted(slices.Values(slices.Concat(a.took...)))
	return f, nil
}

// withDefaults places a crowd on the server of a trial.
func (w *crowd) withDefaults(t *trial) {
	if w.enter == nil {
		w.enter = func(ctx context.Context, n int, room func(int) string) ([]*client, error) {
			return t.enterAll(ctx, n, sameUser, room)
		}
	}
	if w.sendsOn == nil {
		w.sendsOn = func(int) server { return t.server }
	}
	if w.usage == nil {
		w.usage = t.usage
	}
	if w.put == nil {
		w.put = sendAll
	}
	w.sample = cmp.Or(w.sample, sampled)
	w.senders = cmp.Or(w.senders, t.Senders)
}

func roomNames(row string, n int) []string {
	run := newTag()
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("bench:%s-%s-%d", row, run, i)
	}
	return names
}

// follow starts the readers; what it returns waits for them.
func (a *audience) follow(piece int, deadline time.Time) (wait func() error) {
	var wg sync.WaitGroup
	errs := make([]error, len(a.readers))
	a.took = make([][]time.Duration, (len(a.readers)+a.sample-1)/a.sample)
	for i, c := range a.readers {
		c.piece(piece)
		if i%a.sample == 0 {
			took := &a.took[i/a.sample]
			c.seen = func(frame []byte) { *took = appendTook(*took, frame) }
		}
		wg.Go(func() { errs[i] = c.followTo(a.want[a.room(i)].Load, deadline) })
	}
	return func() error {
		wg.Wait()
		return anyOf(errs)
	}
}

// appendTook appends how long ago the events of a frame were sent.
func appendTook(took []time.Duration, frame []byte) []time.Duration {
	now := time.Since(origin)
	for {
		sent, rest, err := field(frame, `"us":`)
		if err != nil {
			return took
		}
		took = append(took, now-time.Duration(sent)*time.Microsecond)
		frame = rest
	}
}

// send has the rooms sent to, and tells the readers of each how many events it has; it gives how many all have. The
// last event of a room follows when that is known, so that readers who have all others look again.
func (a *audience) send(ctx context.Context, senders []*sender, names []string, l load) (sent int64, err error) {
	l.room = func(i, turn int) string { return names[(i*15+turn)%len(names)] }
	if l.every > 0 { // each room in turn, whoever sends
		l.room = func(i, turn int) string { return names[(i+turn*len(senders))%len(names)] }
	}
	acks, err := a.put(ctx, senders, l)
	if err != nil {
		return 0, err
	}
	if err := dense(acks); err != nil {
		return 0, err
	}
	counts := byRoom(acks)
	for i, name := range names {
		n := int64(len(counts[name])) + 1
		a.want[i].Store(n)
		sent += n
	}
	return sent, each(ctx, len(names), len(senders), func(w, i int) error {
		_, err := senders[w].send(names[i], bodyBytes)
		return err
	})
}
