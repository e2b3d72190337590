package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"roomlog/server/docs"
	"roomlog/server/room"
	"roomlog/server/transport/auth"
	"roomlog/server/wire"
	"roomlog/server/ysync"
)

// yjsDoc is a document that a client has open in another protocol than ours (rules YWS and HOC). Behind it is a socket of this server's own
// protocol, over a pipe in memory, so that who may do what, when that ends, slowness, limits and stopping are what they are for every other
// connection. Changes and reads of the document go to the hub and the documents themselves.
//
// One goroutine says what the client wants (hello, answer, store, aware); another passes on what the socket behind says (pass).
type yjsDoc struct {
	srv    *Server
	ctx    context.Context // ends with the document
	cancel context.CancelFunc
	room   string
	doc    string
	behind *socket
	near   net.Conn // our end of the pipe to it
	joined chan struct{}
	id     room.ID // set before joined
	carets *carets

	of atomic.Pointer[string] // the id of the document that the client has; nil: there was none yet

	syncing sync.Mutex // over reads of the document
	had     []byte     // the state vector of what the client was given; nil: it has not asked yet
}

// yjsClient is who is told what becomes of a document, in its own protocol.
type yjsClient interface {
	say(message []byte) // one of y-protocols
	ping()              // a sign of life is wanted
	renewed()           // the socket behind has handled a refresh
	stale(room.Code)    // it refused that
}

// yjsPatience is for how long a change or a read is tried again before the client is sent away, to come back and sync.
const yjsPatience = 10 * time.Second

// The ids of frames, by which errors that answer them are known. That of a caret ends nothing.
const (
	yjsJoin, yjsCaret, yjsRefresh = 1, 2, 3
)

// openYjs makes a document, whose socket behind has a seat. Nil: the server is closed. The caller begins the socket, in a goroutine of its own.
func (s *Server) openYjs(ctx context.Context, roomID, doc string, at *seat) *yjsDoc {
	far, near := net.Pipe()
	y := &yjsDoc{
		srv: s, room: roomID, doc: doc, near: near, joined: make(chan struct{}), carets: newCarets(doc),
		behind: newSocketOn(s, newPlainPipe(far, s.cfg.Limits.WriteDeadline), newID(), at),
	}
	if !s.adopt(&y.behind.sink) {
		s.quotas.leave(at)
		_, _ = near.Close(), far.Close()
		return nil
	}
	y.ctx, y.cancel = context.WithCancel(ctx)
	return y
}

// tell gives the socket behind a frame, as its client. It fails with errEnded when that has ended; the other goroutine says why.
func (y *yjsDoc) tell(frame any) error {
	text, _ := json.Marshal(frame) // texts, numbers and what was found to be JSON always marshal
	if ws.WriteFrame(y.near, ws.MaskFrameInPlaceWith(ws.NewTextFrame(text), [4]byte{})) != nil {
		return errEnded
	}
	return nil
}

// hello says who the client is, and waits until it is let in. It fails with errEnded where it is not.
func (y *yjsDoc) hello(token, client string) error {
	type object = map[string]any
	err := y.tell(object{"op": "hello", "token": token, "client": client})
	if err == nil {
		err = y.tell(object{"op": "join", "id": yjsJoin, "room": y.room, "limit": 1, "with": []string{"signals"}, "present": false})
	}
	if err != nil {
		return err
	}
	select {
	case <-y.joined:
		return nil
	case <-y.ctx.Done():
		return errEnded
	}
}

// beat tells the socket behind that the client is there.
func (y *yjsDoc) beat() error { return y.tell(map[string]string{"op": "pong"}) }

// who is who has the document open, once it has joined.
func (y *yjsDoc) who() *auth.Identity { return y.behind.listed.who.Load() }

// aware passes on what the client says of itself. What is no awareness is a *violation.
func (y *yjsDoc) aware(body []byte) error {
	entries, err := ysync.ParseAwareness(body)
	if err != nil {
		return &violation{yjsBadRequest, err.Error()}
	}
	for _, signal := range y.carets.own(y.room, y.who().User, entries) {
		if err := y.tell(signal); err != nil {
			return err
		}
	}
	return nil
}

// query has the socket behind say what all say of themselves.
func (y *yjsDoc) query() error {
	return y.tell(map[string]string{"op": "sync", "room": y.room, "side": "signals"})
}

// read reads what the client asks for: all that a state vector lacks. Errors: *room.Error, what again says.
func (y *yjsDoc) read(vector []byte) (docs.Doc, error) {
	y.syncing.Lock()
	defer y.syncing.Unlock()
	return y.fetch(vector, y.srv.quotas.rates.read)
}

