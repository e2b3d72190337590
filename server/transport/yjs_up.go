package transport

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/gobwas/ws"

	"roomlog/server/docs"
	"roomlog/server/room"
	"roomlog/server/transport/auth"
	"roomlog/server/wire"
	"roomlog/server/ysync"
)

// yjsPatience is for how long a change or a read is tried again before the client is sent away, to come back and sync.
const yjsPatience = 10 * time.Second

// caretID is the id of the frames that carry awareness: an error that answers one ends nothing.
const caretID = 2

// tell gives the socket behind a frame, as its client. It fails with errEnded when that has ended; the other goroutine says why.
func (y *yjsConn) tell(frame any) error {
	text, _ := json.Marshal(frame) // texts, numbers and what was found to be JSON always marshal
	if ws.WriteFrame(y.near, ws.MaskFrameInPlaceWith(ws.NewTextFrame(text), [4]byte{})) != nil {
		return errEnded
	}
	return nil
}

// up takes what the client says, from when it has joined the room: until then nothing of it is read.
func (y *yjsConn) up(token string, early []byte) {
	type object = map[string]any
	if y.tell(object{"op": "hello", "token": token, "client": "y-websocket"}) != nil ||
		y.tell(object{"op": "join", "id": 1, "room": y.room, "limit": 1, "with": []string{"signals"}, "present": false}) != nil {
		y.linger()
		return
	}
	select {
	case <-y.joined:
	case <-y.ctx.Done():
		y.linger()
		return
	}
	err := y.feed(early)
	for err == nil {
		c, failed := y.pipe.read()
		if failed != nil {
			return
		}
		err = y.feed(c.bytes())
		c.free()
	}
	if errors.Is(err, errEnded) || y.ctx.Err() != nil {
		y.linger()
		return
	}
	y.last = lastOfYjs(err)
}

// lastOfYjs is the close frame for what the client sent.
func lastOfYjs(err error) []byte {
	var v *violation
	var p peerClosed
	switch {
	case errors.As(err, &v):
		return appendClose(nil, v.code, v.reason)
	case errors.As(err, &p):
		return appendClose(nil, uint16(p), "")
	}
	return appendClose(nil, closeInternal, string(room.CodeInternal))
}

// linger reads on until the client has taken the last words.
func (y *yjsConn) linger() {
	<-y.ctx.Done()
	for left := lingerBytes; left > 0; {
		c, err := y.pipe.read()
		if err != nil {
			return
		}
		left -= c.n
		c.free()
	}
}

func (y *yjsConn) feed(p []byte) (err error) {
	defer y.srv.rescue(&err, "connection", y.behind.id)
	return y.frames.feed(p, y)
}

// control implements listener. That the client is there is known by its pongs, which come as those of the socket behind.
func (y *yjsConn) control(op ws.OpCode, payload []byte) error {
	switch op {
	case ws.OpPing:
		y.write(appendControl(nil, ws.OpPong, payload))
		return y.tell(map[string]string{"op": "pong"}) // counted there: who floods is sent away
	case ws.OpClose:
		code, err := checkClose(payload)
		if err != nil {
			return err
		}
		return peerClosed(code)
	}
	return y.tell(map[string]string{"op": "pong"})
}

// message implements listener.
func (y *yjsConn) message(p []byte) error {
	m, err := ysync.Parse(p)
	if err != nil {
		return &violation{yjsBadRequest, err.Error()}
	}
	switch m.Kind {
	case ysync.Ask:
		return y.again(func() error { return y.answer(m.Body) })
	case ysync.Update:
		return y.store(m.Body)
	case ysync.Query:
		return y.tell(map[string]string{"op": "sync", "room": y.room, "side": "signals"})
	}
	entries, err := ysync.ParseAwareness(m.Body)
	if err != nil {
		return &violation{yjsBadRequest, err.Error()}
	}
	for _, signal := range y.carets.own(y.room, y.who.User, entries) {
		if err := y.tell(signal); err != nil {
			return err
		}
	}
	return nil
}

// answer gives the client what it lacks, and asks for what the document lacks of its.
func (y *yjsConn) answer(vector []byte) error {
	if err := y.srv.quotas.rates.read(y.who.User); err != nil {
		return err
	}
	y.syncing.Lock()
	defer y.syncing.Unlock()
	doc, err := y.read(vector)
	if err != nil {
		return err
	}
	y.say(ysync.AppendAnswer(nil, doc.State))
	if y.srv.allowed(y.who, y.id, auth.Send) == nil { // else it would be refused
		y.say(ysync.AppendAsk(nil, doc.Vector))
	}
	return nil
}

// read reads what of the document a client lacks that has vector. What it is given then, it has. The caller holds y.syncing.
func (y *yjsConn) read(vector []byte) (docs.Doc, error) {
	doc, failed := y.srv.readDoc(y.ctx, y.who.User, y.id, y.doc, vector)
	if refused := y.srv.allowed(y.who, y.id, auth.Read); refused != nil { // access may have been taken back meanwhile
		return docs.Doc{}, refused
	}
	if failed != nil {
		return docs.Doc{}, failed
	}
	y.had = doc.Vector
	return doc, nil
}

// mend gives the client what a page has left out (rule DOC-12): all that the document has and the client was not given in one piece.
func (y *yjsConn) mend() error {
	y.syncing.Lock()
	defer y.syncing.Unlock()
	if y.had == nil { // it has yet to ask
		return nil
	}
	doc, err := y.read(y.had)
	if err != nil {
		return err
	}
	y.say(ysync.AppendUpdate(nil, doc.State))
	return nil
}

// store stores a change. The next message is read when that is done: so a client is as fast as its rate.
func (y *yjsConn) store(update []byte) error {
	if bytes.Equal(update, []byte{0, 0}) { // nothing
		return nil
	}
	if len(update) > room.MaxDocUpdate {
		return &violation{closeTooLarge, string(room.CodeMessageTooLarge)}
	}
	change := &room.DocChange{Name: y.doc, Update: slices.Clone(update)}
	post := wire.Post{Type: room.TypeDoc, Tag: newTag().String(), Data: change.Data()}
	return y.again(func() error {
		err := y.try(post)
		if err == nil || room.AsError(err).Code != room.CodeForbidden {
			return err
		}
		if !y.denied {
			y.denied = true
			y.deny(room.AsError(err).Title)
		}
		return nil // it may read on
	})
}

func (y *yjsConn) try(post wire.Post) error {
	id, err := y.srv.judge(y.ctx, y.who, y.room, auth.Send)
	if err != nil {
		return err
	}
	if err := y.srv.quotas.rates.send(y.who.User); err != nil {
		return err
	}
	f, err := y.srv.launch(y.ctx, y.who, id, post)
	if err != nil {
		return err
	}
	_, err = f.outcome(y.ctx)
	return err
}

// again does something until it is done, refused for good, or for too long. What ends the connection is told before.
func (y *yjsConn) again(do func() error) error {
	for until := time.Now().Add(yjsPatience); ; {
		err := do()
		if err == nil {
			return nil
		}
		e := room.AsError(err)
		wait := max(e.RetryAfter, 50*time.Millisecond)
		if !e.Retryable() || time.Now().Add(wait).After(until) {
			y.srv.tell(e.Code)
			y.deny(e.Title)
			return &violation{yjsRefusal(e.Code), string(e.Code)}
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-y.ctx.Done():
			timer.Stop()
			return y.ctx.Err()
		}
	}
}
