package transport

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/transport/auth"
	"roomlog/server/wire"
)

const (
	// commandsAtOnce is how many commands of one stream may be unanswered.
	commandsAtOnce = 64
	// commandsPerSecond and commandBurst bound the commands of one stream that are not sends; those have the
	// rate of their user.
	commandsPerSecond = 10
	commandBurst      = 50
)

// session is what makes a one-way stream take commands (rules SESS-1 to SESS-6): a name and a secret, which
// its first event gives, and who it is.
type session struct {
	id     string
	secret [sha256.Size]byte // the hash of it
	rooms  []room.ID         // of the URL
	ticket *ticket           // that opened it; nil: none did

	state   sync.Mutex // guards what follows
	who     *auth.Identity
	begunAs *ticketed // the stream as its ticket has it; nil: no ticket does
	ended   bool
	pending int           // commands that are unanswered
	rate    *rate.Limiter // of commands but sends; nil until there is one
	asides  pace          // of those that concern rooms beside their logs
}

func newSession(id string, in entry, joins []hub.Join) session {
	rooms := make([]room.ID, len(joins))
	for i, j := range joins {
		rooms[i] = j.Room
	}
	return session{id: id, rooms: rooms, ticket: in.ticket, begunAs: in.resumes, who: in.who}
}

// mandate is what the secret of a stream says to the nodes that do not hold it.
type mandate struct {
	Connection string        `json:"c"`
	Holder     string        `json:"h"` // the server that holds the stream
	Who        auth.Identity `json:"w"`
}

// sessions are the streams that take commands, by name.
type sessions struct {
	mu sync.Mutex
	of map[string]*stream
}

// openSession makes a name and a secret, under which commands are taken from now on.
func (t *stream) openSession() wire.Ready {
	ready := wire.Ready{Connection: t.id, Node: t.srv.cfg.Node}
	ready.Secret = t.srv.secrets.seal(mandate{ready.Connection, t.srv.self, *t.identity()})
	t.secret = sha256.Sum256([]byte(ready.Secret))
	all := &t.srv.streams
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.of == nil {
		all.of = make(map[string]*stream)
	}
	all.of[t.id] = t
	return ready
}

// endSession takes no further commands.
func (t *stream) endSession() {
	all := &t.srv.streams
	all.mu.Lock()
	delete(all.of, t.id)
	all.mu.Unlock()
	t.state.Lock()
	defer t.state.Unlock()
	t.ended = true
	t.srv.wheel.drop(&t.life)
}

// find is the stream of a name and its secret; nil where either is not right, after the same work.
func (all *sessions) find(id, secret string) *stream {
	all.mu.Lock()
	t := all.of[id]
	all.mu.Unlock()
	var want [sha256.Size]byte
	if t != nil {
		want = t.secret
	}
	got := sha256.Sum256([]byte(secret))
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		return nil
	}
	return t
}

// held is the stream of a name and a user; nil: there is none here.
func (all *sessions) held(id, user string) *stream {
	all.mu.Lock()
	t := all.of[id]
	all.mu.Unlock()
	if t == nil || t.identity().User != user {
		return nil
	}
	return t
}

// reply answers a command: the frame that a WebSocket would be given, as the body of a response.
type reply struct {
	status  int
	frame   []byte // nil: the command has no answer
	problem error  // is answered in place of a frame: something is wrong with the request itself
}

