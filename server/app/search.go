package app

import (
	"context"

	"roomlog/server/room"
	"roomlog/server/search"
)

// buildIndexer makes what keeps the index of words behind the log. Of nodes that share a store one does so at a time.
func (a *App) buildIndexer(store wholeStore) {
	duties, _ := store.(room.Duties) // nil: this process has the store for itself
	a.indexer = search.New(search.Config{Store: store, Kinds: a.kinds, Duties: duties, Name: dutyName(a.cfg.Node), Log: a.cfg.Log})
	a.undo.push("stop the indexer", func(context.Context) error { a.indexer.Stop(); return nil })
}

// dutyName tells this process from every other, even one that was given the same name.
func dutyName(node string) string { return node + "/" + nodeName() }

// grew is told what rooms grew, here or elsewhere. It does not block.
func (a *App) grew(id room.ID) {
	a.engine.Grew(id)
	a.indexer.Grew(id)
}
