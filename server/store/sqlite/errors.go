package sqlite

import (
	"errors"
	"fmt"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"roomlog/server/room"
)

// primary is the result code without its extension; 0 where the error is not the engine's.
func primary(err error) int {
	var e *driver.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code() & 0xff
}

// classify turns an engine's error into the port's. Only a fault that some event's own values can cause
// stays a plain error, for the hub to find that event and refuse it for good. Everything else is the
// state of the file or the machine, a damaged log included: retryable, so that no client drops what it
// has to send. It is for transactions that were rolled back, and for reads.
func classify(step string, err error) error {
	err = fmt.Errorf("%s: %w", step, err)
	var e *driver.Error
	if !errors.As(err, &e) {
		return err
	}
	switch code := e.Code(); {
	case code&0xff == sqlite3.SQLITE_FULL:
		return &room.Error{Code: room.CodeStorageFull, Title: "The disk of the store is full.", Cause: err}
	case code == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: // a seq that is taken: the room's row has gone back
		return unavailable(err)
	case code&0xff == sqlite3.SQLITE_CONSTRAINT, code == sqlite3.SQLITE_TOOBIG, code == sqlite3.SQLITE_MISMATCH:
		return err
	}
	return unavailable(err)
}

func unavailable(cause error) error {
	return &room.Error{Code: room.CodeUnavailable, Title: "The store cannot be used right now.", Cause: cause}
}
