package room

import (
	"bytes"
	"context"
	"encoding/json"
	"time"
)

// TypeState is the type of an event that changes the map of its room (rule STATE-1).
const TypeState = "state"

// The bounds of a room's map.
const (
	MaxStateSet  = 64  // keys that one event names
	MaxStateKey  = 128 // bytes of a key
	maxStateNest = 32  // levels of a value

	StateKeys     = 1000      // that have a value; default
	StateBytes    = 512 << 10 // of those keys and values; default
	MostStateKeys = 10_000    // that a kind may have
)

// StateChange is what an event does to one key: Value is its compacted JSON; nil deletes it.
type StateChange struct {
	Key   string
	Value []byte
}

// StateSet is what an event of the type state does, as its data says. The store judges it under the room's lock, and keeps what it did in
// the transaction that stores the event.
type StateSet struct {
	Changes []StateChange // each key once

	If   bool // Seq counts
	Seq  Seq  // compare and set: the event is stored only if no key was changed after it; 0: only if none has a value
	Keys int  // the most that may have a value afterwards, unless they get fewer; 0: StateKeys
	// Bytes is the same of the bytes of keys and values; 0: StateBytes.
	Bytes int
}

// Bounds are Keys and Bytes with their defaults.
func (s *StateSet) Bounds() (keys, bytes int) {
	keys, bytes = s.Keys, s.Bytes
	if keys == 0 {
		keys = StateKeys
	}
	if bytes == 0 {
		bytes = StateBytes
	}
	return keys, bytes
}

// StateEntry is what a key of a room's map has: the value that the event at Seq set, nil where that deleted it.
type StateEntry struct {
	Key    string
	Value  []byte // compacted JSON
	Seq    Seq
	Author string
	At     time.Time // UTC, microseconds
}

// StateView says how much of a room's map a page has.
type StateView uint8

// The views of a map.
const (
	StateEvents  StateView = iota // none: state events are listed as they are stored. A read of what is no longer stored is answered as by StateChanges.
	StateChanges                  // the keys that changed last in the page, deleted ones too; all where it is not known what was deleted
	StateWhole                    // all keys that have a value, as of the page's end
)

// StateKeeper is a [Store] that lets go of what of the maps is no longer needed. Errors are those of [Pruner].
type StateKeeper interface {
	// SweepState removes what rooms of a kind ("": of all) have of state that nobody is to be told of any more: events of the type state that
	// were stored longer ago than events (0: none), and keys that were deleted longer ago than keys; n of both, at most limit, of as many
	// rooms at most, after one, in the order of their ids. next is the room to go on after; where n is the limit, there may be more behind it,
	// and else where it is not "".
	SweepState(ctx context.Context, kind string, events, keys time.Duration, after ID, limit int) (next ID, n int, err error)
}

// Conflict refuses a compare-and-set; current are the keys that were changed since (rule STATE-3).
func Conflict(current []StateEntry) *Error {
	return &Error{Code: CodeConflict, Title: "A key was changed since: its value is another than you saw.", Field: "if_seq", Current: current}
}

// TooMuchState refuses what would make a map too large: field is keys or bytes (rule STATE-6).
func TooMuchState(field string, limit int) *Error {
	title := "The room's map has as many keys as it may."
	if field == "bytes" {
		title = "The room's map is as large as it may be."
	}
	return &Error{Code: CodeLimitExceeded, Title: title, Field: field, Limit: int64(limit)}
}

// parseState reads the data of a state event. Its order of keys is kept.
func parseState(data []byte) (*StateSet, *Error) {
	in := json.NewDecoder(bytes.NewReader(data))
	if t, err := in.Token(); err != nil || t != json.Delim('{') {
		return nil, misformed("data", `The data of a state event is an object of keys: {"title":"Plan","old":null}.`)
	}
	set := new(StateSet)
	seen := make(map[string]bool)
	for in.More() {
		t, err := in.Token()
		key, is := t.(string)
		if err != nil || !is || !validStateKey(key) {
			return nil, &Error{Code: CodeBadData, Title: "A key is 1 to 128 bytes of UTF-8 without control characters.", Field: "data", Limit: MaxStateKey}
		}
		if seen[key] {
			return nil, misformed("data/"+key, "A key comes once.")
		}
		seen[key] = true
		var value json.RawMessage
		if err := in.Decode(&value); err != nil {
			return nil, misformed("data", "The data is not valid JSON.")
		}
		if depth(value) > maxStateNest {
			return nil, &Error{Code: CodeBadData, Title: "A value nests 32 levels at most.", Field: "data/" + key, Limit: maxStateNest}
		}
		if string(value) == "null" {
			value = nil
		}
		set.Changes = append(set.Changes, StateChange{Key: key, Value: value})
	}
	if n := len(set.Changes); n == 0 || n > MaxStateSet {
		return nil, &Error{Code: CodeBadData, Title: "A state event names 1 to 64 keys.", Field: "data", Limit: MaxStateSet}
	}
	return set, nil
}

func validStateKey(key string) bool {
	return key != "" && len(key) <= MaxStateKey && plain(key)
}

// StateOf is what a state event does to the map; nil: it is another event, or was deleted.
func (e *Event) StateOf() []StateChange {
	if e.Type != TypeState || e.Gone != nil {
		return nil
	}
	set, err := parseState(e.Data)
	if err != nil {
		return nil
	}
	return set.Changes
}
