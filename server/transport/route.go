package transport

import (
	"context"
	"log/slog"
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

// nodeHeader names the node that answers (rule NODE-1).
const nodeHeader = "Roomlog-Node"

// maxRequestID is how long a name may be that a client gives its request.
const maxRequestID = 64

// nameOf is the name of a request: the client's own where it is short and clean, so that its logs and
// ours tell of the same one, else one that we draw (rule HTTP-10).
func nameOf(h headers) string {
	names := h.Values(requestID)
	if len(names) != 1 || names[0] == "" || len(names[0]) > maxRequestID {
		return newID()
	}
	for _, c := range []byte(names[0]) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("_.:-", rune(c)) {
			return newID()
		}
	}
	return names[0]
}

// api is what every route has in common: a request id, the judgement of the origin, preflights, and
// problems for everything that goes wrong.
func (s *Server) api(m methods) http.Handler {
	return s.bounded(func(w http.ResponseWriter, r *http.Request) {
		h, id, began := w.Header(), nameOf(r.Header), time.Now()
		h.Set(requestID, id)
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		if s.cfg.Node != "" {
			h.Set(nodeHeader, s.cfg.Node)
		}
		err := s.route(m, w, r)
		if err != nil {
			s.problem(w, r, err)
		}
		s.logRequest(r, id, began, err) // not from the header: a stream has the header for itself by now
	})
}

// bounded bounds how long a request's body is waited for: by whoever reads it, and by net/http, which
// reads what nobody wanted before it sends the answer. It bounds how long the peer may take for that answer, too.
func (s *Server) bounded(serve http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.cfg.Limits.BodyWithin)) // not every writer in tests can
		}
		serve(&timely{ResponseWriter: w, within: s.cfg.Limits.AnswerWithin}, r)
	})
}

// logRequest logs a request that was answered. Its path, query and headers may hold what is not for a
// log, so the route that it took stands for them.
func (s *Server) logRequest(r *http.Request, id string, began time.Time, err error) {
	if !s.log.Enabled(r.Context(), slog.LevelDebug) {
		return
	}
	about := []any{"request", id, "method", methodOf(r), "route", r.Pattern, "took", time.Since(began)}
	if err != nil {
		p, _ := problemOf(err)
		about = append(about, "code", string(p.Code))
	}
	s.log.Debug("request", about...)
}

// methodOf is the method for a log: a client may send any word.
func methodOf(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "other"
}

func (s *Server) route(m methods, w http.ResponseWriter, r *http.Request) (err error) {
	defer s.rescue(&err, "request", w.Header().Get(requestID))
	if err := s.judgeOrigin(w, r); err != nil {
		return err
	}
	if m == nil {
		return &room.Error{Code: room.CodeNotFound, Title: "There is nothing at this path."}
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
func (s *Server) judge(ctx context.Context, who *auth.Identity, name string, a auth.Action) (room.ID, error) {
	id, err := room.ParseID(name)
	if err != nil {
		return "", err
	}
	if err := s.know(ctx, who, id, a); err != nil {
		return id, err
	}
	return id, s.allowed(who, id, a)
}

// allowed judges every use of a room: whether the token is still good, whether the room is there for its
// user, and what the token and the user's role allow. Every request, join and send comes by here, after know.
func (s *Server) allowed(who *auth.Identity, id room.ID, a auth.Action) error {
	if err := s.access.refuses(who, id); err != nil {
		return err
	}
	if _, known := s.cfg.Kinds.Policy(id.Kind()); !known || !who.Grants.Allow(auth.Read, id) {
		return unknownRoom()
	}
	role := s.members.refuses(who, id, a)
	if role != nil && role.Code != room.CodeForbidden {
		return role
	}
	if !who.Grants.Allow(a, id) {
		return &room.Error{Code: room.CodeForbidden, Title: "The token does not grant this in this room.", Field: "room"}
	}
	if role != nil {
		return role
	}
	if a == auth.Send {
		if err := s.access.silences(who, id); err != nil {
			return err
		}
	}
	return nil
}
