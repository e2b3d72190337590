package transport

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"roomlog/server/hub"
	"roomlog/server/presence"
	"roomlog/server/room"
	"roomlog/server/transport/auth"
	"roomlog/server/wire"
)

// asker is who sent a frame that concerns a room beside its log.
type asker struct {
	id     string // of the connection
	who    *auth.Identity
	permit *permit
	conn   *hub.Conn // nil: a stream that another node holds
	guest  *guest    // nil then too

	// pass has the node that holds the stream do what is asked, where it concerns the connection; for who has no conn.
	pass func(answer func([]byte, error))
}

// besides does what a frame asks, after its sender was found to be one who may read the room (none where the op names
// none). answer is called once, now or later and from any goroutine, with the payload of the answer or an error; a nil payload says that there is nothing to say. It
// must not block.
type besides func(a asker, id room.ID, req *wire.Request, answer func(payload []byte, err error))

// How many frames beside the log one connection may send: per second, after a burst.
const (
	besidePerSecond = 100
	besideBurst     = 200
)

// besideOps are the ops that this server takes.
func (s *Server) besideOps() map[wire.Op]besides {
	ops := map[wire.Op]besides{wire.OpSync: s.sync, wire.OpMe: s.me}
	if s.cfg.Receipts != nil {
		ops[wire.OpRead] = s.markRead
	}
	s.peopleOps(ops)
	return ops
}

// sync gives a side of a room again, as a whole (rule SIDE-6).
func (s *Server) sync(a asker, id room.ID, req *wire.Request, answer func([]byte, error)) {
	side, known := hub.ParseSide(req.Side)
	switch {
	case !known:
		answer(nil, badQuery("side", "A side is presence, receipts, signals or parts."))
	case a.conn == nil:
		a.pass(answer)
	default:
		a.conn.Again(id, side)
		answer(nil, nil)
	}
}

// besidePace takes one frame beside the log off a connection's rate.
func (s *Server) besidePace(p *pace) *room.Error {
	r := s.quotas.rates
	if p.take(int64(time.Since(r.began)), besidePerSecond, besideBurst) {
		return nil
	}
	return r.slower(limitFrames, besidePerSecond, time.Second/besidePerSecond, "", "This connection says more beside the log than is allowed; wait and say it again.")
}

// aside judges a frame beside the log and has it done.
func (s *Server) aside(a asker, req *wire.Request, answer func(payload []byte, err error)) {
	do := s.besides[req.Op]
	if do == nil {
		answer(nil, &room.Error{Code: room.CodeUnknownOp, Title: "This server does not take this op.", Field: "op"})
		return
	}
	var id room.ID
	if req.Op != wire.OpMe {
		var err error
		if id, err = s.judge(s.ctx, a.who, req.Room, auth.Read); err != nil {
			answer(nil, err)
			return
		}
	}
	do(a, id, req, answer)
}

// done is the answer that says that what a frame with an id asked was done, where there is nothing else to say (rule SIDE-7).
func done(req *wire.Request, payload []byte) []byte {
	if payload == nil && req.HasID {
		return wire.AppendDone(nil, req.ID)
	}
	return payload
}

// sideways does a frame beside the log for a socket.
func (c *socket) sideways(req *wire.Request) error {
	if slower := c.srv.besidePace(&c.asides); slower != nil {
		return c.fail(req, slower)
	}
	asked := *req // the frame's bytes are gone when it is answered
	if asked.Data != nil {
		asked.Data = append(json.RawMessage(nil), req.Data...)
	}
	a := asker{id: c.id, who: c.who, permit: c.permit, conn: c.hub, guest: &c.listed}
	return c.after(func() error { // what joined the room before it
		c.srv.aside(a, &asked, func(payload []byte, err error) {
			if err != nil {
				c.hub.Reply(c.failure(&asked, err))
			} else if payload = done(&asked, payload); payload != nil {
				c.hub.Reply(wire.AppendText(nil, payload))
			}
		})
		return nil
	})
}

// asker is the stream as one who sends a frame beside the log.
func (c command) asker() asker {
	return asker{id: c.id, who: c.who, permit: c.srv.permitOf(c.who, auth.Read), conn: c.conn, guest: c.guest, pass: c.pass}
}

// beside does a frame beside the log for a stream, and waits for its answer.
func (c command) beside(ctx context.Context, req *wire.Request) reply {
	answered := make(chan reply, 1)
	c.srv.aside(c.asker(), req, func(payload []byte, err error) {
		switch payload = done(req, payload); {
		case err != nil && room.AsError(err).Code == room.CodeNotFound: // the stream itself, as the node says that was to hold it
			answered <- reply{problem: err}
		case err != nil:
			answered <- c.failure(req, err)
		case payload == nil:
			answered <- reply{}
		default:
			answered <- reply{status: http.StatusOK, frame: payload}
		}
	})
	select {
	case r := <-answered:
		return r
	case <-ctx.Done():
		return c.failure(req, &room.Error{Code: room.CodeOutcomeUnknown, Title: "The client went away before it was answered."})
	}
}

// besideJoin fills in what a join asks for beside the log, as far as the kind of the room shows it (rule SIDE-1).
func (s *Server) besideJoin(j *hub.Join, connection, user string, with []string, present *bool, data []byte) error {
	for _, name := range with {
		if side, known := hub.ParseSide(name); known {
			j.With = j.With.Of(side)
		}
	}
	if j.With == 0 && present == nil && data == nil {
		return nil
	}
	policy, _ := s.cfg.Kinds.Policy(j.Room.Kind())
	shown := hub.SideSet(0)
	for side, is := range [hub.Sides]bool{
		hub.SidePresence: policy.Presence != room.ShowNone,
		hub.SideReceipts: policy.Receipts != room.ShowNone,
		hub.SideSignals:  !policy.NoSignals,
		hub.SideParts:    !policy.NoStreams && s.cfg.Streams != nil,
	} {
		if is && j.With.Has(hub.Side(side)) {
			shown = shown.Of(hub.Side(side))
		}
	}
	j.With = shown
	g := &hub.Guest{Connection: connection, User: user, Present: shown.Has(hub.SidePresence)}
	if present != nil {
		g.Present = *present && policy.Presence != room.ShowNone
	}
	if data != nil && string(data) != "null" {
		shown, err := presence.CheckData(data)
		if err != nil {
			e := *room.AsError(err)
			e.Field = "presence"
			return &e
		}
		g.Data = shown
	}
	j.Guest = g
	return nil
}

// besideStream reads what the URL of a stream asks for beside the logs: `with`, a list of names with commas between
// them, and `present`: whether its connection is, or in which of its rooms, likewise.
func (s *Server) besideStream(joins []hub.Join, connection, user string, q url.Values) error {
	with := strings.FieldsFunc(q.Get("with"), comma)
	presentIn := func(room.ID) *bool { return nil }
	switch value := q.Get("present"); {
	case value == "":
	case value == "true", value == "false":
		is := value == "true"
		presentIn = func(room.ID) *bool { return &is }
	case strings.Contains(value, ":"): // room ids have one
		rooms := strings.FieldsFunc(value, comma)
		presentIn = func(id room.ID) *bool {
			is := slices.Contains(rooms, string(id))
			return &is
		}
	default:
		return badQuery("present", "present is true, false, or a list of rooms.")
	}
	for i := range joins {
		if err := s.besideJoin(&joins[i], connection, user, with, presentIn(joins[i].Room), nil); err != nil {
			return err
		}
	}
	return nil
}

func comma(c rune) bool { return c == ',' }
