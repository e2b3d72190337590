// Package bench measures servers from outside: it starts each as a process of its own, loads it over
// loopback, and reads what that cost from the operating system. Every row also checks that nothing was
// lost, doubled or reordered.
//
// CPU is that of the server's process alone: a PostgreSQL behind it is a figure of its own, and the load is in
// none. Load and server share the machine: quote medians, and ratios within one run.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Options say what to measure.
type Options struct {
	Binary    string        // the roomlog binary to start
	Version   string        // of it, for the report
	Stores    []string      // "sqlite", or a Postgres URL; default sqlite
	Peers     []string      // names of servers to compare with; default none
	AllPeers  bool          // compare with every peer that is built
	Reference string        // the target that ratios are to; default floor
	Only      []string      // names of rows to run; default all
	Curves    []string      // names of curves to follow, in the place of rows; default none
	Most      int           // the last point of a curve; default 1,000,000
	Nodes     int           // measure the rows of many nodes, with so many; default 0: they are left out unless Only names them, then 3
	Bus       string        // that joins them; default: a Redis server that is started for it
	Runs      int           // how often each row runs; default 3
	Duration  time.Duration // of each loaded row; default 5 s

	Idle        int // connections of the idle row; default 10,000
	Readers     int // readers of the fan-out rows; default 1,000
	Streams     int // readers of the row of Server-Sent Events; default 5,000
	Rate        int // sends per second of the steady fan-out row; default 50
	Rooms       int // of the rows with many; default 1,000
	RoomsRate   int // sends per second of the fan-out row with many rooms, to all of them; default 1,000
	Senders     int // of most rows; default 64
	ManySenders int // of the send rows with many; default 1,024
	Rejoin      int // clients that come back; default 5,000
	Cold        int // clients and rooms, of the row in which the server was started anew; default 1,000
	Missed      int // events that each of those who come back has missed; default 100
	Stalled     int // readers that stop, of the row of that name; default 1,000
	Storm       int // members that join one room at once; default 10,000
	Served      int // rooms of the sweep of one node among others; default 100,000

	many bool // Nodes was given

	JSON     bool      // print JSON instead of a table
	Progress io.Writer // one line per run, and one now and then while it lasts; nil is silent
}

func (o *Options) withDefaults() {
	if len(o.Stores) == 0 {
		o.Stores = []string{"sqlite"}
	}
	o.many = o.Nodes > 0
	for _, n := range o.numbers() {
		if *n.value == 0 {
			*n.value = n.def
		}
	}
	if o.Reference == "" {
		o.Reference = "floor"
	}
	if o.Duration == 0 {
		o.Duration = 5 * time.Second
	}
	if o.Progress == nil {
		o.Progress = io.Discard
	}
}

type amount struct {
	name      string
	value     *int
	def, most int
}

func (o *Options) numbers() []amount {
	return []amount{
		{"runs", &o.Runs, 3, 1000},
		{"idle", &o.Idle, 10_000, 1_000_000},
		{"readers", &o.Readers, 1000, 100_000},
		{"streams", &o.Streams, 5000, 100_000},
		{"rate", &o.Rate, 50, 1_000_000},
		{"rooms", &o.Rooms, 1000, 1_000_000},
		{"rooms-rate", &o.RoomsRate, 1000, 1_000_000},
		{"senders", &o.Senders, 64, 10_000},
		{"many-senders", &o.ManySenders, 1024, 10_000},
		{"rejoin", &o.Rejoin, 5000, 100_000},
		{"cold", &o.Cold, 1000, 100_000},
		{"missed", &o.Missed, 100, 100_000},
		{"stalled", &o.Stalled, 1000, 10_000},
		{"nodes", &o.Nodes, 3, 16},
		{"storm", &o.Storm, 10_000, 100_000},
		{"served", &o.Served, 100_000, 1_000_000},
		{"most", &o.Most, 1_000_000, 100_000_000},
	}
}

// validate says in one sentence what cannot be measured.
func (o *Options) validate() error {
	for _, n := range o.numbers() {
		if *n.value < 1 || *n.value > n.most {
			return fmt.Errorf("%s must be from 1 to %d, not %d", n.name, n.most, *n.value)
		}
	}
	if o.Duration < time.Millisecond || o.Duration > time.Hour {
		return fmt.Errorf("duration must be from 1ms to 1h, not %s", o.Duration)
	}
	return known(o.Only)
}

