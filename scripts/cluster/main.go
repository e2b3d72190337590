//go:build unix

// Command cluster runs a whole cluster on this machine: nodes, a PostgreSQL, a bus and a load balancer, on free ports of
// the loopback and in one temporary folder. It ends them all when it is told to, or when one of them ends, and leaves
// nothing behind. `make cluster` finds or installs what it needs, and runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(2)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer cancel()
	exit(run(ctx, o))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// options are the command line.
type options struct {
	nodes    int
	bus      string
	listen   string
	program  string
	keep     bool
	commands bool
}

// maxNodes is more than one machine is good for.
const maxNodes = 26

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	flags.IntVar(&o.nodes, "nodes", 3, "how many nodes, named a, b, c…")
	flags.StringVar(&o.bus, "bus", "redis", "what carries hints between them: redis, nats or none")
	flags.StringVar(&o.listen, "listen", "127.0.0.1:0", "address of the load balancer; port 0 takes a free one")
	flags.StringVar(&o.program, "program", "bin/roomlog", "the program that a node is")
	flags.BoolVar(&o.keep, "keep", false, "keep the folder, with the logs and the data, when all has ended")
	flags.BoolVar(&o.commands, "commands", false, commandsHelp)
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("there are no arguments, only flags: %q", flags.Args())
	case o.nodes < 1 || o.nodes > maxNodes:
		return o, fmt.Errorf("--nodes is 1 to %d", maxNodes)
	case buses[o.bus] == nil:
		return o, fmt.Errorf("--bus is redis, nats or none, not %q", o.bus)
	}
	return o, nil
}
