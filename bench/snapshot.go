package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// intervals is how many parts of a run are told apart: what a held snapshot costs grows with time.
const intervals = 6

// snapshot: one room is sent to as in sends-one-room, first freely, then while another session of the database
// holds a snapshot that is older than the room, as a backup or a forgotten transaction does. No dead
// version of the room's row can be removed meanwhile. Each takes o.Duration; SQLite has no such sessions.
func snapshot(ctx context.Context, s *server, o Options) ([]measured, error) {
	if !strings.HasPrefix(s.store, "postgres") {
		return nil, nil
	}
	senders, err := enterSenders(ctx, s, o.Senders)
	if err != nil {
		return nil, err
	}
	defer closeAll(senders)
	free, err := rates(ctx, s, senders, o.Duration)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.Connect(ctx, s.store)
	if err != nil {
		return nil, fmt.Errorf("hold a snapshot: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "begin isolation level repeatable read; select count(*) from roomlog.rooms"); err != nil {
		return nil, fmt.Errorf("hold a snapshot: %w", err)
	}
	held, err := rates(ctx, s, senders, o.Duration)
	if err != nil {
		return nil, err
	}
	out := []measured{
		{"acked sends per second, without", "", mean(free)},
		{"acked sends per second, under the snapshot", "", mean(held)},
		{"under the snapshot", "%", 100 * mean(held) / mean(free)},
	}
	part := o.Duration / intervals
	for i, rate := range held {
		out = append(out, measured{fmt.Sprintf("likewise, from %s on", part*time.Duration(i)), "%", 100 * rate / max(free[i], 1)})
	}
	return out, nil
}

// rates sends to a new room for d, and gives the acked sends per second of each part of that time.
func rates(ctx context.Context, s *server, senders []*client, d time.Duration) ([]float64, error) {
	room := "bench:snapshot-" + newTag()
	started := time.Now()
	acks, err := sendAll(ctx, senders, func(int, int) string { return room }, d)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(dense(acks), stored(ctx, s, acks)); err != nil {
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
