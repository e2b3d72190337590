package app

import (
	"context"

	"roomlog/server/retention"
)

// buildKeeper makes what keeps rooms within their policies. It is stopped before the hub, which it tells of
// the floors that rise.
func (a *App) buildKeeper(store wholeStore) {
	a.keeper = retention.New(retention.Config{
		Store: store, Kinds: a.kinds, Told: a.hub.Notice, Log: a.cfg.Log,
		Every: a.cfg.RetentionEvery, TagWindow: a.cfg.TagWindow, Compact: a.docs.Compact,
	})
	a.undo.push("stop the keeper of retention", func(context.Context) error { a.keeper.Stop(); return nil })
}
