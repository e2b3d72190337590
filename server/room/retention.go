package room

import (
	"context"
	"time"
)

// Keep says what of a room's log stays. The zero value keeps every event.
type Keep struct {
	Age    time.Duration // events stored longer ago than this go; 0: none goes for its age
	Events int64         // older events than the newest so many go; 0: none goes for their number
	// Tags is how long the tag of an event is remembered after the event was stored, should the event
	// itself be gone sooner (rule TAG-7). The tag of an event that is kept is kept with it.
	Tags time.Duration
}

// All reports whether every event is kept.
func (k Keep) All() bool { return k.Age <= 0 && k.Events <= 0 }

// Pruner is a store that lets go of the oldest events of a room. Ages are told by the store's clock from
// Event.At; it moves nothing but floors, and those only up. All methods may be called concurrently, beside
// each other and beside appends and reads. Errors are as those of reads: *Error, `unavailable`.
type Pruner interface {
	// Prune removes at most limit events (at least 1) that keep does not keep, the oldest first, and
	// raises the floor of the room to what is left, in one transaction under the room's lock: who reads
	// meanwhile sees the log before or after, and never less than floor to head. Where nothing is left the
	// floor is head + 1. The tags of what goes stay good for keep.Tags: a repeat is answered with the
	// first result, another event with that tag is refused as `tag_conflict`.
	Prune(ctx context.Context, id ID, keep Keep, limit int) (Pruned, error)

	// Overdue looks through the next rooms of a kind after a room, scan of them at most, in the order of
	// their ids, and lists those that hold events which keep does not keep. next is where to go on; it is
	// empty at the end.
	Overdue(ctx context.Context, kind string, keep Keep, after ID, scan int) (ids []ID, next ID, err error)

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
