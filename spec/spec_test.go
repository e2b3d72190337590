// Package spec_test holds the protocol document, its data files and the rest of the repository
// equal: every rule is quoted by a test that proves it, every code is one that the server has, every
// shape compiles and every transcript follows it.
package spec_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const families = "ROOM|DATA|POS|PAGE|JOIN|RESET|RET|SEND|ACK|TAG|ERR|AUTH|ACC|BEAT|CLOSE|VER|HTTP|POLL|SSE|TICK|SESS|NODE|LIM|HOOK|BATCH|SQL|CHG|SIDE|MEM|RCPT|PRES|SIG|FIND|PART|ERASE|MOD|STATE|DOC|YWS|HOC"

var (
	defined = regexp.MustCompile(`(?m)^- \*\*((` + families + `)-[1-9][0-9]*)\*\* `)
	heading = regexp.MustCompile(`(?m)^## (` + families + `): `)
	quoted  = regexp.MustCompile(`\b(?:` + families + `)-[1-9][0-9]*\b`)
	// row is how a comment quotes several rules of a family, such as "SEND-1 to SEND-6".
	row = regexp.MustCompile(`\b((?:` + families + `)-)([1-9][0-9]*) to ((?:` + families + `)-)([1-9][0-9]*)\b`)
)

func protocol(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// rules are the ids that PROTOCOL.md defines, in its order.
func rules(t *testing.T) []string {
	t.Helper()
	var ids []string
	for _, m := range defined.FindAllStringSubmatch(protocol(t), -1) {
		ids = append(ids, m[1])
	}
	return ids
}

func TestRulesAreDefinedOnceAndInTheirSection(t *testing.T) {
	text := protocol(t)
	seen := make(map[string]bool)
	for _, m := range defined.FindAllStringSubmatchIndex(text, -1) {
		id, family := text[m[2]:m[3]], text[m[4]:m[5]]
		if seen[id] {
			t.Errorf("%s is defined twice", id)
		}
		seen[id] = true
		sections := heading.FindAllStringSubmatch(text[:m[0]], -1)
		if len(sections) == 0 || sections[len(sections)-1][1] != family {
			t.Errorf("%s is not in the section of its family", id)
		}
	}
	if n := len(seen); n < 90 {
		t.Errorf("found %d rules; has the way they are written changed?", n)
	}
	for _, id := range quoted.FindAllString(text, -1) {
		if !seen[id] {
			t.Errorf("PROTOCOL.md refers to %s, which it does not define", id)
		}
	}
}

// A rule that no test quotes is a promise that nobody checks; an id that does not exist is a test or
// a comment that proves something else than it says.
func TestEveryRuleIsQuotedByATest(t *testing.T) {
	known := make(map[string]bool)
	for _, id := range rules(t) {
		known[id] = true
	}
	proved := make(map[string]bool)
	walk(t, func(path, text string) {
		for _, id := range quotes(text) {
			if !known[id] {
				t.Errorf("%s quotes %s, which PROTOCOL.md does not define", path, id)
			}
			if isTest(path) {
				proved[id] = true
			}
		}
	})
	var missing []string
	for _, id := range rules(t) {
		if !proved[id] {
			missing = append(missing, id)
		}
	}
	if len(missing) > 0 {
		t.Errorf("%d of %d rules are quoted by no test: %s", len(missing), len(known), strings.Join(missing, " "))
	}
}

// quotes lists the ids in a text, each once; the ends of a row stand for all of it.
func quotes(text string) []string {
	ids := quoted.FindAllString(text, -1)
	for _, m := range row.FindAllStringSubmatch(text, -1) {
		from, to := number(m[2]), number(m[4])
		for n := from; m[1] == m[3] && n <= to; n++ {
			ids = append(ids, m[1]+decimal(n))
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func TestQuotes(t *testing.T) {
	for text, want := range map[string]string{
		"nothing, but JOIN- and HTTP/1.1 and xJOIN-1": "",
		"(JOIN-3), JOIN-3":                            "JOIN-3",
		"rules SEND-2 to SEND-4":                      "SEND-2 SEND-3 SEND-4",
		"SEND-2 to TAG-4":                             "SEND-2 TAG-4",
	} {
		if got := strings.Join(quotes(text), " "); got != want {
			t.Errorf("%q quotes %q, not %q", text, got, want)
		}
	}
}

// notOurs are folders that hold nothing written here.
var notOurs = []string{".git", ".cache", "node_modules", "dist", "bin", "data", "test-results"}

// walk reads every source, document, test and transcript of the repository, but this file, whose
// examples prove nothing.
func walk(t *testing.T, visit func(path, text string)) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains(notOurs, d.Name()):
			return fs.SkipDir
		case d.IsDir() || !isSource(path) || path == filepath.Join("..", "spec", "spec_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		visit(strings.TrimPrefix(filepath.ToSlash(path), "../"), string(text))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func isSource(path string) bool {
	switch filepath.Ext(path) {
	case ".go", ".ts", ".tsx", ".js", ".mjs", ".md":
		return true
	}
	return isTranscript(filepath.ToSlash(path))
}

func isTranscript(path string) bool {
	return strings.Contains(path, "spec/transcripts/") && strings.HasSuffix(path, ".json")
}

// isTest: test files, the suite that every store passes, and the end-to-end runs.
func isTest(path string) bool {
	for _, end := range []string{"_test.go", ".test.ts", ".test.tsx", ".test.js", ".test.mjs"} {
		if strings.HasSuffix(path, end) {
			return true
		}
	}
	return isTranscript(path) || strings.HasPrefix(path, "server/room/storetest/") || strings.HasPrefix(path, "e2e/")
}
