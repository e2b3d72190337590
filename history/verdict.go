package history

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Violation is one place where an invariant did not hold.
type Violation struct {
	At   string `json:"at"` // file:line
	What string `json:"what"`
}

// maxViolations bounds what a result keeps; Count tells them all.
const maxViolations = 5

// Result is the judgement on one invariant.
type Result struct {
	Invariant  string      `json:"invariant"`
	Says       string      `json:"says"`
	Checked    int         `json:"checked"` // operations that put it to the test; 0: not exercised
	Count      int         `json:"count"`   // violations
	Violations []Violation `json:"violations,omitempty"`
}

// Status is "pass", "FAIL" or "not exercised".
func (r Result) Status() string {
	switch {
	case r.Count > 0:
		return "FAIL"
	case r.Checked > 0:
		return "pass"
	}
	return "not exercised"
}

// Verdict is the judgement on a history.
type Verdict struct {
	Files   []File   `json:"files"`
	Results []Result `json:"results"` // one per invariant, in order
	Summary Summary  `json:"summary"`
}

// OK reports that nothing was violated, that each of the named invariants ("I1") was exercised, and
// that something was: an empty history is not OK. A name that is not checked here is not OK either.
func (v Verdict) OK(required ...string) bool {
	exercised := map[string]bool{}
	for _, r := range v.Results {
		if r.Count > 0 {
			return false
		}
		if r.Checked > 0 {
			exercised[r.Invariant] = true
		}
	}
	for _, name := range required {
		if !exercised[name] {
			return false
		}
	}
	return len(exercised) > 0
}

// Failed names the invariants that were violated.
func (v Verdict) Failed() []string {
	var names []string
	for _, r := range v.Results {
		if r.Count > 0 {
			names = append(names, r.Invariant)
		}
	}
	return names
}

// Result returns the judgement on the invariant of that name, and whether it is one of ours.
func (v Verdict) Result(name string) (Result, bool) {
	i := slices.IndexFunc(v.Results, func(r Result) bool { return r.Invariant == name })
	if i < 0 {
		return Result{}, false
	}
	return v.Results[i], true
}

// Table prints the verdict for people: what was counted, a line per invariant, then the first violations in words.
func (v Verdict) Table(w io.Writer) error {
	var text strings.Builder
	for _, f := range v.Files {
		fmt.Fprintf(&text, "%s: %d lines", f.Name, f.Lines)
		if f.Torn > 0 {
			fmt.Fprintf(&text, ", %d torn", f.Torn)
		}
		text.WriteString("\n")
	}
	if err := v.Summary.table(&text); err != nil {
		return err
	}
	columns := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintf(columns, "\ninvariant\tsays\tchecked\tviolations\tverdict\n")
	for _, r := range v.Results {
		fmt.Fprintf(columns, "%s\t%s\t%d\t%d\t%s\n", r.Invariant, r.Says, r.Checked, r.Count, r.Status())
	}
	if err := columns.Flush(); err != nil {
		return err
	}
	for _, r := range v.Results {
		if r.Count > 0 {
			fmt.Fprintf(&text, "\n%s: %s\n", r.Invariant, r.Says)
			for _, violation := range r.Violations {
				fmt.Fprintf(&text, "  %s: %s\n", violation.At, violation.What)
			}
			if more := r.Count - len(r.Violations); more > 0 {
				fmt.Fprintf(&text, "  and %d more\n", more)
			}
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}

// JSON prints the verdict for programs.
func (v Verdict) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// Run checks the files, prints the table to w and reports whether the verdict is OK with the required
// invariants exercised. An error means that there is no verdict.
func Run(w io.Writer, files []string, required ...string) (ok bool, err error) {
	for _, name := range required {
		if !slices.ContainsFunc(invariants, func(i invariant) bool { return i.name == name }) {
			return false, fmt.Errorf("no invariant %q is checked here: one of %s", name, strings.Join(Invariants(), ", "))
		}
	}
	v, err := Check(files)
	if err != nil {
		return false, err
	}
	if err := v.Table(w); err != nil {
		return false, fmt.Errorf("print the verdict: %w", err)
	}
	return v.OK(required...), nil
}
