package schema

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"roomlog/server/room"
)

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const messageSchema = `{
	"type": "object", "required": ["text"], "additionalProperties": {"type": "integer"},
	"properties": {
		"text": {"type": "string", "minLength": 1, "maxLength": 5, "pattern": "^[a-z]*$"},
		"a/b": {"enum": ["x", "y"]},
		"list": {"type": "array", "maxItems": 2, "items": {"$ref": "item.json#/$defs/item"}}
	}
}`

// DATA-5, DATA-6: what does not fit is refused with its place, and nothing of the data is repeated that the
// schema does not name itself.
func TestCheck(t *testing.T) {
	dir := write(t, map[string]string{"message.json": messageSchema, "item.json": `{"$defs": {"item": {"type": "object", "properties": {"n": {"maximum": 3}}, "required": ["n"]}}}`})
	s, err := Load(filepath.Join(dir, "message.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ data, field, says string }{
		{`{"text":"abc"}`, "", ""},
		{`{"text":"abc","more":7,"list":[{"n":3}]}`, "", ""},
		{`"CANARY"`, "data", "of type object"},
		{`{"CANARY":1}`, "data", "lacks text"},
		{`{"text":"CANARYCANARY"}`, "data/text", "longer than 5"},
		{`{"text":""}`, "data/text", "shorter than 1"},
		{`{"text":"CAN"}`, "data/text", "pattern ^[a-z]*$"},
		{`{"text":"a","a/b":"CANARY"}`, "data/a~1b", "none of the values"},
		{`{"text":"a","list":[{"n":1},{"n":4}]}`, "data/list/1/n", "maximum"},
		{`{"text":"a","list":[{},{"n":4}]}`, "data/list/0", "lacks n"},
		{`{"text":"a","CANARY":"x"}`, "data", "of type integer"},
		{`{"text":"a","text":"CANARY"}`, "data", "a key twice"},
		{`{"text":"a","list":[{"n":1,"n":99}]}`, "data", "a key twice"},
		{`{"text":"a","n":1e999999}`, "data", "more digits"},
		{`{"text":"a","n":` + strings.Repeat("1", 41) + `}`, "data", "more digits"},
	} {
		got := s.Check([]byte(c.data))
		switch {
		case c.field == "" && got == nil:
		case c.field == "" || got == nil:
			t.Errorf("%s: %v", c.data, got)
		case got.Code != room.CodeBadData || got.Field != c.field || !strings.Contains(got.Title, c.says) || strings.Contains(got.Error(), "CANARY"):
			t.Errorf("%s: field %q, %v; want %q and %q", c.data, got.Field, got, c.field, c.says)
		}
	}
}

// A schema that cannot be used is an error that names the file and the place.
func TestLoadSaysWhatIsWrong(t *testing.T) {
	dir := write(t, map[string]string{
		"text": "{", "type.json": `{"properties": {"text": {"type": "strnig"}}}`,
		"web.json": `{"$ref": "https://example.com/schema.json"}`, "lost.json": `{"$ref": "nowhere.json"}`,
		"pattern.json": `{"properties": {"text": {"pattern": "(?=x)"}}}`, "deep.json": `{"$ref": "#/$defs/none"}`,
	})
	for name, says := range map[string]string{
		"missing.json": "missing.json", "text": "not JSON", "type.json": "/properties/text/type",
		"web.json": "nothing is fetched", "lost.json": "nowhere.json", "pattern.json": "pattern", "deep.json": "none",
	} {
		_, err := Load(filepath.Join(dir, name))
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q in one line", name, err, says)
		} else {
			t.Log(err)
		}
	}
	if _, err := Load("/dev/zero"); err == nil {
		t.Error("a file without an end is read")
	}
}
