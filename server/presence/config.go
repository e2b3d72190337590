package presence

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"roomlog/server/room"
)

// Config says how presence is kept. A zero field means its default.
type Config struct {
	Node   string      // name of this node, its lease's
	Leases room.Leases // nil: this is the only node
	// Say tells the nodes that have a room in memory something, and Ask all nodes, as hints; they must not block. nil: this is the only node.
	Say func(id room.ID, body []byte)
	Ask func(body []byte)
	// Show gives readers of this node what changed of a room; nil: nobody reads.
	Show func(id room.ID, u Update)
	// Policy says how much of presence a room shows; nil: all.
	Policy func(id room.ID) room.Show
	// Seen stores when users were there; nil: nobody does. It may block until ctx is done.
	Seen func(ctx context.Context, list []room.LastSeen) error
	Log  *slog.Logger // nil: nothing is logged

	Grace    time.Duration // how long a user may be without a connection before they are gone; default 5s
	Lease    time.Duration // for how long a node counts as alive without a sign of life; default 10s
	Renew    time.Duration // how often it gives one; default 3 tenths of Lease
	Coalesce time.Duration // at least so long is between two updates of a room; default 250ms
	Names    int           // users of a room above which it shows counts alone; default 200
	AskEvery time.Duration // how often a room is compared with what other nodes have of it, and half of it more at random; default 10s
}

// withDefaults returns c with its defaults.
func (c Config) withDefaults() Config {
	or := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	or(&c.Grace, 5*time.Second)
	or(&c.Lease, 10*time.Second)
	or(&c.Renew, c.Lease*3/10)
	or(&c.Coalesce, 250*time.Millisecond)
	or(&c.AskEvery, 10*time.Second)
	if c.Names == 0 {
		c.Names = 200
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Show == nil {
		c.Show = func(room.ID, Update) {}
	}
	if c.Policy == nil {
		c.Policy = func(room.ID) room.Show { return room.ShowAll }
	}
	return c
}

// The least that settings may be.
const (
	leastLease    = time.Second
	leastCoalesce = 10 * time.Millisecond
)

// Validate names the first setting that is wrong or contradicts another, in one sentence that says what to set. Names of settings are those
// of the command line.
func (c Config) Validate() error {
	c = c.withDefaults()
	switch {
	case c.Lease < leastLease:
		return errors.New("--presence-lease is at least 1s, since servers count whole seconds and a busy node may be late")
	case c.Renew <= 0 || c.Renew > c.Lease/2:
		return errors.New("a lease is renewed at least twice within --presence-lease, or one lost message ends it")
	case c.Grace < 0 || c.Grace > c.Lease:
		return errors.New("--presence-grace is not longer than --presence-lease: raise the lease, or lower the grace")
	case c.Coalesce < leastCoalesce:
		return errors.New("--presence-coalesce is at least 10ms, which no reader could see")
	case c.Grace < c.Coalesce:
		return errors.New("--presence-grace is not shorter than --presence-coalesce: raise the grace, or lower the interval")
	case c.Names < 1:
		return errors.New("--presence-names is at least 1")
	}
	return nil
}
