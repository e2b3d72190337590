package transport

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // RFC 6455 section 4.2.2 asks for it, and no secret depends on it
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"roomlog/server/wire"
)

// headers are the fields of a request by name, whose case does not count: an http.Header, or an opening.
type headers interface {
	// Values are the values of a field, in their order; nobody changes them.
	Values(name string) []string
}

// first is the first value of a field; "" where there is none.
func first(h headers, name string) string {
	if values := h.Values(name); len(values) > 0 {
		return values[0]
	}
	return ""
}

// opening is the head of a request that can be nothing but the opening handshake of a WebSocket of ours, as
// clients and proxies write it. It is read from the bytes that came, without net/http, whose buffers and maps
// are most of what a connection costs to open.
//
// It is stricter than net/http on purpose: where the two could understand a head differently, it is not one.
type opening struct {
	names, values []string
}

// maxFields is how many fields an opening has at most.
const maxFields = 64

// parseOpening reads an opening from the front of p and says where it ends; nil: p is something else, or not
// all of it has come. An opening with a query is something else: a ticket is for net/http.
func parseOpening(p []byte) (o *opening, size int) {
	const line = "GET /v1/ws HTTP/1.1\r\n"
	end := bytes.Index(p, []byte("\r\n\r\n"))
	if end < 0 || !bytes.HasPrefix(p, []byte(line)) {
		return nil, 0
	}
	head := string(p[:end+2])[len(line):] // what is kept of it is kept without the buffer
	many := strings.Count(head, "\n")
	if many > maxFields {
		return nil, 0
	}
	all := make([]string, 2*many)
	o = &opening{names: all[:0:many], values: all[many:many]}
	for head != "" {
		var text string
		text, head, _ = strings.Cut(head, "\r\n")
		name, value, found := strings.Cut(text, ":")
		value = strings.Trim(value, " \t")
		if !found || !isToken(name) || !isPlain(value) {
			return nil, 0
		}
		o.names, o.values = append(o.names, name), append(o.values, value)
	}
	if !o.ordinary() {
		return nil, 0
	}
	return o, end + len("\r\n\r\n")
}

// ordinary reports whether nothing in the head is for net/http to judge: it names one host, has no body, and
// offers subprotocols only where ours is among them.
func (o *opening) ordinary() bool {
	for _, name := range []string{"Content-Length", "Transfer-Encoding", "Expect", "Trailer", "Te"} {
		if o.Values(name) != nil {
			return false
		}
	}
	host := o.Values("Host")
	return len(host) == 1 && isHost(host[0]) && (o.Values("Sec-WebSocket-Protocol") == nil || o.offers())
}

// offers reports whether the opening offers subprotocols in a well-formed list, ours in just its case.
func (o *opening) offers() (ours bool) {
	for _, list := range o.Values("Sec-WebSocket-Protocol") {
		for name := range strings.SplitSeq(list, ",") {
			name = strings.Trim(name, " \t")
			if !isToken(name) {
				return false
			}
			ours = ours || name == wire.Subprotocol
		}
	}
	return ours
}

// Values implements headers.
func (o *opening) Values(name string) []string {
	var found []string
	for i := range o.names {
		switch {
		case !strings.EqualFold(o.names[i], name):
		case found == nil:
			found = o.values[i : i+1 : i+1]
		default:
			found = append(found, o.values[i])
		}
	}
	return found
}

// isToken reports whether s is a token of RFC 9110 section 5.6.2 of letters, digits and what names of fields
// and protocols are otherwise made of.
func isToken(s string) bool { return s != "" && consists(s, "-_.!#$%&'*+^`|~") }

// isHost reports whether s is a host, with or without a port, as a client writes it that has nothing to hide.
func isHost(s string) bool { return s != "" && consists(s, "-_.:[]") }

// consists reports whether s is of ASCII letters, digits and the others alone.
func consists(s, others string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return true
}

// isPlain reports whether s is printable ASCII and tabs.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < ' ' || c > '~') && c != '\t' {
			return false
		}
	}
	return true
}

