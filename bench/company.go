package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// enterWith opens n connections, each of a user of its own, to one room, which they join with more than its log: JSON members of
// the join, with a comma before each.
func (t *trial) enterWith(ctx context.Context, n int, name, with string) ([]*client, error) {
	t.beside = with
	defer func() { t.beside = "" }()
	return t.enterAll(ctx, n, senderUser, func(int) string { return name })
}

const (
	// cursorPeople each have a cursor, and see those of all.
	cursorPeople = 30
	// cursorEvery is how often each moves.
	cursorEvery = time.Second / 20
)

// cursors: people who move cursors in one room, and watch those of the others. A delivery is a position of one that another has
// received; of what is moved again within a tick, the latest is.
func cursors(ctx context.Context, t *trial) ([]measured, error) {
	name := roomNames("cursors", 1)[0]
	people, err := t.enterWith(ctx, cursorPeople, name, `,"with":["signals"],"present":false`)
	if err != nil {
		return nil, err
	}
	defer closeAll(people)
	if err := t.settled(ctx); err != nil {
		return nil, err
	}
	before, err := t.usage()
	if err != nil {
		return nil, err
	}
	t.lasting("moving", t.Duration)
	started := time.Now()
	took, err := all(people, func(i int, c *client) ([]time.Duration, error) {
		return c.move(i, name, started, started.Add(t.Duration))
	})
	if err != nil {
		return nil, err
	}
	lasted := time.Since(started).Seconds()
	after, err := t.usage()
	if err != nil {
		return nil, err
	}
	latency := slices.Sorted(slices.Values(slices.Concat(took...)))
	deliveries, cpu := float64(len(latency)), max((after.CPU-before.CPU).Seconds(), 1.0/ticksPerSecond)
	return []measured{
		{"deliveries per server CPU-second", "", deliveries / cpu},
		{"deliveries per second", "", deliveries / lasted},
		{"delivery, p50", "ms", percentile(latency, 50).Seconds() * 1000},
		{"delivery, p99", "ms", percentile(latency, 99).Seconds() * 1000},
		{"server CPU, of a core", "%", 100 * cpu / lasted},
	}, nil
}

// all has each client do something, and gives what each found.
func all[T any](clients []*client, do func(i int, c *client) (T, error)) ([]T, error) {
	out, errs := make([]T, len(clients)), make([]error, len(clients))
	var wg sync.WaitGroup
	for i, c := range clients {
		wg.Go(func() { out[i], errs[i] = do(i, c) })
	}
	wg.Wait()
	return out, anyOf(errs)
}

// move moves a cursor until it is time to stop, and gives how long the positions of all had taken.
func (c *client) move(i int, name string, started, stop time.Time) (took []time.Duration, err error) {
	c.seen = func(frame []byte) {
		if bytes.HasPrefix(frame, []byte(`{"op":"signals"`)) {
			took = appendTook(took, frame)
		}
	}
	defer func() { c.seen = nil }()
	c.piece(4096)
	for at := started.Add(cursorEvery * time.Duration(i) / cursorPeople); at.Before(stop); at = at.Add(cursorEvery) {
		if err := c.follow(at); err != nil {
			return took, err
		}
		if err := c.conn.SetDeadline(at.Add(slack)); err != nil {
			return took, err
		}
		b := append(append(c.frame(), `{"op":"signal","room":"`...), name...)
		b = strconv.AppendInt(append(b, `","type":"cursor","key":"","data":{"x":0.5,"y":0.25,"us":`...), time.Since(origin).Microseconds(), 10)
		if err := c.writeFrame(append(b, `}}`...)); err != nil {
			return took, err
		}
	}
	return took, c.follow(stop)
}

const (
	// comingBack is the part of the members that reconnects in the time that the row lasts; a minute is what is told.
	comingBack = 10 // per cent
	// present is what joins say of whoever is seen in the room, and sees the others.
	present = `,"with":["presence"],"presence":{"name":"somebody"}`
)

