package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"
)

// Whatever a configuration file holds: it is taken, or refused by an error; it ends nothing by itself.
func FuzzConfigFile(f *testing.F) {
	for _, s := range []string{
		"", "listen: 127.0.0.1:0\nkinds: [chat]\norigins:\n  - https://app.example.com\n", "lisen: x", "listen: [a, b]", "listen: {a: b}",
		"listen:", "send-burst: many", "send-burst: 0", "ping-every: 30", "kinds: [chat", "[]", "1", "config: other.yaml", "help: true",
		"a: &a [x]\nkinds: *a", "listen: !!binary aGk=", "? [a]\n: b", "kinds: [[a], {b: c}]", "send-burst: .nan", "listen: 2001-01-01",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "roomlog.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		parser, err := newParser(&commands{}, io.Discard, io.Discard, func(code int) { t.Errorf("%q ends the program with %d", text, code) })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse([]string{"serve", "--config", path}); err != nil && oneLine(err) == "" {
			t.Fatalf("%q is refused without a word", text)
		}
	})
}
