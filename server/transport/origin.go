package transport

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"roomlog/server/room"
)

// CheckOrigin refuses what no browser would send as an Origin, so that a typing error in the list
// does not show as a refusal of everybody.
func CheckOrigin(o string) error {
	u, err := url.Parse(o)
	if err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != o || strings.ToLower(o) != o || strings.Contains(o, "*") {
		return fmt.Errorf("the origin %q is not of the form https://app.example.com, in lower case and without a path", o)
	}
	return nil
}

// TakeOrigins puts another list of origins in place of the one there is, for requests from now on. It may be
// called while the server serves; a list with what no browser would send is refused whole.
func (s *Server) TakeOrigins(origins []string) error {
	for _, o := range origins {
		if err := CheckOrigin(o); err != nil {
			return err
		}
	}
	s.useOrigins(origins)
	return nil
}

func (s *Server) useOrigins(origins []string) {
	list := make(map[string]bool, len(origins))
	for _, o := range origins {
		list[o] = true
	}
	s.origins.Store(&list)
}

// judgeOrigin refuses browsers' pages that are not on the list (rule HTTP-7), and tells browsers that
// the others may read the answer.
func (s *Server) judgeOrigin(w http.ResponseWriter, r *http.Request) error {
	origins := r.Header.Values("Origin")
	h := w.Header()
	h.Add("Vary", "Origin")
	if len(origins) == 0 {
		return nil
	}
	if err := s.judgeOrigins(origins); err != nil {
		return err
	}
	h.Set("Access-Control-Allow-Origin", origins[0])
	h.Set("Access-Control-Expose-Headers", requestID+", "+nodeHeader+", Retry-After, ETag")
	return nil
}

// judgeOrigins judges the Origin fields of a request.
func (s *Server) judgeOrigins(origins []string) error {
	if len(origins) > 1 || len(origins) == 1 && !s.takesOrigin(origins[0]) {
		return &room.Error{Code: room.CodeOriginNotAllowed, Title: "Pages of this origin may not use this server.", Field: "Origin"}
	}
	return nil
}

// takesOrigin: the list counts, and in dev whatever page this machine serves.
func (s *Server) takesOrigin(origin string) bool {
	return (*s.origins.Load())[origin] || s.cfg.DevSigner != nil && localOrigin(origin)
}

// preflight answers what a browser asks before it lets a page send what a form could not.
func preflight(w http.ResponseWriter, m methods) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", m.allow())
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID, Idempotency-Key, If-Match, "+requestID)
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}
