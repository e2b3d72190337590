package transport

import (
	"net/http"
	"net/netip"
	"net/url"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

// userHeader names the user that a service acts for, percent-encoded where it is more than printable ASCII.
const userHeader = "Roomlog-User"

// verify checks a token that a frame brought, or a header. Whoever is let in comes by this, by a service's
// key or by a ticket, all of them in this file. An address from which too many tokens came that were no good
// is refused before the next one costs anything (rule LIM-1). A token of ours that has expired is not held
// against it: a whole office wakes up with those.
func (s *Server) verify(from netip.Prefix, token string) (*auth.Identity, error) {
	if err := s.barred(from); err != nil {
		return nil, err
	}
	who, err := s.cfg.Verifier.Verify(token)
	if err != nil {
		if token != "" && room.AsError(err).Code == room.CodeUnauthenticated {
			s.failed(from)
		}
		return nil, err
	}
	return who, s.admitted(who)
}

// barred refuses an address that has shown too much that was no good; failed is one more of that.
func (s *Server) barred(from netip.Prefix) error {
	r := s.quotas.rates
	if wait := r.failures.wait(from); wait > 0 {
		return r.slower(limitFailures, r.limits.FailuresPerSecond, wait, "token", "Too many tokens from this address were no good; wait and try again.")
	}
	return nil
}

func (s *Server) failed(from netip.Prefix) { s.quotas.rates.failures.take(from, 1) }

// actsAs is a service acting for a user, who may be blocked, or for itself.
func (s *Server) actsAs(service *auth.Service, user string) (*auth.Identity, error) {
	who, err := service.As(user)
	if err != nil {
		return nil, err
	}
	return who, s.admitted(who)
}

// identify says who an HTTP request comes from: the user of its token, or of a service's key the user
// that it acts for (rule AUTH-14).
func (s *Server) identify(r *http.Request) (*auth.Identity, error) {
	key, names := bearer(r), r.Header.Values(userHeader)
	service := s.cfg.Services.Find(key)
	if service == nil {
		who, err := s.verify(s.addressOf(r), key)
		if err == nil {
			err = actsAlone(r)
		}
		return who, err
	}
	if len(names) == 0 {
		return s.actsAs(service, "")
	}
	name, err := url.PathUnescape(names[0])
	if err != nil || len(names) > 1 || auth.CheckUser(name) != nil {
		return nil, &room.Error{Code: room.CodeBadRequest, Title: "The header names one user, percent-encoded where it is not plain ASCII.", Field: userHeader}
	}
	return s.actsAs(service, name)
}

// actsAlone refuses the name of a user beside what is not a service's key: who sends it believes to act for another.
func actsAlone(r *http.Request) error {
	if len(r.Header.Values(userHeader)) > 0 {
		return &room.Error{Code: room.CodeForbidden, Title: "Only the key of a service may act for a user.", Field: userHeader}
	}
	return nil
}
