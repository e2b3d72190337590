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
	Store       []string      `default:"sqlite" placeholder:"sqlite|URL" help:"Stores to measure: sqlite, or the URL of an empty PostgreSQL database. May be repeated."`
	Peer        []string      `placeholder:"NAME" help:"Servers to compare with, beside Roomlog; none by default. May be repeated."`
	Peers       bool          `help:"Compare with every peer that is built."`
	Reference   string        `default:"floor" placeholder:"NAME" help:"What the ratios are to, where it runs in the same row."`
	Only        []string      `placeholder:"ROW" help:"Rows to measure; all by default. May be repeated."`
	Curve       []string      `placeholder:"NAME" help:"Curves to follow in the place of rows. May be repeated."`
	Most        int           `default:"1000000" help:"The last point of a curve."`
	Rows        bool          `help:"List the rows, curves and peers, and end."`
	Nodes       int           `placeholder:"N" help:"Measure the rows of many nodes, with so many, on a PostgreSQL database. Without it they are left out, unless --only names one: then 3."`
	Bus         string        `placeholder:"URL" help:"Bus of these nodes, redis://HOST:PORT or nats://HOST:PORT; by default a redis-server is started, the one that ROOMLOG_REDIS_SERVER names if any."`
	Runs        int           `default:"3" help:"How often each row runs."`
	Duration    time.Duration `default:"5s" help:"How long each loaded row runs."`
	Idle        int           `default:"10000" help:"Connections of the idle row."`
	Readers     int           `default:"1000" help:"Readers of the fan-out rows."`
	Streams     int           `default:"5000" help:"Readers of the row of Server-Sent Events."`
	Rate        int           `default:"50" help:"Sends per second of the steady fan-out row."`
	Rooms       int           `default:"1000" help:"Rooms of the rows with many."`
	RoomsRate   int           `default:"1000" help:"Sends per second to all rooms of the fan-out row with many."`
	Senders     int           `default:"64" help:"Senders of most rows."`
	ManySenders int           `default:"1024" help:"Senders of the send rows with many."`
	Rejoin      int           `default:"5000" help:"Clients that come back."`
	Cold        int           `default:"1000" help:"Clients, and rooms, that come back to a server that was started anew."`
	Missed      int           `default:"100" help:"Events that each of those who come back has missed."`
	Stalled     int           `default:"1000" help:"Readers that stop, of the row of that name."`
	Storm       int           `default:"10000" help:"Members that join one room at once, of the row of that name."`
	Served      int           `default:"100000" help:"Rooms with a reader and no writer, of the row of the sweep."`
	JSON        bool          `name:"json" help:"Print JSON instead of a table: each value, and what it was measured on."`
}

// Run measures and prints a table of medians and ranges.
func (b *benchCommand) Run(c *console) error {
	if b.Rows {
		return bench.List(c.out)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	return bench.Run(ctx, bench.Options{
		Binary: binary, Version: version, Stores: b.Store, Peers: b.Peer, AllPeers: b.Peers, Reference: b.Reference,
		Only: b.Only, Nodes: b.Nodes, Bus: b.Bus, Curves: b.Curve, Most: b.Most, Runs: b.Runs, Duration: b.Duration, Idle: b.Idle, Readers: b.Readers, Streams: b.Streams, Rate: b.Rate,
		Rooms: b.Rooms, RoomsRate: b.RoomsRate, Senders: b.Senders, ManySenders: b.ManySenders,
		Rejoin: b.Rejoin, Cold: b.Cold, Missed: b.Missed, Stalled: b.Stalled, Storm: b.Storm, Served: b.Served, JSON: b.JSON, Progress: c.err,
	}, c.out)
}
