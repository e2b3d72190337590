package app

import (
	"context"

	"roomlog/server/erasure"
	"roomlog/server/room"
)

// buildEraser makes what removes the data of users. It is stopped before the hub, which it tells of its events as of those that
// were appended from elsewhere.
func (a *App) buildEraser(store wholeStore) {
	duties, _ := store.(room.Duties) // nil: this process has the store for itself
	a.eraser = erasure.New(erasure.Config{Store: store, Duties: duties, Name: dutyName(a.cfg.Node), Told: a.poke(store), Log: a.cfg.Log})
	a.undo.push("stop the eraser", func(context.Context) error { a.eraser.Stop(); return nil })
}
