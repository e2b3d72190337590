package room

import (
	"context"
	"time"
)

// SnapshotAger is a [Store] that can say how old the oldest snapshot of its database is. One that is
// held for long, by whomever, keeps the dead versions of every room's row from being cleaned up, and
// appends to busy rooms become slow.
type SnapshotAger interface {
	// OldestSnapshot is the age of the oldest transaction that holds a snapshot, as far as this user
	// may see; 0 where there is none.
	OldestSnapshot(ctx context.Context) (time.Duration, error)
}
