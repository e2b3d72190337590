package room

import (
	"context"
	"time"
)

// TicketsKept is how many used tickets of a user a [TicketStore] keeps at least.
const TicketsKept = 100

// TicketSlack is for how long a [TicketStore] keeps more than it has to: the clocks of nodes may differ by as much.
const TicketSlack = 5 * time.Minute

// TicketStore is a store that keeps which one-time tickets were used, for all nodes that share it, and what became of
// them. It keeps no ticket, but ids: 1 to 64 bytes that tell nobody a ticket. All methods may be called
// concurrently.
//
// Errors are those of [Store.Append]: a *Error of a retryable code where nothing was changed, [ErrOutcomeUnknown]
// where it may have been.
type TicketStore interface {
	// UseTicket notes that a ticket of a user is used for the first time; false: it is noted already. The note is kept until
	// the time by which a ticket has to be used first. Of those of the user whose time is over, all but
	// the newest TicketsKept may go.
	UseTicket(ctx context.Context, id, user string, until time.Time) (first bool, err error)
	// KeepTicket keeps something of a used ticket until a time, in place of what was kept before, and forgets its tries. Nothing
	// happens where the note is gone.
	KeepTicket(ctx context.Context, id string, kept []byte, until time.Time) error
	// TryTicket counts one more try of a used ticket, and returns what is kept of it and how many tries there were since that
	// was kept, this one included; nil: nothing is kept.
	TryTicket(ctx context.Context, id string) (kept []byte, tries int, err error)
	// ForgetTickets removes what was to be kept until before a time, and says how much that was.
	ForgetTickets(ctx context.Context, before time.Time) (int64, error)
}
