package room

import (
	"context"
	"time"
)

// TypeErase is the type of the event that says that a user's data was removed from a room (rule ERASE-2). Nobody sends one.
const TypeErase = "erase"

// Erasure is the removal of a user's data from every room, as far as it has come.
type Erasure struct {
	User   string
	By     string // who asked for it
	Job    Tag    // drawn for each; the tags of its events come from it
	Asked  time.Time
	Upto   ID        // the last room that is done, in the order of their ids
	Rooms  int64     // that had something of the user
	Events int64     // whose data was removed
	Done   time.Time // zero: it is under way
}

// The bounds of what an erasure does at once, so that others' appends wait for it no longer than for each other.
const (
	EraseMost = 100    // events that lose their data, and rows beside them of a kind
	EraseLook = 20_000 // events that are looked at
)

// Erased is what an erasure did at once in one room.
type Erased struct {
	Stored Seq   // of the erase event; 0: there is none, or not yet
	Events int64 // whose data was removed now
	More   bool  // of the room not all was looked at: it is to be called again
}

// ErasureStore is a [Store] that removes what a user said, room by room, and keeps how far that has come, so that it goes on after any
// crash, on any node. All methods may be called concurrently. Errors are those of reads: *Error, `unavailable`; every
// call may be made again.
type ErasureStore interface {
	// BeginErasure begins the erasure of a user. One that is under way is given as it stands; one that was done begins again.
	BeginErasure(ctx context.Context, e Erasure) (Erasure, error)
	// FindErasure finds the last erasure of a user; false: there was none.
	FindErasure(ctx context.Context, user string) (Erasure, bool, error)
	// NextErasure finds the one that has been under way for longest; false: none is.
	NextErasure(ctx context.Context) (Erasure, bool, error)
	// MoveErasure says how far a job has come: up to a room, with so many more rooms; done: there are no more rooms, and
	// when the user was there last is forgotten ([SeenStore]).
	// Nothing happens where that room or one behind it was said before, or the job is another by now.
	MoveErasure(ctx context.Context, e Erasure, upto ID, rooms int64, done bool) error

	// EraseIn removes what events of e.User in a room say: all but those that delete messages or say who belongs to the room. What a delete
	// would leave of a message is left of each (rule CHG-7). Edits of their messages go too, and their reactions, mentions,
	// marks, membership and reports; the version of the room's receipts rises with marks that go. With the last of it, in one transaction, it
	// stores an event of the type [TypeErase], by e.By with this tag and data. Of a room that has nothing of them nothing is stored.
	//
	// One call goes on from where the last one with the tag stopped, holds the room for [EraseMost] events at most, and says whether there is More. Until
	// the event is stored what went is shown with a [Gone] without Seq. Events of a job that lost their data are counted with it in the same transaction.
	EraseIn(ctx context.Context, e Erasure, id ID, tag Tag, data []byte) (Erased, error)
}
