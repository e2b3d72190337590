package schema

import (
	"errors"
	"reflect"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// A schema that refers to itself from several alternatives takes a time that doubles with each level of the data:
// some hundred bytes would keep a processor busy for years, and the validator cannot be interrupted. So the steps
// of a check (a subschema put to a value) are counted, against as many as data of that size may need.
const (
	stepsAtLeast  = 10_000
	stepsPerValue = 16
)

var errSteps = errors.New("too many steps")

// counted is a compiled schema that counts. It checks one value at a time.
type counted struct {
	compiled *jsonschema.Schema
	left     int
}

// count has every subschema take a step before it looks any deeper. The library asks a format at that place,
// and goes no deeper where it fails.
func count(compiled *jsonschema.Schema) *counted {
	c := &counted{compiled: compiled}
	each(reflect.ValueOf(compiled), make(map[*jsonschema.Schema]bool), func(s *jsonschema.Schema) {
		format := jsonschema.Format{Name: "steps", Validate: func(any) error { return nil }}
		if s.Format != nil {
			format = *s.Format
		}
		s.Format = &jsonschema.Format{Name: format.Name, Validate: func(v any) error {
			if c.left--; c.left < 0 {
				return errSteps
			}
			return format.Validate(v)
		}}
	})
	return c
}

// validate reports whether the steps sufficed; if not, the error says nothing.
func (c *counted) validate(value any, values int) (enough bool, err error) {
	c.left = stepsAtLeast + stepsPerValue*values
	err = c.compiled.Validate(value)
	return c.left >= 0, err
}

// each calls f once for every schema that can be reached from v.
func each(v reflect.Value, seen map[*jsonschema.Schema]bool, f func(*jsonschema.Schema)) {
	switch v.Kind() {
	case reflect.Pointer:
		s, is := v.Interface().(*jsonschema.Schema)
		if v.IsNil() || is && seen[s] {
			return
		}
		if _, is := v.Interface().(*jsonschema.DynamicRef); !is && s == nil {
			return
		}
		if s != nil {
			seen[s] = true
			f(s)
		}
		each(v.Elem(), seen, f)
	case reflect.Interface:
		each(v.Elem(), seen, f)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				each(v.Field(i), seen, f)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			each(v.Index(i), seen, f)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			each(v.MapIndex(key), seen, f)
		}
	}
}

// pool are the counted schemas that are not in use.
type pool struct {
	compile func() (*jsonschema.Schema, error)

	mu   sync.Mutex
	free []*counted
}

// take gives a schema that nobody else uses; the first was compiled when it was loaded.
func (p *pool) take() (*counted, error) {
	p.mu.Lock()
	if n := len(p.free); n > 0 {
		c := p.free[n-1]
		p.free = p.free[:n-1]
		p.mu.Unlock()
		return c, nil
	}
	p.mu.Unlock()
	compiled, err := p.compile()
	if err != nil {
		return nil, err
	}
	return count(compiled), nil
}

func (p *pool) give(c *counted) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, c)
}
