package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"
)

const (
	// markedRooms is in how many rooms users mark at most, each in one.
	markedRooms = 100
	// markedEvents is how many events each of them has; who has read all begins to mark nothing new, so a run ends there.
	markedEvents = 1000
)

// marks: each user marks one event more of a room as read, one outstanding, until the time is over or all is read. A mark is answered
// when it is durable, with what is unread then.
func marks(ctx context.Context, t *trial) ([]measured, error) {
	rooms := min(markedRooms, t.ManySenders)
	if err := t.fill(ctx, rooms*markedEvents, func(i int) string { return t.grownName(i % rooms) }); err != nil {
		return nil, err
	}
	var p part
	cpu, err := t.costing(ctx, t.ManySenders, func(senders []*sender) error {
		t.lasting("marking", t.Duration)
		took := make([][]ack, len(senders))
		errs := make([]error, len(senders))
		started := time.Now()
		var wg sync.WaitGroup
		for i, s := range senders {
			wg.Go(func() { took[i], errs[i] = s.mark(ctx, t.grownName(i%rooms), started.Add(t.Duration)) })
		}
		wg.Wait()
		p.took = time.Since(started)
		for _, some := range took {
			p.acks = append(p.acks, some...)
		}
		return errors.Join(anyOf(errs), ctx.Err())
	})
	if err != nil {
		return nil, err
	}
	out := append([]measured{{"marks per second, durable", "", p.rate()}}, p.latencies("")...)
	return append(out, measured{"server CPU per mark", "µs", p.each(cpu)}), nil
}

// mark marks event after event of a room as read, and checks each answer.
func (s *sender) mark(ctx context.Context, name string, stop time.Time) (marked []ack, err error) {
	if err := s.conn.SetDeadline(stop.Add(slack)); err != nil {
		return nil, err
	}
	answered := int64(-1)
	var fault error
	s.seen = func(frame []byte) {
		if bytes.HasPrefix(frame, []byte(`{"op":"marked"`)) {
			answered, _, fault = field(frame, `"read":`)
		}
	}
	defer func() { s.seen = nil }()
	for seq := int64(1); seq <= markedEvents && ctx.Err() == nil && time.Now().Before(stop); seq++ {
		started := time.Now()
		if err := s.write(`{"op":"read","id":` + strconv.FormatInt(seq, 10) + `,"room":"` + name + `","read":` + strconv.FormatInt(seq, 10) + `}`); err != nil {
			return marked, err
		}
		for answered = -1; answered < 0 && fault == nil; {
			if err := s.read(); err != nil {
				return marked, err
			}
		}
		if fault != nil || answered != seq {
			return marked, fmt.Errorf("%s: %d was marked as read, the answer says %d: %w", name, seq, answered, fault)
		}
		marked = append(marked, ack{sender: s.index, room: name, seq: seq, took: time.Since(started)})
	}
	return marked, nil
}
