package spec_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

func decimal(n int) string { return strconv.Itoa(n) }

func number(text string) int {
	n, _ := strconv.Atoi(text) // the expressions that find it take digits only
	return n
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func decodeStrictly(t *testing.T, name string, text []byte, into any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// shapes are the compiled schemas by name, and what has been held against each.
type shapes struct {
	compiled map[string]*jsonschema.Schema
	used     map[string][]any // values that were valid
}

func compile(t *testing.T) *shapes {
	t.Helper()
	paths, err := filepath.Glob("schema/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no schemas: %v", err)
	}
	s := &shapes{make(map[string]*jsonschema.Schema), make(map[string][]any)}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	for _, path := range paths {
		if err := c.AddResource(filepath.Base(path), parse(t, readFile(t, path))); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range paths {
		base := filepath.Base(path)
		compiled, err := c.Compile(base)
		if err != nil {
			t.Fatal(err)
		}
		s.compiled[strings.TrimSuffix(base, ".json")] = compiled
	}
	return s
}

func parse(t *testing.T, text []byte) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// validate holds a value against a schema.
func (s *shapes) validate(name string, v any) error {
	err := s.compiled[name].Validate(v)
	if err == nil {
		s.used[name] = append(s.used[name], v)
	}
	return err
}

// frame names the schema of a frame that one side sends; "" where the protocol has no such op.
func (s *shapes) frame(side string, frame map[string]any) string {
	op, _ := frame["op"].(string)
	if op == "ping" || op == "pong" {
		return op
	}
	if name := side + "-" + op; s.compiled[name] != nil {
		return name
	}
	return ""
}

// onlyParts are schemas that describe no message: the others refer to them.
var onlyParts = []string{"values"}

// Every schema compiles, and is held against the frames of the transcripts and its own examples. That
// it can say no is shown by leaving out each field that it requires.
func TestSchemas(t *testing.T) {
	s := compile(t)
	for name, schema := range s.compiled {
		for i, example := range schema.Examples {
			if err := s.validate(name, example); err != nil {
				t.Errorf("%s, example %d: %v", name, i, err)
			}
		}
	}
	for _, tr := range transcripts(t) {
		tr.validate(t, s)
	}
	for _, name := range slices.Sorted(maps.Keys(s.compiled)) {
		if slices.Contains(onlyParts, name) {
			continue
		}
		if len(s.used[name]) == 0 {
			t.Errorf("the schema %s is used by no transcript and has no example", name)
			continue
		}
		for _, field := range s.compiled[name].Required {
			without := maps.Clone(s.used[name][0].(map[string]any))
			delete(without, field)
			if s.compiled[name].Validate(without) == nil {
				t.Errorf("the schema %s accepts a message without %s", name, field)
			}
		}
	}
}