// presence: members of one room of whom a tenth hang up and come back at once, evenly over the time that the row lasts; in a second
// half of the same length nobody does.
func presence(ctx context.Context, t *trial) ([]measured, error) {
	name := roomNames("presence", 1)[0]
	members, err := t.enterWith(ctx, t.Readers, name, present)
	if err != nil {
		return nil, err
	}
	defer closeAll(members)
	s := t.server.(*roomlog)
	if err := t.settled(ctx); err != nil {
		return nil, err
	}
	back := max(t.Readers*comingBack/100, 1)
	var cpu [2]time.Duration // while some come back, and while nobody does
	var told [2]int64
	for half := range cpu {
		before, err := t.usage()
		if err != nil {
			return nil, err
		}
		var heard atomic.Int64
		t.lasting("following", t.Duration)
		started := time.Now()
		_, err = all(members, func(i int, c *client) (struct{}, error) {
			c.seen = func(frame []byte) {
				if bytes.HasPrefix(frame, []byte(`{"op":"presence"`)) {
					heard.Add(1)
				}
			}
			if half == 0 && i < back {
				if err := c.follow(started.Add(t.Duration * time.Duration(i) / time.Duration(back))); err != nil {
					return struct{}{}, err
				}
				if err := c.comeBack(ctx, s.addr); err != nil {
					return struct{}{}, err
				}
			}
			return struct{}{}, c.follow(started.Add(t.Duration))
		})
		if err != nil {
			return nil, err
		}
		after, err := t.usage()
		if err != nil {
			return nil, err
		}
		cpu[half], told[half] = after.CPU-before.CPU, heard.Load()
	}
	each := max((cpu[0]-cpu[1]).Seconds(), 0) / float64(back) // of those who come back
	perMinute := float64(t.Readers) * comingBack / 100
	return []measured{
		{"server CPU per reconnect", "µs", 1e6 * each},
		{"server CPU at 10 % a minute, of a core", "%", 100 * (cpu[1].Seconds()/t.Duration.Seconds() + each*perMinute/60)},
		{"server CPU while nobody comes, of a core", "%", 100 * cpu[1].Seconds() / t.Duration.Seconds()},
		{"messages per reconnect and member that had no part", "", float64(told[0]) / float64(back) / float64(t.Readers)},
		{"messages per second and member while nobody comes", "", float64(told[1]) / t.Duration.Seconds() / float64(t.Readers)},
	}, nil
}

// comeBack hangs up, and opens another connection in its place.
func (c *client) comeBack(ctx context.Context, addr string) error {
	c.hangUp()
	if err := c.connect(ctx, nil, addr); err != nil {
		return err
	}
	if err := c.upgraded(); err != nil {
		return err
	}
	return c.enter()
}

// rush is members of one room who are connected, and wait until all of them join it at once.
type rush struct {
	name    string
	members []*client
	begun   time.Time
	done    *atomic.Int64
	wg      sync.WaitGroup
	mu      sync.Mutex
	errs    []error

	messages, size atomic.Int64 // of presence
}

// joinStorm: members of one room who are connected all join it at once, and each waits until it is shown that all are there.
func joinStorm(ctx context.Context, t *trial) ([]measured, error) {
	s := &rush{name: roomNames("storm", 1)[0]}
	defer func() { closeAll(s.members) }()
	for len(s.members) < t.Storm { // who is in answers pings while the others come
		first := len(s.members)
		group, err := t.enterAll(ctx, min(1000, t.Storm-first), func(i int) string { return senderUser(first + i) }, func(int) string { return "" })
		if err != nil {
			return nil, err
		}
		s.members = append(s.members, group...)
		for _, c := range group {
			s.wg.Go(func() { s.fail(s.wait(c, int64(t.Storm))) })
		}
	}
	if err := t.settled(ctx); err != nil {
		return nil, err
	}
	before, err := t.usage()
	if err != nil {
		return nil, err
	}
	s.done = t.step("joining", t.Storm)
	s.begun = time.Now()
	for _, c := range s.members {
		s.fail(c.conn.SetDeadline(s.begun)) // wakes it
	}
	s.wg.Wait()
	if err := anyOf(s.errs); err != nil {
		return nil, err
	}
	took := time.Since(s.begun).Seconds()
	after, err := t.usage()
	n := float64(t.Storm)
	return []measured{
		{"messages of presence per member", "", float64(s.messages.Load()) / n},
		{"bytes of presence per member", "", float64(s.size.Load()) / n},
		{"server CPU per member", "µs", 1e6 * (after.CPU - before.CPU).Seconds() / n},
		{"until all see all", "s", took},
		{"server memory", "MiB", float64(after.RSS) / (1 << 20)},
	}, err
}

func (s *rush) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.errs = append(s.errs, err)
	}
}

// wait is one member: it answers pings until its deadline is set, joins, and reads until so many users are there.
func (s *rush) wait(c *client, all int64) error {
	if err := c.conn.SetDeadline(time.Now().Add(5 * slack)); err != nil {
		return err
	}
	for {
		if err := c.read(); errors.Is(err, os.ErrDeadlineExceeded) {
			break
		} else if err != nil {
			return fmt.Errorf("a member that waits: %w", err)
		}
	}
	users := int64(0)
	c.seen = func(frame []byte) {
		if !bytes.HasPrefix(frame, []byte(`{"op":"presence"`)) {
			return
		}
		s.messages.Add(1)
		s.size.Add(int64(len(frame)))
		if n, _, err := field(frame, `"users":`); err == nil {
			users = n
		}
	}
	if err := c.conn.SetDeadline(time.Now().Add(slack)); err != nil {
		return err
	}
	if err := c.write(`{"op":"join","id":1,"room":"` + s.name + `"` + present + `}`); err != nil {
		return err
	}
	for users < all {
		if err := c.read(); err != nil {
			return fmt.Errorf("a member sees %d of %d: %w", users, all, err)
		}
	}
	s.done.Add(1)
	return nil
}
