package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// pingRounds is how long the idle row waits, two rounds of pings, so that what is measured lasts.
const pingRounds = 21 * time.Second

// idle: connections that only answer pings. The figure is what the server grew by.
func idle(ctx context.Context, t *trial) ([]measured, error) {
	before, err := t.usage()
	if err != nil {
		return nil, err
	}
	clients, err := t.enterAll(ctx, t.Idle, sameUser, func(i int) string { return fmt.Sprintf("bench:idle-%d", i%t.Rooms) })
	if err != nil {
		return nil, err
	}
	defer closeAll(clients)
	joined, err := t.usage()
	if err != nil {
		return nil, err
	}
	t.lasting("waiting for two rounds of pings", pingRounds)
	started := time.Now()
	var wg sync.WaitGroup
	errs := make([]error, len(clients))
	for i, c := range clients {
		wg.Go(func() { errs[i] = c.follow(started.Add(pingRounds)) })
	}
	wg.Wait()
	minutes := time.Since(started).Minutes()
	after, err := t.usage()
	if err := errors.Join(anyOf(errs), err); err != nil {
		return nil, err
	}
	n := float64(t.Idle)
	return []measured{
		{"memory per connection", "KiB", float64(after.RSS-before.RSS) / 1024 / n},
		{"connect and join, server CPU", "µs", float64((joined.CPU - before.CPU).Microseconds()) / n},
		{"idle, server CPU per connection and minute", "µs", float64((after.CPU - joined.CPU).Microseconds()) / n / minutes},
	}, nil
}
