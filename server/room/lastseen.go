package room

import (
	"context"
	"time"
)

// LastSeen is when a user was there last.
type LastSeen struct {
	User  string
	At    time.Time // microseconds, UTC
	Until time.Time // until then the user counts as there; not after At: they have gone
}

// There reports whether the user counts as there at a time.
func (s LastSeen) There(now time.Time) bool { return now.Before(s.Until) }

// SeenStore is a [Store] that keeps when users were there last, for all nodes that share it. Both methods may be called concurrently.
// Errors are those of [Store.Append]; everything may be put again.
type SeenStore interface {
	// PutSeen stores when users were there, each user once. What is older than what is kept changes nothing.
	PutSeen(ctx context.Context, list []LastSeen) error
	// LastSeen gives what is kept of users, in no order; of one who was never there, nothing.
	LastSeen(ctx context.Context, users []string) ([]LastSeen, error)
}
