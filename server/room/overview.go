package room

import "context"

// Overview is what a list of one's rooms says of one of them (rule MEM-9).
type Overview struct {
	Member       // Room, User, Role, Since and At
	Epoch  Epoch // of the room
	Head   Seq
	// Last is the newest message, deleted or not and as it was edited last; nil: the newest LastWithin events have none.
	Last *Event

	Delivered, Read Seq  // the user's marks; 0: none
	Unread          int  // messages of others after Read and Since that are not deleted; exact up to MaxUnread
	More            bool // there are more
	FirstUnread     Seq  // the first of them; 0 where there are none
	Mentions        int  // of them, those that name the user; at most MaxUnread
}

// LastWithin is how many of a room's newest events are looked through for its last message: so that a room where something else
// happens all the time costs no more than any.
const LastWithin = 100

// OverviewQuery asks for overviews of the rooms that a user belongs to.
type OverviewQuery struct {
	User  string
	After ID   // those behind it
	Limit int  // the most, at least 1
	Rooms []ID // only of these; nil: of all
}

// Overviews is a [Store] that tells a user's rooms apart at a glance. Errors are those of reads: *Error, `unavailable`.
type Overviews interface {
	// Overviews gives, from one snapshot and by one query, the overviews of a user's rooms in the order of their ids, byte by byte. What it costs
	// does not depend on how long their histories are. It may be called concurrently.
	Overviews(ctx context.Context, q OverviewQuery) ([]Overview, error)
}
