package room

import (
	"context"
	"time"
)

// SearchStore is a [Store] that keeps an index of the words of messages. The index is no part of an append: it
// follows the log, room by room, by a cursor of its own that is kept with it, so that it lacks nothing for long and what was
// indexed is known after any crash. It may be behind; what it says of a message that is pruned or deleted
// counts for nothing, from the commit on that made it so.
//
// What a word is, is not the store's to say: it is given words, each once for each time that it stands there, of letters, marks
// and digits alone, and compares them byte by byte. All methods may be called concurrently. Errors are those of reads:
// *Error, `unavailable`.
type SearchStore interface {
	Store

	// Indexed says up to which seq each of the rooms is indexed, in the order asked.
	Indexed(ctx context.Context, ids []ID) ([]Seq, error)

	// Index carries out steps, of different rooms, in one transaction, and says of each whether it was: not where the
	// cursor was moved meanwhile, or the room is of another epoch.
	Index(ctx context.Context, steps []IndexStep) (taken []bool, err error)

	// IndexBehind looks at rooms of a kind ("": of all) in the order of their ids, from the one after `after` on, limit of them at
	// most, and lists those that the index lacks something of, or holds pruned messages of. next is the last that it
	// looked at, to go on from; empty: there are no more.
	IndexBehind(ctx context.Context, kind string, after ID, limit int) (behind []ID, next ID, err error)

	// SweepIndex removes at most limit messages that deleted rooms left in the index, and says whether there may be more.
	SweepIndex(ctx context.Context, limit int) (more bool, err error)

	// Search finds messages, the newest first: of one room by their seqs, of several by their times.
	Search(ctx context.Context, q SearchQuery) ([]Hit, error)
}

// IndexStep moves the index of one room from a seq to another. Messages of the room that were pruned leave it on the way. A
// step that goes back empties the index of the room.
type IndexStep struct {
	Room    ID
	Epoch   Epoch
	From    Seq // where the cursor stands
	To      Seq
	Entries []IndexEntry // each seq once
	Gone    bool         // every message that was deleted leaves the index: an erasure went by
}

// IndexEntry is what the index says of a message from now on.
type IndexEntry struct {
	Seq   Seq
	At    time.Time // of the message; zero: the words replace others, and where there are none nothing happens
	Words []string  // nil: the message leaves the index; empty: it has no words
}

// SearchQuery asks for messages that hold every phrase.
type SearchQuery struct {
	Rooms   []ID
	Floors  []Seq // of each room the least seq that counts; nil: all do
	Before  Seq   // only seqs below it, of one room; 0: all
	Phrases [][]string
	Prefix  bool // the last word of the last phrase stands for all that begin with it
	Limit   int
}

// Hit is a message that was found.
type Hit struct {
	Room ID
	Seq  Seq
}
