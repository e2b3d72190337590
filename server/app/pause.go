package app

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// pauseTick is how often the clock is looked at for a gap.
const pauseTick = 250 * time.Millisecond

// pauses notices that this process did not run for a while: it was stopped, its machine frozen or suspended. What it
// knows may then be long out of date, and its clients have given it up.
type pauses struct {
	limit time.Duration        // a longer gap is a pause
	clock func() time.Duration // since some moment; it goes on while the machine is suspended
	log   *slog.Logger
	woken func(context.Context) // drops what is known and begins anew; one at a time

	seen  time.Duration // the clock at the last look; one goroutine looks
	count atomic.Int64
	due   chan struct{} // holds one: a pause that woken has not been called for
}

func newPauses(cfg Config, woken func(context.Context)) *pauses {
	return &pauses{limit: cfg.PauseLimit, clock: uptime, log: cfg.Log, woken: woken, due: make(chan struct{}, 1)}
}

// start watches until stop is called.
func (p *pauses) start() (stop func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	p.seen = p.clock()
	tasks.Go(func() {
		ticker := time.NewTicker(pauseTick)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				p.look()
			}
		}
	})
	tasks.Go(func() { p.wake(ctx) })
	return func(context.Context) error {
		cancel()
		tasks.Wait()
		return nil
	}
}

// look compares the clock with the last look.
func (p *pauses) look() {
	now := p.clock()
	gap := now - p.seen
	if p.seen = now; gap <= p.limit {
		return
	}
	p.count.Add(1)
	p.log.Warn("pause_detected: this process did not run; its clients are told to come back, and everything is read anew", "ms", gap.Milliseconds())
	select {
	case p.due <- struct{}{}:
	default:
	}
}

// wake begins anew after each pause. It is beside the looks, since a store that does not answer may hold it up.
func (p *pauses) wake(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.due:
			p.woken(ctx)
		}
	}
}

// begin anew after a pause.
func (a *App) woken(ctx context.Context) {
	a.people.presence.Woken()
	if err := a.api.Woken(ctx, a.hub.Forget); err == nil {
		a.cfg.Log.Info("serving again after a pause")
	}
}
