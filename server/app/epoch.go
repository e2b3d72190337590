package app

import (
	"context"
	"fmt"

	"roomlog/server/room"
	"roomlog/server/store/postgres"
	"roomlog/server/store/sqlite"
)

// BumpEpoch gives the store of c a new epoch, for an operator who has restored it: every client starts again
// with the latest page. With SQLite it fails while a server has the file open, and makes no file that
// is missing; servers on PostgreSQL go over to it by themselves. A *ConfigError says what is wrong with c.
func (c Config) BumpEpoch(ctx context.Context) (before, after room.Epoch, err error) {
	c = c.withDefaults()
	name, where, err := c.storePlace()
	if err != nil {
		return "", "", err
	}
	if name == sqliteName {
		before, after, err = sqlite.BumpEpoch(ctx, where)
	} else {
		before, after, err = postgres.BumpEpoch(ctx, c.Store)
	}
	if err != nil {
		return "", "", fmt.Errorf("the store at %s: %w", where, err)
	}
	return before, after, nil
}
