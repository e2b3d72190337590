package schema

import (
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"roomlog/server/room"
)

func load(t *testing.T, text string) *Schema {
	t.Helper()
	s, err := Load(filepath.Join(write(t, map[string]string{"s.json": text}), "s.json"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// DATA-6: a check ends, whatever a schema and data make of each other: here the alternatives of each level are all
// tried with all that is below it. Data that is as deep, or wide, and has one way to be read fits as before.
func TestStepsAreBounded(t *testing.T) {
	nest := func(open string, depth int) []byte {
		return []byte(strings.Repeat(open, depth) + `1` + strings.Repeat("}", depth))
	}
	both := `{"type":"object","properties":{"c":{"$ref":"#"}},"required":["c"]}`
	for name, text := range map[string]string{
		"oneOf":    `{"oneOf":[` + both + `,` + both + `]}`,
		"anyOf":    `{"anyOf":[` + both + `,` + both + `]}`,
		"allOf":    `{"type":"object","allOf":[{"properties":{"c":{"type":["object","number"],"anyOf":[{"type":"number"},{"$ref":"#"}]}}},{"properties":{"c":{"anyOf":[{"type":"number"},{"$ref":"#"}]}}}]}`,
		"not":      `{"not":{"anyOf":[` + both + `,` + both + `]}}`,
		"if":       `{"if":` + both + `,"then":` + both + `,"else":` + both + `}`,
		"draft 7":  `{"$schema":"http://json-schema.org/draft-07/schema#","oneOf":[` + both + `,` + both + `]}`,
		"patterns": `{"oneOf":[{"type":"object","patternProperties":{"^c$":{"$ref":"#"}}},{"type":"object","additionalProperties":{"$ref":"#"}}]}`,
		"dynamic":  `{"$dynamicAnchor":"n","oneOf":[{"type":"object","properties":{"c":{"$dynamicRef":"#n"}}},{"type":"object","properties":{"c":{"$dynamicRef":"#n"}}}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := load(t, text)
			if err := s.Check(nest(`{"c":`, 120)); err == nil || err.Code != room.CodeBadData || !strings.Contains(err.Title, "too long") {
				t.Errorf("%v, want bad_data: it takes too long", err)
			}
			_ = s.Check([]byte(`{}`))
		})
	}
	tree := load(t, `{"type":"object","properties":{"c":{"anyOf":[{"type":"number"},{"$ref":"#"}]}},"required":["c"]}`)
	list := load(t, `{"items":{"oneOf":[{"type":"string"},{"type":"null"},{"type":"array"},{"type":"number","format":"x"}]}}`)
	var tasks sync.WaitGroup
	for range 4 {
		tasks.Go(func() {
			if err := tree.Check(nest(`{"c":`, 120)); err != nil {
				t.Error(err)
			}
			if err := tree.Check(nest(`{"d":`, 3)); err == nil || err.Field != "data" {
				t.Errorf("%v", err)
			}
			if err := list.Check([]byte("[" + strings.Repeat("1,", 32_000) + "1]")); err != nil {
				t.Error(err)
			}
		})
	}
	tasks.Wait()
}
