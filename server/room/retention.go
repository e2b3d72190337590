package room

import (
	"context"
	"time"
)

// Pruner is a store that lets go of the oldest events of a room. Ages are told by the store's clock from
// Event.At; it moves nothing but floors, and those only up. All methods may be called concurrently, beside
// each other and beside appends and reads. Errors are as those of reads: *Error, `unavailable`.
type Pruner interface {
	// Prune removes at most limit events (at least 1) that lie outside of keep, the oldest first, and
	// raises the floor of the room to what is left, in one transaction under the room's lock: who reads
	// meanwhile sees the log before or after, and never less than floor to head. Where nothing is left the
	// floor is head + 1. The tag of an event that goes is remembered until tags after the event was
	// stored (rule TAG-7): a repeat is answered with the first result, another event with that tag is
	// refused as `tag_conflict`.
	Prune(ctx context.Context, id ID, keep Retention, tags time.Duration, limit int) (Pruned, error)

	// Overdue looks through the next rooms of a kind after a room, scan of them at most, in the order of
	// their ids, and lists those that hold events outside of keep. next is where to go on; it is
	// empty at the end.
	Overdue(ctx context.Context, kind string, keep Retention, after ID, scan int) (ids []ID, next ID, err error)

	// Sweep removes at most limit rows that nobody can reach any more: events and tags that a deleted
	// room left, and the tags of events that are gone and were stored longer ago than tags.
	Sweep(ctx context.Context, tags time.Duration, limit int) (Swept, error)
}

// Pruned is what a prune did.
type Pruned struct {
	Head   Head // of the room afterwards
	Events int  // how many it removed; as many as the limit: there may be more
}

// Swept is what a sweep removed.
type Swept struct {
	Rows int
	More bool // there may be more
}
