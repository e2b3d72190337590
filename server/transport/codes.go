package transport

import (
	"net/http"

	"roomlog/server/room"
)

// meaning is what an error code becomes on the wire: the one place where codes meet HTTP and
// WebSocket numbers. spec/errors.json says the same, and a test holds them equal.
type meaning struct {
	status int
	close  uint16 // how the connection ends; 0: this code ends none
}

// The close codes of ours: 4000 to 4499 ask the client to come back, 4500 to 4999 not to (CLOSE-2).
const (
	closeNormal          = 1000
	closeProtocolError   = 1002
	closeUnsupportedData = 1003
	closeInvalidText     = 1007
	closeTooLarge        = 1009
	closeInternal        = 1011
	closeGoingAway       = 1012
	closeSlowConsumer    = 4000
	closePingTimeout     = 4001
	closeOverloaded      = 4002
	closeUnauthenticated = 4501
	closeRevoked         = 4503
	closeOldProtocol     = 4510
)

var meanings = map[room.Code]meaning{
	room.CodeBadRequest:           {status: http.StatusBadRequest},
	room.CodeBadRoom:              {status: http.StatusBadRequest},
	room.CodeBadPosition:          {status: http.StatusBadRequest},
	room.CodeBadTag:               {status: http.StatusBadRequest},
	room.CodeBadType:              {status: http.StatusBadRequest},
	room.CodeBadData:              {status: http.StatusBadRequest},
	room.CodeBadUpdate:            {status: http.StatusBadRequest},
	room.CodeMessageTooLarge:      {status: http.StatusRequestEntityTooLarge, close: closeTooLarge},
	room.CodeUnknownOp:            {status: http.StatusBadRequest},
	room.CodeUnknownRoom:          {status: http.StatusNotFound},
	room.CodeUnknownTarget:        {status: http.StatusNotFound},
	room.CodeForbidden:            {status: http.StatusForbidden},
	room.CodeRefused:              {status: http.StatusUnprocessableEntity},
	room.CodeUnauthenticated:      {status: http.StatusUnauthorized, close: closeUnauthenticated},
	room.CodeAuthTimeout:          {status: http.StatusUnauthorized, close: closeUnauthenticated},
	room.CodeTokenExpired:         {status: http.StatusUnauthorized, close: closeUnauthenticated},
	room.CodeRevoked:              {status: http.StatusForbidden, close: closeRevoked},
	room.CodeTagConflict:          {status: http.StatusConflict},
	room.CodeConflict:             {status: http.StatusConflict},
	room.CodeDocReplaced:          {status: http.StatusConflict},
	room.CodeOutOfOrder:           {status: http.StatusConflict},
	room.CodeRateLimited:          {status: http.StatusTooManyRequests},
	room.CodeOverloaded:           {status: http.StatusServiceUnavailable, close: closeOverloaded},
	room.CodeUnavailable:          {status: http.StatusServiceUnavailable},
	room.CodeOutcomeUnknown:       {status: http.StatusServiceUnavailable},
	room.CodeStorageFull:          {status: http.StatusInsufficientStorage},
	room.CodeLimitExceeded:        {status: http.StatusTooManyRequests},
	room.CodeReset:                {status: http.StatusGone},
	room.CodeOriginNotAllowed:     {status: http.StatusForbidden},
	room.CodeUnsupportedVersion:   {status: http.StatusBadRequest, close: closeOldProtocol},
	room.CodeUnsupportedMediaType: {status: http.StatusUnsupportedMediaType},
	room.CodeNotAcceptable:        {status: http.StatusNotAcceptable},
	room.CodeNotFound:             {status: http.StatusNotFound},
	room.CodeMethodNotAllowed:     {status: http.StatusMethodNotAllowed},
	room.CodeSlowConsumer:         {status: http.StatusServiceUnavailable, close: closeSlowConsumer},
	room.CodePingTimeout:          {status: http.StatusRequestTimeout, close: closePingTimeout},
	room.CodeGoingAway:            {status: http.StatusServiceUnavailable, close: closeGoingAway},
	room.CodeInternal:             {status: http.StatusInternalServerError, close: closeInternal},
}

func statusOf(c room.Code) int { return meanings[c].status }

// closeOf is how a connection ends for an error. A code that by itself ends no connection does so
// only where nothing can go on, and the client may come back.
func closeOf(err *room.Error) uint16 {
	switch m := meanings[err.Code]; {
	case m.close != 0:
		return m.close
	case err.Code == room.CodeLimitExceeded, err.Code == room.CodeRateLimited:
		return closeOverloaded
	}
	return closeInternal
}
