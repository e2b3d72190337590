package postgres

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"roomlog/server/room"
)

const (
	diskFull         = "53100"
	uniqueViolation  = "23505"
	lockNotAvailable = "55P03"
)

// refusal turns a definite refusal, of a statement that the server rolled back or never got, into the
// port's errors. Faults of the values stay plain errors, for the hub to find the send that has them;
// everything else is the state of the server and may pass.
func refusal(step string, err error) error {
	err = fmt.Errorf("%s: %w", step, err)
	var e *pgconn.PgError
	if errors.As(err, &e) && len(e.Code) == 5 {
		switch {
		case e.Code == diskFull:
			return &room.Error{Code: room.CodeStorageFull, Title: "The disk of the store is full.", Cause: err}
		case e.Code == uniqueViolation: // a seq that is taken: the room's row has gone back, no send is to blame
		case e.Code[:2] == "22", e.Code[:2] == "23", e.Code[:2] == "54": // data, constraint, limit of the program
			return err
		}
	}
	return &room.Error{Code: room.CodeUnavailable, Title: "The store cannot be used right now.", Cause: err}
}

// appendFailure judges an append that failed after its connection was at hand. answered says that all
// its rows had come. The transaction commits after the last row and before the server is ready again.
//
// An ERROR is a definite answer: the transaction is rolled back. A FATAL ends the session: before the
// last row the commit cannot have begun; after it, it may have. Anything else is a lost connection or an
// ended context, and unless the statement was never sent, nobody knows.
func appendFailure(err error, answered bool) error {
	var e *pgconn.PgError
	if errors.As(err, &e) && (e.SeverityUnlocalized == "ERROR" || !answered) || pgconn.SafeToRetry(err) {
		return refusal("append", err)
	}
	return fmt.Errorf("append: %w: %w", room.ErrOutcomeUnknown, err)
}
