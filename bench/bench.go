// Package bench measures a Roomlog server from outside: it starts the same binary as a process of its
// own, loads it over loopback, and reads what that cost from the operating system. Every row also
// checks that nothing was lost, doubled or reordered.
//
// CPU is that of the server's process alone: a PostgreSQL behind it is not in it, nor is the load. Load and
// server share the machine: quote medians, and ratios within one run.
package bench

import (
	"context"
	"encoding/json"
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
	Binary   string        // the roomlog binary to start
	Stores   []string      // "sqlite", or a Postgres URL; default sqlite
	Only     []string      // names of rows to run; default all
	Runs     int           // how often each row runs; default 3
	Duration time.Duration // of each loaded row; default 5 s
	Idle     int           // connections of the idle row; default 10,000
	Readers  int           // readers of the fan-out row; default 1,000
	Senders  int           // of the send rows; default 64
	Stalled  int           // readers that stop, of the row of that name; default 1,000
	JSON     bool          // print JSON instead of a table
	Progress io.Writer     // one line per run; nil is silent
}

func (o *Options) withDefaults() {
	if len(o.Stores) == 0 {
		o.Stores = []string{"sqlite"}
	}
	for v, def := range map[*int]int{&o.Runs: 3, &o.Idle: 10000, &o.Readers: 1000, &o.Senders: 64, &o.Stalled: 1000} {
		if *v == 0 {
			*v = def
		}
	}
	if o.Duration == 0 {
		o.Duration = 5 * time.Second
	}
	if o.Progress == nil {
		o.Progress = io.Discard
	}
}

// validate says in one sentence what cannot be measured.
func (o *Options) validate() error {
	for _, c := range []struct {
		name    string
		n, most int
	}{{"runs", o.Runs, 1000}, {"idle", o.Idle, 1_000_000}, {"readers", o.Readers, 100_000}, {"senders", o.Senders, 10_000}, {"stalled", o.Stalled, 10_000}} {
		if c.n < 1 || c.n > c.most {
			return fmt.Errorf("%s must be from 1 to %d, not %d", c.name, c.most, c.n)
		}
	}
	if o.Duration < time.Millisecond || o.Duration > time.Hour {
		return fmt.Errorf("duration must be from 1ms to 1h, not %s", o.Duration)
	}
	return known(o.Only)
}

// Figure is one measured quantity over the runs of a row.
type Figure struct {
	Name   string    `json:"name"`
	Unit   string    `json:"unit"`
	Values []float64 `json:"values"` // one per run
}

// Median is the middle value, or the mean of the two in the middle; 0 without values.
func (f Figure) Median() float64 {
	n := len(f.Values)
	if n == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(f.Values))
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Row is the outcome of one scenario on one store.
type Row struct {
	Name    string   `json:"name"`
	Store   string   `json:"store"`
	Figures []Figure `json:"figures"`
}

// add notes the figures of one run.
func (r *Row) add(run []measured) {
	for i, m := range run {
		if i == len(r.Figures) {
			r.Figures = append(r.Figures, Figure{Name: m.name, Unit: m.unit})
		}
		r.Figures[i].Values = append(r.Figures[i].Values, m.value)
	}
}

type measured struct {
	name, unit string
	value      float64
}

// scenario is one row of the table.
type scenario struct {
	name  string
	about string
	run   func(ctx context.Context, s *server, o Options) ([]measured, error)
}

var scenarios = []scenario{
	{"idle", "idle connections over 1,000 rooms", idle},
	{"fanout", "one room, saturated: one send of each sender in flight", fanout},
	{"sends-one-room", "acked sends, one outstanding each, one room", sendsOneRoom},
	{"sends-many-rooms", "acked sends, one outstanding each, 1,000 rooms", sendsManyRooms},
	{"snapshot", "one room under a snapshot that another session holds, against one without (PostgreSQL)", snapshot},
	{"stalled", "readers that stop in a room of 1 MB/s, and others that read on", stalled},
}

// Names lists the rows, with what each of them does.
func Names() []string {
	var names []string
	for _, s := range scenarios {
		names = append(names, s.name+": "+s.about)
	}
	return names
}

// Run measures and prints. It stops at the first row that fails or loses an event, or when ctx ends.
func Run(ctx context.Context, o Options, out io.Writer) error {
	o.withDefaults()
	if err := o.validate(); err != nil {
		return err
	}
	var rows []Row
	for _, store := range o.Stores {
		for _, sc := range scenarios {
			if len(o.Only) > 0 && !slices.Contains(o.Only, sc.name) {
				continue
			}
			row, err := measure(ctx, sc, store, o)
			if err != nil {
				return fmt.Errorf("%s on %s: %w", sc.name, storeName(store), err)
			}
			rows = append(rows, row)
		}
	}
	if o.JSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(rows)
	}
	return table(out, rows)
}

func known(names []string) error {
	for _, name := range names {
		if !slices.ContainsFunc(scenarios, func(s scenario) bool { return s.name == name }) {
			return fmt.Errorf("no row is named %q; there are:\n  %s", name, strings.Join(Names(), "\n  "))
		}
	}
	return nil
}

// storeName keeps a database's password out of what is printed.
func storeName(store string) string {
	name, _, _ := strings.Cut(store, ":")
	return name
}

func measure(ctx context.Context, sc scenario, store string, o Options) (Row, error) {
	row := Row{Name: sc.name, Store: storeName(store)}
	for i := range o.Runs {
		started := time.Now()
		got, err := once(ctx, sc, store, o)
		if err != nil {
			return row, err
		}
		row.add(got)
		fmt.Fprintf(o.Progress, "%s on %s, run %d of %d: %.1f s\n", sc.name, row.Store, i+1, o.Runs, time.Since(started).Seconds())
	}
	return row, nil
}

// once runs a scenario on a server of its own.
func once(ctx context.Context, sc scenario, store string, o Options) ([]measured, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := startServer(ctx, o.Binary, store)
	if err != nil {
		return nil, err
	}
	got, err := sc.run(ctx, s, o)
	return got, errors.Join(err, ctx.Err(), s.stop())
}

func table(out io.Writer, rows []Row) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "row\tstore\tfigure\tmedian\tlowest\thighest\tunit\t")
	for _, r := range rows {
		for _, f := range r.Figures {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", r.Name, r.Store, f.Name,
				short(f.Median()), short(slices.Min(f.Values)), short(slices.Max(f.Values)), f.Unit)
		}
	}
	return w.Flush()
}

func short(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
