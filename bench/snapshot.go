package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// intervals is how many parts of a run are told apart: what a held snapshot costs grows with time.
const intervals = 6

// snapshot: one room is sent to as in sends-one-room, first freely, then while another session of the database
// holds a snapshot that is older than the room, as a backup or a forgotten transaction does. No dead
// version of the room's row can be removed meanwhile. Each takes t.Duration.
func snapshot(ctx context.Context, t *trial) ([]measured, error) {
	s := t.server.(*roomlog)
	senders, err := t.enterSenders(ctx, t.Senders)
	if err != nil {
		return nil, err
	}
	defer closeSenders(senders)
	free, err := t.rates(ctx, senders)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.Connect(ctx, s.target.store)
	if err != nil {
		return nil, fmt.Errorf("hold a snapshot: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "begin isolation level repeatable read; select count(*) from roomlog.rooms"); err != nil {
		return nil, fmt.Errorf("hold a snapshot: %w", err)
	}
	held, err := t.rates(ctx, senders)
	if err != nil {
		return nil, err
	}
	out := []measured{
		{"acked sends per second, without", "", mean(free)},
		{"acked sends per second, under the snapshot", "", mean(held)},
		{"under the snapshot", "%", 100 * mean(held) / mean(free)},
	}
	part := t.Duration / intervals
	for i, rate := range held {
		out = append(out, measured{fmt.Sprintf("likewise, from %s on", (part * time.Duration(i)).Round(10*time.Millisecond)), "%", 100 * rate / max(free[i], 1)})
	}
	return out, nil
}

// rates sends to a new room for t.Duration, and gives the acked sends per second of each part of that time.
func (t *trial) rates(ctx context.Context, senders []*sender) ([]float64, error) {
	t.lasting("sending", t.Duration)
	d := t.Duration
	room := "bench:snapshot-" + newTag()
	started := time.Now()
	acks, err := sendAll(ctx, senders, load{room: func(int, int) string { return room }, d: d})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(dense(acks), t.stored(ctx, acks)); err != nil {
		return nil, err
	}
	part := d / intervals
	rates := make([]float64, intervals)
	for _, a := range acks {
		if i := int(a.at.Sub(started) / part); i < intervals { // the last acks come after d
			rates[i] += 1 / part.Seconds()
		}
	}
	return rates, nil
}

func mean(values []float64) float64 {
	var sum float64
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}
