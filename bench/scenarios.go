package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// body is an event's data of about 100 bytes.
var body = `{"text":"` + strings.Repeat("all work and no play makes a dull log ", 3)[:89] + `"}`

const (
	// dialing is how many connections are opened at a time.
	dialing = 64
	// slack is how much longer than planned a loaded run may take before it has failed.
	slack = time.Minute
	// pingRounds is how long the idle row waits, two rounds of pings, so that what is measured lasts.
	pingRounds = 21 * time.Second
)

// enterAll opens n connections; connection i is that of user(i) and joins room(i), or none where that is
// empty. They are closed when ctx ends, so that nothing which waits for one outlives it.
func enterAll(ctx context.Context, s *server, n int, user, room func(int) string) ([]*client, error) {
	clients := make([]*client, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, dialing)
	for d := range dialing {
		wg.Go(func() {
			var token, of string
			for errs[d] == nil && ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if user(i) != of {
					of = user(i)
					if token, errs[d] = s.token(ctx, of); errs[d] != nil {
						return
					}
				}
				if clients[i], errs[d] = dial(ctx, s.addr); errs[d] == nil {
					errs[d] = clients[i].enter(token, room(i))
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(append(errs, ctx.Err())...); err != nil {
		closeAll(clients)
		return nil, err
	}
	context.AfterFunc(ctx, func() { closeAll(clients) })
	return clients, nil
}

func closeAll(clients []*client) {
	for _, c := range clients {
		if c != nil {
			c.conn.Close()
		}
	}
}

func sameUser(int) string { return "bench" }

// idle: connections that only answer pings. The figure is what the server grew by.
func idle(ctx context.Context, s *server, o Options) ([]measured, error) {
	before, err := s.usage()
	if err != nil {
		return nil, err
	}
	clients, err := enterAll(ctx, s, o.Idle, sameUser, func(i int) string { return fmt.Sprintf("bench:idle-%d", i%1000) })
	if err != nil {
		return nil, err
	}
	defer closeAll(clients)
	joined, err := s.usage()
	if err != nil {
		return nil, err
	}
	started := time.Now()
	var wg sync.WaitGroup
	errs := make([]error, len(clients))
	for i, c := range clients {
		wg.Go(func() { errs[i] = c.follow(started.Add(pingRounds)) })
	}
	wg.Wait()
	minutes := time.Since(started).Minutes()
	after, err := s.usage()
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	n := float64(o.Idle)
	return []measured{
		{"memory per connection", "KiB", float64(after.RSS-before.RSS) / 1024 / n},
		{"connect and join, server CPU", "µs", float64((joined.CPU - before.CPU).Microseconds()) / n},
		{"idle, server CPU per connection and minute", "µs", float64((after.CPU - joined.CPU).Microseconds()) / n / minutes},
	}, nil
}

// follow reads until t; a connection that ends before has failed.
func (c *client) follow(t time.Time) error {
	if err := c.conn.SetDeadline(t); err != nil {
		return err
	}
	scratch := make([]byte, 512)
	for {
		if err := c.read(scratch, c.look); err != nil {
			if time.Now().Before(t) {
				return err
			}
			return nil
		}
	}
}

// fanout: o.Senders sends are kept in flight, all readers follow. A delivery is an event that a reader
// has received; the CPU is read when the last reader has the last event.
func fanout(ctx context.Context, s *server, o Options) ([]measured, error) {
	room := "bench:fanout-" + newTag() // nobody wrote to it: its head is the number of events
	readers, err := enterAll(ctx, s, o.Readers, sameUser, func(int) string { return room })
	if err != nil {
		return nil, err
	}
	defer closeAll(readers)
	senders, err := enterSenders(ctx, s, o.Senders)
	if err != nil {
		return nil, err
	}
	defer closeAll(senders)
	before, err := s.usage()
	if err != nil {
		return nil, err
	}
	started := time.Now()
	var head atomic.Int64 // of the room, once the last send but one is acked
	var wg sync.WaitGroup
	errs := make([]error, len(readers)+1)
	for i, c := range readers {
		wg.Go(func() { errs[i] = c.followTo(&head, started.Add(o.Duration+slack)) })
	}
	wg.Go(func() {
		if err := saturate(ctx, senders, room, o.Duration, &head); err != nil {
			errs[len(readers)] = err
			closeAll(readers) // what they wait for will not come
		}
	})
	wg.Wait()
	took := time.Since(started).Seconds()
	after, err := s.usage()
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
		{"sends per second", "", float64(head.Load()) / took},
		{"server CPU", "s", cpu},
		{"server memory", "MiB", float64(after.RSS) / (1 << 20)},
	}, nil
}

// saturate sends for d and sets head to the last event that every reader will have to see. One event more
// follows it, so that readers who have all of it already look again.
func saturate(ctx context.Context, senders []*client, room string, d time.Duration, head *atomic.Int64) error {
	acks, err := sendAll(ctx, senders, func(int, int) string { return room }, d)
	if err != nil {
		return err
	}
	if err := dense(acks); err != nil {
		return err
	}
	head.Store(int64(len(acks)))
	_, err = senders[0].sendAndWait(room, countOf(acks, 0)+1, make([]byte, 4096))
	return err
}

// countOf is how many of the acks are sender i's.
func countOf(acks []ack, i int) int64 {
	var n int64
	for _, a := range acks {
		if a.sender == i {
			n++
		}
	}
	return n
}

// followTo reads until the client stands at head, once that is known.
func (c *client) followTo(head *atomic.Int64, deadline time.Time) error {
	if err := c.conn.SetDeadline(deadline); err != nil {
		return err
	}
	scratch := make([]byte, 64<<10)
	for {
		if last := head.Load(); last != 0 && c.seq >= last {
			return nil
		}
		if err := c.read(scratch, c.look); err != nil {
			return fmt.Errorf("reader at %d of %d: %w", c.seq, head.Load(), err)
		}
	}
}

// newTag makes a UUID of version 7 (RFC 9562), as the client library does.
func newTag() string {
	ms := uint64(time.Now().UnixMilli())
	a, b := rand.Uint64(), rand.Uint64()
	return fmt.Sprintf("%08x-%04x-7%03x-%04x-%012x", ms>>16, ms&0xffff, a&0xfff, 0x8000|a>>16&0x3fff, b&0xffffffffffff)
}