// postCommand is POST /v1/connections/{connection}: a frame of the protocol for a one-way stream. What is
// wrong with the request is a problem; what is said to the frame is a frame.
func (s *Server) postCommand(w http.ResponseWriter, r *http.Request) error {
	connection, secret := r.PathValue("connection"), bearer(r)
	t := s.streams.find(connection, secret)
	var m *mandate
	if t == nil {
		if m = s.elsewhere(connection, secret); m == nil {
			return noStream()
		}
	}
	body, err := s.readJSON(w, r)
	if err != nil {
		return err
	}
	req, fault := wire.ParseRequest(body)
	var answer reply
	if t == nil {
		answer = s.commandElsewhere(r.Context(), command{srv: s, id: connection, who: &m.Who, holder: m.Holder, frame: body}, &req, fault)
	} else {
		answer = t.take(r.Context(), &req, fault)
	}
	if answer.problem != nil {
		return answer.problem
	}
	if answer.frame == nil {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	writeJSON(w, answer.status, answer.frame)
	return nil
}

// take does a command of a stream that is held here.
func (t *stream) take(ctx context.Context, req *wire.Request, fault error) reply {
	if err := t.enter(req.Op); err != nil {
		return reply{problem: err}
	}
	defer t.leave()
	if req.Op == wire.OpRefresh && fault == nil {
		return t.refresh(req)
	}
	return t.command().do(ctx, req, fault)
}

// enter counts a command in, or says why it has to wait.
func (t *stream) enter(op wire.Op) error {
	t.state.Lock()
	defer t.state.Unlock()
	if t.pending >= commandsAtOnce {
		return &room.Error{
			Code: room.CodeOverloaded, Limit: commandsAtOnce, RetryAfter: time.Second,
			Title: "Too many commands of this stream are unanswered; wait for some and try again.",
		}
	}
	if op.Beside() {
		if slower := t.srv.besidePace(&t.asides); slower != nil {
			return slower
		}
	} else if op != wire.OpSend {
		if t.rate == nil {
			t.rate = rate.NewLimiter(commandsPerSecond, commandBurst)
		}
		if !t.rate.Allow() {
			return &room.Error{
				Code: room.CodeRateLimited, Limit: commandsPerSecond, RetryAfter: time.Second / commandsPerSecond,
				Title: "This stream is given commands faster than is allowed; wait and try again.",
			}
		}
	}
	t.pending++
	return nil
}

func (t *stream) leave() {
	t.state.Lock()
	defer t.state.Unlock()
	t.pending--
}

func (t *stream) identity() *auth.Identity {
	t.state.Lock()
	defer t.state.Unlock()
	return t.who
}

// command is what a command of a stream is done with.
type command struct {
	srv   *Server
	id    string // of the stream
	who   *auth.Identity
	conn  *hub.Conn // of the stream, for the order of its sends; nil: another node holds it
	guest *guest    // likewise

	holder string // the node that holds it, where that is another
	frame  []byte // what it is asked then
}

func (t *stream) command() command {
	return command{srv: t.srv, id: t.id, who: t.identity(), conn: t.hub, guest: &t.listed}
}

func (t *stream) failure(req *wire.Request, err error) reply { return t.command().failure(req, err) }

// do does what a frame asks of a stream, but for a refresh. fault is what is wrong with the frame itself.
func (c command) do(ctx context.Context, req *wire.Request, fault error) reply {
	switch {
	case fault != nil && req.Op == wire.OpSend && req.N > 0 && req.N <= room.MaxSeq && req.Room != "":
		return c.send(ctx, req, fault) // what can be read of it has its place in the order (rule SEND-5)
	case fault != nil:
		return c.failure(req, fault)
	}
	if req.Op.Beside() {
		return c.beside(ctx, req)
	}
	switch req.Op {
	case wire.OpSend:
		return c.send(ctx, req, nil)
	case wire.OpPing:
		return reply{status: http.StatusOK, frame: []byte(`{"op":"pong"}`)}
	case wire.OpPong:
		return reply{}
	case wire.OpHello:
		return c.failure(req, badQuery("op", "A stream needs no hello; a new token comes with refresh."))
	}
	return c.failure(req, badQuery("op", "The rooms of a stream are those of its URL: it neither joins nor leaves."))
}

// failure answers a command with an error frame, under the status of its code.
func (c command) failure(req *wire.Request, err error) reply {
	e := room.AsError(err)
	c.srv.tell(e.Code)
	if e.Code == room.CodeInternal {
		c.srv.log.Error("command failed", "connection", c.id, "op", string(req.Op), "error", err)
	} else {
		c.srv.log.Debug("refused", "connection", c.id, "code", string(e.Code))
	}
	return reply{status: statusOf(e.Code), frame: wire.Failure{ID: req.ID, HasID: req.HasID, Room: req.Room, Tag: req.Tag, Err: e}.Append(nil)}
}

// send passes a send to the hub as one of the stream's connection, so that its order holds (SEND-2 to
// SEND-8), and waits for its outcome, which the hub knows in bounded time.
func (c command) send(ctx context.Context, req *wire.Request, fault error) reply {
	id, err := room.ParseID(req.Room)
	if err != nil {
		return c.failure(req, err)
	}
	send := room.Send{Room: id, Author: c.who.User}
	if fault == nil {
		send, fault = c.srv.admit(ctx, c.who, id, req)
	}
	s := hub.Submit{Send: send, Conn: c.conn, N: req.N, Gaps: c.srv.cfg.ClusterKey != nil, Permit: c.srv.permitOf(c.who, needs(&send))}
	if fault != nil {
		s.Refuse = room.AsError(fault)
	} else {
		s.Ask = c.srv.asking(c.who, send, new(room.Send)) // an ack does not say what was stored
	}
	answered := make(chan hub.Outcome, 1)
	if c.conn != nil {
		c.srv.sentBy(id, c.id)
	} else {
		c.passSent(id)
	}
	c.srv.cfg.Hub.Submit(s, func(o hub.Outcome) { answered <- o })
	select {
	case o := <-answered:
		if o.Err != nil {
			return c.failure(req, o.Err)
		}
		status := http.StatusCreated
		if o.Verdict.Duplicate || o.Verdict.Known {
			status = http.StatusOK
		}
		return reply{status: status, frame: wire.Ack{
			ID: req.ID, HasID: req.HasID, Room: id, Epoch: o.Epoch, Seq: o.Verdict.Seq,
			At: o.Verdict.At, Tag: send.Tag, Duplicate: o.Verdict.Duplicate, Target: o.Verdict.Target, Gone: o.Verdict.Gone, Known: o.Verdict.Known,
		}.Append(nil)}
	case <-ctx.Done():
		return c.failure(req, &room.Error{Code: room.CodeOutcomeUnknown, Title: "The client went away before the outcome was known."})
	}
}

// refresh takes a new token of the same user, so that the stream outlives its first. One of another user
// ends it, and so does one that may not read all of its rooms: they are those of the URL (rule SSE-1).
func (t *stream) refresh(req *wire.Request) reply {
	who, err := t.srv.verify(t.from, req.Token)
	if err != nil {
		return t.failure(req, err) // the token that is there is good until it ends
	}
	if who.User != t.identity().User {
		return t.over(req, &room.Error{Code: room.CodeUnauthenticated, Title: "The new token is another user's; connect anew with it.", Field: "token"})
	}
	for _, id := range t.rooms {
		if err := t.srv.know(t.srv.ctx, who, id, auth.Read); err != nil {
			return t.failure(req, err)
		}
		if err := t.srv.allowed(who, id, auth.Read); err != nil {
			return t.over(&wire.Request{Op: req.Op, ID: req.ID, HasID: req.HasID, Room: string(id)}, err)
		}
	}
	if err := t.become(who); err != nil {
		return t.over(req, err)
	}
	t.renewTicket(who)
	t.srv.feed.again(who.User)
	return reply{}
}

// become puts the identity of a new token in place of the one that was there.
func (t *stream) become(who *auth.Identity) error {
	t.state.Lock()
	defer t.state.Unlock()
	if t.ended {
		return nil
	}
	t.who = who
	t.listed.who.Store(who)
	t.srv.wheel.set(&t.life, who.Until, room.CodeTokenExpired)
	return t.srv.admitted(who) // again: a revocation may have found the old one
}

// over answers with an error that ends the stream.
func (t *stream) over(req *wire.Request, err error) reply {
	e := room.AsError(err)
	t.Close(e)
	return t.failure(req, e)
}
