package docs

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

const invariants = "docs/invariants.md"

var (
	row       = regexp.MustCompile(`(?m)^\| (I\d+|PART) \| (.*) \| (.*) \| (.*) \|$`)
	quoted    = regexp.MustCompile("`([^`]+)`")
	declared  = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
	storeCase = regexp.MustCompile(`(?m)^\t\t\{"(\w+)", test\w+\},$`)
	fault     = regexp.MustCompile(`(?m)^([a-z_]+) +Test`)
)

// promised are the invariants that the table answers for.
var promised = strings.Fields("I1 I2 I3 I4 I5 I6 I7 I8 I9 I10 I11 I12 I13 I14 I15 I16 I17 I18 I19 I20 I22 I23 I24 I25 I26 I27 I28 I29 PART")

// The table of the invariants names tests and mutants that exist, and every mutant.
func TestInvariantsAreExercisedAsWritten(t *testing.T) {
	tests, mutants := map[string]bool{}, map[string]bool{}
	for _, name := range sources(t) {
		text := read(t, name)
		for _, m := range declared.FindAllStringSubmatch(text, -1) {
			tests[m[1]] = true
		}
		if strings.HasSuffix(name, "mutants.txt") {
			for _, m := range fault.FindAllStringSubmatch(text, -1) {
				mutants[m[1]] = true
			}
		}
		if strings.HasPrefix(name, "server/room/storetest/") {
			for _, m := range storeCase.FindAllStringSubmatch(text, -1) {
				tests["TestStore/"+m[1]] = true
			}
		}
	}
	said, rows := map[string]bool{}, map[string]bool{}
	for _, r := range row.FindAllStringSubmatch(read(t, invariants), -1) {
		rows[r[1]] = true
		named := 0
		for _, q := range quoted.FindAllStringSubmatch(r[3], -1) {
			switch {
			case mutants[q[1]]:
			case !tests[q[1]]:
				t.Errorf("%s: there is no test %s", r[1], q[1])
			default:
				named++
			}
		}
		if named == 0 {
			t.Errorf("%s names no test", r[1])
		}
		for _, q := range quoted.FindAllStringSubmatch(r[4], -1) {
			if !mutants[q[1]] {
				t.Errorf("%s: there is no mutant %s", r[1], q[1])
			}
			said[q[1]] = true
		}
	}
	for _, name := range promised {
		if !rows[name] {
			t.Errorf("%s has no row", name)
		}
	}
	for name := range mutants {
		if !said[name] {
			t.Errorf("the mutant %s stands at no invariant", name)
		}
	}
}

// sources are the files that hold tests, cases of the store's suite, or mutants.
func sources(t *testing.T) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (strings.HasPrefix(entry.Name(), ".") || outside[entry.Name()]):
			return fs.SkipDir
		case strings.HasSuffix(name, "_test.go"), strings.HasSuffix(name, "mutants.txt"), strings.HasPrefix(name, "server/room/storetest/"):
			names = append(names, name)
		}
		return nil
	})
	if err != nil || len(names) == 0 {
		t.Fatalf("found %d sources: %v", len(names), err)
	}
	return names
}