// open takes over a connection that begins with an opening to which nothing is to be said against, and says
// what came after that; nil: it is for net/http, which says what there is. What is checked is what getSocket
// checks, in its order.
func (s *Server) open(a *arrival) (c *socket, early []byte) {
	began := time.Now()
	o, size := s.judgeOpening(a.got.bytes())
	if o == nil {
		return nil, nil
	}
	seat, lacks := s.quotas.place(s.addressBehind(a.peer, o.Values("X-Forwarded-For")), true)
	if lacks != nil {
		return nil, nil
	}
	id := nameOf(o)
	c = newSocketOn(s, a.pipe, newID(), seat)
	if c.turned = s.quotas.turn(seat.address); c.turned != nil {
		s.quotas.leave(seat) // it holds no place while it goes
	}
	if !s.adopt(&c.sink) {
		s.quotas.leave(seat)
		return nil, nil
	}
	s.logOpening(id, c.id, began)
	answer := o.accept(id)
	if n, err := c.TryWrite([][]byte{answer}); err == nil && n < len(answer) {
		c.Close(nil) // nobody is waited for who has no room for the first answer
	} // else one who has gone is found to have
	return c, a.got.bytes()[size:]
}

// judgeOpening is the opening at the front of p; nil: there is none, or something is to be said against it.
func (s *Server) judgeOpening(p []byte) (o *opening, size int) {
	var err error
	defer func() {
		if err != nil {
			o = nil
		}
	}()
	defer s.rescue(&err)
	if o, size = parseOpening(p); o == nil {
		return nil, 0
	}
	if err = s.judgeOrigins(o.Values("Origin")); err == nil {
		err = checkHandshake(o, wire.Subprotocol)
	}
	return o, size
}

// logOpening logs the request that an opening is, as any other, and the connection that it became.
func (s *Server) logOpening(id, connection string, began time.Time) {
	if s.log.Enabled(s.ctx, slog.LevelDebug) {
		s.log.Debug("socket opened", "request", id, "connection", connection)
		s.log.Debug("request", "request", id, "method", http.MethodGet, "route", "/v1/ws", "took", time.Since(began))
	}
}

// accept is the answer to the opening (RFC 6455 section 4.2.2).
func (o *opening) accept(id string) []byte {
	const guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
	sum := sha1.Sum([]byte(first(o, "Sec-WebSocket-Key") + guid)) //nolint:gosec // as above
	p := make([]byte, 0, 256)
	p = append(p, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	p = base64.StdEncoding.AppendEncode(p, sum[:])
	if o.Values("Sec-WebSocket-Protocol") != nil {
		p = append(p, "\r\nSec-WebSocket-Protocol: "+wire.Subprotocol...)
	}
	p = append(p, "\r\n"+requestID+": "...)
	p = append(p, id...)
	return append(p, "\r\n\r\n"...)
}

// arrival is a connection at the gate, until it is served or handed on.
type arrival struct {
	gate *Gate
	conn *counted
	peer netip.Addr
	from netip.Prefix // what counts as its address as long as no proxy has said whose it is
	pipe pipe         // nil: this is no connection whose descriptor we may read
	got  *chunk
}

// wait hands the connection on once its peer has said something.
func (a *arrival) wait() {
	var err error
	if a.pipe != nil {
		a.got, err = a.pipe.read()
	}
	a.gate.spoke(a, err)
}

// do implements chore.
func (a *arrival) do() {
	if c, early := a.gate.srv.open(a); c != nil {
		a.gate.tasks.Done()
		c.begin(early)
		a.got.free()
		return
	}
	said := bytes.Clone(a.got.bytes())
	a.got.free()
	a.gate.handOn(&replayed{counted: a.conn, said: said})
	a.gate.tasks.Done()
}

// replayed is a connection of which something was read already: that comes first.
type replayed struct {
	*counted
	said []byte // one goroutine reads a connection
}

// Read implements net.Conn.
func (r *replayed) Read(p []byte) (int, error) {
	if len(r.said) == 0 {
		return r.counted.Read(p)
	}
	n := copy(p, r.said)
	if r.said = r.said[n:]; len(r.said) == 0 {
		r.said = nil
	}
	return n, nil
}
