// Package floors holds the rule that makes the tree the diagram: a package imports only lower floors.
package floors

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// floors is the floor of each package of this module, by its path. The longest prefix counts, so that
// a package's tests and sub-packages stand where it does unless they are named themselves. Packages of
// one floor never import each other, but for those of one entry (a package and its own parts).
var floors = []struct {
	path  string
	floor int
}{
	{"server/room", 0},
	{"server/room/storetest", 0},
	{"server/room/bustest", 0},
	{"server/room/leasetest", 0},
	{"spec", 0},
	{"chaos", 0},
	{"child", 0},
	{"history", 1}, // the checker may know the vocabulary
	{"server/wire", 1},
	{"server/schema", 1},
	{"server/retention", 1},
	{"server/search", 1},
	{"server/agenda", 0},
	{"server/erasure", 1},
	{"server/yjs", 1},
	{"server/ysync", 1},
	{"server/docs", 2},
	{"server/bus/link", 1},
	{"server/hub", 2},
	{"server/webhook", 2},
	{"server/presence", 2},
	{"server/signals", 2},
	{"server/store/sqlite", 2},
	{"server/store/postgres", 2},
	{"server/bus/local", 2},
	{"server/bus/redis", 2},
	{"server/bus/nats", 2},
	{"server/cluster", 3},
	{"server/receipts", 3},
	{"server/streams", 1},
	{"server/transport", 3},
	{"web", 3},
	{"server/app", 4},
	{"cmd/roomlog", 5},
	{"bench/plots", 5},
	{"bench", 4}, // the command runs it; it knows a server from outside, and fills its store
}

// outside is what no package may import: tests and scripts stand beside the building.
var outside = []string{"deploy", "e2e", "examples", "internal", "scripts"}

// pure is what needs the standard library only: the vocabulary, and an algebra of bytes.
var pure = []string{"server/room", "server/yjs", "server/ysync"}

const module = "roomlog/"

type pkg struct {
	ImportPath string
	Imports    []string
}

func TestImportsPointDown(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range packages(t) {
		path, ours := strings.CutPrefix(p.ImportPath, module)
		if !ours || isOutside(path) {
			continue
		}
		from := place(path)
		if from < 0 {
			t.Errorf("%s stands on no floor: add it to the table", path)
			continue
		}
		seen[floors[from].path] = true
		for _, imported := range p.Imports {
			if slices.Contains(pure, path) && strings.Contains(strings.Split(imported, "/")[0], ".") {
				t.Errorf("%s imports %s: it needs the standard library only", path, imported)
			}
			target, ours := strings.CutPrefix(imported, module)
			if !ours {
				continue
			}
			if problem := check(from, target); problem != "" {
				t.Errorf("%s imports %s: %s", path, target, problem)
			}
		}
	}
	for _, f := range floors {
		if !seen[f.path] {
			t.Errorf("the table names %s, which no package is part of", f.path)
		}
	}
}

// check says what is wrong with an import from a place in the table, or nothing.
func check(from int, target string) string {
	to := place(target)
	switch {
	case isOutside(target):
		return "it stands outside of the product"
	case to < 0:
		return "it stands on no floor"
	case to == from || floors[to].floor < floors[from].floor:
		return ""
	case strings.HasPrefix(floors[from].path, floors[to].path+"/"):
		return "" // a suite imports the port it is about
	case floors[to].floor == floors[from].floor:
		return "neighbours on one floor do not know each other"
	}
	return "a lower floor does not know a higher one"
}

// place is the entry of the table that a path belongs to, or -1.
func place(path string) int {
	best := -1
	for i, f := range floors {
		if (path == f.path || strings.HasPrefix(path, f.path+"/")) && (best < 0 || len(f.path) > len(floors[best].path)) {
			best = i
		}
	}
	return best
}

func isOutside(path string) bool {
	for _, o := range outside {
		if path == o || strings.HasPrefix(path, o+"/") {
			return true
		}
	}
	return false
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "roomlog/...")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %s", exit.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("read go list: %v", err)
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		t.Fatal("go list names no package")
	}
	return all
}

// A checker counts only once it has been seen to fail.
func TestUpwardImportIsCaught(t *testing.T) {
	for _, c := range []struct{ from, to string }{
		{"server/room", "server/hub"},
		{"server/hub", "server/transport/auth"},
		{"server/store/sqlite", "server/store/postgres"},
		{"server/store/sqlite", "server/hub"},
		{"server/wire", "history"},
		{"server/transport", "server/app"},
		{"server/app", "e2e/torture"},
		{"server/app", "elsewhere"},
	} {
		if check(place(c.from), c.to) == "" {
			t.Errorf("%s importing %s passes", c.from, c.to)
		}
	}
	if problem := check(place("server/room/storetest"), "server/room"); problem != "" {
		t.Errorf("a suite importing its port: %s", problem)
	}
}
