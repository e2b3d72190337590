package room

import (
	"context"
	"time"
)

// Duties is a store that several nodes share, and by which they agree who of them does what only one should do at a time. A duty
// is held for a while by the database's clock, and taken again before that is over; a node that dies or stops loses it. It
// saves work, and is no lock: who holds it may have lost it unawares, so what is done by it has to be harmless when two do it.
type Duties interface {
	// TakeDuty takes a duty, or keeps it, for so long from now on, and says whether holder has it. Errors are those of
	// reads: *Error, `unavailable`.
	TakeDuty(ctx context.Context, duty, holder string, lasts time.Duration) (held bool, err error)
	// LeaveDuty gives a duty up, if holder has it.
	LeaveDuty(ctx context.Context, duty, holder string) error
}
