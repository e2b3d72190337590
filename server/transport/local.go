package transport

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"roomlog/server/room"
)

// Local makes a route that only requests from this machine to localhost may use, as GET /v1/dev/token
// is one: with the same request ids, judgement of origins, preflights and problems. routes are by
// method; one that returns an error must not have written anything.
func (s *Server) Local(routes map[string]func(http.ResponseWriter, *http.Request) error) http.Handler {
	m := make(methods, len(routes))
	for method, serve := range routes {
		m[method] = func(w http.ResponseWriter, r *http.Request) error {
			if !localRequest(r) {
				return &room.Error{Code: room.CodeForbidden, Title: "This is for requests from this machine to localhost."}
			}
			return serve(w, r)
		}
	}
	return s.api(m)
}

// localRequest reports whether a request is from this machine to localhost. The address says that it
// comes from here; the Host header, that the browser meant to come here: a foreign name that resolves
// to this machine is refused. What a proxy on this machine has passed on may come from anywhere.
func localRequest(r *http.Request) bool {
	if r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Forwarded") != "" {
		return false
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !from.Addr().Unmap().IsLoopback() {
		return false
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return LocalHost(host)
}

// LocalHost reports whether a host, without its port, names this machine alone.
func LocalHost(host string) bool {
	host = strings.Trim(host, "[]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// localOrigin reports whether an origin is a page that this machine serves itself, on any port: what a
// dev server lets in beside its list, since a page may connect by way of a proxy on another port.
func localOrigin(origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Scheme == "http" && LocalHost(u.Hostname())
}
