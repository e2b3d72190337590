package transport

import (
	"context"
	"log/slog"
	"slices"
	"strconv"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/transport/auth"
	"roomlog/server/wire"
)

// message implements listener: one frame of the protocol.
func (c *socket) message(text []byte) error {
	req, err := wire.ParseRequest(text)
	if err != nil || req.Op != wire.OpJoin && req.Op != wire.OpSend && req.Op != wire.OpLeave && !req.Op.Beside() {
		if refused := c.filler(); refused != nil {
			return c.refuse(&req, refused)
		}
	}
	if c.hub == nil {
		return c.stranger(&req, err)
	}
	switch {
	case err != nil && req.Op == wire.OpSend && req.N > 0 && req.N <= room.MaxSeq && req.Room != "":
		return c.send(&req, err) // what can be read of it has its place in the order (rule SEND-5)
	case err != nil:
		return c.fail(&req, err)
	}
	if req.Op.Beside() {
		return c.sideways(&req)
	}
	switch req.Op {
	case wire.OpJoin:
		return c.join(&req)
	case wire.OpSend:
		return c.send(&req, nil)
	case wire.OpLeave:
		return c.leave(&req)
	case wire.OpRefresh:
		return c.refresh(&req)
	case wire.OpPing:
		return c.pong()
	case wire.OpHello:
		return c.fail(&req, &room.Error{Code: room.CodeBadRequest, Title: "Hello was said already; a new token comes with refresh.", Field: "op"})
	}
	return nil // a pong
}

// stranger handles the frames of a connection that has not said hello: hello, ping and pong. Anything
// else ends it (rule AUTH-7).
func (c *socket) stranger(req *wire.Request, err error) error {
	switch {
	case err == nil && req.Op == wire.OpHello:
		return c.hello(req)
	case err == nil && req.Op == wire.OpPing:
		return c.pong()
	case err == nil && req.Op == wire.OpPong:
		return nil
	}
	return c.refuse(req, &room.Error{Code: room.CodeUnauthenticated, Title: "The first frame is a hello with a token.", Field: "op"})
}

func (c *socket) pong() error { return c.reply(wire.AppendText(nil, []byte(`{"op":"pong"}`))) }

// hello learns who this is, and gives the connection to the hub.
func (c *socket) hello(req *wire.Request) error {
	if req.Version != 0 && req.Version != wire.Version {
		return c.refuse(req, &room.Error{
			Code: room.CodeUnsupportedVersion, Field: "version", Limit: wire.Version,
			Title: "This server speaks version " + strconv.Itoa(wire.Version) + " of the protocol only.",
		})
	}
	who, err := c.introduced(req)
	if err != nil {
		return c.refuse(req, err)
	}
	if err := c.srv.quotas.name(c.seat, who.User); err != nil {
		return c.refuse(req, err)
	}
	conn, err := c.srv.cfg.Hub.Attach(c, wire.WebSocket)
	if err != nil {
		return c.refuse(req, err)
	}
	c.hub = conn
	c.become(who)
	c.hold()
	c.srv.roster.enter(&c.listed, who)
	if err := c.srv.admitted(who); err != nil { // again: a revocation may not have found it
		return c.refuse(req, err)
	}
	c.frames.max = c.srv.cfg.Limits.FrameBytes
	c.srv.wheel.set(&c.life, who.Until, room.CodeTokenExpired)
	if c.srv.log.Enabled(c.srv.ctx, slog.LevelDebug) {
		c.srv.log.Debug("connected", "connection", c.id, "user", who.User)
	}
	if err := c.reply(wire.AppendText(nil, c.srv.welcome(c.id, who.User))); err != nil {
		return err
	}
	c.srv.greet(c)
	return nil
}

// welcome is the answer to a hello: the same for all but for who they are.
func (s *Server) welcome(connection, user string) []byte {
	return wire.Welcome{
		Connection: connection, User: user, PingMS: s.cfg.PingEvery.Milliseconds(), Version: wire.Version, Limits: s.limits, Node: s.cfg.Node,
	}.Append(make([]byte, 0, 320))
}

// fail answers a request with an error.
func (c *socket) fail(req *wire.Request, err error) error { return c.reply(c.failure(req, err)) }

// refuse answers with an error that ends the connection.
func (c *socket) refuse(req *wire.Request, err error) error {
	return &refusal{room.AsError(err), c.failure(req, err)}
}

