package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// sweptPerClient is how many rooms a reader of the sweep has joined: a server bounds how many one may.
const sweptPerClient = 200

func sweepClients(served int) int { return (served + sweptPerClient - 1) / sweptPerClient }

// The first round of a node's sweep looks at every room; the ones after it are what lasts. At the default duration the row
// waits for 20 s, and then counts for 30 s.
const (
	sweepSettles = 4 // times the duration
	sweepLasts   = 6
)

func clusterSweep(ctx context.Context, t *trial) ([]measured, error) { return sweep(ctx, t, "") }

func clusterSweepReceipts(ctx context.Context, t *trial) ([]measured, error) {
	return sweep(ctx, t, `,"with":["receipts"]`)
}

// sweep: t.Served rooms that have an event and a reader, who joins with more, on one node of a cluster; nobody writes.
func sweep(ctx context.Context, t *trial, more string) (out []measured, err error) {
	s, ok := t.server.(*roomlog)
	if !ok {
		return nil, errors.New("only Roomlog serves rooms as a node")
	}
	if err := s.end(); err != nil { // it would ask the database now and then
		return nil, err
	}
	defer func() { err = errors.Join(err, s.run(context.WithoutCancel(ctx))) }() // to be stopped as it was started
	if err := t.appendTo(ctx, s, t.Served, t.grownName); err != nil {
		return nil, err
	}
	return t.with(ctx, 1, func(c *cluster) ([]measured, error) {
		none, err := t.restCosts(ctx, c, nil, 0)
		if err != nil {
			return nil, err
		}
		clients, err := t.serveRooms(ctx, c.nodes[0], more)
		if err != nil {
			return nil, err
		}
		defer closeAll(clients)
		all, err := t.restCosts(ctx, c, clients, sweepSettles*t.Duration)
		if err != nil {
			return nil, err
		}
		node := c.nodes[0].(*roomlog)
		heap, err := node.metric(ctx, "go_memstats_heap_alloc_bytes")
		if err != nil {
			return nil, err
		}
		core := func(d time.Duration) float64 { return 100 * d.Seconds() / (sweepLasts * t.Duration).Seconds() }
		n := float64(t.Served)
		return []measured{
			{"node and database, of a core", "%", core(all.servers + all.database)},
			{"node, of a core", "%", core(all.servers)},
			{"database, of a core", "%", core(all.database)},
			{"bus, of a core", "%", core(all.bus)},
			{"node without rooms, of a core", "%", core(none.servers)},
			{"database without rooms, of a core", "%", core(none.database)},
			{"node memory per served room", "KiB", float64(all.rss-none.rss) / 1024 / n},
			{"heap per served room", "KiB", heap / 1024 / n},
		}, nil
	})
}

// restCosts is what a cluster uses while its clients only answer pings.
func (t *trial) restCosts(ctx context.Context, c *cluster, clients []*client, settle time.Duration) (costs, error) {
	rest := func(doing string, d time.Duration) error {
		t.lasting(doing, d)
		until := time.Now().Add(d)
		errs := make([]error, len(clients)+1)
		var wg sync.WaitGroup
		for i, r := range clients {
			wg.Go(func() { errs[i] = r.follow(until) })
		}
		if pause := time.NewTimer(d); len(clients) == 0 {
			select {
			case <-pause.C:
			case <-ctx.Done():
			}
		}
		wg.Wait()
		return errors.Join(anyOf(errs), ctx.Err())
	}
	if len(clients) == 0 { // else pings are to be answered
		if err := t.settledBy(ctx, c.usage); err != nil {
			return costs{}, err
		}
	}
	if err := rest("waiting for the first round of the sweep", settle); err != nil {
		return costs{}, err
	}
	spent, err := t.meter(ctx, c)
	if err != nil {
		return costs{}, err
	}
	if err := rest("counting", sweepLasts*t.Duration); err != nil {
		return costs{}, err
	}
	return spent()
}

// serveRooms has clients join all rooms that were filled, each its share.
func (t *trial) serveRooms(ctx context.Context, node server, more string) ([]*client, error) {
	clients, err := t.enterOn(ctx, sweepClients(t.Served), func(int) server { return node }, senderUser, func(int) string { return "" })
	if err != nil {
		return nil, err
	}
	done := t.step("joining", t.Served)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err = each(ctx, len(clients), len(clients), func(_, i int) error {
		err := t.joinShare(clients[i], i, more, done)
		for err == nil && ctx.Err() == nil && done.Load() < int64(t.Served) { // who has joined all answers pings meanwhile
			err = clients[i].follow(time.Now().Add(quiet))
		}
		if err != nil {
			cancel()
		}
		return err
	})
	if err != nil {
		closeAll(clients)
	}
	return clients, err
}

// joinShare has client i join its share of the rooms, one at a time.
func (t *trial) joinShare(c *client, i int, more string, done *atomic.Int64) error {
	joined := 0
	c.seen = func(frame []byte) {
		if bytes.HasPrefix(frame, []byte(`{"op":"joined"`)) {
			joined++
			done.Add(1)
		}
	}
	c.piece(largePiece / 8)
	for at := i * sweptPerClient; at < min((i+1)*sweptPerClient, t.Served); at++ {
		if err := c.conn.SetDeadline(time.Now().Add(slack)); err != nil {
			return err
		}
		before := joined
		if err := c.write(`{"op":"join","id":` + strconv.Itoa(at+1) + `,"room":"` + t.grownName(at) + `"` + more + `}`); err != nil {
			return err
		}
		for joined == before {
			if err := c.read(); err != nil {
				return fmt.Errorf("join room %d: %w", at, err)
			}
		}
	}
	return nil
}