// mend gives the client what a page has left out (rule DOC-12): all that the document has and the client was not given in one piece.
func (y *yjsDoc) mend(to yjsClient) error {
	y.syncing.Lock()
	defer y.syncing.Unlock()
	if y.had == nil { // it has yet to ask
		return nil
	}
	doc, err := y.fetch(y.had, nil)
	if err == nil {
		to.say(ysync.AppendUpdate(nil, doc.State))
	}
	return err
}

// fetch reads what a state vector lacks, which the client is given then. counts says whether a user may read once more, where it is the client
// who asks. The caller holds syncing.
func (y *yjsDoc) fetch(vector []byte, counts func(user string) *room.Error) (doc docs.Doc, err error) {
	err = y.again(func() error {
		if counts != nil {
			if err := counts(y.who().User); err != nil {
				return err
			}
		}
		got, failed := y.srv.readDoc(y.ctx, y.who().User, y.id, y.doc, vector)
		if refused := y.srv.allowed(y.who(), y.id, auth.Read); refused != nil { // access may have been taken back meanwhile
			return refused
		}
		if failed != nil {
			return failed
		}
		if !y.isOf(got.ID) {
			return replaced()
		}
		doc = got
		return nil
	})
	if err == nil {
		y.had = doc.Vector
	}
	return doc, err
}

// isOf reports whether a document is the one that the client has: the first that it was given something of, or wrote. id is empty where there is none.
// A client that was given one document answers a question about another with all of the first, and cannot know better.
func (y *yjsDoc) isOf(id string) bool {
	if id == "" {
		return y.of.Load() == nil
	}
	y.of.CompareAndSwap(nil, &id)
	return *y.of.Load() == id
}

// replaced says that the room has another document than the client (rule DOC-13).
func replaced() *room.Error { return (&room.DocChange{Named: true}).Replaced() }

// isReplaced reports whether an error says so: the client then comes back and syncs, as after a reset of the room.
func isReplaced(err error) bool {
	e := (*room.Error)(nil)
	return errors.As(err, &e) && e.Code == room.CodeDocReplaced
}

// writes reports whether the client may change the document, as far as its token says.
func (y *yjsDoc) writes() bool { return y.srv.allowed(y.who(), y.id, auth.Send) == nil }

// isNothing reports whether an update says nothing.
func isNothing(update []byte) bool { return bytes.Equal(update, []byte{0, 0}) }

// store stores a change. The next message is read when that is done: so a client is as fast as its rate. Errors: *room.Error, what again says.
func (y *yjsDoc) store(update []byte) error {
	if isNothing(update) {
		return nil
	}
	if len(update) > room.MaxDocUpdate {
		return room.DocTooLarge("data/update")
	}
	change := &room.DocChange{Name: y.doc, Update: slices.Clone(update)}
	post := wire.Post{Type: room.TypeDoc, Tag: newTag().String(), Data: change.Data()}
	if of := y.of.Load(); of != nil {
		post.DocID = *of
	}
	var epoch room.Epoch
	err := y.again(func() error {
		id, err := y.srv.judge(y.ctx, y.who(), y.room, auth.Send)
		if err != nil {
			return err
		}
		if err := y.srv.quotas.rates.send(y.who().User); err != nil {
			return err
		}
		f, err := y.srv.launch(y.ctx, y.who(), id, post)
		if err != nil {
			return err
		}
		o, err := f.outcome(y.ctx)
		epoch = o.Epoch
		return err
	})
	if err == nil && post.DocID == "" {
		err = y.begun(epoch)
	}
	return err
}

// begun finds out which document it is that has what the client wrote, or is about to be given, before it had asked or when there was none. epoch is the
// room's as that was stored: within one, a name has one document. Errors: as those of store.
func (y *yjsDoc) begun(epoch room.Epoch) error {
	return y.again(func() error {
		id, head, err := y.srv.cfg.Docs.ID(y.ctx, y.id, y.doc)
		if err != nil {
			return err
		}
		if head.Epoch != epoch || !y.isOf(id) {
			return replaced()
		}
		return nil
	})
}

// again does something until it is done, refused for good, or for too long: then it fails with a *room.Error. It fails with errEnded when the
// document has ended meanwhile.
func (y *yjsDoc) again(do func() error) error {
	for until := time.Now().Add(yjsPatience); ; {
		err := do()
		if err == nil {
			return nil
		}
		if y.ctx.Err() != nil {
			return errEnded
		}
		e := room.AsError(err)
		wait := max(e.RetryAfter, 50*time.Millisecond)
		if !e.Retryable() || time.Now().Add(wait).After(until) {
			y.srv.tell(e.Code)
			return e
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-y.ctx.Done():
			timer.Stop()
			return errEnded
		}
	}
}
