package app

import (
	"context"
	"fmt"

	"roomlog/server/room"
)

// acceptDurability refuses to serve on a store that may lose what it acknowledges, unless that was asked for:
// the promise of an ack is what a server is for. Trying things on such a store is told, and goes on.
func (c Config) acceptDurability(info room.Info) error {
	switch {
	case info.Durability == room.Full:
		return nil
	case c.Dev, c.AcceptRelaxedDurability:
		c.Log.Warn("the store may lose acknowledged events in a crash", "durability", info.Durability, "because", info.Relaxed)
		return nil
	}
	return fmt.Errorf("the store may lose acknowledged events in a crash, because of %s: set that right, or accept it with --accept-relaxed-durability", info.Relaxed)
}

// watch ends the server when its store has ended. What hangs on the store is answered as unknown, and the
// process that is started next reads back what there is.
func (a *App) watch(store room.Store) {
	failer, can := store.(room.Failer)
	if !can {
		return
	}
	stopped, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-failer.Failed():
			a.cfg.Log.Error("the disk of the store has failed to keep what was written: the server ends, and reads the log back when it is started again")
			a.fail()
		case <-stopped:
		}
	}()
	a.undo.push("stop watching the store", func(context.Context) error {
		close(stopped)
		<-ended
		return nil
	})
}
