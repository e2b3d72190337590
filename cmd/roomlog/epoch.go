package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"roomlog/server/app"
)

// epochCommand is about the epoch of a store: the name of its numbering.
type epochCommand struct {
	Bump epochBumpCommand `cmd:"" help:"Give a store a new epoch after a restore, so that every client starts again with the latest page."`
}

// epochBumpCommand draws a new epoch.
type epochBumpCommand struct {
	Data  string `default:"./data" env:"ROOMLOG_DATA" help:"Data folder of the server."`
	Store string `default:"sqlite:roomlog.db" env:"ROOMLOG_STORE" help:"The store, as for serve. With SQLite the server must be stopped."`
}

// bumpTimeout is how long a database may take to answer.
const bumpTimeout = 30 * time.Second

// Run prints the epoch that was and the one that is.
func (e *epochBumpCommand) Run(c *console) error {
	ctx, cancel := context.WithTimeout(context.Background(), bumpTimeout)
	defer cancel()
	before, after, err := app.Config{Data: e.Data, Store: e.Store}.BumpEpoch(ctx)
	if err != nil {
		var bad *app.ConfigError
		if errors.As(err, &bad) {
			return usageError{err}
		}
		return err
	}
	_, err = fmt.Fprintf(c.out, "epoch %s is now %s\n", before, after)
	return err
}
