// Package docs checks that the documents say what is so: their links lead somewhere, their commands
// exist, and the code they show is code that is tested.
package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// documents are the Markdown files of the project, installed packages aside.
func documents(t *testing.T) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (strings.HasPrefix(entry.Name(), ".") || outside[entry.Name()]):
			return fs.SkipDir
		case strings.HasSuffix(name, ".md"):
			names = append(names, name)
		}
		return nil
	})
	if err != nil || len(names) == 0 {
		t.Fatalf("found %d documents: %v", len(names), err)
	}
	return names
}

// outside are folders whose documents are not ours.
var outside = map[string]bool{"node_modules": true, "dist": true, "data": true, "test-results": true}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)|(?:src|srcset)="([^"]+)"`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	target  = regexp.MustCompile("`make ([a-z]+)`")
	strange = regexp.MustCompile("[^a-z0-9_ -]")
)

func TestLinksLeadSomewhere(t *testing.T) {
	for _, name := range documents(t) {
		for _, found := range link.FindAllStringSubmatch(read(t, name), -1) {
			to := found[1] + found[2]
			if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
				continue
			}
			file, anchor, _ := strings.Cut(to, "#")
			path := filepath.Join(filepath.Dir(name), file)
			if file == "" {
				path = name
			}
			if _, err := os.Stat(filepath.Join(root, path)); err != nil {
				t.Errorf("%s links to %s, which is not there", name, to)
			} else if anchor != "" && strings.HasSuffix(path, ".md") && !hasHeading(read(t, path), anchor) {
				t.Errorf("%s links to %s, which has no such heading", name, to)
			}
		}
	}
}

func hasHeading(text, anchor string) bool {
	for _, h := range heading.FindAllStringSubmatch(text, -1) {
		if strings.ReplaceAll(strange.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-") == anchor {
			return true
		}
	}
	return false
}

func TestMakeTargetsExist(t *testing.T) {
	makefile := read(t, "Makefile")
	for _, name := range documents(t) {
		for _, found := range target.FindAllStringSubmatch(read(t, name), -1) {
			if !strings.Contains(makefile, "\n"+found[1]+":") {
				t.Errorf("%s tells to run `make %s`, which there is not", name, found[1])
			}
		}
	}
}

const snippet = "client/test/quickstart.tsx"

// The code on the front page is the file that the client's tests compile and run.
func TestFrontPageShowsTestedCode(t *testing.T) {
	_, rest, found := strings.Cut(read(t, "README.md"), "```tsx\n")
	shown, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("README.md shows no tsx")
	}
	if want := read(t, snippet); !strings.Contains(want, shown) {
		t.Errorf("README.md shows what %s does not hold", snippet)
	}
	if lines := strings.Count(shown, "\n"); lines > 13 {
		t.Errorf("the snippet has grown to %d lines", lines)
	}
}

// A lock file that names hosts would send everyone else to them.
func TestLockFileNamesNoHost(t *testing.T) {
	if strings.Contains(read(t, "package-lock.json"), `"resolved": "http`) {
		t.Error(`package-lock.json has "resolved" lines`)
	}
}
