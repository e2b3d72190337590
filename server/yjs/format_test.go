package yjs

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// one is an update with one struct: unit 0 on, of client 7, in the document's own type "t".
func one(info byte, content ...byte) []byte {
	section := []byte{
		1,    // one client
		1,    // one struct
		7, 0, // client 7, clock 0
		info,
		1, 1, 't', // the parent is named: "t"
	}
	return append(append(section, content...), 0) // nothing is deleted
}

// late is an update with the units of one's client from a clock on, each beside the one before.
func late(clock, info byte, content ...byte) []byte {
	section := []byte{
		1,        // one client
		1,        // one struct
		7, clock, // client 7
		info | 0x80,
		7, clock - 1, // the origin
	}
	return append(append(section, content...), 0)
}

// kinds are all contents, by hand.
var kinds = []struct {
	name   string
	update []byte
	units  uint64
	rest   []byte // what a reader lacks who has the first unit
}{
	{"GC", []byte{1, 1, 7, 0, 0, 3, 0}, 3, // info 0, 3 units
		[]byte{1, 1, 7, 1, 0, 2, 0}},
	{"Deleted", one(1, 3), 3, // 3 units
		late(1, 1, 2)},
	{"JSON", one(2,
		3,           // 3 elements
		2, '{', '}', // a text of 2 bytes
		9, 'u', 'n', 'd', 'e', 'f', 'i', 'n', 'e', 'd',
		1, '1'), 3,
		late(1, 2, 2, 9, 'u', 'n', 'd', 'e', 'f', 'i', 'n', 'e', 'd', 1, '1')},
	{"Binary", one(3, 2, 0xff, 0xfe), 1, nil}, // 2 bytes
	{"String", one(4, 3, 'a', 'b', 'c'), 3, // 3 bytes
		late(1, 4, 2, 'b', 'c')},
	{"String of other letters", one(4, 7, 'a', 0xc3, 0xa9, 0xf0, 0x9f, 0x98, 0x80), 4, // a, é, and an emoji of 2 units
		late(1, 4, 6, 0xc3, 0xa9, 0xf0, 0x9f, 0x98, 0x80)},
	{"String cut within a pair", one(4, 5, 0xf0, 0x9f, 0x98, 0x80, 'b'), 3, // an emoji and b
		late(1, 4, 4, 0xef, 0xbf, 0xbd, 'b')}, // U+FFFD for its second half
	{"Embed", one(5, 4, 'n', 'u', 'l', 'l'), 1, nil},                                        // a JSON text of 4 bytes
	{"Format", one(6, 1, 'b', 4, 't', 'r', 'u', 'e'), 1, nil},                               // key "b", value true
	{"Type array", one(7, 0), 1, nil},                                                       // no name
	{"Type map", one(7, 1), 1, nil},                                                         //
	{"Type text", one(7, 2), 1, nil},                                                        //
	{"Type element", one(7, 3, 1, 'p'), 1, nil},                                             // named "p"
	{"Type fragment", one(7, 4), 1, nil},                                                    //
	{"Type hook", one(7, 5, 1, 'h'), 1, nil},                                                // named "h"
	{"Type XML text", one(7, 6), 1, nil},                                                    //
	{"Doc", one(9, 1, 'g', 118, 1, 8, 'a', 'u', 't', 'o', 'L', 'o', 'a', 'd', 120), 1, nil}, // guid "g", { autoLoad: true }
	{"Any", one(8,
		13,        // 13 elements
		127,       // undefined
		126,       // null
		125, 0x41, // -1: the sign is bit 7, the rest 6 bits
		125, 0x80, 0x01, // 64: bit 8 says that more follows
		124, 0x3e, 0x80, 0, 0, // 0.25 as a float of 32 bits
		123, 0x3f, 0xb9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a, // 0.1 as a float of 64
		122, 0, 0, 0, 0, 0, 0, 0, 1, // 1n
		121,         // false
		120,         // true
		119, 1, 'x', // "x"
		118, 1, 1, 'k', 126, // { k: null }
		117, 2, 120, 121, // [true, false]
		116, 1, 0xff), 13, // one byte
		late(1, 8, 12, 126, 125, 0x41, 125, 0x80, 0x01, 124, 0x3e, 0x80, 0, 0, 123, 0x3f, 0xb9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a,
			122, 0, 0, 0, 0, 0, 0, 0, 1, 121, 120, 119, 1, 'x', 118, 1, 1, 'k', 126, 117, 2, 120, 121, 116, 1, 0xff)},
}

