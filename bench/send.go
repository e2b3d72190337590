package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"
)

// ack is a send that was acknowledged.
type ack struct {
	sender int
	room   string
	seq    int64
	took   time.Duration
	at     time.Time
}

func sendsOneRoom(ctx context.Context, s *server, o Options) ([]measured, error) {
	return sends(ctx, s, o, 1)
}

func sendsManyRooms(ctx context.Context, s *server, o Options) ([]measured, error) {
	return sends(ctx, s, o, 1000)
}

// sends: every sender sends to its rooms in turn, one outstanding. The clock and the CPU count from when
// all are connected to when the last ack has come.
func sends(ctx context.Context, s *server, o Options, rooms int) ([]measured, error) {
	senders, err := enterSenders(ctx, s, o.Senders)
	if err != nil {
		return nil, err
	}
	defer closeAll(senders)
	run := newTag()
	room := func(i, turn int) string { return fmt.Sprintf("bench:%s-%d", run, (i*15+turn)%rooms) }
	before, err := s.usage()
	if err != nil {
		return nil, err
	}
	started := time.Now()
	acks, err := sendAll(ctx, senders, room, o.Duration)
	elapsed := time.Since(started)
	after, errAfter := s.usage()
	if err := errors.Join(err, errAfter); err != nil {
		return nil, err
	}
	if err := errors.Join(dense(acks), stored(ctx, s, acks)); err != nil {
		return nil, err
	}
	took := make([]time.Duration, 0, len(acks))
	for _, a := range acks {
		took = append(took, a.took)
	}
	slices.Sort(took)
	n := float64(len(acks))
	return []measured{
		{"acked sends per second", "", n / elapsed.Seconds()},
		{"p50", "ms", percentile(took, 50).Seconds() * 1000},
		{"p99", "ms", percentile(took, 99).Seconds() * 1000},
		{"server CPU per send", "µs", (after.CPU - before.CPU).Seconds() / n * 1e6},
	}, nil
}

// percentile is the smallest value that p per cent of the sorted values do not exceed (nearest rank).
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}

// enterSenders connects n senders. They are n users, since a user may send only so fast.
func enterSenders(ctx context.Context, s *server, n int) ([]*client, error) {
	return enterAll(ctx, s, n, func(i int) string { return fmt.Sprintf("sender-%d", i) }, func(int) string { return "" })
}

// sendAll has each sender send to room(sender, turn) for d, each waiting for an ack before it sends again, and
// returns all acks. Each sends at least once.
func sendAll(ctx context.Context, senders []*client, room func(sender, turn int) string, d time.Duration) ([]ack, error) {
	stop := time.Now().Add(d)
	acks := make([][]ack, len(senders))
	errs := make([]error, len(senders))
	var wg sync.WaitGroup
	for i, c := range senders {
		wg.Go(func() {
			if errs[i] = c.conn.SetDeadline(stop.Add(slack)); errs[i] != nil {
				return
			}
			counts := make(map[string]int64)
			scratch := make([]byte, 4096)
			for turn := 0; turn == 0 || time.Now().Before(stop) && ctx.Err() == nil; turn++ {
				room := room(i, turn)
				counts[room]++
				started := time.Now()
				seq, err := c.sendAndWait(room, counts[room], scratch)
				if err != nil {
					errs[i] = fmt.Errorf("sender %d: %w", i, err)
					return
				}
				now := time.Now()
				acks[i] = append(acks[i], ack{sender: i, room: room, seq: seq, took: now.Sub(started), at: now})
			}
		})
	}
	wg.Wait()
	return slices.Concat(acks...), errors.Join(append(errs, ctx.Err())...)
}

// sendAndWait sends the n-th event of this connection to the room and returns its seq once it is acked.
func (c *client) sendAndWait(room string, n int64, scratch []byte) (seq int64, err error) {
	if err := c.send(fmt.Sprintf(`{"op":"send","id":%d,"n":%d,"room":"%s","tag":"%s","type":"message","data":%s}`, n, n, room, newTag(), body)); err != nil {
		return 0, err
	}
	for seq == 0 {
		if err := c.read(scratch, func(frame []byte) (err error) {
			if bytes.HasPrefix(frame, []byte(`{"op":"ack"`)) {
				seq, _, err = field(frame, `"seq":`)
				return err
			}
			return c.look(frame)
		}); err != nil {
			return 0, err
		}
	}
	return seq, nil
}

// dense checks that the acks of each room are 1, 2, 3 … without hole or repeat: the rooms were new.
func dense(acks []ack) error {
	for room, seqs := range byRoom(acks) {
		slices.Sort(seqs)
		for i, seq := range seqs {
			if seq != int64(i)+1 {
				return fmt.Errorf("%s: an ack has seq %d where %d is due: lost or doubled", room, seq, i+1)
			}
		}
	}
	return nil
}

// stored checks that each room's log ends with its last ack: a send stored twice would make it longer.
func stored(ctx context.Context, s *server, acks []ack) error {
	token, err := s.token(ctx, "bench")
	if err != nil {
		return err
	}
	for room, seqs := range byRoom(acks) {
		head, err := s.head(ctx, token, room)
		if err != nil {
			return err
		}
		if head != int64(len(seqs)) {
			return fmt.Errorf("%s: the log has %d events, %d were acked", room, head, len(seqs))
		}
	}
	return nil
}

func byRoom(acks []ack) map[string][]int64 {
	rooms := make(map[string][]int64)
	for _, a := range acks {
		rooms[a.room] = append(rooms[a.room], a.seq)
	}
	return rooms
}
