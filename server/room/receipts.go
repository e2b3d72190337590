package room

import (
	"context"
	"time"
)

// Receipt is how far a user has got in a room: two marks, which only ever rise (rule RCPT-1).
type Receipt struct {
	User      string
	Delivered Seq       // what reached one of the user's devices, up to here; 0: nothing. At most the head
	Read      Seq       // what the user has read, up to here; at most Delivered
	Version   int64     // of the room's receipts when this one changed last; 0: it never did
	At        time.Time // of that change, UTC, microseconds; zero with Version
}

// Marking is a claim of a user to have got so far. A seq above the head stands for the head, one below 0 for 0, and
// whoever has read has received: Delivered counts as Read at least.
type Marking struct {
	Room            ID
	User            string
	Delivered, Read Seq
}

// Marked is the receipt of one marking as it is stored afterwards, and what the transaction did to its room.
type Marked struct {
	Room ID
	Receipt
	Epoch  Epoch // of the room
	Before int64 // the version of the room's receipts before the transaction; of a room without any 0
	After  int64 // and after it: it is one more for each receipt that changed
}

// ReceiptPage is what changed of a room's receipts after a version, the earliest change first, each user once.
type ReceiptPage struct {
	Epoch    Epoch // of the room
	Version  int64 // the page says everything up to here
	Removed  int64 // at this version receipts were last taken away, with all that a user said: who knows an earlier one reads all again; 0: never
	Receipts []Receipt
	More     bool // there are changes after Version
}

// ReceiptTotals is how far the users of a room have got who have marks in it.
type ReceiptTotals struct {
	Epoch     Epoch
	Version   int64 // of the room's receipts
	Users     int   // who have marks
	Delivered Reach
	Read      Reach
}

// Reach is how far some and how far all have got; 0 and 0 where there is nobody.
type Reach struct{ Any, All Seq }

// Own is what a room is to one user: their receipt, and what they have not read of it.
type Own struct {
	Room ID
	Receipt
	Epoch       Epoch
	Head        Seq
	Unread      int  // messages of others after Read, and after a member joined, that are not deleted and were not pruned; exact up to MaxUnread
	More        bool // there are more than MaxUnread
	FirstUnread Seq  // the first of them; 0 where there are none
	Mentions    int  // of them, those that name the user; at most MaxUnread
}

// Standing asks where a user stands in a room.
type Standing struct {
	Room  ID
	User  string
	Since Seq // nothing up to here is unread to them; 0: they may have to read everything
}

// MaxUnread is up to where unread messages are counted.
const MaxUnread = 999

// Readers is who has got as far as a seq.
type Readers struct {
	Read, Delivered           []string // by name, byte by byte, up to the limit that was asked for
	ReadCount, DeliveredCount int
}

// Receipts is a [Store] that keeps how far users have got. It never waits for an append, and no append for it: the marks of a room and
// the version that counts their changes are rows of their own. Callers pass valid ids and users. All methods may be
// called concurrently. Errors of what reads: *Error, `unavailable`.
type Receipts interface {
	// Mark stores markings in one transaction, and answers each once that is durable, in the order of the batch. Of several
	// of one user and room the highest marks count, and all are answered alike. A marking that raises nothing changes nothing.
	//
	// Errors are those of [Store.Append]; the same batch may always be run again.
	Mark(ctx context.Context, batch []Marking) ([]Marked, error)

	// ReceiptsSince gives the receipts of a room that changed after a version, limit at most.
	ReceiptsSince(ctx context.Context, id ID, version int64, limit int) (ReceiptPage, error)

	// ReceiptTotals sums the receipts of a room up.
	ReceiptTotals(ctx context.Context, id ID) (ReceiptTotals, error)

	// Own tells where users stand in rooms, in the order asked, from one snapshot (rules RCPT-5 to RCPT-7).
	Own(ctx context.Context, asked []Standing) ([]Own, error)

	// Readers tells who has got as far as seq (at least 1) in a room, limit names of each at most.
	Readers(ctx context.Context, id ID, seq Seq, limit int) (Readers, error)

	// ReceiptVersions are the versions of the receipts of rooms, in the order asked, each with the room's epoch, in one query.
	ReceiptVersions(ctx context.Context, ids []ID) ([]ReceiptVersion, error)
}

// ReceiptVersion is how often the receipts of a room have changed. It rises by one for each receipt that changes; in another epoch it
// may be lower.
type ReceiptVersion struct {
	Epoch   Epoch
	Version int64
}
