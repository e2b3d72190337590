package yjs

import "unicode/utf8"

// id names a unit.
type id struct{ client, clock uint64 }

// The kinds, in the low 5 bits of a struct's first byte.
const (
	kindGC      = 0
	kindDeleted = 1
	kindJSON    = 2
	kindBinary  = 3
	kindString  = 4
	kindEmbed   = 5
	kindFormat  = 6
	kindType    = 7
	kindAny     = 8
	kindDoc     = 9
	kindSkip    = 10

	kindMask  = 0x1f
	hasKey    = 0x20
	hasRight  = 0x40
	hasOrigin = 0x80
)

// block is one struct of an update (the word of the format, which Go has taken). Its slices are of the input.
type block struct {
	id
	length  uint64 // in units
	info    byte   // as encoded, without hasKey where no key follows
	origin  id     // if hasOrigin
	right   id     // if hasRight
	parent  id     // if neither, and not named
	named   bool   // the parent is one of the document's own types
	raw     []byte // what follows the info
	head    []byte // of raw, the parent and key
	content []byte // of raw: the text of a string, the elements of what counts its units

	// Where the last cut was, since cuts ascend: at is the byte and seen the units before it.
	at   int
	seen uint64
}

func (b *block) kind() byte  { return b.info & kindMask }
func (b *block) end() uint64 { return b.clock + b.length }

// decode reads the next struct. The caller has set client and clock.
func (b *block) decode(d *decoder) {
	b.info = d.byte()
	b.at, b.seen = 0, 0
	start := d.at
	switch kind := b.kind(); {
	case kind == kindGC || kind == kindSkip:
		if b.info != kind {
			d.fail("A struct has an unknown kind.")
		}
	case kind > kindSkip:
		d.fail("A struct has an unknown kind.")
	default:
		b.neighbours(d)
	}
	b.length = b.measure(d)
	b.raw = d.buf[start:d.at]
	switch {
	case b.length == 0 && b.info != kindSkip:
		d.fail("A struct has no length.")
	case b.length > maxInt-b.clock:
		d.fail("A clock is 2^53 or larger.")
	}
}

// neighbours reads what stands before an item's content.
func (b *block) neighbours(d *decoder) {
	b.head = nil
	if b.info&hasOrigin != 0 {
		b.origin = b.earlier(d)
	}
	if b.info&hasRight != 0 {
		b.right = b.earlier(d)
	}
	if b.info&(hasOrigin|hasRight) != 0 {
		b.info &^= hasKey // said by some, read by none
		return
	}
	start := d.at
	switch d.uint() {
	case 0:
		b.named = false
		b.parent = b.earlier(d)
	case 1:
		b.named = true
		d.string()
	default:
		d.fail("The parent of an item is of an unknown kind.")
	}
	if b.info&hasKey != 0 {
		d.string()
	}
	b.head = d.buf[start:d.at]
}

// earlier reads a reference. Yjs throws at one to a client's own future, for every reader of the document.
func (b *block) earlier(d *decoder) id {
	to := d.id()
	if to.client == b.client && to.clock >= b.clock {
		d.fail("An item refers to a later one of its client.")
	}
	return to
}

// measure reads the content and gives its length in units.
func (b *block) measure(d *decoder) uint64 {
	switch b.kind() {
	case kindGC, kindSkip, kindDeleted:
		return d.uint()
	case kindString:
		b.content = d.string()
		return units(b.content)
	case kindJSON, kindAny:
		n := d.uint()
		start := d.at
		for i := n; i > 0 && d.err == nil; i-- {
			b.element(d)
		}
		b.content = d.buf[start:d.at]
		return n
	case kindBinary:
		d.bytes()
	case kindEmbed:
		d.json(d.string())
	case kindFormat:
		d.string()
		d.json(d.string())
	case kindType:
		switch d.uint() {
		case 3, 5:
			d.string()
		case 0, 1, 2, 4, 6:
		default:
			d.fail("An item holds an unknown type.")
		}
	case kindDoc:
		d.string()
		if d.at < len(d.buf) && d.buf[d.at] != anyObject {
			d.fail("The options of a document are not an object.")
		}
		d.skipAny(1)
	}
	return 1
}

