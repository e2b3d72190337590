package bench

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Figure is one measured quantity over the runs of a row.
type Figure struct {
	Name   string    `json:"name"`
	Unit   string    `json:"unit"`
	Values []float64 `json:"values"` // one per run
	// Ratio is this median by that of the reference in the same row; absent without one.
	Ratio float64 `json:"ratio,omitempty"`
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

// Row is the outcome of one scenario on one target.
type Row struct {
	Name    string   `json:"name"`
	Target  string   `json:"target"`
	At      int      `json:"at,omitempty"` // of a point of a curve: what it grows by
	Figures []Figure `json:"figures"`
	// Volatile says that an acknowledged send is lost with the target's process.
	Volatile bool `json:"volatile,omitempty"`
}

type measured struct {
	name, unit string
	value      float64
}

// add notes the figures of one run.
func (r *Row) add(run []measured) {
	for _, m := range run {
		i := slices.IndexFunc(r.Figures, func(f Figure) bool { return f.Name == m.name })
		if i < 0 {
			i = len(r.Figures)
			r.Figures = append(r.Figures, Figure{Name: m.name, Unit: m.unit})
		}
		r.Figures[i].Values = append(r.Figures[i].Values, m.value)
	}
}

// figure is that of a name, or nil.
func (r *Row) figure(name string) *Figure {
	i := slices.IndexFunc(r.Figures, func(f Figure) bool { return f.Name == name })
	if i < 0 {
		return nil
	}
	return &r.Figures[i]
}

// compare notes how each figure relates to that of the reference in the same row, where it ran.
func compare(rows []Row, reference string) {
	for _, ref := range rows {
		if ref.Target != reference {
			continue
		}
		for _, row := range rows {
			if row.Name != ref.Name || row.At != ref.At || row.Target == reference {
				continue
			}
			for i := range row.Figures {
				if to := ref.figure(row.Figures[i].Name); to != nil && to.Median() != 0 {
					row.Figures[i].Ratio = row.Figures[i].Median() / to.Median()
				}
			}
		}
	}
}

func table(out io.Writer, rows []Row) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "row\tfigure\ttarget\tmedian\tlowest\thighest\tunit\tratio\t")
	for _, r := range rows {
		name := r.Name
		if r.At != 0 {
			name = fmt.Sprintf("%s %d", r.Name, r.At)
		}
		for _, f := range r.Figures {
			ratio := ""
			if f.Ratio != 0 {
				ratio = short(f.Ratio)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", name, f.Name, r.Target,
				short(f.Median()), short(slices.Min(f.Values)), short(slices.Max(f.Values)), f.Unit, ratio)
		}
	}
	return errors.Join(w.Flush(), warn(out, rows))
}

// warn says below a table whose acks promise less.
func warn(out io.Writer, rows []Row) error {
	var names []string
	for _, r := range rows {
		if r.Volatile && !slices.Contains(names, r.Target) {
			names = append(names, r.Target)
		}
	}
	if names == nil {
		return nil
	}
	_, err := fmt.Fprintf(out, "Not durable, an acked send is lost with the process: %s.\n", strings.Join(names, ", "))
	return err
}

func short(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
