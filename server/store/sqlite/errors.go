package sqlite

import (
	"errors"
	"fmt"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"roomlog/server/room"
)

// primary is the result code without its extension.
func primary(err error) (int, bool) {
	var e *driver.Error
	if !errors.As(err, &e) {
		return 0, false
	}
	return e.Code() & 0xff, true
}

// classify turns an engine's error into the port's: what may pass is a retryable *room.Error, a fault
// of some event stays a plain error. It is for transactions that were rolled back, and for reads.
func classify(step string, err error) error {
	err = fmt.Errorf("%s: %w", step, err)
	switch code, _ := primary(err); code {
	case sqlite3.SQLITE_FULL:
		return &room.Error{Code: room.CodeStorageFull, Title: "The disk of the store is full.", Cause: err}
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM,
		sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL:
		return unavailable(err)
	}
	return err
}

func unavailable(cause error) error {
	return &room.Error{Code: room.CodeUnavailable, Title: "The store cannot be used right now.", Cause: cause}
}
