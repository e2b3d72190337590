package torture

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"time"

	"roomlog/chaos"
	"roomlog/history"
	"roomlog/server/store/postgres/pgtest"
)

// faultsOfClusters are what a run deals. Each leaves everything as whole as it was, but for messages.
var faultsOfClusters = map[string]func(*cluster, context.Context) error{
	"kill":     (*cluster).killOne,
	"pause":    (*cluster).pauseOne,
	"roll":     (*cluster).roll,
	"cut":      (*cluster).cutLine,
	"hole":     (*cluster).holeInLine,
	"refuse":   (*cluster).refuseLine,
	"bus":      (*cluster).stopBus,
	"messages": (*cluster).breakMessages,
	"last":     (*cluster).dropLast,
	"database": (*cluster).stopDatabase,
	"epoch":    (*cluster).bumpEpoch,
}

// shortDeck is what a run deals that is told nothing else: each once, of those with a | between one.
var shortDeck = []string{"kill", "pause", "roll", "cut|hole|refuse", "bus", "messages", "last", "database", "epoch"}

// breakThings deals the deck until the time is over, shuffled anew each time, so that no seed is spared one of them. Where
// the time is longer than one deck takes, every fault is in it.
func (c *cluster) breakThings(ctx context.Context, lasting time.Duration) error {
	deck := slices.Clone(c.deck)
	over := time.Now().Add(lasting)
	for turn := 0; turn < len(deck) || time.Now().Before(over); turn++ {
		if turn%len(deck) == 0 {
			c.rng.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		}
		choice := strings.Split(deck[turn%len(deck)], "|")
		fault := choice[c.rng.IntN(len(choice))]
		do := faultsOfClusters[fault]
		if do == nil {
			return fmt.Errorf("no fault is named %q: one of %v", fault, slices.Sorted(maps.Keys(faultsOfClusters)))
		}
		wait(ctx, time.Duration(200+c.rng.IntN(400))*time.Millisecond)
		began := time.Now()
		if err := do(c, ctx); err != nil {
			return fmt.Errorf("%s: %w", fault, err)
		}
		c.streaming.troubled = append(c.streaming.troubled, span{began, time.Now()})
		c.logf("%v %s for %v", began.Sub(c.began).Round(100*time.Millisecond), fault, time.Since(began).Round(100*time.Millisecond))
		c.dealt[fault]++
	}
	return ctx.Err()
}

func (c *cluster) one() int { return c.rng.IntN(len(c.nodes)) }

func (c *cluster) between(least, most time.Duration) time.Duration {
	return least + time.Duration(c.rng.Int64N(int64(most-least)))
}

// killOne kills a node as kill -9 does, and starts it again.
func (c *cluster) killOne(ctx context.Context) error {
	n := c.nodes[c.one()]
	defer c.people.truth.strain(n.name)()
	if err := n.kill(); err != nil {
		c.problem("node %s: %v", n.name, err)
	}
	wait(ctx, c.between(0, time.Second))
	return n.start(ctx)
}

// pauseOne stops a node by SIGSTOP for longer than a client waits, and lets it go on.
func (c *cluster) pauseOne(ctx context.Context) error {
	n := c.nodes[c.one()]
	defer c.people.truth.strain(n.name)()
	return n.pause(ctx, *pauseFlag)
}

