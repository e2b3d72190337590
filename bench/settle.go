package bench

import (
	"context"
	"fmt"
	"time"
)

const (
	// quiet is how long a server must have used next to no CPU to have settled.
	quiet = 200 * time.Millisecond
	// idling is how much it may use in that time: pings of many connections go on.
	idling = quiet / 10
	// restless is how long it is waited for.
	restless = 20 * time.Second
)

// settled waits until the server has done what was asked of it, so that what comes next is measured alone.
func (t *trial) settled(ctx context.Context) error { return t.settledBy(ctx, t.usage) }

// settledBy is settled of several servers, by what they use together.
func (t *trial) settledBy(ctx context.Context, usage func() (usage, error)) error {
	t.step("waiting for the server to settle", 0)
	look := time.NewTicker(quiet)
	defer look.Stop()
	deadline := time.Now().Add(restless)
	for last := -time.Hour; ; {
		u, err := usage()
		if err != nil || u.CPU-last <= idling {
			return err
		}
		if time.Now().After(deadline) {
			fmt.Fprintf(t.Progress, "%s: the server does not come to rest within %s; the figures hold what it still does\n", t.label, restless)
			return nil
		}
		last = u.CPU
		select {
		case <-look.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
