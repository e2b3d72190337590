package room

import (
	"context"
	"time"
)

// Ban keeps a user out of a room, or out of all, whatever the user's tokens grant; as a mute it keeps them from sending to a room.
type Ban struct {
	Room   ID        // "" is every room: the user is blocked
	User   string    // 1 to 128 bytes
	Until  time.Time // when it is over; zero: not before it is lifted
	Reason string    // for operators; may be empty
	By     string    // the user who asked for it
	At     time.Time // when
}

// InForce reports whether the ban still holds.
func (b Ban) InForce(now time.Time) bool { return b.Until.IsZero() || now.Before(b.Until) }

// Revocation ends tokens of a user before their time: one by its id, or all that were issued before a time.
type Revocation struct {
	User   string
	Token  string    // the id (jti) of the token that is meant; "": all that were issued before Before
	Before time.Time // tokens issued at or after it are none of its business; zero where Token names one
	Until  time.Time // when it is forgotten: what it concerns has to have expired by then
	Reason string    // for operators; may be empty
	By     string    // the user who asked for it
	At     time.Time // when
}

// Access is what keeps users out, as far as it is in force.
type Access struct {
	Bans        []Ban        // by room, then user, each pair once
	Revocations []Revocation // by user, then token, each pair once
	Mutes       []Ban        // by room, then user, each pair once; each of one room
}

// AccessStore is a [Store] that keeps who may not come in. Nodes that share it read it again now and then,
// so what one of them was told holds for all. Times are kept in microseconds and given back in UTC.
// Strings may be any UTF-8 without the character NUL. All methods may be called concurrently.
//
// Errors are those of [Store.Append]: a *Error of a retryable code where nothing was changed,
// [ErrOutcomeUnknown] where it may have been. Every change may be made again.
type AccessStore interface {
	// Access returns what is in force at a time, from one snapshot.
	Access(ctx context.Context, now time.Time) (Access, error)
	// PutBan stores a ban in place of the one that the room and user have, if any.
	PutBan(ctx context.Context, b Ban) error
	// DropBan removes the ban of a user from a room; where there is none, nothing happens.
	DropBan(ctx context.Context, id ID, user string) error
	// PutMute and DropMute do the same for mutes.
	PutMute(ctx context.Context, b Ban) error
	DropMute(ctx context.Context, id ID, user string) error
	// PutRevocation stores a revocation. Of two of one user and token, Before and Until are the later
	// of both: no order of calls brings a token back.
	PutRevocation(ctx context.Context, r Revocation) error
	// ForgetAccess removes what is no longer in force at a time, and says how much that was.
	ForgetAccess(ctx context.Context, now time.Time) (int64, error)
}