func (c *socket) failure(req *wire.Request, err error) []byte {
	e := c.srv.dated(room.AsError(err))
	c.srv.tell(e.Code)
	if e.Code == room.CodeInternal {
		c.srv.log.Error("request failed", "connection", c.id, "op", string(req.Op), "error", err)
	} else {
		c.srv.log.Debug("refused", "connection", c.id, "code", string(e.Code))
	}
	return wire.AppendText(nil, wire.Failure{ID: req.ID, HasID: req.HasID, Room: req.Room, Tag: req.Tag, Err: e}.Append(nil))
}

// join starts or restarts the cursor of a room, beside the reading.
func (c *socket) join(req *wire.Request) error {
	if refused := c.srv.quotas.rates.join(c.who.User, 1); refused != nil {
		return c.fail(req, refused)
	}
	id, err := c.judge(req.Room, auth.Read)
	if err != nil {
		return c.fail(req, err)
	}
	j := hub.Join{Room: id, HasPosition: req.Position != "", Limit: req.Limit, Replay: req.Replay, Seen: req.Seen, Floor: c.srv.members.floor(c.who, id)}
	if j.HasPosition {
		if j.Position, err = room.ParsePosition(req.Position); err != nil {
			return c.fail(req, err)
		}
	}
	if err := c.srv.besideJoin(&j, c.id, c.who.User, req.With, req.Present, req.Presence); err != nil {
		return c.fail(req, err)
	}
	if j.Parts, err = partsHad(req.Parts); err != nil {
		return c.fail(req, err)
	}
	j.Permit = c.permit
	if most := c.srv.cfg.Limits.RoomsPerConnection; c.idle() && c.hub.Rooms() < most {
		c.hold()
		done, err := c.hub.JoinAtOnce(j, func(dst []byte, joined hub.Joined) []byte { return joinedFrame(dst, req, joined) })
		switch {
		case err != nil && room.AsError(err).Code == room.CodeGoingAway:
			return errEnded // there is nobody to be told
		case err != nil:
			return c.fail(req, err)
		case done && c.srv.members.settled(c.who, id, true, false):
			return nil
		case done: // its room came into memory meanwhile
			return c.after(func() error { return c.confirm(id) })
		}
	}
	asked := *req // the frame's bytes are gone by then; what a join names of it is not among them
	asked.Data, asked.Presence = nil, nil
	if !c.beside(c.srv.cfg.Limits.RoomsPerConnection, func() error { return c.place(&asked, j) }) {
		return c.fail(req, tooManyErrands())
	}
	return nil
}

// place answers a join. The answer is a thousand times its frame, so that each waits until what went
// before is on its way.
func (c *socket) place(req *wire.Request, j hub.Join) error {
	if !c.waitWritable() {
		return errEnded
	}
	if most := c.srv.cfg.Limits.RoomsPerConnection; c.hub.Rooms() >= most && !c.hub.Joined(j.Room) {
		return c.fail(req, &room.Error{
			Code: room.CodeLimitExceeded, Field: "room", Limit: int64(most),
			Title: "This connection has joined as many rooms as it may; leave one first.",
		})
	}
	if err := c.hub.Join(c.srv.ctx, j, func(joined hub.Joined) []byte { return joinedFrame(nil, req, joined) }); err != nil {
		if !c.waitWritable() {
			return errEnded // there is nobody to be told
		}
		return c.fail(req, err)
	}
	return c.confirm(j.Room)
}

func joinedFrame(dst []byte, req *wire.Request, j hub.Joined) []byte {
	return wire.Joined{
		Page: wire.Page{Room: j.Head.Room, Epoch: j.Head.Epoch, Prev: j.Prev, Seq: j.Seq, Mark: j.Mark, Full: j.Full, State: j.State, Docs: j.Docs},
		ID:   req.ID, HasID: req.HasID, Floor: j.Head.Floor, Head: j.Head.Seq, Reset: j.Reset, Events: j.Events,
	}.AppendFrame(slices.Grow(dst, len(j.Events)+512))
}

// leave ends the cursor of a room. It has no answer; a room that was not joined is none the worse.
func (c *socket) leave(req *wire.Request) error {
	id, err := room.ParseID(req.Room)
	if err != nil {
		return c.fail(req, err)
	}
	return c.after(func() error {
		c.hub.Leave(id)
		return nil
	})
}

