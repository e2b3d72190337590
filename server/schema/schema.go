// Package schema checks the data of events against JSON Schemas that an operator wrote.
//
// A schema is read when the configuration is; checking does bounded work: regular expressions are RE2, the depth
// and size of data are bounded before, and so are numbers and the steps of a check here.
package schema

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"roomlog/server/room"
)

// Schema checks the data of one type of events. It may be used concurrently.
type Schema struct {
	pool  pool
	names map[string]bool // properties that the schema itself names
}

// maxFile bounds a schema file, so that a path such as /dev/zero ends.
const maxFile = 1 << 20

// Load reads and compiles the schema in a file (draft 2020-12 where its $schema says no other). A $ref may
// name other files, relative to it; nothing is ever fetched. The error says which file and where in it.
func Load(path string) (*Schema, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	files := &files{names: make(map[string]bool), read: make(map[string]any)}
	s := &Schema{names: files.names}
	s.pool.compile = func() (*jsonschema.Schema, error) {
		c := jsonschema.NewCompiler()
		c.UseLoader(files)
		return c.Compile((&url.URL{Scheme: "file", Path: filepath.ToSlash(path)}).String())
	}
	first, err := s.pool.take()
	if err != nil {
		return nil, broken(err)
	}
	s.pool.give(first)
	return s, nil
}

// broken is a compiler's error in one line, without the scheme of file names.
func broken(err error) error {
	var invalid *jsonschema.SchemaValidationError
	if errors.As(err, &invalid) {
		var v *jsonschema.ValidationError
		if errors.As(invalid.Err, &v) {
			leaf := deepest(v)
			return fmt.Errorf("%s is no JSON Schema: at /%s, %s", plainPath(invalid.URL), strings.Join(leaf.InstanceLocation, "/"), leaf.ErrorKind.LocalizedString(english))
		}
	}
	return errors.New(strings.ReplaceAll(plainPath(strings.Join(strings.Fields(err.Error()), " ")), "file://", ""))
}

func plainPath(u string) string { return strings.TrimSuffix(strings.TrimPrefix(u, "file://"), "#") }

// files loads the files of a schema once, and notes the names of properties in them.
type files struct {
	names map[string]bool
	read  map[string]any // by address; complete, and not changed, once the schema was compiled
}

// Load implements jsonschema.URLLoader.
func (f *files) Load(address string) (any, error) {
	if value, read := f.read[address]; read {
		return value, nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "file" || u.Host != "" {
		return nil, errors.New("a $ref names a file beside it; nothing is fetched")
	}
	path := filepath.FromSlash(u.Path)
	info, err := os.Stat(path)
	if err != nil {
		return nil, plain(err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("it is no file of at most %d bytes", maxFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, plain(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		return nil, errors.New("it is not JSON")
	}
	f.note(value)
	f.read[address] = value
	return value, nil
}

// plain is an error of the file system without the path, which is said already.
func plain(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// note collects what the schema names: the keys of `properties`, wherever they stand.
func (f *files) note(value any) {
	switch v := value.(type) {
	case map[string]any:
		if properties, ok := v["properties"].(map[string]any); ok {
			for name := range properties {
				f.names[name] = true
			}
		}
		for _, inner := range v {
			f.note(inner)
		}
	case []any:
		for _, inner := range v {
			f.note(inner)
		}
	}
}

// Check checks compacted data. What does not fit is `bad_data`, with the place in Field as a JSON pointer
// below data; neither it nor the sentence repeats anything of the data but names that the schema has too.
func (s *Schema) Check(data []byte) *room.Error {
	value, values, fault := decode(data)
	if fault != "" {
		return &room.Error{Code: room.CodeBadData, Field: "data", Title: fault}
	}
	c, err := s.pool.take()
	if err != nil {
		return room.AsError(err) // it was compiled before
	}
	enough, err := c.validate(value, values)
	s.pool.give(c)
	var v *jsonschema.ValidationError
	switch {
	case !enough:
		return &room.Error{Code: room.CodeBadData, Field: "data", Title: "The data takes too long to be checked against the schema of this type."}
	case err == nil:
		return nil
	case !errors.As(err, &v):
		return &room.Error{Code: room.CodeBadData, Field: "data", Title: "The data does not fit the schema of this type."}
	}
	leaf := deepest(v)
	field := "data" + s.pointer(leaf.InstanceLocation)
	return &room.Error{Code: room.CodeBadData, Field: field, Title: "The data does not fit the schema of this type: " + field + " " + sentence(leaf.ErrorKind) + "."}
}

// deepest is the first cause that has none itself. Of alternatives (anyOf, oneOf) it is the alternative as a
// whole: which of them was meant is not known.
func deepest(v *jsonschema.ValidationError) *jsonschema.ValidationError {
	for len(v.Causes) > 0 && !alternatives(v.ErrorKind) {
		v = v.Causes[0]
	}
	return v
}

// pointer is the JSON pointer to a place in the data, as far as its steps are no secret of the data: indexes,
// and names that the schema has.
func (s *Schema) pointer(steps []string) string {
	var b strings.Builder
	for _, step := range steps {
		if !s.names[step] && !isIndex(step) {
			break
		}
		b.WriteByte('/')
		b.WriteString(escape.Replace(step))
	}
	return b.String()
}

var escape = strings.NewReplacer("~", "~0", "/", "~1")

func isIndex(step string) bool {
	return step != "" && len(step) <= 6 && strings.Trim(step, "0123456789") == ""
}
