package yjs

import (
	"encoding/json"
	"unicode/utf8"
)

// maxInt is the largest number in an update: what JavaScript counts exactly.
const maxInt = 1<<53 - 1

// decoder reads bytes of others. After the first error it stands at the end, where every read fails, so that
// loops end by themselves; who reads looks at err once.
type decoder struct {
	buf    []byte
	at     int
	limits *Limits // nil: the bytes were checked before
	err    *Error
}

func (d *decoder) fail(reason string) { d.failLimit(reason, 0) }

func (d *decoder) failLimit(reason string, limit int) {
	if d.err == nil {
		d.err = &Error{Reason: reason, Limit: int64(limit), Offset: d.at}
		d.at = len(d.buf)
	}
}

const cut = "The update ends in the middle."

func (d *decoder) byte() byte {
	if d.at >= len(d.buf) {
		d.fail(cut)
		return 0
	}
	d.at++
	return d.buf[d.at-1]
}

// uint reads a number of variable length.
func (d *decoder) uint() uint64 {
	if d.at < len(d.buf) && d.buf[d.at] < 0x80 {
		d.at++
		return uint64(d.buf[d.at-1])
	}
	var n uint64
	for shift := 0; shift < 56; shift += 7 {
		b := d.byte()
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			if n > maxInt {
				break
			}
			return n
		}
	}
	d.fail("A number is 2^53 or larger.")
	return 0
}

func (d *decoder) id() id { return id{d.uint(), d.uint()} }

// bytes reads a length and as many bytes. They are part of the input.
func (d *decoder) bytes() []byte {
	n := d.uint()
	if n > uint64(len(d.buf)-d.at) {
		d.fail(cut)
		return nil
	}
	d.at += int(n)
	return d.buf[d.at-int(n) : d.at]
}

// string reads text, which the browsers' strict decoders must be able to read as well.
func (d *decoder) string() []byte {
	s := d.bytes()
	if d.limits != nil {
		if len(s) > d.limits.String {
			d.failLimit("A string has too many bytes.", d.limits.String)
		} else if !utf8.Valid(s) {
			d.fail("A string is not UTF-8.")
		}
	}
	return s
}

// json checks a text that JSON.parse must be able to read.
func (d *decoder) json(s []byte) {
	if d.limits != nil && d.err == nil {
		if depth(s) > d.limits.Depth {
			d.failLimit("A JSON value is nested too deeply.", d.limits.Depth)
		} else if !json.Valid(s) {
			d.fail("A value is not JSON.")
		}
	}
}

// depth is how deeply a JSON text is nested.
func depth(text []byte) int {
	deepest, now, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			now++
			deepest = max(deepest, now)
		case c == ']' || c == '}':
			now--
		}
	}
	return deepest
}

// The tags of lib0's values.
const (
	anyBytes   = 116 // length, bytes
	anyArray   = 117 // count, values
	anyObject  = 118 // count, { key value }
	anyString  = 119
	anyTrue    = 120
	anyFalse   = 121
	anyBigInt  = 122 // 8 bytes
	anyFloat64 = 123 // 8 bytes
	anyFloat32 = 124 // 4 bytes
	anyInt     = 125 // sign in the first byte, then as other numbers
	anyNull    = 126
	anyUndef   = 127
)

// skipAny reads one of lib0's values: a tag, and what the tag says.
func (d *decoder) skipAny(depth int) {
	if d.limits != nil && depth > d.limits.Depth {
		d.failLimit("A value is nested too deeply.", d.limits.Depth)
		return
	}
	switch d.byte() {
	case anyUndef, anyNull, anyTrue, anyFalse:
	case anyInt:
		d.skipInt()
	case anyFloat32:
		d.skip(4)
	case anyFloat64, anyBigInt:
		d.skip(8)
	case anyString:
		d.string()
	case anyBytes:
		d.bytes()
	case anyArray:
		for n := d.uint(); n > 0 && d.err == nil; n-- {
			d.skipAny(depth + 1)
		}
	case anyObject:
		for n := d.uint(); n > 0 && d.err == nil; n-- {
			d.string()
			d.skipAny(depth + 1)
		}
	default:
		d.fail("A value has an unknown tag.")
	}
}

func (d *decoder) skip(n int) {
	if n > len(d.buf)-d.at {
		d.fail(cut)
		return
	}
	d.at += n
}

// skipInt reads a signed number: 6 bits and the sign in the first byte, 7 in each that follows.
func (d *decoder) skipInt() {
	b := d.byte()
	n := uint64(b & 0x3f)
	for shift := 6; b >= 0x80; shift += 7 {
		b = d.byte()
		if n |= uint64(b&0x7f) << shift; shift > 48 || n > maxInt {
			d.fail("A number is 2^53 or larger.")
		}
	}
}

// units is the length of valid UTF-8 in UTF-16 code units.
func units(s []byte) (n uint64) {
	for _, b := range s {
		if b&0xc0 != 0x80 {
			n++
		}
		if b >= 0xf0 {
			n++
		}
	}
	return n
}

func appendUint(out []byte, n uint64) []byte {
	for ; n >= 0x80; n >>= 7 {
		out = append(out, byte(n)|0x80)
	}
	return append(out, byte(n))
}