// refresh takes a new token of the same user. Rooms that it grants no longer are left.
func (c *socket) refresh(req *wire.Request) error {
	c.letGo() // the keys of an issuer may have to be fetched
	who, err := c.srv.verify(c.seat.address, req.Token)
	if err != nil {
		return c.fail(req, err) // the token that is there is good until it ends
	}
	if who.User != c.who.User {
		return c.refuse(req, &room.Error{Code: room.CodeUnauthenticated, Title: "The new token is another user's; connect anew with it.", Field: "token"})
	}
	c.become(who)
	c.listed.who.Store(who)
	if err := c.srv.admitted(who); err != nil { // again: a revocation may have found the old one
		return c.refuse(req, err)
	}
	c.srv.wheel.set(&c.life, who.Until, room.CodeTokenExpired)
	c.srv.feed.again(who.User)
	return c.after(func() error { return c.narrow(who) })
}

// narrow leaves the rooms that a new token grants no longer.
func (c *socket) narrow(who *auth.Identity) error {
	for _, id := range c.hub.RoomIDs() {
		err := c.srv.know(c.srv.ctx, who, id, auth.Read)
		if err == nil {
			err = c.srv.allowed(who, id, auth.Read)
		}
		if err != nil {
			c.hub.Leave(id)
			if err := c.fail(&wire.Request{Op: wire.OpRefresh, Room: string(id)}, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// send passes a send to the hub, also one that is refused here: a refusal has its place in the order of
// sends (rules SEND-3 to SEND-5). Only a room that is none has no order. fault is what is wrong with the
// frame itself.
func (c *socket) send(req *wire.Request, fault error) error {
	id, err := room.ParseID(req.Room)
	if err != nil {
		return c.fail(req, err)
	}
	send := room.Send{Room: id, Author: c.who.User}
	if fault == nil {
		send, fault = c.admit(id, req)
	}
	s := hub.Submit{Send: send, Conn: c.hub, N: req.N, Permit: c.sends}
	if a := needs(&send); a != auth.Send {
		s.Permit = c.srv.permitOf(c.who, a)
	}
	if fault != nil {
		s.Refuse = room.AsError(fault)
	} else {
		s.Ask = c.srv.asking(c.who, send, new(room.Send)) // an ack does not say what was stored
	}
	reqID, hasID, tag := req.ID, req.HasID, req.Tag // the request's data is gone when the answer comes
	c.srv.sentBy(id, c.id)
	c.srv.cfg.Hub.Submit(s, func(o hub.Outcome) {
		if o.Err != nil {
			c.srv.tell(o.Err.Code)
			f := wire.Failure{ID: reqID, HasID: hasID, Room: string(id), Tag: tag, Err: o.Err}
			c.hub.Reply(wire.AppendText(nil, f.Append(nil)))
			return
		}
		a := wire.Ack{
			ID: reqID, HasID: hasID, Room: id, Epoch: o.Epoch, Seq: o.Verdict.Seq,
			At: o.Verdict.At, Tag: send.Tag, Duplicate: o.Verdict.Duplicate, Target: o.Verdict.Target, Gone: o.Verdict.Gone, Known: o.Verdict.Known,
		}
		c.hub.Reply(wire.AppendText(nil, a.Append(make([]byte, 0, 256))))
	})
	return nil
}

// admit judges a send: grants, the user's rate, and what it carries, which may cost more to judge than to
// store. The send names room and author also where it is refused.
func (s *Server) admit(ctx context.Context, who *auth.Identity, id room.ID, req *wire.Request) (room.Send, error) {
	if err := s.know(ctx, who, id, auth.Send); err != nil {
		return room.Send{Room: id, Author: who.User}, err
	}
	if err := s.allowed(who, id, auth.Send); err != nil {
		return room.Send{Room: id, Author: who.User}, err
	}
	if refused := s.quotas.rates.send(who.User); refused != nil {
		return room.Send{Room: id, Author: who.User}, refused
	}
	send, err := s.parseSend(id, who, wire.Post{Tag: req.Tag, Type: req.Type, Data: req.Data}, req.If)
	if err != nil {
		return send, err
	}
	if refused := s.quotas.rates.sendTo(id); refused != nil {
		return send, refused
	}
	_, err = s.found(ctx, who, id)
	return send, err
}
