package schema

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// decode reads JSON for the validator; fault says what must not reach it:
//
// A repeated key. The text is stored as it came, and readers differ in which of two values they take: a value
// that was not checked would pass behind one that was.
//
// A number of more than 40 characters or 3 digits of exponent. The validator compares exactly, and writing
// out 1e999999 takes a megabyte and its time for each of the thousands that fit into an event.
//
// values is how many there are, the outer ones counted.
func decode(data []byte) (value any, values int, fault string) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	r := reader{Decoder: d}
	value = r.value()
	return value, r.values, r.fault
}

const (
	maxNumber = 40
	maxPower  = 999
)

type reader struct {
	*json.Decoder
	fault  string
	values int
}

func (r *reader) fail(fault string) {
	if r.fault == "" {
		r.fault = fault
	}
}

func (r *reader) value() any {
	r.values++
	token, err := r.Token()
	if err != nil {
		r.fail("The data is not valid JSON.")
		return nil
	}
	switch t := token.(type) {
	case json.Delim:
		if t == '{' {
			return r.object()
		}
		return r.array()
	case json.Number:
		if !reasonable(string(t)) {
			r.fail("The data has a number of more digits than one with a schema may have.")
		}
		return t
	}
	return token
}

func (r *reader) object() any {
	object := make(map[string]any)
	for r.fault == "" && r.More() {
		token, err := r.Token()
		key, isKey := token.(string)
		if err != nil || !isKey {
			r.fail("The data is not valid JSON.")
			return nil
		}
		if _, twice := object[key]; twice {
			r.fail("The data has a key twice in one object.")
		}
		object[key] = r.value()
	}
	r.end()
	return object
}

func (r *reader) array() any {
	array := []any{}
	for r.fault == "" && r.More() {
		array = append(array, r.value())
	}
	r.end()
	return array
}

// end takes the bracket that closes.
func (r *reader) end() {
	if r.fault != "" {
		return
	}
	if _, err := r.Token(); err != nil {
		r.fail("The data is not valid JSON.")
	}
}

func reasonable(number string) bool {
	if len(number) > maxNumber {
		return false
	}
	at := strings.IndexAny(number, "eE")
	if at < 0 {
		return true
	}
	power, err := strconv.Atoi(strings.TrimPrefix(number[at+1:], "+"))
	return err == nil && power <= maxPower && power >= -maxPower
}