// wants reports whether a row is to run: those that are named, else those of many nodes, or of one.
func (o *Options) wants(sc scenario) bool {
	if len(o.Only) > 0 {
		return slices.Contains(o.Only, sc.name)
	}
	return o.many == (sc.needs&clusters != 0)
}

// List prints the rows and the peers.
func List(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	for _, s := range scenarios {
		fmt.Fprintf(w, "%s\t%s\n", s.name, s.about)
	}
	for _, c := range curves {
		fmt.Fprintf(w, "curve %s\t%s\n", c.name, c.about)
	}
	for _, p := range peers {
		state := "built"
		if err := p.built(); err != nil {
			state = err.Error()
		}
		fmt.Fprintf(w, "peer %s\t%s\n", p.name(), state)
	}
	return w.Flush()
}

func known(names []string) error {
	for _, name := range names {
		if !slices.ContainsFunc(scenarios, func(s scenario) bool { return s.name == name }) {
			var there []string
			for _, s := range scenarios {
				there = append(there, s.name)
			}
			return fmt.Errorf("no row is named %q; there are: %s", name, strings.Join(there, ", "))
		}
	}
	return nil
}

// Run measures and prints. It stops at the first row that fails or loses an event, or when ctx ends.
func Run(ctx context.Context, o Options, out io.Writer) error {
	o.withDefaults()
	if err := o.validate(); err != nil {
		return err
	}
	if err := raiseFiles(); err != nil {
		return fmt.Errorf("raise how many files may be open: %w", err)
	}
	targets, err := chosen(&o)
	if err != nil {
		return err
	}
	if o.many && !slices.ContainsFunc(targets, func(t target) bool { return t.can()&clusters != 0 }) {
		return errors.New("many nodes share a PostgreSQL database: give --store postgres://USER:PASSWORD@HOST/DATABASE, an empty one")
	}
	follow, err := curvesOf(o.Curves)
	if err != nil {
		return err
	}
	var rows []Row
	for _, c := range follow {
		of, err := c.measure(ctx, targets, o)
		if err != nil {
			return err
		}
		rows = append(rows, of...)
	}
	for _, sc := range scenarios {
		if len(follow) > 0 || !o.wants(sc) {
			continue
		}
		of, err := measure(ctx, sc, targets, o)
		if err != nil {
			return err
		}
		rows = append(rows, of...)
	}
	compare(rows, o.Reference)
	if o.JSON {
		return report(ctx, out, o, rows)
	}
	return table(out, rows)
}

// measure runs a scenario on every target that is able to, all in turn before the first comes again, so that
// whatever disturbs the machine meets them alike.
func measure(ctx context.Context, sc scenario, targets []target, o Options) ([]Row, error) {
	able := slices.DeleteFunc(slices.Clone(targets), func(t target) bool { return t.can()&sc.needs != sc.needs })
	if err := enoughFiles(sc.opens(&o)); err != nil && len(able) > 0 {
		return nil, fmt.Errorf("%s: %w", sc.name, err)
	}
	rows := make([]Row, len(able))
	for run := range o.Runs {
		for i, target := range able {
			rows[i].Name, rows[i].Target, rows[i].Volatile = sc.name, target.name(), target.can()&durable == 0
			label := fmt.Sprintf("%s, %s, run %d of %d", sc.name, target.name(), run+1, o.Runs)
			started := time.Now()
			got, err := once(ctx, sc, target, o, label)
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", sc.name, target.name(), err)
			}
			rows[i].add(got)
			fmt.Fprintf(o.Progress, "%s: done in %.1f s%s\n", label, time.Since(started).Seconds(), first(got))
		}
	}
	return rows, nil
}

// first is a run's first figure, to be seen at once.
func first(got []measured) string {
	if len(got) == 0 {
		return ""
	}
	return fmt.Sprintf(", %s: %s %s", got[0].name, short(got[0].value), got[0].unit)
}

// once runs a scenario on a server of its own.
func once(ctx context.Context, sc scenario, target target, o Options, label string) ([]measured, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t := &trial{Options: o, target: target, progress: startProgress(o.Progress, label)}
	defer t.progress.stop()
	var err error
	if t.server, err = target.start(ctx); err != nil {
		return nil, err
	}
	got, err := sc.run(ctx, t)
	return got, errors.Join(err, ctx.Err(), t.server.stop())
}
