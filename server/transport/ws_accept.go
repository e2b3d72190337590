package transport

import (
	"bufio"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
	"roomlog/server/wire"
)

// getSocket is GET /v1/ws: the WebSocket handshake. What is wrong with a request is answered as a
// problem before the connection leaves net/http.
func (s *Server) getSocket(w http.ResponseWriter, r *http.Request) error {
	o, err := s.upgrade(w, r, wire.Subprotocol, s.ticketUnless)
	if o == nil {
		return err
	}
	c := newSocket(s, o.nc, newID(), o.seat)
	s.log.Debug("socket opened", "request", w.Header().Get(requestID), "connection", c.id)
	c.guest, c.turned = o.guest, o.turned
	if !s.adopt(&c.sink) {
		s.quotas.leave(o.seat)
		_ = o.nc.Close()
		return nil
	}
	go c.begin(o.early)
	return nil
}

// upgraded is a connection that has become a WebSocket.
type upgraded struct {
	nc     net.Conn
	early  []byte // what came with the handshake
	seat   *seat
	turned *room.Error    // it is to come back later; nil: it is let in
	guest  *auth.Identity // of its ticket; nil: it had none
}

// upgrade answers the handshake of a WebSocket; ticket says who its URL is for. Nil without an error: it was answered otherwise.
func (s *Server) upgrade(
	w http.ResponseWriter, r *http.Request, subprotocol string, ticket func(*room.Error, *http.Request) (*auth.Identity, error),
) (*upgraded, error) {
	if !r.ProtoAtLeast(1, 1) || r.ProtoMajor != 1 {
		return nil, badHandshake("", "A WebSocket is opened with HTTP/1.1.")
	}
	if err := checkHandshake(r.Header, subprotocol); err != nil {
		return nil, err
	}
	seat, err := s.quotas.arrive(s.addressOf(r), true)
	if err != nil {
		return nil, err
	}
	turned := s.quotas.turn(seat.address)
	if turned != nil {
		s.quotas.leave(seat) // it holds no place while it goes, and its ticket stays good
	}
	guest, err := ticket(turned, r)
	if err != nil {
		s.quotas.leave(seat)
		return nil, err
	}
	upgrader := ws.HTTPUpgrader{
		Protocol: func(name string) bool { return name == subprotocol },
		Header:   http.Header{requestID: {w.Header().Get(requestID)}},
		Timeout:  s.cfg.Limits.HelloWithin,
	}
	nc, rw, _, err := upgrader.Upgrade(r, w)
	if err != nil {
		s.quotas.leave(seat)
		if nc != nil {
			_ = nc.Close()
		}
		s.log.Debug("handshake failed", "error", err)
		return nil, nil // answered already, as far as there is anybody to hear it
	}
	return &upgraded{nc, unread(nc, rw), seat, turned, guest}, nil
}

// ticketUnless is who the ticket of a request stands for, if any; one who is turned away keeps it.
func (s *Server) ticketUnless(turned *room.Error, r *http.Request) (*auth.Identity, error) {
	if turned != nil {
		return nil, nil
	}
	return s.socketTicket(r)
}

// unread is what the client has sent already on a connection that net/http has let go of.
func unread(nc net.Conn, rw *bufio.ReadWriter) []byte {
	early := make([]byte, rw.Reader.Buffered())
	_, _ = rw.Reader.Read(early) // what is buffered is there
	if r, ok := nc.(*replayed); ok {
		early, r.said = append(early, r.said...), nil
	}
	return early
}

// checkHandshake refuses what is not an opening handshake (RFC 6455 section 4.2.1).
func checkHandshake(h headers, subprotocol string) error {
	key := h.Values("Sec-Websocket-Key")
	switch {
	case !hasToken(h, "Upgrade", "websocket") || !hasToken(h, "Connection", "Upgrade"):
		return badHandshake("Upgrade", "This path opens a WebSocket: it needs Connection: Upgrade and Upgrade: websocket.")
	case len(key) != 1 || !validKey(key[0]):
		return badHandshake("Sec-WebSocket-Key", "A handshake has one Sec-WebSocket-Key of 16 bytes in base64.")
	case first(h, "Sec-Websocket-Version") != "13":
		return &room.Error{Code: room.CodeUnsupportedVersion, Title: "The WebSocket version is 13.", Field: "Sec-WebSocket-Version"}
	case first(h, "Sec-Websocket-Protocol") != "" && !hasToken(h, "Sec-Websocket-Protocol", subprotocol):
		return &room.Error{Code: room.CodeUnsupportedVersion, Title: "The subprotocol of this server is " + subprotocol + ".", Field: "Sec-WebSocket-Protocol"}
	}
	return nil
}

func badHandshake(field, title string) error {
	return &room.Error{Code: room.CodeBadRequest, Title: title, Field: field}
}

func validKey(key string) bool {
	var b [32]byte
	if base64.StdEncoding.DecodedLen(len(key)) > len(b) {
		return false
	}
	n, err := base64.StdEncoding.Decode(b[:], []byte(key))
	return err == nil && n == 16
}

// hasToken looks for a token in a header that is a list, in any case.
func hasToken(h headers, name, token string) bool {
	for _, line := range h.Values(name) {
		for part := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(part), token) {
				return true
			}
		}
	}
	return false
}

// takeOver takes a connection from net/http, with what the client has sent already.
func takeOver(w http.ResponseWriter) (net.Conn, []byte, error) {
	nc, rw, err := http.NewResponseController(w).Hijack()
	if errors.Is(err, http.ErrNotSupported) {
		return nil, nil, badHandshake("", "A stream needs a connection of its own: HTTP/1.1.")
	}
	if err != nil {
		return nil, nil, err
	}
	_ = nc.SetDeadline(time.Time{})
	return nc, unread(nc, rw), nil
}