func TestKinds(t *testing.T) {
	empty := []byte{0, 0}
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			if err := Validate(k.update, Limits{}); err != nil {
				t.Fatal(err)
			}
			if v := must(StateVector(k.update))(t); len(v) != 1 || v[7] != k.units {
				t.Errorf("the state vector is %v, not %d units of client 7", v, k.units)
			}
			equal(t, "merged with nothing", must(Merge(k.update, empty))(t), k.update)
			if k.rest == nil {
				k.rest = empty
			}
			equal(t, "without the first unit", must(Diff(k.update, []byte{1, 7, 1}))(t), k.rest)
			for n := range k.update {
				refused(t, k.update[:n], cut)
			}
			refused(t, append(bytes.Clone(k.update), 0), "Something follows the end of the update.")
		})
	}
}

// What an item says of its place.
func TestPlaces(t *testing.T) {
	for _, c := range []struct {
		name         string
		update, want []byte
	}{
		{"in an item, with a key", []byte{1, 1, 7, 1,
			0x24,    // a string, and a key
			0, 7, 0, // the parent is unit 0 of client 7
			1, 'k', 1, 'v', 0}, nil},
		{"between two", []byte{1, 1, 7, 1,
			0xc4, // a string, an origin and a right
			7, 0, // the origin
			9, 5, // the right
			1, 'v', 0}, nil},
		{"a key that is said but not given", []byte{1, 1, 7, 1,
			0xa4, // a string, an origin and a key: items with a neighbour have its key
			7, 0,
			1, 'v', 0}, []byte{1, 1, 7, 1, 0x84, 7, 0, 1, 'v', 0}},
		{"a gap", []byte{1, 3, 7, 0,
			0, 2, // 2 units gone
			10, 5, // 5 units missing
			0, 1, 0}, nil},
		{"a gap before and behind", []byte{1, 3, 7, 0, 10, 5, 0, 1, 10, 2, 0}, []byte{1, 1, 7, 5, 0, 1, 0}},
		{"a client twice, and lower ones first", []byte{3,
			1, 7, 2, 0, 1,
			1, 9, 0, 0, 1,
			1, 7, 0, 0, 2, 0}, []byte{2, 1, 9, 0, 0, 1, 1, 7, 0, 0, 3, 0}},
		{"deletions out of order", []byte{0, 2, // of two clients
			7, 3, 4, 2, 0, 1, 1, 1, // 4-6, 0-1, 1-2
			9, 1, 0, 1}, []byte{0, 2, 9, 1, 0, 1, 7, 2, 0, 2, 4, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.want == nil {
				c.want = c.update
			}
			equal(t, "merged", must(Merge(c.update))(t), c.want)
		})
	}
}

