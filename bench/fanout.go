package bench

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// fanout: t.Senders sends are kept in flight, all readers follow. A delivery is an event that a reader
// has received; the CPU is read when the last reader has the last event.
func fanout(ctx context.Context, t *trial) ([]measured, error) {
	room := "bench:fanout-" + newTag() // nobody wrote to it: its head is the number of events
	readers, err := t.enterAll(ctx, t.Readers, sameUser, func(int) string { return room })
	if err != nil {
		return nil, err
	}
	defer closeAll(readers)
	senders, err := t.enterSenders(ctx, t.Senders)
	if err != nil {
		return nil, err
	}
	defer closeAll(senders)
	before, err := t.usage()
	if err != nil {
		return nil, err
	}
	t.step("sending", 0)
	started := time.Now()
	var want atomic.Int64 // events, once the last send but one is acked
	var wg sync.WaitGroup
	errs := make([]error, len(readers)+1)
	for i, c := range readers {
		c.piece(largePiece)
		wg.Go(func() { errs[i] = c.followTo(want.Load, started.Add(t.Duration+slack)) })
	}
	wg.Go(func() {
		if err := t.saturate(ctx, senders, room, &want); err != nil {
			errs[len(readers)] = err
			closeAll(readers) // what they wait for will not come
		}
	})
	wg.Wait()
	took := time.Since(started).Seconds()
	after, err := t.usage()
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	var deliveries float64
	for _, c := range readers {
		deliveries += float64(c.got)
	}
	cpu := (after.CPU - before.CPU).Seconds()
	return []measured{
		{"deliveries per server CPU-second", "", deliveries / cpu},
		{"deliveries per second", "", deliveries / took},
		{"sends per second", "", float64(want.Load()) / took},
		{"server CPU", "s", cpu},
		{"server memory", "MiB", float64(after.RSS) / (1 << 20)},
	}, nil
}

// saturate sends for t.Duration and sets want to how many events every reader will have to see. The last of them is
// sent when that is known, so that readers who have all others look again.
func (t *trial) saturate(ctx context.Context, senders []*client, room string, want *atomic.Int64) error {
	acks, err := sendAll(ctx, senders, func(int, int) string { return room }, t.Duration)
	if err != nil {
		return err
	}
	if err := dense(acks); err != nil {
		return err
	}
	n := int64(1)
	for _, a := range acks {
		if a.sender == 0 {
			n++
		}
	}
	want.Store(int64(len(acks)) + 1)
	_, err = senders[0].publish(&send{room: room, n: n, tag: newTag(), data: appendBody(nil, 0, n, bodyBytes)})
	return err
}
