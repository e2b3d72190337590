package app

import (
	"context"
	"errors"
	"time"
)

// requestGrace is how long a request may still take once the hub has stopped and answered all sends. One
// that is not done by then waits for its own client, and what it asked for has not begun.
const requestGrace = time.Second

// lameDuck says that the server is about to go away and serves on for as long as a balancer needs to send nobody here any
// more. It is cut short where ctx ends, and where the server cannot serve any more anyway.
func (a *App) lameDuck(ctx context.Context) {
	a.api.Drain()
	if a.cfg.DrainWait == 0 {
		return
	}
	a.cfg.Log.Info("draining: not ready any more, and still serving", "wait", a.cfg.DrainWait)
	select {
	case <-a.after(a.cfg.DrainWait):
	case <-a.failed:
	case <-ctx.Done():
	}
}

// drain stops accepting, ends the hub's connections and waiting polls, and waits for requests in
// flight: at the same time, since each waits for something of the other.
func (a *App) drain(ctx context.Context) error {
	a.people.drain(a.api.ComesBackWithin())
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	hubStopped := make(chan error, 1)
	a.http.RegisterOnShutdown(func() {
		hubStopped <- a.hub.Stop(ctx)
		time.AfterFunc(requestGrace, cancel)
	})
	err := a.http.Shutdown(waiting)
	if err != nil && ctx.Err() == nil {
		a.cfg.Log.Warn("requests that did not end were cut")
		err = nil
	}
	return errors.Join(err, a.http.Close(), <-hubStopped)
}

// Stop ends the server: not ready any more for DrainWait, then no new connections, queued sends finished and answered,
// every connection told to come back, the store closed. It takes at most DrainWait and StopWithin, or until ctx ends. It is
// idempotent; a later call does not wait for DrainWait to pass.
func (a *App) Stop(ctx context.Context) error {
	a.mu.Lock()
	serves := a.started && !a.stopped
	a.stopped = true
	a.mu.Unlock()
	if serves {
		a.lameDuck(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, a.cfg.StopWithin)
	defer cancel()
	return a.undo.run(ctx)
}
