package cluster

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"roomlog/server/room"
)

// checks are the rooms that are to be compared with the store soon.
type checks struct {
	due due

	mu   sync.Mutex
	all  bool
	some map[room.ID]bool
}

func (c *checks) every() {
	c.mu.Lock()
	c.all = true
	c.mu.Unlock()
	c.due.ask()
}

func (c *checks) room(id room.ID) {
	c.mu.Lock()
	c.some[id] = true
	c.mu.Unlock()
	c.due.ask()
}

func (c *checks) take() (all bool, some []room.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all = c.all
	for id := range c.some {
		some = append(some, id)
	}
	c.all = false
	clear(c.some)
	return all, some
}

// Between two checks there is a pause, after one of all rooms in proportion to what it took; after one that the store did
// not answer, a longer one. So whoever repeats messages makes the store no busier than that.
const (
	checkPause = 50 * time.Millisecond
	checkRatio = 4
	checkRetry = time.Second
)

// check compares rooms with the store, as is asked for; and all of them again and again while the node is degraded.
func (n *Node) check() {
	sweep := time.NewTicker(n.cfg.PokeEvery)
	defer sweep.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-n.checks.due:
		case <-sweep.C:
			if !n.isDegraded() {
				continue
			}
			n.checks.every()
		}
		all, some := n.checks.take()
		began := time.Now()
		ok := len(some) == 0 || n.hub.CheckRooms(n.ctx, some) // first: that they may have been deleted is known of them alone
		if ok && all {
			n.counts.checks.Add(1)
			ok = n.hub.CheckAll(n.ctx)
		}
		switch {
		case !ok:
			n.checks.every()
			n.pause(checkRetry)
		case all:
			n.pause(max(checkPause, checkRatio*time.Since(began)))
		default:
			n.pause(checkPause)
		}
	}
}

// readAccess reads access again when it may have changed.
func (n *Node) readAccess() {
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-n.access:
		}
		if n.cfg.Access == nil || mutateAccess() { // mutant revoke_local
			continue
		}
		if err := n.cfg.Access(n.ctx); err != nil && n.ctx.Err() == nil {
			n.log.Warn("access could not be read again; what is known holds", "error", err)
			n.access.ask()
			n.pause(n.cfg.PokeEvery)
		}
		n.pause(checkPause)
	}
}

// pokeAndListen looks for pokes, and pokes what others may not have heard of by the bus.
func (n *Node) pokeAndListen() {
	ticker := time.NewTicker(n.cfg.PokeEvery)
	defer ticker.Stop()
	since, failed := "", false
	hello := n.hello()
	for {
		var err error
		if since, err = n.listen(since); err == nil {
			err = n.pokeLost(n.ctx)
		}
		if err == nil && hello != "" {
			if err = n.cfg.Pokes.Poke(n.ctx, []room.Topic{hello}); err == nil {
				hello = ""
			}
		}
		if n.ctx.Err() != nil {
			return
		}
		if err != nil && !failed {
			n.log.Warn("pokes cannot be read or written; trying again", "error", err)
		}
		failed = err != nil
		select {
		case <-n.ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// A node says through the store that it has started, and whether it has a bus: two that are not joined by one are a mistake
// in their configuration, which nothing else would show but readers who wait for the sweep.
const (
	joined room.Topic = "node:bus:"
	alone  room.Topic = "node:alone:"
)

func (n *Node) hello() room.Topic {
	if n.cfg.Bus == nil {
		return alone + room.Topic(n.Name())
	}
	return joined + room.Topic(n.Name())
}

// meets takes a hello of another node.
func (n *Node) meets(topic room.Topic) {
	other, lonely := strings.CutPrefix(string(topic), string(alone))
	if !lonely {
		var is bool
		if other, is = strings.CutPrefix(string(topic), string(joined)); !is {
			return // of a newer node
		}
	}
	if other != n.Name() && (lonely || n.cfg.Bus == nil) {
		n.log.Warn("another server has opened this database, and no bus joins it to this one: what one appends reaches readers of the other late; give both the same --bus", "other", other)
	}
}

// listen takes the pokes since an earlier look.
func (n *Node) listen(since string) (string, error) {
	topics, now, err := n.cfg.Pokes.Poked(n.ctx, since)
	if errors.Is(err, room.ErrPokesMissed) {
		n.missed()
		return now, nil
	}
	if err != nil {
		return since, err
	}
	if since == "" { // what was poked before is not told, and rooms may have been read before that
		n.checks.every()
	}
	for _, topic := range topics {
		n.counts.poked.Add(1)
		if id, ok := topic.Room(); ok {
			n.checks.room(id)
			if n.cfg.Grown != nil {
				n.cfg.Grown(id)
			}
		} else if topic == room.ClusterTopic {
			n.access.ask()
		} else {
			n.meets(topic)
		}
	}
	return now, nil
}

// pokesAtOnce bounds the topics of one call.
const pokesAtOnce = 1000

// pokeLost pokes the rooms that others may not have heard of by the bus.
func (n *Node) pokeLost(ctx context.Context) error {
	for {
		n.mu.Lock()
		var topics []room.Topic
		for id := range n.lost {
			if topics = append(topics, room.RoomTopic(id)); len(topics) == pokesAtOnce {
				break
			}
		}
		for _, topic := range topics {
			id, _ := topic.Room()
			delete(n.lost, id)
		}
		n.mu.Unlock()
		if len(topics) == 0 {
			return nil
		}
		if err := n.cfg.Pokes.Poke(ctx, topics); err != nil {
			n.mu.Lock()
			for _, topic := range topics {
				id, _ := topic.Room()
				n.lost[id] = true
			}
			n.mu.Unlock()
			return err
		}
		n.counts.pokes.Add(int64(len(topics)))
	}
}

func (n *Node) isDegraded() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.troubled.IsZero()
}

func (n *Node) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-n.ctx.Done():
	}
}
