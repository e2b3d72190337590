package room

import (
	"context"
	"time"
)

// Rooms is a store that can say which rooms exist. A room exists from its first stored event or from its
// creation on, until it is deleted; one that does not exist reads as an empty one (rule ROOM-4). All
// methods may be called concurrently, beside each other and beside appends and reads. Errors are as those
// of reads: *Error, `unavailable`.
type Rooms interface {
	// Find describes a room; one that does not exist has no CreatedAt.
	Find(ctx context.Context, id ID) (Record, error)

	// Create makes a room exist, if it does not yet, and says whether it did. Where by has created limit
	// rooms of the kind already (0: no limit) it is refused as `limit_exceeded`.
	Create(ctx context.Context, id ID, by string, limit int) (r Record, created bool, err error)

	// Delete ends a room, if it exists, and says whether it did. At once the room is an empty one of the
	// next generation: another epoch, and nothing remembered, neither events nor tags. An append to it
	// comes before, and is gone with it, or after, and is the first of the next generation; it cannot
	// come between. What is left of the rows is removed by [Pruner.Sweep].
	Delete(ctx context.Context, id ID) (h Head, deleted bool, err error)

	// List looks through the next rooms that begin with prefix after a room, scan of them at most, in the
	// order of their ids, byte by byte, and lists those that exist. next is where to go on; it is empty at
	// the end.
	List(ctx context.Context, prefix string, after ID, scan int) (rooms []Record, next ID, err error)
}

// Record is what a store says of a room.
type Record struct {
	Head
	CreatedAt time.Time // UTC, microseconds; zero: the room does not exist
	CreatedBy string    // the author of its first event, or who created it; empty where that is not known
}

// Exists reports whether the room exists.
func (r Record) Exists() bool { return !r.CreatedAt.IsZero() }

// TooManyRooms refuses a room that its creator may not have besides those they created (rule ROOM-9).
func TooManyRooms(limit int) *Error {
	return &Error{
		Code: CodeLimitExceeded, Field: "room", Limit: int64(limit),
		Title: "This user has created as many rooms of this kind as one may.",
	}
}

// PrefixEnd is the least text above all ids that begin with prefix, which is of the characters of ids. It
// is for stores, which compare ids byte by byte.
func PrefixEnd(prefix string) string {
	if prefix == "" {
		return "{" // ids begin with a letter
	}
	last := len(prefix) - 1
	return prefix[:last] + string(rune(prefix[last]+1))
}