// roll restarts the nodes by SIGTERM, one after the other (I25).
func (c *cluster) roll(ctx context.Context) error {
	for _, n := range c.nodes {
		line := history.Line{Op: history.OpStop, Client: "judge", Node: n.name, TMono: history.Now(), Result: history.OK}
		err := n.stop()
		if line.TEnd = history.Now(); err != nil {
			line.Result, line.Reason = history.Fail, err.Error()
		}
		c.rec.Add(line)
		if err := n.start(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) cutLine(ctx context.Context) error {
	i := c.one()
	l := c.lines[i]
	defer c.people.truth.strain(c.nodes[i].name)()
	for range 1 + c.rng.IntN(3) {
		l.CutAll()
		wait(ctx, c.between(0, 300*time.Millisecond))
	}
	return nil
}

// holeInLine leaves the connections of one node to the bus open, and lets nothing through.
func (c *cluster) holeInLine(ctx context.Context) error {
	i := c.one()
	l := c.lines[i]
	defer c.people.truth.strain(c.nodes[i].name)()
	if err := l.Set(chaos.Fault{Kind: chaos.Blackhole}); err != nil {
		return err
	}
	wait(ctx, c.between(2*time.Second, 4*time.Second))
	l.Proxy.Heal()
	return nil
}

// refuseLine takes the bus from one node alone.
func (c *cluster) refuseLine(ctx context.Context) error {
	i := c.one()
	l := c.lines[i]
	defer c.people.truth.strain(c.nodes[i].name)()
	if err := l.Set(chaos.Fault{Kind: chaos.Refuse}); err != nil {
		return err
	}
	l.CutAll()
	wait(ctx, c.between(time.Second, 3*time.Second))
	l.Proxy.Heal()
	return nil
}

// stopBus takes the bus from all nodes, and gives it back empty (I29).
func (c *cluster) stopBus(ctx context.Context) error {
	c.healLines()
	wait(ctx, time.Second) // what was broken before is over
	down := history.Line{Op: history.OpDown, Client: "judge", Code: history.PartBus, TMono: history.Now(), Max: int64(busBound)}
	if err := c.bus.flush(ctx); err != nil {
		return err
	}
	if err := c.bus.stop(); err != nil {
		return err
	}
	wait(ctx, busBound+time.Second)
	down.TEnd = history.Now()
	c.rec.Add(down)
	if err := c.bus.restart(); err != nil {
		return err
	}
	return c.bus.flush(ctx)
}

// breakMessages loses, repeats and delays messages of the bus, of whatever kind, until something heals it.
func (c *cluster) breakMessages(ctx context.Context) error {
	c.people.truth.loses(true)
	for _, l := range c.lines {
		if err := l.SetMessages(busFates(c.rng)); err != nil {
			return err
		}
	}
	wait(ctx, c.between(time.Second, 2*time.Second))
	return nil
}

func (c *cluster) healLines() {
	for _, l := range c.lines {
		l.Heal()
	}
	c.people.truth.loses(false)
}

// dropLast sends a little into a room of its own, has exactly the last hint of it dropped on every node, and measures
// how long it takes until its readers have all of it (I9).
func (c *cluster) dropLast(ctx context.Context) error {
	for _, l := range c.lines {
		l.KeepLast("room:" + lastRoom)
	}
	w := &writer{name: "last", transport: "http", room: lastRoom, rec: c.rec, rng: c.draw(), moves: rounds(c.rng, c.doors())}
	var err error
	if w.token, err = sign(c.key, w.name, everything, time.Hour); err != nil {
		return err
	}
	client := &http.Client{Timeout: quiet}
	for range 3 {
		m := w.make()
		m.order = 0 // each time is another writer of that name
		for over := time.Now().Add(settle); ; {
			_, err := w.post(ctx, client, w.door(), m)
			if err == nil {
				break
			}
			if time.Now().After(over) || ctx.Err() != nil {
				return err
			}
			wait(ctx, 50*time.Millisecond)
		}
	}
	acked := time.Now()
	wait(ctx, 50*time.Millisecond) // the hint is on its way
	for _, l := range c.lines {
		l.DropKept()
	}
	heads, err := c.heads(ctx)
	if err != nil {
		return err
	}
	var readers []*follower
	for _, f := range c.followers {
		if f.room == lastRoom {
			readers = append(readers, f)
		}
	}
	over := time.After(tailBound)
	for {
		lateOnes, moved := c.rec.behind(readers, heads)
		if len(lateOnes) == 0 {
			c.mended = append(c.mended, time.Since(acked).Round(time.Millisecond))
			return nil
		}
		select {
		case <-moved:
		case <-over:
			c.problem("I9: %v after the last hint of %s was lost, %d of its readers lack what it told", tailBound, lastRoom, len(lateOnes))
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// stopDatabase stops the database as a crash would, and starts it again (I29).
func (c *cluster) stopDatabase(ctx context.Context) error {
	if err := c.db.Stop(pgtest.Immediate); err != nil {
		return err
	}
	down := history.Line{Op: history.OpDown, Client: "judge", Code: history.PartStore, TMono: history.Now(), Max: int64(refuseBound)}
	wait(ctx, c.between(time.Second, 3*time.Second))
	down.TEnd = history.Now()
	c.rec.Add(down)
	if err := c.db.Restart(ctx); err != nil {
		return err
	}
	returned := time.Now()
	w := &writer{name: "waker", transport: "http", room: lastRoom, rec: c.rec, rng: c.draw(), moves: rounds(c.rng, c.doors())}
	var err error
	if w.token, err = sign(c.key, w.name, everything, time.Hour); err != nil {
		return err
	}
	client, m := &http.Client{Timeout: quiet}, w.make()
	m.order = 0
	for err = errors.New("nothing was sent"); err != nil && time.Since(returned) < tailBound; wait(ctx, 20*time.Millisecond) {
		_, err = w.post(ctx, client, w.door(), m)
	}
	if err != nil {
		c.problem("%v after the database returned no send is acked: %v", tailBound, err)
	}
	c.woken = append(c.woken, time.Since(returned).Round(time.Millisecond))
	return nil
}

// bumpEpoch gives the database another epoch under the running nodes, as after a restore (I11).
func (c *cluster) bumpEpoch(ctx context.Context) error {
	line := history.Line{Op: history.OpRestore, Client: "judge", TMono: history.Now(), Result: history.OK}
	out, err := exec.CommandContext(ctx, c.binary, "epoch", "bump", "--store", c.nodes[0].store).CombinedOutput()
	line.TEnd = history.Now()
	c.rec.Add(line)
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}
