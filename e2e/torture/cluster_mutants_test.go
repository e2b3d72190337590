package torture

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var mutantsFlag = flag.Bool("mutants", os.Getenv("TORTURE_MUTANTS") != "", "try the faulty variants of a cluster as well, about a minute each (TORTURE_MUTANTS)")

// The checker is seen to fail: three real nodes with a fault each, and the invariant that must notice. The tests of their
// packages catch the same faults in no time (mutants.txt); this shows that a whole cluster under this load does.
func TestClusterMutants(t *testing.T) {
	if !*mutantsFlag {
		t.Skip("the faulty variants of a cluster take minutes: -mutants, or TORTURE_MUTANTS=1, tries them")
	}
	mutant := filepath.Join(t.TempDir(), "roomlog-mutant")
	build := exec.Command("go", "build", "-tags", "mutant", "-o", mutant, "roomlog/cmd/roomlog")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		t.Fatal(err)
	}
	for _, m := range []struct {
		name   string
		deck   []string
		caught []string // one of these has to fail, or to be told as a problem
	}{
		{"bus_blind", []string{"messages", "messages"}, []string{"I9"}},
		{"dedupe_local", []string{"kill"}, []string{"I7"}},
		{"revoke_local", []string{"cut", "cut"}, []string{"I17"}},
		{"hint_trusted", []string{"messages", "messages"}, []string{"I4", "I8"}},
		{"redact_local", []string{"cut"}, []string{"CHG-7", "CHG-8", "I4"}},
		{"leave_any", []string{"cut", "cut"}, []string{"I14"}},
		{"feed_open", []string{"cut"}, []string{"I19"}},
		{"part_anywhere", []string{"kill"}, []string{"PART-2", "PART-7"}},
		{"edits_stay", []string{"cut"}, []string{"CHG-7", "CHG-8", "I4"}},
		{"compare_blind", []string{"cut"}, []string{"I15"}},
		{"fold_thin", []string{"cut"}, []string{"I15"}},
		{"deletes_known", []string{"cut"}, []string{"I16"}},
		{"docs_untold", []string{"cut"}, []string{"I16"}},
	} {
		t.Run(m.name, func(t *testing.T) {
			seed := *seedFlag
			if seed == 0 {
				seed = time.Now().UnixNano()
			}
			t.Logf("seed %d", seed)
			c := &cluster{binary: mutant, env: []string{"ROOMLOG_MUTANT=" + m.name}, dir: keptDir(t), seed: seed, deck: m.deck, logf: t.Logf}
			if err := c.run(t.Context(), "redis", 12*time.Second); err != nil {
				t.Fatal(err)
			}
			failed := c.verdict.Failed()
			t.Logf("violated: %v; besides: %q", failed, c.problems)
			told := func(name string) bool {
				return slices.Contains(failed, name) || slices.ContainsFunc(c.problems, func(p string) bool {
					return strings.Contains(p, name+":") && !strings.Contains(p, "put to the test") // that says nothing of the fault
				})
			}
			if !slices.ContainsFunc(m.caught, told) {
				t.Errorf("%s is not caught by any of %v", m.name, m.caught)
			}
		})
	}
}
