package room

import (
	"context"
	"errors"
	"time"
)

// Store is a durable home for logs. Every adapter passes the suite in storetest.
// All methods may be called concurrently. Callers pass valid ids, tags, types and data.
type Store interface {
	// Append stores a batch in one transaction and returns once it is durable. It is the one
	// place where seqs are made. Under each room's row lock, rooms in sorted order: look the tag
	// up, bump, insert; then commit. The order of a room's sends in the batch is their order in
	// the log. A room that does not exist is created by its first stored send, if its author's
	// RoomLimit allows it.
	//
	// Each send gets its own verdict: a tag already stored by the same author in the same room,
	// or earlier in this batch, is answered with the first result (Duplicate), or refused as
	// `tag_conflict` if type or data differ; neither takes a seq. So is one whose event was pruned, for
	// as long as its tag is remembered. Where an event was rewritten before it was stored (Send.Sent), what
	// its author sent is compared.
	//
	// An error is for the whole batch. errors.Is(err, ErrOutcomeUnknown): the transaction may or
	// may not have committed, or may still; run the same batch again. A *Error of a retryable
	// code (`unavailable`, `storage_full`): nothing was stored, a retry may succeed. Any other
	// error: nothing was stored, and some send of the batch is to blame (bisect it).
	Append(ctx context.Context, batch []Send) (Appended, error)

	// Read returns one page, from a single snapshot of the room.
	Read(ctx context.Context, q Query) (Page, error)

	// Heads returns the heads of many rooms, in the order asked, in one query. A room that does
	// not exist has the head of an empty one.
	Heads(ctx context.Context, ids []ID) ([]Head, error)

	// Info describes the store, as far as is known now. It does no I/O.
	Info() Info

	// Close waits for calls in flight and releases what the store holds. It is idempotent.
	Close() error
}

// Shared is a store that others append to as well, in transactions of their own, which hold a room until they end.
type Shared interface {
	Store
	// AppendWithin is Append that waits for the rooms of the batch for wait at most, all together; 0 is not at all. Sends
	// to a room that is held for longer have Verdict.Held, and the others do not wait for it; where the wait was
	// not 0, all may have.
	AppendWithin(ctx context.Context, batch []Send, wait time.Duration) (Appended, error)
}

// Watcher is a store whose database may be replaced while it is open: by a restore, a failover, another
// server behind the same address.
type Watcher interface {
	Store
	// Changed gives a value each time the database may not be what it was, or was away, at most one at a time. Who
	// keeps in memory what was read compares it with Heads. The channel is never closed.
	Changed() <-chan struct{}
}

// ErrOutcomeUnknown says that an append may or may not have been committed (a connection lost
// during COMMIT). It is never a refusal: the same batch is run again until it is answered.
var ErrOutcomeUnknown = errors.New("the outcome of the append is not known")

// Info describes a store to operators: at start and in /healthz.
type Info struct {
	Name       string // "sqlite" or "postgres"
	Version    string // of the database engine
	Durability string // "full": an append is fsynced before it returns; "relaxed": it may not be
	Relaxed    string // what makes it relaxed, such as "fsync=off"; empty where it is full
}

// The terms of durability.
const (
	Full    = "full"
	Relaxed = "relaxed"
)

// Send is one event to append. Data is compacted JSON; the store does not keep the slice.
type Send struct {
	Room   ID
	Author string
	Tag    Tag
	Type   string
	Data   []byte
	// Repeat asks only for the first result of this tag: a tag that is not stored is answered
	// with Verdict.NotStored instead of being stored (rule SEND-6).
	Repeat bool
	// Sent is the fingerprint of what the author sent, where Type and Data may be something else: a webhook
	// rewrote it (rule HOOK-6). Zero: nobody did.
	Sent Fingerprint
	// RoomLimit is how many rooms of this kind the author may have created: a send that would create one
	// more is refused as `limit_exceeded`. 0 is no limit.
	RoomLimit int

	Change   *Change       // of an edit, delete or reaction: what it does
	Member   *MemberChange // of a member event: what it does
	State    *StateSet     // of a state event: what it does
	Doc      *DocChange    // of a doc event: what it does, and to which document
	Mentions []string      // of a message: the users that it names, each once

	// Known says that there is nothing to store: the room had all of it before (rule DOC-4). No store is given such a send.
	Known *Known
}

// Known is where a room stood when it was found to have all that a send has.
type Known struct {
	Epoch Epoch
	Seq   Seq
	Mark  Mark
	At    time.Time
}

