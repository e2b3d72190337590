package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// load is what senders do: each sends, and waits for the answer before it sends again.
type load struct {
	room func(sender, turn int) string // where to
	d    time.Duration                 // for how long; each sender sends at least once
	// every is the time between two sends of all senders together; 0 is as fast as they are answered.
	every time.Duration
	// size is that of the events' data; 0 is bodyBytes.
	size int
	// repeat says that each send of that number is an earlier one of the sender's again, with its tag; 0 is none.
	repeat int
}

// ack is a send that was acknowledged.
type ack struct {
	sender int
	room   string
	seq    int64 // 0 where the target does not say
	again  bool  // the tag was acknowledged before, as this same seq
	took   time.Duration
	at     time.Time
}

// sender is a client that sends, and what it has sent.
type sender struct {
	*client
	index  int
	counts map[string]int64 // by room: sends of this connection
	bodies map[string]int64 // by room: events of its own
	data   []byte
	recent [recentSends]repeatable
	sent   int
}

// recentSends is how far back a repeat may go.
const recentSends = 32

type repeatable struct {
	room, tag string
	seq       int64
	data      []byte
}

// enterSenders connects n senders, which join nothing.
func (t *trial) enterSenders(ctx context.Context, n int) ([]*sender, error) {
	return t.enterSendersOn(ctx, n, func(int) server { return t.server })
}

func (t *trial) enterSendersOn(ctx context.Context, n int, on func(int) server) ([]*sender, error) {
	clients, err := t.enterOn(ctx, n, on, senderUser, func(int) string { return "" })
	if err != nil {
		return nil, err
	}
	senders := make([]*sender, n)
	for i, c := range clients {
		c.piece(smallPiece)
		senders[i] = &sender{client: c, index: i, counts: make(map[string]int64), bodies: make(map[string]int64)}
	}
	return senders, nil
}

func closeSenders(senders []*sender) {
	for _, s := range senders {
		s.close()
	}
}

// send sends an event of size bytes to the room and waits for its ack.
func (s *sender) send(room string, size int) (ack, error) {
	s.data = appendBody(s.data[:0], s.index, s.bodies[room]+1, size)
	tag := newTag()
	a, err := s.put(room, tag, s.data)
	if err != nil {
		return a, err
	}
	s.bodies[room]++
	r := &s.recent[s.sent%recentSends]
	r.room, r.tag, r.seq, r.data = room, tag, a.seq, append(r.data[:0], s.data...)
	s.sent++
	return a, nil
}

// again repeats the oldest of the recent sends with its tag, as a client does that came back (TAG-3).
func (s *sender) again() (ack, error) {
	r := &s.recent[s.sent%min(s.sent, recentSends)]
	a, err := s.put(r.room, r.tag, r.data)
	if err == nil && a.seq != r.seq {
		err = fmt.Errorf("a repeat of seq %d was stored as %d: doubled", r.seq, a.seq)
	}
	a.again = true
	return a, err
}

func (s *sender) put(room, tag string, data []byte) (ack, error) {
	s.counts[room]++
	started := time.Now()
	seq, err := s.publish(&send{room: room, n: s.counts[room], tag: tag, data: data})
	if err != nil {
		return ack{}, fmt.Errorf("sender %d: %w", s.index, err)
	}
	now := time.Now()
	return ack{sender: s.index, room: room, seq: seq, took: now.Sub(started), at: now}, nil
}

// sendAll has each sender do its part of a load, and returns all acks.
func sendAll(ctx context.Context, senders []*sender, l load) ([]ack, error) {
	acks := make([][]ack, len(senders))
	errs := make([]error, len(senders))
	started := time.Now()
	var wg sync.WaitGroup
	for i, s := range senders {
		wg.Go(func() { acks[i], errs[i] = s.work(ctx, l, started, len(senders)) })
	}
	wg.Wait()
	return slices.Concat(acks...), errors.Join(anyOf(errs), ctx.Err())
}

// work is the part of one sender of several.
func (s *sender) work(ctx context.Context, l load, started time.Time, several int) (acks []ack, err error) {
	stop := started.Add(l.d)
	if err := s.conn.SetDeadline(stop.Add(slack)); err != nil {
		return nil, err
	}
	for turn := 0; ; turn++ {
		if l.every > 0 && !until(ctx, started.Add(l.every*time.Duration(s.index+turn*several)), stop) {
			return acks, nil
		}
		if turn > 0 && (ctx.Err() != nil || !time.Now().Before(stop)) {
			return acks, nil
		}
		var a ack
		if l.repeat > 0 && turn%l.repeat == l.repeat-1 {
			a, err = s.again()
		} else {
			a, err = s.send(l.room(s.index, turn), cmp.Or(l.size, bodyBytes))
		}
		if err != nil {
			return acks, err
		}
		acks = append(acks, a)
	}
}

// until waits for a moment; it is false where that comes after stop, or ctx ends.
func until(ctx context.Context, moment, stop time.Time) bool {
	if !moment.Before(stop) {
		return false
	}
	wait := time.NewTimer(time.Until(moment))
	defer wait.Stop()
	select {
	case <-wait.C:
		return true
	case <-ctx.Done():
		return false
	}
}
