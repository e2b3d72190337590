package yjs

import "math"

// Code is the code of every refusal here.
const Code = "bad_update"

// Error says why bytes were refused.
type Error struct {
	Reason string // one sentence, for people
	Limit  int64  // the limit that was exceeded, in the unit the sentence names; 0 if none was
	Offset int    // about where in the bytes, counted from 0
}

func (e *Error) Error() string { return e.Reason }

// Limits bound what Validate lets in. A zero stands for the default.
type Limits struct {
	Bytes   int // of an update; 8 MiB
	Clients int // that an update has units of; 65,536
	Structs int // of an update, deleted ranges counted too; 1,048,576
	String  int // bytes of one string; 4 MiB
	Depth   int // of nested values in Any and JSON; 100
}

func (l Limits) withDefaults() Limits {
	set := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	set(&l.Bytes, 8<<20)
	set(&l.Clients, 1<<16)
	set(&l.Structs, 1<<20)
	set(&l.String, 4<<20)
	set(&l.Depth, 100)
	return l
}

// wide are the limits inside: what was let in, and grew by merging, is always read again. The depth keeps the
// stack small, here and in the browsers that read the same values by recursion.
var wide = Limits{Bytes: math.MaxInt, Clients: math.MaxInt, Structs: math.MaxInt, String: math.MaxInt, Depth: 1000}

// Validate reads an update to its end, and says what is wrong with it or which limit it exceeds, as an *Error.
func Validate(update []byte, limits Limits) error {
	l := limits.withDefaults()
	if len(update) > l.Bytes {
		return &Error{Reason: "The update has too many bytes.", Limit: int64(l.Bytes)}
	}
	var s scan
	return s.read(update, &l)
}
