package room

import (
	"context"
	"time"
)

// The event types that mean something to the server; every other is the app's own.
const (
	TypeMessage  = "message"
	TypeEdit     = "edit"
	TypeDelete   = "delete"
	TypeReaction = "reaction"
	TypeMember   = "member"
)

// Change is what an event of the type edit, delete or reaction does to a message, as its data says. The store
// resolves and judges it under the room's lock, and keeps what it did in the transaction that stores the event. An event of such a type
// without a Change is refused by those who make sends, never by a store.
type Change struct {
	Target    Seq // the message that is meant; 0: the one that has TargetTag
	TargetTag Tag // of a message by the author of the change

	// Others says that the author may change messages of others: a moderator. Own says that they may change their own.
	Own, Others bool
	// Within is for how long after it was stored an own message may be changed by one who is no moderator, by the store's clock; 0: for ever.
	Within time.Duration

	Data   []byte // edit: the new data, compacted
	Emoji  string // reaction: 1 to 64 bytes
	Remove bool   // reaction: it is taken back
}

// MemberChange is what an event of the type member does: Role is the user's from now on; "" ends the membership.
type MemberChange struct {
	User string
	Role string
}

// Gone is what is left of a message that was deleted, or of an edit of it: who deleted it, and by which event. The data is nowhere any more.
type Gone struct {
	Seq Seq       // of the delete event; 0: an erase event, which is to come (rule ERASE-2)
	By  string    // its author
	At  time.Time // UTC, microseconds
}

// Edited is the last edit of a message whose Data is that edit's.
type Edited struct {
	Seq Seq
	At  time.Time
}

// Reaction is how many users have one emoji on a message.
type Reaction struct {
	Emoji string
	Count int
	Users []string // those who have it, the earliest first: MaxReactors at most, and Query.As
}

// MaxReactors is how many users a Reaction names.
const MaxReactors = 10

// UnknownTarget refuses a change of what is no message, or no longer one (rule CHG-3).
func UnknownTarget() *Error {
	return &Error{Code: CodeUnknownTarget, Title: "There is no message to change: it was never stored, is of another type, or was deleted.", Field: "target"}
}

// TooManyEmoji refuses a reaction with an emoji that a message has not, and that would be one too many (rule CHG-6).
func TooManyEmoji() *Error {
	return &Error{Code: CodeLimitExceeded, Title: "The message has as many different emoji as it may; add one of those.", Field: "data/emoji", Limit: MaxEmojiKinds}
}

// NotYours refuses a change that its author may not make (rule CHG-4).
func NotYours() *Error {
	return &Error{Code: CodeForbidden, Title: "You may not change this message.", Field: "target"}
}

// TooLate refuses a change of an own message after the time that the kind allows for it (rule CHG-4).
func TooLate(within time.Duration) *Error {
	return &Error{Code: CodeForbidden, Title: "This message is too old to be changed.", Field: "target", Limit: int64(within / time.Second)}
}

// Member is a user who belongs to a room.
type Member struct {
	Room  ID
	User  string
	Role  string
	Since Seq       // the member event that made them one
	At    time.Time // of that event
}

// Members is a [Store] that knows who belongs to which room. Members change by member events alone (Send.Member). All methods may be
// called concurrently. Errors are those of reads: *Error, `unavailable`.
type Members interface {
	// Member finds one; false: the user is none.
	Member(ctx context.Context, id ID, user string) (Member, bool, error)
	// ListMembers lists members in the order of their names, byte by byte, after one, limit at most.
	ListMembers(ctx context.Context, id ID, after string, limit int) ([]Member, error)
	// Memberships lists the rooms that a user belongs to, in the order of their ids, after one, limit at most. Room, Role and Since are given.
	Memberships(ctx context.Context, user string, after ID, limit int) ([]Member, error)
}
