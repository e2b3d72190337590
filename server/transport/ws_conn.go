package transport

import (
	"errors"
	"io"
	"net"
	"time"

	"github.com/gobwas/ws"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
	"roomlog/server/wire"
)

// helloBytes is the most that one message may have before the client has said who it is.
const helloBytes = 16 << 10

// socket is one WebSocket connection. It has one goroutine at a time that reads, and alone touches all
// fields but those of the sink and the errands; the hub writes.
type socket struct {
	sink
	srv    *Server
	id     string
	frames frameReader
	seat   *seat
	turned *room.Error    // it is to come back later; nil: it is let in
	guest  *auth.Identity // of a ticket, until hello
	who    *auth.Identity // nil until hello
	permit *permit        // of who, to read
	sends  *permit        // and to send
	listed guest          // on the roster from hello on
	life   deadline       // of the hello, then of the token
	pace   pace           // of the frames that neither send, join nor leave
	asides pace           // of those that concern rooms beside their logs
	got    *chunk         // what the goroutine that waited has read, for the crew
	failed error          // why it read nothing
	holds  bool           // answers wait until what was read is handled

	errands errands
}

func newSocket(s *Server, nc net.Conn, id string, seat *seat) *socket {
	return newSocketOn(s, newPipe(nc, s.cfg.Limits.WriteDeadline), id, seat)
}

func newSocketOn(s *Server, p pipe, id string, seat *seat) *socket {
	c := &socket{srv: s, id: id, seat: seat, frames: frameReader{max: helloBytes}}
	c.pipe = p
	c.life.sink = &c.sink
	c.listed.id, c.listed.kind, c.listed.link = id, "websocket", c
	return c
}

// begin is the first goroutine of a connection. early is what came with the handshake.
func (c *socket) begin(early []byte) {
	if c.turned != nil { // told over the WebSocket: a browser's script cannot read why one was not opened
		c.carryOn(c.refuse(&wire.Request{}, c.turned))
		return
	}
	c.srv.wheel.set(&c.life, time.Now().Add(c.srv.cfg.Limits.HelloWithin), room.CodeAuthTimeout)
	c.carryOn(c.early(early))
}

func (c *socket) early(p []byte) (err error) {
	defer c.srv.rescue(&err, "connection", c.id)
	return c.feed(p)
}

// feed handles what was read. The answers to it leave together.
func (c *socket) feed(p []byte) error {
	err := c.frames.feed(p, c)
	c.letGo()
	return err
}

// hold keeps answers until what was read is handled.
func (c *socket) hold() {
	if !c.holds {
		c.holds = true
		c.hub.Hold()
	}
}

// letGo sends the answers that are held.
func (c *socket) letGo() {
	if c.holds {
		c.holds = false
		c.hub.Flush()
	}
}

// wait is all that the goroutine of an idle connection has on its stack: what has come is for the crew.
func (c *socket) wait() {
	c.got, c.failed = c.pipe.read()
	c.srv.crew.work(c)
}

// do implements chore.
func (c *socket) do() {
	got, err := c.got, c.failed
	c.got, c.failed = nil, nil
	c.carryOn(c.handle(got, err))
}

// carryOn ends the connection, or leaves it to a fresh goroutine: handling a frame has made the stack
// of this one grow, and it would stay that way for as long as nothing comes. With ten thousand idle
// connections that is most of the memory.
func (c *socket) carryOn(err error) {
	if err == nil {
		go c.wait()
		return
	}
	c.srv.wheel.drop(&c.life)
	if c.hub != nil {
		c.hub.Detach()
		c.srv.feed.leave(c.hub)
	}
	words := c.words(err)
	c.srv.log.Debug("disconnected", "connection", c.id, "why", c.ended(err))
	c.end(words)
	c.srv.roster.leave(&c.listed)
	c.srv.quotas.leave(c.seat)
	c.srv.release(&c.sink)
}

