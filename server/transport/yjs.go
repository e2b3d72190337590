package transport

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/gobwas/ws"

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
		mux.Handle("/v1/hocuspocus", s.api(methods{http.MethodGet: s.getHocuspocus}))
	}
}

// yjsConn is a client of y-websocket (rules YWS-1 to YWS-9): a connection for one document.
type yjsConn struct {
	yjsLine
	doc    *yjsDoc
	denied bool // the client was told that it may not write
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
	y := &yjsConn{yjsLine: yjsLine{srv: s, frames: frameReader{max: yjsMessage, binary: true}, pipe: newPipe(o.nc, s.cfg.Limits.WriteDeadline)}}
	y.ctx, y.cancel = context.WithCancel(s.ctx)
	if y.doc = s.openYjs(y.ctx, r.PathValue("room"), name, o.seat); y.doc == nil {
		y.cancel()
		y.pipe.close()
		return nil
	}
	behind := y.doc.behind
	y.id = behind.id
	s.log.Debug("socket opened", "request", w.Header().Get(requestID), "connection", y.id)
	behind.guest, behind.turned = o.guest, o.turned
	token := ""
	if o.guest == nil && refused == nil {
		token = s.yjsToken(r)
	}
	s.tasks.Go(func() { y.run(token, refused, o.early) }) // before the socket behind is released
	go behind.begin(nil)
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

// run is the reading goroutine; it waits for the one that passes on what the socket behind says. Nothing that the client says is read before it
// has joined the room.
func (y *yjsConn) run(token string, refused error, early []byte) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		y.down(refused)
	}()
	if y.doc.hello(token, "y-websocket") == nil {
		y.listen(early, y)
	} else {
		y.linger()
	}
	y.cancel()
	_ = y.doc.near.Close()
	<-done
	y.doc.cancel()
	y.pipe.close()
}

// down passes on what the socket behind says, until that ends.
func (y *yjsConn) down(refused error) {
	if refused != nil { // a ticket that is no good
		code := room.AsError(refused).Code
		y.srv.tell(code)
		y.bye(yjsRefusal(code), string(code))
	} else if end, err := y.doc.pass(bufio.NewReader(y.doc.near), y); err != nil {
		y.hangUp()
	} else if end.code == 0 {
		y.bye(yjsRefusal(end.why), string(end.why))
	} else {
		y.bye(yjsClose(end.code), string(end.why))
	}
	_ = y.doc.near.Close()
}

// ping implements yjsClient. It says a message beside: a client that hears none for 30 s connects again.
func (y *yjsConn) ping() {
	y.write(appendBinary(appendControl(nil, ws.OpPing, nil), ysync.AppendAwareness(nil, nil)))
}

// renewed and stale implement yjsClient: there is no refresh here.
func (y *yjsConn) renewed()        {}
func (y *yjsConn) stale(room.Code) {}

// control implements listener. Each is counted by the socket behind: who floods is sent away.
func (y *yjsConn) control(op ws.OpCode, payload []byte) error {
	return y.answerControl(op, payload, y.doc.beat)
}

// message implements listener.
func (y *yjsConn) message(p []byte) error {
	m, err := ysync.Parse(p)
	if err != nil {
		return &violation{yjsBadRequest, err.Error()}
	}
	switch m.Kind {
	case ysync.Ask:
		err = y.answer(m.Body)
	case ysync.Answer, ysync.Update:
		err = y.doc.store(m.Body)
		if e := (*room.Error)(nil); errors.As(err, &e) && e.Code == room.CodeForbidden {
			if !y.denied {
				y.denied = true
				y.deny(e.Title)
			}
			return nil // it may read on
		}
	case ysync.Query:
		err = y.doc.query()
	case ysync.Awareness:
		err = y.doc.aware(m.Body)
	}
	e := (*room.Error)(nil)
	switch {
	case !errors.As(err, &e):
		return err
	case isReplaced(e):
		return &violation{closeGoingAway, string(room.CodeReset)}
	case e.Code == room.CodeMessageTooLarge:
		return &violation{closeTooLarge, string(e.Code)}
	}
	y.deny(e.Title)
	return &violation{yjsRefusal(e.Code), string(e.Code)}
}

// answer gives the client what it lacks, and asks for what the document lacks of its.
func (y *yjsConn) answer(vector []byte) error {
	doc, err := y.doc.read(vector)
	if err != nil {
		return err
	}
	y.say(ysync.AppendAnswer(nil, doc.State))
	if y.doc.writes() { // else it would be refused
		y.say(ysync.AppendAsk(nil, doc.Vector))
	}
	return nil
}

// deny tells the client that something is not permitted, in the words of y-protocols.
func (y *yjsConn) deny(why string) { y.say(ysync.AppendDenied(nil, why)) }

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
