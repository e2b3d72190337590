package transport

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/wire"
)

// errorsPath is the page that explains the codes; a problem's type points into it.
const errorsPath = "/errors"

// problem answers with an error (rule ERR-1).
func (s *Server) problem(w http.ResponseWriter, r *http.Request, err error) {
	p := s.problemFor(w, r, err)
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Del("Content-Length")
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if p.RetryAfterMS > 0 {
		h.Set("Retry-After", retryAfter(p.RetryAfterMS))
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // a client that has gone hears nothing
}

// problemFor is what a request is told of an error. What is ours to mend is logged; what the client did wrong is not.
func (s *Server) problemFor(w http.ResponseWriter, r *http.Request, err error) wire.Problem {
	p, e := problemOf(err)
	s.tell(p.Code)
	if p.Code == room.CodeGoingAway && p.RetryAfterMS == 0 {
		p.RetryAfterMS = wire.Milliseconds(s.comeBack())
	}
	p.RequestID = w.Header().Get(requestID)
	if p.Status == http.StatusInternalServerError {
		s.log.Error("request failed", "request", p.RequestID, "method", methodOf(r), "route", r.Pattern, "error", err)
	} else if e.Cause != nil {
		s.log.Warn("request refused", "request", p.RequestID, "code", string(e.Code), "error", e.Cause)
	}
	return p
}

// retryAfter is whole seconds, rounded up.
func retryAfter(ms int64) string {
	return strconv.Itoa(int(math.Ceil(float64(ms) / 1000)))
}

func problemOf(err error) (wire.Problem, *room.Error) {
	var reset *hub.ResetError
	if errors.As(err, &reset) {
		err = &room.Error{Code: room.CodeReset, Title: "The position cannot be continued; read again without one.", Field: "after"}
	}
	e := room.AsError(err)
	p := wire.Problem{
		Type: errorsPath + "#" + string(e.Code), Title: e.Title, Status: statusOf(e.Code), Code: e.Code,
		Field: e.Field, Limit: e.Limit, Retryable: e.Retryable(),
		RetryAfterMS: wire.Milliseconds(e.RetryAfter), Current: wire.Current(e),
	}
	if reset != nil {
		p.Reason, p.Epoch, p.Floor, p.Head = reset.Reason, reset.Head.Epoch, reset.Head.Floor, &reset.Head.Seq
	}
	return p, e
}

// writeJSON answers with a body that is encoded already.
func writeJSON(w http.ResponseWriter, status int, body []byte) {
	writeBody(w, status, "application/json", body)
}

func writeBody(w http.ResponseWriter, status int, kind string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone hears nothing
}