// handle handles what was read, and what has come by then.
func (c *socket) handle(got *chunk, failed error) (err error) {
	defer c.srv.rescue(&err, "connection", c.id)
	for err = failed; got != nil && err == nil; {
		if c.hub != nil {
			c.hub.Heard()
		}
		more := got.full()
		err = c.feed(got.bytes())
		got.free()
		if err != nil {
			return err
		}
		if c.hub != nil && !c.waitWritable() {
			return errEnded
		}
		if !more { // that was all there was: whoever waits next looks again
			return nil
		}
		got, err = c.pipe.readNow()
	}
	return err
}

// errEnded says that the connection was ended from this side; why is in the sink.
var errEnded = errors.New("ended")

// peerClosed is the close code that the peer sent, to be answered with the same.
type peerClosed uint16

func (peerClosed) Error() string { return "closed by the peer" }

// refusal ends the connection for what a frame asked: an error frame comes before the close frame.
type refusal struct {
	err   *room.Error
	frame []byte
}

func (r *refusal) Error() string { return r.err.Error() }

// words are the last frames of a connection that ends for err.
func (c *socket) words(err error) []byte {
	var v *violation
	var p peerClosed
	var r *refusal
	switch {
	case errors.As(err, &v):
		return appendClose(c.notice(v), v.code, v.reason)
	case errors.As(err, &p):
		return appendClose(nil, uint16(p), "")
	case errors.Is(err, errPanicked):
		c.srv.tell(room.CodeInternal)
		return appendClose(nil, closeInternal, string(room.CodeInternal))
	case errors.As(err, &r):
		return appendClose(r.frame, closeOf(r.err), string(r.err.Code))
	}
	why := c.why.Load()
	switch {
	case why == nil && !errors.Is(err, io.EOF):
		return nil // the connection broke
	case why == nil || why.err == nil:
		return appendClose(nil, closeNormal, "")
	}
	e := c.srv.dated(why.err)
	c.srv.tellOnce(why)
	frame := wire.AppendText(nil, wire.Failure{Err: e}.Append(nil))
	return appendClose(frame, closeOf(e), string(e.Code))
}

// ended says for the log why the connection ended: a code, or what the peer did.
func (c *socket) ended(err error) string {
	var v *violation
	var p peerClosed
	var r *refusal
	why := c.why.Load()
	switch {
	case errors.As(err, &v):
		return v.reason
	case errors.As(err, &p):
		return "closed by the peer"
	case errors.Is(err, errPanicked):
		return string(room.CodeInternal)
	case errors.As(err, &r):
		return string(r.err.Code)
	case why != nil && why.err != nil:
		return string(why.err.Code)
	}
	return "the connection broke"
}

// notice is the error frame before a close for what breaks a limit of ours; what breaks RFC 6455 has no
// error code, and none.
func (c *socket) notice(v *violation) []byte {
	if v.code != closeTooLarge {
		return nil
	}
	c.srv.tell(room.CodeMessageTooLarge)
	e := &room.Error{Code: room.CodeMessageTooLarge, Title: "The message is larger than a frame may be.", Limit: int64(c.frames.max)}
	return wire.AppendText(nil, wire.Failure{Err: e}.Append(nil))
}

// control implements listener.
func (c *socket) control(op ws.OpCode, payload []byte) error {
	if op != ws.OpClose {
		if refused := c.filler(); refused != nil {
			return c.refuse(&wire.Request{}, refused)
		}
	}
	switch op {
	case ws.OpPing:
		return c.reply(appendControl(nil, ws.OpPong, payload))
	case ws.OpClose:
		code, err := checkClose(payload)
		if err != nil {
			return err
		}
		return peerClosed(code)
	}
	return nil // a pong says only that the peer is there, which has been noted
}

// reply sends a frame: through the hub, which knows what else is on its way, or before there is one.
func (c *socket) reply(frame []byte) error {
	if c.hub != nil {
		c.hub.Reply(frame)
		return nil
	}
	n, err := c.TryWrite([][]byte{frame})
	if err == nil && n < len(frame) {
		err = io.ErrShortWrite // nobody who has not said hello is waited for
	}
	return err
}
