// Package room is the vocabulary of Roomlog: rooms, events, positions, errors,
// and the port that every store implements. It imports the standard library only;
// every other package imports it.
//
// A room is an ordered, durable log. A subscriber is a cursor over it. The types
// here are plain values, safe to copy and to share once built.
package room

import (
	"strings"
	"time"
)

// ID names a room: `kind:name`, 3 to 200 bytes (rule ROOM-1). Build one with [ParseID].
type ID string

// Kind is the part before the first colon. It names the policy of the room.
func (id ID) Kind() string {
	kind, _, _ := strings.Cut(string(id), ":")
	return kind
}

const (
	minIDLen   = 3
	maxIDLen   = 200
	maxKindLen = 32
)

// ParseID checks the grammar of a room id: kind `[a-z][a-z0-9_-]{0,31}`, a colon,
// name `[A-Za-z0-9][A-Za-z0-9_.:@-]*`. Anything else is `bad_room`.
func ParseID(s string) (ID, error) {
	if len(s) < minIDLen || len(s) > maxIDLen {
		return "", badRoom()
	}
	kind, name, found := strings.Cut(s, ":")
	if !found || !ValidKind(kind) || name == "" || !isAlnum(name[0]) {
		return "", badRoom()
	}
	for i := 1; i < len(name); i++ {
		if c := name[i]; !isAlnum(c) && !strings.ContainsRune("_.:@-", rune(c)) {
			return "", badRoom()
		}
	}
	return ID(s), nil
}

func badRoom() *Error {
	return &Error{
		Code:  CodeBadRoom,
		Title: "A room id is kind:name, 3 to 200 bytes, such as chat:general.",
		Field: "room", Limit: maxIDLen,
	}
}

// ValidKind reports whether s may be the kind of a room: `[a-z][a-z0-9_-]{0,31}`.
func ValidKind(s string) bool {
	if s == "" || len(s) > maxKindLen || !isLower(s[0]) {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i]; !isLower(c) && !isDigit(c) && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func isLower(c byte) bool { return c >= 'a' && c <= 'z' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isAlnum(c byte) bool { return isLower(c) || isDigit(c) || c >= 'A' && c <= 'Z' }

// Seq is a room's counter: 1, 2, 3 … up to 2^53−1, assigned in the transaction that
// stores the event, gapless as assigned. 0 is the beginning, before the first event.
type Seq = int64

// MaxSeq is the largest seq, 2^53−1: the largest integer every JSON reader keeps exactly.
const MaxSeq Seq = 1<<53 - 1

// Event is one entry of a room's log. Data is the JSON text as received, compacted;
// it and the strings must not be changed once the event is stored.
type Event struct {
	Seq    Seq
	Mark   Mark // drawn at random by the store for the transaction that stored the event
	Type   string
	Author string
	Tag    Tag
	At     time.Time // UTC, microseconds; never what orders events
	Data   []byte    // `null` where Gone is set

	Target Seq   // of an edit, delete or reaction: the message that it changes; else 0
	Gone   *Gone // what it said was deleted; nil: it was not

	// Of a message that was read with Query.Present.
	Edited    *Edited    // Data is that of an edit; nil: it is as it was sent
	Reactions []Reaction // in the order of their first user
}

// Head is where a room's log stands. Of a room that nobody wrote to yet it is floor 1,
// seq 0, no marks, and already the epoch that the first event will keep (rule ROOM-4).
type Head struct {
	Room      ID
	Epoch     Epoch
	Floor     Seq  // the oldest seq that can still be replayed; 1 where nothing was pruned
	FloorMark Mark // the mark of seq Floor−1; none when Floor is 1
	Seq       Seq  // the newest seq; 0 in an empty room
	Mark      Mark // the mark of Seq; none when Seq is 0
}

// Position is the position of a cursor that has seen everything up to the head.
func (h Head) Position() Position { return Position{Epoch: h.Epoch, Seq: h.Seq, Mark: h.Mark} }