// Verdict answers one send of a batch. Refused is nil where the event is stored.
type Verdict struct {
	Seq       Seq
	Mark      Mark
	At        time.Time
	Duplicate bool   // the event had been stored before; Seq, Mark and At are the first result's
	Known     bool   // of Send.Known: nothing was stored, and Seq is where the room stood
	NotStored bool   // a Repeat whose tag is not stored
	Gone      *Gone  // of a Duplicate: the event was deleted meanwhile, and this is left of it
	Target    Seq    // of a stored or repeated change: the message that it changes
	Held      bool   // another transaction holds the room: the send was not judged, and nothing is stored (Shared)
	Refused   *Error // why this send is refused for good: `tag_conflict`, `conflict`, `limit_exceeded`, `unknown_target`, `forbidden`, or as DocChange.Replaced says
}

// TagConflict refuses a send whose tag its author used in this room for another event (rule TAG-4).
func TagConflict() *Error {
	return &Error{Code: CodeTagConflict, Title: "This tag was used for another event; a new event needs a new tag.", Field: "tag"}
}

// Growth is what an append did to one room: its head before and after. A tail takes the new
// events only if it stood at (Epoch, Before, BeforeMark); a batch of repeats alone has
// Before equal to Head.Seq.
type Growth struct {
	Head       Head // after the append
	Before     Seq
	BeforeMark Mark
}

// Appended is the outcome of a batch: a verdict per send, in the order of the batch, and the
// growth of each room it names that exists afterwards, in room order.
type Appended struct {
	Verdicts []Verdict
	Rooms    []Growth
}

// Anchor says which way a read looks from its seq.
type Anchor uint8

// The anchors of a read.
const (
	After  Anchor = iota // the oldest events with a seq above Query.Seq
	Before               // the newest events with a seq below Query.Seq
	Around               // events on both sides of Query.Seq, which is among them
	Latest               // the newest events of all; Query.Seq is ignored
)

// Query asks for a page of a room's log.
type Query struct {
	Room     ID
	Anchor   Anchor
	Seq      Seq
	Limit    int // the most events to return, at least 1; with StateChanges and StateWhole 0: none, only the map, as of the head
	MaxBytes int // stop short of this many bytes of data, but return at least one event; 0 is no limit
	// Present asks for the present content: messages as they were last edited, with their reactions. Without it events are as
	// they were stored, but for what was deleted, which is gone either way.
	Present bool
	// As is who asks: of Present, a reaction that they have names them, whoever had it earlier. Empty: nobody.
	As string
	// State is how much of the room's map the page has. With StateChanges and StateWhole it lists the log layer alone (see [Event.InLog]), and Limit counts
	// that; so it is with Before, Around and Present.
	State StateView
	// Bottom: a page of the log layer begins no lower, as if it were the floor. 0: it may.
	Bottom Seq
}

// Span is the arithmetic of a query over a log that holds floor..head: the page covers (prev, last],
// and where bytes run short, the events nearest to center stay.
func (q Query) Span(floor, head Seq) (prev, last, center Seq) {
	n := Seq(q.Limit)
	bottom := floor - 1
	clamp := func(s Seq) Seq { return min(max(s, bottom), head) }
	switch q.Anchor {
	case After:
		prev = clamp(q.Seq)
		return prev, clamp(prev + n), prev
	case Before:
		last = clamp(q.Seq - 1)
		return max(last-n, bottom), last, last + 1
	case Around:
		prev = clamp(q.Seq - 1 - n/2)
		last = clamp(prev + n)
		return max(last-n, bottom), last, q.Seq
	default:
		return max(head-n, bottom), head, head + 1
	}
}

// Page is everything that changed in a room in (Prev, Seq]. Prev is the seq before the first event
// and PrevMark its mark (none for 0): a reader that stands there takes the page, any other does not. Where it lists the log layer alone,
// Prev and Seq may be of other events, and their marks be no longer known (none).
type Page struct {
	Head     Head // of the same snapshot
	Prev     Seq
	PrevMark Mark
	Events   []Event // in seq order

	End     Seq          // where it ends, if that is behind the last event; else 0
	EndMark Mark         // of End
	Layered bool         // the room has had events of another layer than the log
	Log     Seq          // the newest of the log layer; 0: there is none
	Full    bool         // State is the whole map, as it is at the end of the page
	State   []StateEntry // in the order of seq
	Docs    bool         // of a page with StateChanges or StateWhole: updates of documents are left out of it
	Left    int64        // of such a page: how many events of the log layer follow it
}

// Seq is the seq that a reader stands at after the page.
func (p Page) Seq() Seq {
	if p.End != 0 {
		return p.End
	}
	if n := len(p.Events); n > 0 {
		return p.Events[n-1].Seq
	}
	return p.Prev
}

// Position is where a reader stands after the page.
func (p Page) Position() Position {
	pos := Position{Epoch: p.Head.Epoch, Seq: p.Prev, Mark: p.PrevMark}
	if n := len(p.Events); p.End != 0 {
		pos.Seq, pos.Mark = p.End, p.EndMark
	} else if n > 0 {
		pos.Seq, pos.Mark = p.Events[n-1].Seq, p.Events[n-1].Mark
	}
	return pos
}
