// Package yjs is an algebra of Yjs updates, in update format version 1: it merges them, says what one lacks of
// another, and compacts them, without building the document. It knows no room and keeps nothing: bytes in,
// bytes out. Every function may be called concurrently, and none changes or keeps what it is given.
//
// # What an update is
//
// A document is built from operations. Each client numbers its own by a clock that counts the units they insert,
// so that (client, clock) names a unit for ever. An update is a set of operations and a set of deleted units.
// Applying updates is commutative, associative and idempotent, which is what makes them an algebra.
//
//	update    = sections deletes
//	sections  = count { structs client clock struct... }        higher clients first, clocks ascending
//	struct    = 0  length                                       GC: units whose content nobody needs any more
//	          | 10 length                                       Skip: units that the update does not have
//	          | info [origin] [right] [parent [key]] content    Item
//	deletes   = count { client ranges { clock length }... }
//	origin, right = client clock                                the units beside which the item was inserted
//	parent    = 1 name | 0 client clock                         a type of the document by name | the item that holds it
//	key       = string                                          the key of a map, or the attribute of an element
//
// All numbers are variable-length integers, 7 bits a byte and the lowest first, below 2^53; a string is its
// length in bytes, then UTF-8. The low 5 bits of info are the kind of the content; 0x80 says that an origin
// follows, 0x40 a right. Only an item with neither names its parent (others have that of their neighbour), and
// then 0x20 says that a key follows. An item of n units stands for n items, each the origin of the next, all
// with one right: so any item can be split, and neighbours joined.
//
//	kind  content                  units
//	   1  length                   that many   Deleted: what was there is gone, its place remains
//	   2  count, JSON texts        count       JSON, written by old versions; "undefined" is one too
//	   3  bytes                    1           Binary
//	   4  string                   UTF-16      String: its length counts UTF-16 code units
//	   5  JSON text                1           Embed
//	   6  key, JSON text           1           Format: a mark in a text
//	   7  type [name]              1           Type: 0 array, 1 map, 2 text, 3 element, 4 fragment, 5 hook, 6 XML text;
//	                                           elements and hooks have a name
//	   8  count, values            count       Any: lib0's tagged values (skipAny)
//	   9  guid, options            1           Doc: a document within; the options are an Any object
//
// A state vector is `count { client clock }...`: how many units of each client one has without gap.
//
// # Units that are not there
//
// An update may have later units of a client without earlier ones, and deletions of units it does not have. Both
// are kept: a Skip stands where units are missing, and what follows counts once they came. A string that is cut
// within a surrogate pair, as when half of an emoji is deleted, has U+FFFD on both sides of the cut, as in Yjs.
//
// # What is refused
//
// Every function reads all of what it is given before it answers, and refuses with an *Error what no client could
// apply: cut or overlong bytes, text that is not UTF-8 or not JSON, unknown kinds, clocks from 2^53 on, units that
// refer to later ones of the same client. Memory and time are proportional to the size of the input, but for a
// logarithm. Validate has the limits; use it on what comes from outside.
package yjs

// Merge gives one update with everything that the given ones have. It is the same as the mergeUpdates of Yjs,
// byte for byte unless updates overlap in differently cut items; then it takes another of the valid copies.
// Of no updates it is the empty one.
func Merge(updates ...[]byte) ([]byte, error) {
	s, err := scanAll(updates)
	if err != nil {
		return nil, err
	}
	return s.merge(nil).finish(s.deletes), nil
}

// Diff gives what a reader lacks of an update, by the reader's encoded state vector: the units from its clocks
// on, and all deletions, since a state vector says nothing of those. It is the diffUpdate of Yjs.
func Diff(update, vector []byte) ([]byte, error) {
	v, err := DecodeVector(vector)
	if err != nil {
		return nil, err
	}
	s, err := scanAll([][]byte{update})
	if err != nil {
		return nil, err
	}
	return s.merge(v.ranges()).finish(s.deletes), nil
}

// StateVector says how many units an update has of each client, up to the first that is missing.
func StateVector(update []byte) (Vector, error) {
	s, err := scanAll([][]byte{update})
	if err != nil {
		return nil, err
	}
	s.sort()
	return s.vector(), nil
}

// Missing gives what a state, itself an update, lacks of another update, units and deletions, and nothing more;
// nil if it lacks nothing. Merging the answer into the state is merging the update.
// Who asks often keeps the state's Extent instead.
func Missing(state, update []byte) ([]byte, error) {
	e, err := ExtentOf(state)
	if err != nil {
		return nil, err
	}
	return e.Missing(update)
}

// Contains says whether a state, itself an update, has everything of another update.
func Contains(state, update []byte) (bool, error) {
	missing, err := Missing(state, update)
	return missing == nil && err == nil, err
}
