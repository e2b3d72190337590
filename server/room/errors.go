package room

import (
	"errors"
	"time"
)

// Code names an error on every wire. Codes are strings and never change their meaning; each is
// described in spec/errors.json, which a test holds equal to this file.
type Code string

// The error codes.
const (
	CodeBadRequest           Code = "bad_request"
	CodeBadRoom              Code = "bad_room"
	CodeBadPosition          Code = "bad_position"
	CodeBadTag               Code = "bad_tag"
	CodeBadType              Code = "bad_type"
	CodeBadData              Code = "bad_data"
	CodeBadUpdate            Code = "bad_update"
	CodeMessageTooLarge      Code = "message_too_large"
	CodeUnknownOp            Code = "unknown_op"
	CodeUnknownRoom          Code = "unknown_room"
	CodeUnknownTarget        Code = "unknown_target"
	CodeForbidden            Code = "forbidden"
	CodeRefused              Code = "refused"
	CodeUnauthenticated      Code = "unauthenticated"
	CodeAuthTimeout          Code = "auth_timeout"
	CodeTokenExpired         Code = "token_expired"
	CodeRevoked              Code = "revoked"
	CodeTagConflict          Code = "tag_conflict"
	CodeConflict             Code = "conflict"
	CodeDocReplaced          Code = "doc_replaced"
	CodeOutOfOrder           Code = "out_of_order"
	CodeRateLimited          Code = "rate_limited"
	CodeOverloaded           Code = "overloaded"
	CodeUnavailable          Code = "unavailable"
	CodeOutcomeUnknown       Code = "outcome_unknown"
	CodeStorageFull          Code = "storage_full"
	CodeLimitExceeded        Code = "limit_exceeded"
	CodeReset                Code = "reset"
	CodeOriginNotAllowed     Code = "origin_not_allowed"
	CodeUnsupportedVersion   Code = "unsupported_version"
	CodeUnsupportedMediaType Code = "unsupported_media_type"
	CodeNotAcceptable        Code = "not_acceptable"
	CodeNotFound             Code = "not_found"
	CodeMethodNotAllowed     Code = "method_not_allowed"
	CodeSlowConsumer         Code = "slow_consumer"
	CodePingTimeout          Code = "ping_timeout"
	CodeGoingAway            Code = "going_away"
	CodeInternal             Code = "internal"
)

// retryable says of each code whether the same request may succeed later. Being the one place
// that lists the codes, it is also what Codes reads.
var retryable = map[Code]bool{
	CodeBadRequest: false, CodeBadRoom: false, CodeBadPosition: false, CodeBadTag: false,
	CodeBadType: false, CodeBadData: false, CodeBadUpdate: false, CodeMessageTooLarge: false, CodeUnknownOp: false,
	CodeUnknownRoom: false, CodeUnknownTarget: false, CodeForbidden: false, CodeRefused: false, CodeUnauthenticated: false, CodeAuthTimeout: true,
	CodeTokenExpired: false, CodeRevoked: false, CodeTagConflict: false, CodeConflict: false, CodeDocReplaced: false, CodeOutOfOrder: true,
	CodeRateLimited: true, CodeOverloaded: true, CodeUnavailable: true, CodeOutcomeUnknown: true,
	CodeStorageFull: true, CodeLimitExceeded: false, CodeReset: false, CodeOriginNotAllowed: false,
	CodeUnsupportedVersion: false, CodeUnsupportedMediaType: false, CodeNotAcceptable: false,
	CodeNotFound: false, CodeMethodNotAllowed: false, CodeSlowConsumer: true, CodePingTimeout: true,
	CodeGoingAway: true, CodeInternal: true,
}

// Codes lists every error code, in no particular order.
func Codes() []Code {
	codes := make([]Code, 0, len(retryable))
	for c := range retryable {
		codes = append(codes, c)
	}
	return codes
}

// Retryable reports whether the same request may succeed later.
func (c Code) Retryable() bool { return retryable[c] }

// Error is the one error shape: a stable code, one human sentence, and what the caller needs to
// mend it. It becomes an HTTP status or a close code only in the transport. It never holds a secret.
type Error struct {
	Code       Code
	Title      string        // one sentence for a person
	Field      string        // the offending field, where there is one
	Limit      int64         // the limit that was passed, in the field's own unit; 0 where there is none
	RetryAfter time.Duration // how long to wait before a retry; 0 where the server does not say
	Current    []StateEntry  // of a conflict: what the keys in the way have
	Cause      error         // for logs; never sent to a client
}

// Error is the code and the sentence, and the cause where there is one.
func (e *Error) Error() string {
	s := string(e.Code) + ": " + e.Title
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Retryable reports whether the same request may succeed later.
func (e *Error) Retryable() bool { return e.Code.Retryable() }

// AsError finds the *Error in err's chain; anything else is `internal` with err as its cause, so
// that no unexpected text reaches a client.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: CodeInternal, Title: "Something went wrong on the server.", Cause: err}
}
