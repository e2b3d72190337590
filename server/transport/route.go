package transport

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

// handler answers a request, or says why not before it has written anything.
type handler func(w http.ResponseWriter, r *http.Request) error

// methods are the handlers of one path; nil: there is no such path.
type methods map[string]handler

func (m methods) allow() string {
	names := []string{http.MethodOptions}
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// requestID is the header that names a request in answers, problems and the log.
const requestID = "X-Request-Id"

// api is what every route has in common: a request id, the judgement of the origin, preflights, and
// problems for everything that goes wrong.
func (s *Server) api(m methods) http.Handler {
	return s.bounded(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set(requestID, newID())
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		if err := s.route(m, w, r); err != nil {
			s.problem(w, r, err)
		}
	})
}

// bounded bounds how long a request's body is waited for: by whoever reads it, and by net/http, which
// reads what nobody wanted before it sends the answer.
func (s *Server) bounded(serve http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.cfg.Limits.BodyWithin)) // not every writer in tests can
		}
		serve(w, r)
	})
}

func (s *Server) route(m methods, w http.ResponseWriter, r *http.Request) (err error) {
	defer s.rescue(&err)
	if m == nil {
		return &room.Error{Code: room.CodeNotFound, Title: "There is nothing at this path."}
	}
	if err := s.judgeOrigin(w, r); err != nil {
		return err
	}
	if serve := m[r.Method]; serve != nil {
		return serve(w, r)
	}
	w.Header().Set("Allow", m.allow())
	if r.Method == http.MethodOptions {
		preflight(w, m)
		return nil
	}
	return &room.Error{Code: room.CodeMethodNotAllowed, Title: "This path takes " + m.allow() + "."}
}

// bearer is the token of the Authorization header; "" where there is none of that kind.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// judge finds the room that is named and whether the identity may do this to it. Rooms that one may
// not read are as unknown as those of a kind that does not exist (rule AUTH-5).
func (s *Server) judge(who *auth.Identity, name string, a auth.Action) (room.ID, error) {
	id, err := room.ParseID(name)
	if err != nil {
		return "", err
	}
	return id, s.allowed(who, id, a)
}

func (s *Server) allowed(who *auth.Identity, id room.ID, a auth.Action) error {
	if s.kinds != nil && !s.kinds[id.Kind()] || !who.Grants.Allow(auth.Read, id) {
		return &room.Error{Code: room.CodeUnknownRoom, Title: "There is no such room for this user.", Field: "room"}
	}
	if !who.Grants.Allow(a, id) {
		return &room.Error{Code: room.CodeForbidden, Title: "The token does not grant this in this room.", Field: "room"}
	}
	return nil
}
