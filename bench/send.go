package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
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

func sendsOneRoom(ctx context.Context, t *trial) ([]measured, error) {
	return t.sends(ctx, t.Senders, 1)
}

func sendsManyRooms(ctx context.Context, t *trial) ([]measured, error) {
	return t.sends(ctx, t.Senders, 1000)
}

// sends: every sender sends to its rooms in turn, one outstanding. The clock and the CPU count from when
// all are connected to when the last ack has come.
func (t *trial) sends(ctx context.Context, n, rooms int) ([]measured, error) {
	senders, err := t.enterSenders(ctx, n)
	if err != nil {
		return nil, err
	}
	defer closeAll(senders)
	run := newTag()
	names := make([]string, rooms)
	for i := range names {
		names[i] = fmt.Sprintf("bench:%s-%d", run, i)
	}
	before, err := t.usage()
	if err != nil {
		return nil, err
	}
	t.step("sending", 0)
	started := time.Now()
	acks, err := sendAll(ctx, senders, func(i, turn int) string { return names[(i*15+turn)%rooms] }, t.Duration)
	elapsed := time.Since(started)
	after, errAfter := t.usage()
	if err := errors.Join(err, errAfter); err != nil {
		return nil, err
	}
	if err := errors.Join(dense(acks), t.stored(ctx, acks)); err != nil {
		return nil, err
	}
	took := make([]time.Duration, 0, len(acks))
	for _, a := range acks {
		took = append(took, a.took)
	}
	slices.Sort(took)
	return []measured{
		{"acked sends per second", "", float64(len(acks)) / elapsed.Seconds()},
		{"p50", "ms", percentile(took, 50).Seconds() * 1000},
		{"p99", "ms", percentile(took, 99).Seconds() * 1000},
		{"server CPU per send", "µs", (after.CPU - before.CPU).Seconds() / float64(len(acks)) * 1e6},
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
			var data []byte
			counts := make(map[string]int64)
			for turn := 0; turn == 0 || time.Now().Before(stop) && ctx.Err() == nil; turn++ {
				room := room(i, turn)
				counts[room]++
				data = appendBody(data[:0], i, counts[room], bodyBytes)
				started := time.Now()
				seq, err := c.publish(&send{room: room, n: counts[room], tag: newTag(), data: data})
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

// dense checks that the acks of each room are 1, 2, 3 … without hole or repeat: the rooms were new. A target that
// does not number its events says 0 each time.
func dense(acks []ack) error {
	for room, seqs := range byRoom(acks) {
		slices.Sort(seqs)
		if seqs[len(seqs)-1] == 0 {
			continue
		}
		for i, seq := range seqs {
			if seq != int64(i)+1 {
				return fmt.Errorf("%s: an ack has seq %d where %d is due: lost or doubled", room, seq, i+1)
			}
		}
	}
	return nil
}

// stored checks that each room's log ends with its last ack: a send stored twice would make it longer. A target
// whose log cannot be asked is not checked by this.
func (t *trial) stored(ctx context.Context, acks []ack) error {
	log, ok := t.server.(interface {
		heads(ctx context.Context, rooms []string) ([]int64, error)
	})
	if !ok {
		return nil
	}
	seqs := byRoom(acks)
	rooms := slices.Sorted(maps.Keys(seqs))
	heads, err := log.heads(ctx, rooms)
	if err != nil {
		return err
	}
	for i, room := range rooms {
		if heads[i] != int64(len(seqs[room])) {
			return fmt.Errorf("%s: the log has %d events, %d were acked", room, heads[i], len(seqs[room]))
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