func TestBad(t *testing.T) {
	deep := func(n int) []byte { // [[[…]]]
		return one(8, append([]byte{1}, append(bytes.Repeat([]byte{117, 1}, n), 126)...)...)
	}
	deepJSON := func(n int) []byte {
		text := strings.Repeat("[", n) + strings.Repeat("]", n)
		return one(5, append(appendUint(nil, uint64(len(text))), text...)...)
	}
	large := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f} // 2^53 - 1
	for _, c := range []struct {
		name   string
		update []byte
		reason string
		limit  int64
	}{
		{"nothing", nil, cut, 0},
		{"a number too large", []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x10, 0}, "A number is 2^53 or larger.", 0},
		{"a number without end", bytes.Repeat([]byte{0xff}, 40), "A number is 2^53 or larger.", 0},
		{"a signed number too large", one(8, 1, 125, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1), "A number is 2^53 or larger.", 0},
		{"a clock too large", append(append([]byte{1, 1, 7}, large...), 0, 1, 0), "A clock is 2^53 or larger.", 0},
		{"a Skip to a clock too large", append(append([]byte{1, 2, 7, 1, 10}, large...), 0, 1, 0), "A clock is 2^53 or larger.", 0},
		{"a deletion too large", append(append([]byte{0, 1, 7, 1, 1}, large...), 0), "A clock is 2^53 or larger.", 0},
		{"many structs", append(append([]byte{1}, large...), 7, 0, 0, 1), "The update has too many structs and deleted ranges.", 4},
		{"many elements", one(8, append(bytes.Clone(large), 126)...), "A value has an unknown tag.", 0}, // the 0 behind
		{"a kind of content", one(11, 1), "A struct has an unknown kind.", 0},
		{"a GC struct with an origin", []byte{1, 1, 7, 0, 0x80, 7, 0, 1, 0}, "A struct has an unknown kind.", 0},
		{"a Skip with a right", []byte{1, 1, 7, 0, 0x4a, 9, 0, 1, 0}, "A struct has an unknown kind.", 0},
		{"a kind of parent", []byte{1, 1, 7, 0, 4, 2, 1, 't', 1, 'x', 0}, "The parent of an item is of an unknown kind.", 0},
		{"a type", one(7, 7), "An item holds an unknown type.", 0},
		{"an empty string", one(4, 0), "A struct has no length.", 0},
		{"no elements", one(8, 0), "A struct has no length.", 0},
		{"an empty GC struct", []byte{1, 1, 7, 0, 0, 0, 0}, "A struct has no length.", 0},
		{"not UTF-8", one(4, 1, 0xff), "A string is not UTF-8.", 0},
		{"half a pair in UTF-8", one(4, 3, 0xed, 0xa0, 0x80), "A string is not UTF-8.", 0},
		{"a name that is not UTF-8", []byte{1, 1, 7, 0, 4, 1, 1, 0xff, 1, 'x', 0}, "A string is not UTF-8.", 0},
		{"an embed that is not JSON", one(5, 1, '{'), "A value is not JSON.", 0},
		{"a format that is not JSON", one(6, 1, 'b', 0), "A value is not JSON.", 0},
		{"an element that is not JSON", one(2, 1, 1, 'u'), "A value is not JSON.", 0},
		{"a tag", one(8, 1, 115), "A value has an unknown tag.", 0},
		{"a document's options", one(9, 1, 'g', 126), "The options of a document are not an object.", 0},
		{"an origin in the future", []byte{1, 1, 7, 3, 0x84, 7, 3, 1, 'x', 0}, "An item refers to a later one of its client.", 0},
		{"a parent in the future", []byte{1, 1, 7, 3, 4, 0, 7, 4, 1, 'x', 0}, "An item refers to a later one of its client.", 0},
		{"deep values", deep(4), "A value is nested too deeply.", 4},
		{"deep JSON", deepJSON(5), "A JSON value is nested too deeply.", 4},
		{"a long string", one(4, append([]byte{11}, "hello world"...)...), "A string has too many bytes.", 10},
		{"many clients", []byte{3, 1, 9, 0, 0, 1, 1, 8, 0, 0, 1, 1, 7, 0, 0, 1, 0}, "The update has units of too many clients.", 2},
		{"more structs", []byte{1, 5, 7, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0}, "The update has too many structs and deleted ranges.", 4},
		{"deleted ranges", []byte{1, 2, 7, 0, 0, 1, 0, 1, 1, 7, 3, 0, 1, 2, 1, 4, 1}, "The update has too many structs and deleted ranges.", 4},
		{"bytes", one(3, append([]byte{100}, make([]byte, 100)...)...), "The update has too many bytes.", 80},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Validate(c.update, Limits{Bytes: 80, Clients: 2, Structs: 4, String: 10, Depth: 4})
			var bad *Error
			if !errors.As(err, &bad) || bad.Reason != c.reason || bad.Limit != c.limit {
				t.Fatalf("got %v, not %q with the limit %d", err, c.reason, c.limit)
			}
			if c.limit == 0 {
				refused(t, c.update, c.reason)
			}
		})
	}
	for _, update := range [][]byte{deep(3), deepJSON(4)} {
		if err := Validate(update, Limits{Depth: 4}); err != nil {
			t.Error(err)
		}
	}
	if err := Validate(deepJSON(100000), Limits{Depth: 1 << 30}); err == nil {
		t.Error("the depth of JSON has no bound")
	}
	refused(t, append(append([]byte{1}, large...), 7, 0, 0, 1), cut) // whose structs are too many for its bytes
	for _, vector := range [][]byte{nil, {1}, {1, 7}, {0, 0}, {2, 7, 1, 7, 2}} {
		if _, err := DecodeVector(vector); err == nil {
			t.Errorf("the state vector %x was taken", vector)
		}
	}
}

// refused checks that everything refuses an update, in the same words.
func refused(t *testing.T, update []byte, reason string) {
	t.Helper()
	fine := []byte{0, 0}
	for name, call := range map[string]func() error{
		"Merge":       func() error { _, err := Merge(fine, update); return err },
		"Diff":        func() error { _, err := Diff(update, []byte{0}); return err },
		"StateVector": func() error { _, err := StateVector(update); return err },
		"Missing":     func() error { _, err := Missing(fine, update); return err },
		"Contains":    func() error { _, err := Contains(update, fine); return err },
		"Compact":     func() error { _, err := Compact(update); return err },
		"Add":         func() error { return new(Extent).Add(update) },
	} {
		var bad *Error
		if err := call(); !errors.As(err, &bad) || bad.Reason != reason {
			t.Errorf("%s of %x: got %v, not %q", name, update, err, reason)
		}
	}
}

func equal(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n got %x\nwant %x", what, got, want)
	}
}
