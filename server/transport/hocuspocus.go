package transport

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
	"roomlog/server/ysync"
)

const (
	// hocusSubprotocol may be offered; the provider offers none.
	hocusSubprotocol = "roomlog.hocuspocus"
	// hocusMost is how many documents one connection may have open.
	hocusMost = 50
)

// hocusConn is a client of Hocuspocus (rules HOC-1 to HOC-10): a connection for documents that its messages name. Each has a socket behind of
// its own, with its own token, so that one that ends leaves the others as they are.
type hocusConn struct {
	yjsLine
	stop  sink // has the server end it, where no document does
	seat  *seat
	known bool // somebody was let in; of the reading goroutine, as is pace
	pace  pace // of messages that concern no document

	tasks  sync.WaitGroup // of documents
	beaten atomic.Bool    // no document waits for a sign of life

	mu   sync.Mutex
	docs map[string]*hocusDoc // by the name that the client has for them
	in   int                  // of those, how many were let in
	idle deadline             // by when one has to be
}

// getHocuspocus is GET /v1/hocuspocus. Who comes is said by messages, never by the URL.
func (s *Server) getHocuspocus(w http.ResponseWriter, r *http.Request) error {
	if q := r.URL.Query(); q.Has("token") || q.Has("ticket") {
		return &room.Error{Code: room.CodeUnauthenticated, Title: "The token comes in a message here, and not in the URL.", Field: "token"}
	}
	o, err := s.upgrade(w, r, hocusSubprotocol, func(*room.Error, *http.Request) (*auth.Identity, error) { return nil, nil })
	if o == nil {
		return err
	}
	h := &hocusConn{
		yjsLine: yjsLine{
			srv: s, id: newID(), frames: frameReader{max: helloBytes, binary: true}, pipe: newPipe(o.nc, s.cfg.Limits.WriteDeadline),
		},
		seat: o.seat, docs: make(map[string]*hocusDoc),
	}
	h.stop.pipe, h.idle.sink = h.pipe, &h.stop
	s.log.Debug("socket opened", "request", w.Header().Get(requestID), "connection", h.id)
	if !s.adopt(&h.stop) {
		s.quotas.leave(o.seat)
		h.pipe.close()
		return nil
	}
	h.ctx, h.cancel = context.WithCancel(s.ctx)
	go h.run(o.turned, o.early)
	return nil
}

// run is the reading goroutine; it waits for those of the documents.
func (h *hocusConn) run(turned *room.Error, early []byte) {
	if turned != nil { // told over the WebSocket: a browser's script cannot read why one was not opened
		h.stop.Close(turned)
	} else {
		h.srv.wheel.set(&h.idle, time.Now().Add(h.srv.cfg.Limits.HelloWithin), room.CodeAuthTimeout)
		h.listen(early, h)
	}
	if why := h.stop.why.Load(); why != nil {
		h.srv.tellOnce(why)
		h.bye(closeOf(why.err), string(why.err.Code))
		h.linger()
	}
	h.cancel()
	for _, d := range h.all() {
		_ = d.near.Close()
	}
	h.tasks.Wait()
	h.srv.wheel.drop(&h.idle)
	h.pipe.close()
	h.srv.quotas.leave(h.seat)
	h.srv.release(&h.stop)
}

func (h *hocusConn) all() (docs []*hocusDoc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, d := range h.docs {
		docs = append(docs, d)
	}
	return docs
}

// filler counts what concerns no document, or opens or closes one (rule LIM-5).
func (h *hocusConn) filler() error {
	r := h.srv.quotas.rates
	if h.pace.take(int64(time.Since(r.began)), r.limits.FramesPerSecond, r.limits.FrameBurst) {
		return nil
	}
	h.srv.tell(room.CodeRateLimited)
	return &violation{closeOverloaded, string(room.CodeRateLimited)}
}

// beat tells the documents that wait for it that the client is there: everything that it sends shows that.
func (h *hocusConn) beat() {
	if h.beaten.Swap(true) {
		return
	}
	for _, d := range h.all() {
		if d.pinged.Swap(false) {
			_ = d.beat() // one that has ended needs none
		}
	}
}

// control implements listener.
func (h *hocusConn) control(op ws.OpCode, payload []byte) error {
	h.beat()
	return h.answerControl(op, payload, h.filler)
}

// message implements listener.
func (h *hocusConn) message(p []byte) error {
	h.beat()
	e, err := ysync.Open(p)
	if err != nil {
		return &violation{yjsBadRequest, err.Error()}
	}
	h.mu.Lock()
	d := h.docs[e.Document]
	h.mu.Unlock()
	if e.Purpose != ysync.Speak || d == nil {
		if err := h.filler(); err != nil {
			return err
		}
	}
	switch {
	case e.Purpose == ysync.Ping:
		h.say(ysync.AppendPong(nil))
	case e.Purpose == ysync.Introduce && d == nil:
		h.open(e.Document, string(e.Token))
	case d == nil: // what follows a refusal, or comes before the token: a client that is let in syncs all the same
	case e.Purpose == ysync.Introduce:
		err = d.renew(string(e.Token))
	case e.Purpose == ysync.Leave:
		d.leave()
	case e.Purpose == ysync.Speak:
		err = d.take(e.Message)
	}
	if err == errEnded && h.ctx.Err() == nil { // that document alone has ended
		return nil
	}
	return err
}

// open opens a document, if its token is good. What follows on the connection is read when that is known.
func (h *hocusConn) open(document, token string) {
	roomID, doc := splitDocument(document)
	switch {
	case !room.ValidDoc(doc):
		h.refuse(document, room.CodeBadRequest)
		return
	case len(h.all()) >= hocusMost:
		h.refuse(document, room.CodeLimitExceeded)
		return
	}
	y := h.srv.openYjs(h.ctx, roomID, doc, h.srv.quotas.within(h.seat))
	if y == nil {
		return // the server is closed, and ends this connection
	}
	d := &hocusDoc{yjsDoc: y, on: h, document: document, done: make(chan struct{})}
	h.mu.Lock()
	h.docs[document] = d
	h.mu.Unlock()
	h.tasks.Go(d.down)
	go d.behind.begin(nil)
	if d.hello(token, "hocuspocus") != nil {
		return
	}
	if !h.known {
		h.known, h.frames.max = true, yjsMessage
		h.srv.quotas.met(h.seat)
	}
	h.mu.Lock()
	if h.docs[document] == d {
		d.in = true
		h.in++
		h.srv.wheel.drop(&h.idle)
	}
	h.mu.Unlock()
	d.renewed()
}

// splitDocument is the room and the document that a client names: ROOM or ROOM/DOC, and behind a NUL whatever tells several of its sessions apart.
func splitDocument(document string) (roomID, doc string) {
	named, _, _ := strings.Cut(document, "\x00")
	roomID, doc, has := strings.Cut(named, "/")
	if !has {
		doc = room.DefaultDoc
	}
	return roomID, doc
}

// refuse tells the client that a document is not, or no longer, open to it.
func (h *hocusConn) refuse(document string, why room.Code) {
	h.srv.tell(why)
	h.say(ysync.AppendRefused(nil, document, string(why)))
}

// gone forgets a document. A connection that has none that was let in is ended after a while.
func (h *hocusConn) gone(d *hocusDoc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.docs[d.document] != d {
		return
	}
	delete(h.docs, d.document)
	if !d.in {
		return
	}
	if h.in--; h.in == 0 {
		h.srv.wheel.set(&h.idle, time.Now().Add(h.srv.cfg.Limits.HelloWithin), room.CodeAuthTimeout)
	}
}
