package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// rejoin: many clients have missed t.Missed events each, ten clients to a room, and come back at once.
func rejoin(ctx context.Context, t *trial) ([]measured, error) {
	return t.rejoin(ctx, storm{clients: t.Rejoin, rooms: (t.Rejoin + 9) / 10})
}

// rejoinOneRoom: the same, all in one room.
func rejoinOneRoom(ctx context.Context, t *trial) ([]measured, error) {
	return t.rejoin(ctx, storm{clients: t.Rejoin, rooms: 1})
}

// rejoinCold: clients of as many rooms come back after the server was started anew, which has none of what they
// missed in memory.
func rejoinCold(ctx context.Context, t *trial) ([]measured, error) {
	return t.rejoin(ctx, storm{clients: t.Cold, rooms: t.Cold, restart: true})
}

// storm is who comes back.
type storm struct {
	clients, rooms int
	restart        bool
}

const (
	// returning is how many goroutines bring clients back: each opens all of its connections and asks on them,
	// then reads one after the other what has come meanwhile, by one buffer.
	returning = 64
	// asking is how many connections each of them opens before it asks: a server bounds those that say nothing.
	asking = 32
)

// rejoin has clients enter, see one event, and hang up; then it writes what they miss, and times their return.
func (t *trial) rejoin(ctx context.Context, w storm) ([]measured, error) {
	names := roomNames("rejoin", w.rooms)
	clients, err := t.enterAll(ctx, w.clients, sameUser, func(i int) string { return names[i%w.rooms] })
	if err != nil {
		return nil, err
	}
	defer closeAll(clients)
	senders, err := t.enterSenders(ctx, min(dialing*4, w.rooms))
	if err != nil {
		return nil, err
	}
	defer closeSenders(senders)
	if err := t.seeOne(ctx, clients, senders, names); err != nil {
		return nil, err
	}
	if err := t.write(ctx, senders, names, t.Missed); err != nil {
		return nil, err
	}
	closeSenders(senders)
	if w.restart {
		if err := t.restarted(ctx, clients); err != nil {
			return nil, err
		}
	}
	if err := t.settled(ctx); err != nil {
		return nil, err
	}
	reads, err := t.storeReads(ctx)
	if err != nil {
		return nil, err
	}
	before, err := t.usage()
	if err != nil {
		return nil, err
	}
	started := time.Now()
	if err := t.comeBack(ctx, clients, int64(1+t.Missed)); err != nil {
		return nil, err
	}
	took := time.Since(started)
	after, err := t.usage()
	if err != nil {
		return nil, err
	}
	out := []measured{
		{"until the last has everything", "s", took.Seconds()},
		{"server CPU each", "µs", (after.CPU - before.CPU).Seconds() / float64(w.clients) * 1e6},
		{"server memory", "MiB", float64(after.RSS) / (1 << 20)},
	}
	if reads != nil {
		n, err := reads()
		if err != nil {
			return nil, err
		}
		out = append(out, measured{"store reads", "", n})
	}
	return out, nil
}

// seeOne has every client receive one event, remember where it stands, and hang up.
func (t *trial) seeOne(ctx context.Context, clients []*client, senders []*sender, names []string) error {
	for _, c := range clients {
		c.keeps = true
	}
	if err := t.write(ctx, senders, names, 1); err != nil {
		return err
	}
	done := t.step("the first event", len(clients))
	return each(ctx, len(clients), dialing, func(_, i int) error {
		defer done.Add(1)
		c := clients[i]
		if err := c.followTo(func() int64 { return 1 }, time.Now().Add(patience)); err != nil {
			return err
		}
		c.hangUp()
		return nil
	})
}

// write sends n events to each room, room i by sender i modulo how many there are.
func (t *trial) write(ctx context.Context, senders []*sender, names []string, n int) error {
	done := t.step("writing", n*len(names))
	return each(ctx, len(senders), len(senders), func(_, s int) error {
		if err := senders[s].conn.SetDeadline(time.Now().Add(10 * slack)); err != nil {
			return err
		}
		for range n {
			for i := s; i < len(names); i += len(senders) {
				if _, err := senders[s].send(names[i], bodyBytes); err != nil || ctx.Err() != nil {
					return err
				}
				done.Add(1)
			}
		}
		return nil
	})
}

// restarted starts the server anew on its store, and gives the clients tokens of the new one.
func (t *trial) restarted(ctx context.Context, clients []*client) error {
	t.step("starting anew", 0)
	p, ok := t.server.(interface{ restart(context.Context) error })
	if !ok {
		return errors.New("this target cannot be started anew on its store")
	}
	if err := p.restart(ctx); err != nil {
		return fmt.Errorf("start anew: %w", err)
	}
	tokens := make(map[string]string)
	for i, c := range clients {
		user := sameUser(i)
		if tokens[user] == "" {
			var err error
			if tokens[user], err = t.token(ctx, user); err != nil {
				return err
			}
		}
		c.token = tokens[user]
	}
	return nil
}

// storeReads counts the reads of the store from now on, where the server tells; else it gives nil.
func (t *trial) storeReads(ctx context.Context) (func() (float64, error), error) {
	s, ok := t.server.(interface {
		metric(ctx context.Context, name string) (float64, error)
	})
	if !ok {
		return nil, nil
	}
	const name = "roomlog_store_reads_total"
	before, err := s.metric(ctx, name)
	return func() (float64, error) {
		after, err := s.metric(ctx, name)
		return after - before, err
	}, err
}

// comeBack has all clients resume, and returns when each has n events in all.
func (t *trial) comeBack(ctx context.Context, clients []*client, n int64) error {
	done := t.step("coming back", len(clients))
	deadline := time.Now().Add(slack + t.Duration)
	return each(ctx, returning, returning, func(_, w int) error {
		var own []int
		for i := w; i < len(clients); i += returning {
			own = append(own, i)
		}
		for some := range slices.Chunk(own, asking) {
			if err := t.ask(ctx, clients, some); err != nil {
				return err
			}
		}
		buffer := make([]byte, 0, largePiece)
		for _, i := range own {
			c := clients[i]
			c.buf = append(buffer, c.buf...)
			if err := c.untilEntered(); err != nil {
				return fmt.Errorf("client %d: %w", i, err)
			}
			if err := c.followTo(func() int64 { return n }, deadline); err != nil {
				return fmt.Errorf("client %d: %w", i, err)
			}
			c.buf = nil
			done.Add(1)
		}
		return nil
	})
}

// ask connects some of the clients, and has each say from where it goes on.
func (t *trial) ask(ctx context.Context, clients []*client, some []int) error {
	for _, i := range some {
		if err := clients[i].connect(ctx, localAddr(i), t.at()); err != nil {
			return err
		}
	}
	for _, i := range some {
		c := clients[i]
		if err := errors.Join(c.upgraded(), c.says.hello(c)); err != nil {
			return fmt.Errorf("client %d: %w", i, err)
		}
	}
	return nil
}
