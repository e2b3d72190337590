package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"roomlog/bench"
)

// benchCommand measures this binary from outside.
type benchCommand struct {
	Store    []string      `default:"sqlite" placeholder:"sqlite|URL" help:"Stores to measure: sqlite, or the URL of an empty PostgreSQL database. May be repeated."`
	Only     []string      `placeholder:"ROW" help:"Rows to measure; all by default. May be repeated."`
	Peer     []string      `placeholder:"NAME" help:"Servers to compare with, beside Roomlog; none by default. May be repeated."`
	Peers    bool          `help:"Compare with every peer that is built."`
	Runs     int           `default:"3" help:"How often each row runs."`
	Duration time.Duration `default:"5s" help:"How long each loaded row runs."`
	Idle     int           `default:"10000" help:"Connections of the idle row."`
	Readers  int           `default:"1000" help:"Readers of the fan-out row."`
	Senders  int           `default:"64" help:"Senders of the send rows."`
	Stalled  int           `default:"1000" help:"Readers that stop, of the row of that name."`
	JSON     bool          `name:"json" help:"Print JSON instead of a table."`
}

// Run measures and prints a table of medians and ranges.
func (b *benchCommand) Run(c *console) error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	return bench.Run(ctx, bench.Options{
		Binary: binary, Stores: b.Store, Peers: b.Peer, AllPeers: b.Peers, Only: b.Only, Runs: b.Runs, Duration: b.Duration,
		Version: version, Idle: b.Idle, Readers: b.Readers, Senders: b.Senders, Stalled: b.Stalled, JSON: b.JSON, Progress: c.err,
	}, c.out)
}