// element reads one unit of a content that counts its units.
func (b *block) element(d *decoder) {
	if b.kind() == kindAny {
		d.skipAny(1)
		return
	}
	if s := d.string(); string(s) != "undefined" {
		d.json(s)
	}
}

// splits says whether a piece from one unit that ends before another would part a surrogate pair.
func (b *block) splits(from, to uint64) bool {
	if b.kind() != kindString || to >= b.length {
		return false
	}
	b.seek(from)
	at, seen := b.at, b.seen // the piece is written from here: long texts with many pieces are walked twice, not for each
	_, half := b.seek(to)
	b.at, b.seen = at, seen
	return half
}

// seek gives the byte before which a unit of a string begins, and whether it is the second half of a character.
// Units that only ascend cost the length of the string altogether.
func (b *block) seek(unit uint64) (at int, half bool) {
	if unit < b.seen {
		b.at, b.seen = 0, 0
	}
	for b.seen < unit {
		_, size := utf8.DecodeRune(b.content[b.at:])
		if size == 4 && b.seen+1 == unit {
			return b.at, true
		}
		if b.at += size; size == 4 {
			b.seen++
		}
		b.seen++
	}
	return b.at, false
}

// appendPiece appends the struct of an item's units [from, to), counted within it.
func (b *block) appendPiece(out []byte, from, to uint64) []byte {
	if from == 0 && to == b.length {
		return append(append(out, b.info), b.raw...)
	}
	out = b.appendHead(out, b.kind(), from)
	switch b.kind() {
	case kindString:
		text, halves := b.text(from, to)
		out = appendUint(out, uint64(len(text)+halves.size()))
		out = halves.appendText(out, text)
	case kindDeleted:
		out = appendUint(out, to-from)
	default:
		out = append(appendUint(out, to-from), b.elements(from, to)...)
	}
	return out
}

// appendHead appends all of an item but its content, of which kind is the kind, for a piece that begins at unit from.
func (b *block) appendHead(out []byte, kind byte, from uint64) []byte {
	info := b.info&^kindMask | kind
	origin := b.origin
	if from > 0 {
		info = info&^hasKey | hasOrigin
		origin = id{b.client, b.clock + from - 1}
	}
	out = append(out, info)
	if info&hasOrigin != 0 {
		out = appendUint(appendUint(out, origin.client), origin.clock)
	}
	if info&hasRight != 0 {
		out = appendUint(appendUint(out, b.right.client), b.right.clock)
	}
	if info&(hasOrigin|hasRight) == 0 {
		out = append(out, b.head...)
	}
	return out
}

// halves says at which ends of a piece of text half of a character stands, which nothing can encode.
type halves struct{ first, last bool }

const replacement = "\uFFFD"

func (h halves) size() (n int) {
	if h.first {
		n += len(replacement)
	}
	if h.last {
		n += len(replacement)
	}
	return n
}

func (h halves) appendText(out, text []byte) []byte {
	if h.first {
		out = append(out, replacement...)
	}
	out = append(out, text...)
	if h.last {
		out = append(out, replacement...)
	}
	return out
}

// text gives the whole characters of a string's units [from, to), and what stands beside them.
func (b *block) text(from, to uint64) ([]byte, halves) {
	start, first := b.seek(from)
	if first {
		start += utf8.UTFMax
	}
	end, last := b.seek(to)
	return b.content[start:end], halves{first, last}
}

// elements gives the units [from, to) of a content that counts its units, without the count.
func (b *block) elements(from, to uint64) []byte {
	if from < b.seen {
		b.at, b.seen = 0, 0
	}
	d := decoder{buf: b.content, at: b.at}
	for ; b.seen < from; b.seen++ {
		b.element(&d)
	}
	start := d.at
	for ; b.seen < to; b.seen++ {
		b.element(&d)
	}
	b.at = d.at
	return b.content[start:d.at]
}
