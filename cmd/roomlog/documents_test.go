package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

var (
	codeOf  = regexp.MustCompile("(?s)```.*?```|`[^`]+`")
	invoked = regexp.MustCompile(`(?:^|[\s(/])roomlog ((?:[a-z][a-z-]* )*[a-z][a-z-]*)((?:[^\n]|\\\n)*)`)
	flagOf  = regexp.MustCompile(`--[a-z][a-z-]*`)
)

// The commands and flags of roomlog that the documents name exist.
func TestDocumentsNameWhatExists(t *testing.T) {
	names, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, name := range append(names, "../../README.md", "../../client/README.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, code := range codeOf.FindAllString(string(text), -1) {
			if strings.HasPrefix(code, "```sql") {
				continue // a schema has the program's name
			}
			code = strings.ReplaceAll(strings.Trim(code, "`"), "\\\n", " ")
			for _, found := range invoked.FindAllStringSubmatch(code, -1) {
				seen++
				if problem := wrongWith(t, strings.Fields(found[1]), flagOf.FindAllString(found[2], -1)); problem != "" {
					t.Errorf("%s: %s: %s", name, strings.TrimSpace(found[0]), problem)
				}
			}
		}
	}
	if seen < 10 {
		t.Errorf("found only %d uses of roomlog in the documents", seen)
	}
}

// wrongWith says which word or flag the program does not know, or nothing. Words behind the command are its arguments.
func wrongWith(t *testing.T, words, flags []string) string {
	t.Helper()
	parser, err := newParser(&commands{}, io.Discard, io.Discard, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	node := parser.Model.Node
	for _, word := range words {
		next := under(node, word)
		if next == nil {
			break
		}
		node = next
	}
	if node == parser.Model.Node {
		return "there is no command " + words[0]
	}
	known := map[string]bool{"--help": true, "--version": true}
	for _, f := range node.Flags {
		known["--"+f.Name] = true
	}
	for _, f := range flags {
		if !known[f] {
			return "there is no flag " + f
		}
	}
	return ""
}

func under(node *kong.Node, name string) *kong.Node {
	for _, c := range node.Children {
		if c.Name == name {
			return c
		}
	}
	return nil
}
