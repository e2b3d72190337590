package room

import (
	"context"
	"fmt"
	"time"
)

// Report is what a user holds against an event, for the moderators of its room. It is open from when it is stored until it is resolved,
// and then no more.
type Report struct {
	Number int64 // given by the store, and never again; in the order of storing, as far as that can be told
	Room   ID
	Seq    Seq    // of the event
	By     string // who reported it
	Reason string // may be empty
	At     time.Time
}

// ReportStore is a [Store] that keeps reports, and which of them a webhook was told of. A room that is deleted takes its reports along, and
// the erasure of a user in a room those that the user made there. All methods may be called concurrently. Errors are those of
// reads: *Error, `unavailable`; every call may be made again.
type ReportStore interface {
	// PutReport stores a report; its Number and At are given by the store. Of one user and event there is one: where it is open
	// already, that is given as it stands, and made is false. Errors besides: unknown_target, where the room has no event of that seq
	// (any more); limit_exceeded, where the user has most reports open, of whatever rooms.
	PutReport(ctx context.Context, r Report, most int) (_ Report, made bool, err error)
	// Reports lists the open reports of a room whose numbers are greater than after, by number; more: there are others behind.
	Reports(ctx context.Context, id ID, after int64, limit int) (list []Report, more bool, err error)
	// DropReport resolves a report of a room; false: there is none of that number.
	DropReport(ctx context.Context, id ID, number int64) (dropped bool, err error)

	// UntoldReport finds the first open report of a room that was not told; false: there is none.
	UntoldReport(ctx context.Context, id ID) (Report, bool, error)
	// ReportTold notes that a report was told.
	ReportTold(ctx context.Context, number int64) error
	// UntoldRooms lists rooms of a kind with reports that were not told, in the order of their ids from the one after `after` on, at most
	// limit. next is the last of them, to go on from; empty: there are no more.
	UntoldRooms(ctx context.Context, kind string, after ID, limit int) (ids []ID, next ID, err error)
}

// NoSuchEvent is why an event cannot be reported that is not there.
func NoSuchEvent() *Error {
	return &Error{Code: CodeUnknownTarget, Title: "The room has no event of this seq.", Field: "seq"}
}

// TooManyReports is why a user may not report more for now.
func TooManyReports(most int) *Error {
	return &Error{
		Code: CodeLimitExceeded, Limit: int64(most), Field: "seq",
		Title: fmt.Sprintf("You have %d reports open; more can be taken when moderators have looked at some.", most),
	}
}
