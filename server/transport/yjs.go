package transport

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
	"roomlog/server/ysync"
)

// yjsSubprotocol may be offered by clients of y-websocket; beside it, one that begins with yjsToken brings the token.
const (
	yjsSubprotocol = "roomlog.yjs"
	yjsToken       = "token."
)

func (s *Server) routeYjs(mux *http.ServeMux) {
	if s.cfg.Docs != nil {
		mux.Handle("/v1/yjs/{room}", s.api(methods{http.MethodGet: s.getYjs}))
		mux.Handle("/v1/yjs/{room}/{name}", s.api(methods{http.MethodGet: s.getYjs}))
	}
}

// yjsConn is a client of y-websocket (rules YWS-1 to YWS-9). Behind it is a socket of this server's own protocol, over a pipe in memory, so that
// who may do what, when that ends, slowness, limits and stopping are what they are for every other connection; here one protocol becomes the other.
// Changes and reads of the document go to the hub and the documents themselves.
type yjsConn struct {
	srv    *Server
	ctx    context.Context // ends with the connection
	cancel context.CancelFunc
	room   string
	doc    string
	behind *socket
	near   net.Conn // our end of the pipe to it
	joined chan struct{}

	frames frameReader
	who    *auth.Identity // set before joined
	id     room.ID        // likewise
	denied bool           // the client was told that it may not write
	last   []byte         // the close frame that answers the client's, or says what was wrong

	writing sync.Mutex // over writes to the client
	pipe    pipe

	carets *carets

	syncing sync.Mutex // from a read of the document until the client was given it
	had     []byte     // the state vector of what it was given; nil: it has not asked yet
}

// getYjs is GET /v1/yjs/{room}/{name}. What is wrong with who comes is told over the WebSocket: a client whose handshake fails tries for ever.
func (s *Server) getYjs(w http.ResponseWriter, r *http.Request) error {
	name := room.DefaultDoc
	if r.PathValue("name") != "" {
		var err error
		if name, err = docName(r); err != nil {
			return err
		}
	}
	var refused error
	o, err := s.upgrade(w, r, yjsSubprotocol, func(turned *room.Error, r *http.Request) (who *auth.Identity, _ error) {
		who, refused = s.ticketUnless(turned, r)
		return who, nil
	})
	if o == nil {
		return err
	}
	far, near := net.Pipe()
	y := &yjsConn{
		srv: s, room: r.PathValue("room"), doc: name, near: near, joined: make(chan struct{}),
		behind: newSocketOn(s, newPlainPipe(far, s.cfg.Limits.WriteDeadline), newID(), o.seat),
		frames: frameReader{max: room.MaxDocUpdate + 1024, binary: true},
		pipe:   newPipe(o.nc, s.cfg.Limits.WriteDeadline), carets: newCarets(name),
	}
	s.log.Debug("socket opened", "request", w.Header().Get(requestID), "connection", y.behind.id)
	y.behind.guest, y.behind.turned = o.guest, o.turned
	if !s.adopt(&y.behind.sink) {
		s.quotas.leave(o.seat)
		_, _ = near.Close(), far.Close()
		y.pipe.close()
		return nil
	}
	y.ctx, y.cancel = context.WithCancel(s.ctx)
	token := ""
	if o.guest == nil && refused == nil {
		token = s.yjsToken(r)
	}
	s.tasks.Go(func() { y.run(token, refused, o.early) }) // before the socket behind is released
	go y.behind.begin(nil)
	return nil
}

// yjsToken is the token of a handshake, which browsers give no headers: in a subprotocol, or where that is allowed in the URL.
func (s *Server) yjsToken(r *http.Request) string {
	if token := bearer(r); token != "" {
		return token
	}
	for _, line := range r.Header.Values("Sec-Websocket-Protocol") {
		for part := range strings.SplitSeq(line, ",") {
			if token, ok := strings.CutPrefix(strings.TrimSpace(part), yjsToken); ok {
				return token
			}
		}
	}
	if s.cfg.TokenInURL {
		return r.URL.Query().Get("token")
	}
	return ""
}

// run is the reading goroutine; it waits for the one that passes on what the socket behind says.
func (y *yjsConn) run(token string, refused error, early []byte) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		y.down(refused)
	}()
	y.up(token, early)
	y.cancel()
	_ = y.near.Close()
	<-done
	if y.last != nil {
		y.write(y.last)
		y.pipe.finish()
	}
	y.pipe.close()
}

// write gives bytes to the client; where it takes none for the write deadline, the connection ends.
func (y *yjsConn) write(frame []byte) {
	y.writing.Lock()
	defer y.writing.Unlock()
	if err := y.pipe.writeAll(frame); err != nil {
		y.hangUp()
	}
}

// say gives the client a message.
func (y *yjsConn) say(message []byte) { y.write(appendBinary(nil, message)) }

// hangUp has the reading goroutine end.
func (y *yjsConn) hangUp() {
	y.cancel()
	_ = y.pipe.conn().SetReadDeadline(time.Unix(1, 0)) // long past
}

// bye ends the connection with a close code; the client has a moment to answer.
func (y *yjsConn) bye(code uint16, reason string) {
	y.write(appendClose(nil, code, reason))
	y.cancel()
	_ = y.pipe.conn().SetReadDeadline(time.Now().Add(lingerFor))
}

// The close codes that clients of y-websocket 3.1 and later do not come back after: 4400 to 4499.
const (
	yjsBadRequest      = 4400
	yjsUnauthenticated = 4401
	yjsForbidden       = 4403
)

// yjsClose is the close code of ours as one for such a client.
func yjsClose(code uint16) uint16 {
	switch {
	case code == closeUnauthenticated:
		return yjsUnauthenticated
	case code == closeRevoked:
		return yjsForbidden
	case code >= 4500:
		return yjsBadRequest
	}
	return code
}

// yjsRefusal is how the connection ends for an error.
func yjsRefusal(code room.Code) uint16 {
	switch {
	case code.Retryable():
		return closeOverloaded
	case code == room.CodeForbidden || code == room.CodeUnknownRoom:
		return yjsForbidden
	}
	if c := yjsClose(meanings[code].close); c >= 4400 {
		return c
	}
	return yjsBadRequest
}

// deny tells the client that something is not permitted, in the words of y-protocols.
func (y *yjsConn) deny(why string) { y.say(ysync.AppendDenied(nil, why)) }
