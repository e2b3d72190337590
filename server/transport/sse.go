package transport

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/transport/auth"
	"roomlog/server/wire"
)

// stream is one SSE connection: the rooms of its URL, one way.
type stream struct {
	sink
	session
	srv    *Server
	seat   *seat
	from   netip.Prefix // where it was opened
	life   deadline     // of the token
	listed guest
	begun  atomic.Bool // the head of the answer is on its way
	me     bool        // it is told of its user's rooms as well
}

// getStream is GET /v1/sse. Everything that can be refused is refused before the connection is taken
// over, but for a store that cannot be read.
func (s *Server) getStream(w http.ResponseWriter, r *http.Request) error {
	if !accepts(r, "text/event-stream") {
		return &room.Error{Code: room.CodeNotAcceptable, Title: "This path answers with text/event-stream.", Field: "Accept"}
	}
	if turned := s.quotas.turn(s.addressOf(r)); turned != nil {
		return turnStream(w, r, turned)
	}
	q, err := parseQuery(r.URL.RawQuery, "after", "token", "ticket", "with", "present", "me")
	if err != nil {
		return err
	}
	in, err := s.identifyStream(r, q)
	if err != nil {
		return err
	}
	who := in.who
	joins, err := s.parseStream(r.Context(), who, q, r.Header.Get("Last-Event-ID"))
	if in.resumes != nil {
		err = s.resume(r, in, joins, err)
	}
	id := newID()
	if err == nil {
		err = s.besideStream(joins, id, who.User, q)
	}
	if err != nil {
		return err
	}
	if err := s.quotas.rates.join(who.User, len(joins)); err != nil {
		return err
	}
	seat, err := s.quotas.arrive(s.addressOf(r), false)
	if err != nil {
		return err
	}
	if err := s.quotas.name(seat, who.User); err != nil {
		s.quotas.leave(seat)
		return err
	}
	nc, early, err := takeOver(w)
	if err != nil {
		s.quotas.leave(seat)
		return err
	}
	_ = early // a one-way stream has nothing to hear
	t := &stream{srv: s, seat: seat, from: s.addressOf(r), session: newSession(id, in, joins)}
	t.pipe = newPipe(nc, s.cfg.Limits.WriteDeadline)
	t.life.sink, t.me = &t.sink, q.Get("me") == "true"
	t.listed.kind, t.listed.link = "sse", t
	if !s.adopt(&t.sink) {
		s.quotas.leave(seat)
		_ = nc.Close()
		return nil
	}
	s.log.Debug("stream opened", "request", w.Header().Get(requestID), "user", who.User)
	go t.serve(joins, w.Header())
	return nil
}

// turnStream tells a stream to come back later: by a problem, or where it takes up another by an answer that has nothing but
// the time, since a browser's own EventSource gives up for good at any other status than 200.
func turnStream(w http.ResponseWriter, r *http.Request, turned *room.Error) error {
	if r.Header.Get("Last-Event-ID") == "" {
		return turned
	}
	w.Header().Set("Content-Type", "text/event-stream")
	_, err := fmt.Fprintf(w, "retry: %d\n\n", wire.Milliseconds(turned.RetryAfter))
	return err
}

// parseStream reads which rooms a stream follows and from where. Last-Event-ID wins over after.
func (s *Server) parseStream(ctx context.Context, who *auth.Identity, q url.Values, lastID string) ([]hub.Join, error) {
	names := q["room"]
	me, err := s.asksForMe(q)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 && !me {
		return nil, badQuery("room", "A stream names its rooms: ?room=chat:general.")
	}
	most := s.cfg.Limits.RoomsPerStream
	var ids []room.ID
	permit := s.permitOf(who, auth.Read)
	joins := make([]hub.Join, 0, min(len(names), most))
	seen := make(map[room.ID]bool)
	for _, name := range names {
		id, err := s.judge(ctx, who, name, auth.Read)
		if err != nil {
			return nil, err
		}
		if seen[id] {
			continue
		}
		if seen[id] = true; len(seen) > most {
			return nil, &room.Error{Code: room.CodeLimitExceeded, Title: "A stream follows fewer rooms than this.", Field: "room", Limit: int64(most)}
		}
		ids = append(ids, id)
		joins = append(joins, hub.Join{Room: id, Replay: -1, Permit: permit, Floor: s.members.floor(who, id)})
	}
	return joins, place(joins, ids, lastID, q)
}

// place gives the rooms of a stream the positions that its request names.
func place(joins []hub.Join, ids []room.ID, lastID string, q url.Values) error {
	if lastID == "" {
		if !q.Has("after") {
			return nil
		}
		if lastID = q.Get("after"); len(ids) > 1 {
			return badQuery("after", "A position in the URL is for a stream of one room.")
		}
	}
	at, err := wire.ParseStreamID(lastID, ids)
	if err != nil {
		return err
	}
	for i := range joins {
		joins[i].Position, joins[i].HasPosition = at[joins[i].Room]
	}
	return nil
}

// accepts reports whether the client takes a type; one that does not say takes anything.
func accepts(r *http.Request, typ string) bool {
	lines := r.Header.Values("Accept")
	if len(lines) == 0 {
		return true
	}
	family, _, _ := strings.Cut(typ, "/")
	for _, part := range strings.Split(strings.Join(lines, ","), ",") {
		name, params, _ := strings.Cut(part, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		if (name == typ || name == family+"/*" || name == "*/*") && strings.ReplaceAll(params, " ", "") != "q=0" {
			return true
		}
	}
	return false
}

// streamHead is the head of the answer. The stream ends with the connection: there are no chunks, so
// that its pages are bytes shared by all who read them.
func streamHead(h http.Header) []byte {
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // proxies that buffer would hold events back
	return appendHead(nil, http.StatusOK, h)
}

func appendHead(dst []byte, status int, h http.Header) []byte {
	h.Set("Connection", "close")
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = append(dst, http.StatusText(status)...)
	dst = append(dst, "\r\n"...)
	for name, values := range h {
		for _, v := range values { // ours, but for an origin that is on the list: no line can break out
			dst = append(dst, name+": "+v+"\r\n"...)
		}
	}
	return append(dst, "\r\n"...)
}

// retryLine tells an EventSource how long to wait before it connects again, in milliseconds.
const retryLine = "retry: 1000\n\n"

// serve is the first goroutine of a stream. Another one, with a small stack, waits for the client to
// hang up.
func (t *stream) serve(joins []hub.Join, h http.Header) {
	t.srv.wheel.set(&t.life, t.who.Until, room.CodeTokenExpired)
	if err := t.begin(joins, h); err != nil {
		if why := t.why.Load(); why != nil && why.err != nil {
			err = why.err // it was cut before it began
		}
		e := t.srv.dated(room.AsError(err))
		t.srv.tell(e.Code)
		if e.Cause != nil || e.Code == room.CodeInternal {
			t.srv.log.Warn("stream refused", "request", h.Get(requestID), "code", string(e.Code), "error", err)
		}
		t.finish(rawProblem(h, e))
		return
	}
	t.begun.Store(true)
	t.srv.greet(t)
	if t.me {
		t.srv.followMe(t)
	}
	go t.wait()
}

// wait reads until the client hangs up; a one-way stream has nothing to hear.
func (t *stream) wait() {
	for {
		got, err := t.pipe.read()
		if err != nil {
			break
		}
		got.free()
	}
	t.finish(nil)
}

func (t *stream) finish(words []byte) {
	t.endSession()
	if t.hub != nil {
		t.hub.Detach()
		t.srv.feed.leave(t.hub)
	}
	if words == nil {
		words = t.farewell()
	}
	t.end(words)
	t.srv.roster.leave(&t.listed)
	t.srv.quotas.leave(t.seat)
	t.srv.release(&t.sink)
}

func (t *stream) begin(joins []hub.Join, h http.Header) (err error) {
	defer t.srv.rescue(&err)
	conn, err := t.srv.cfg.Hub.Attach(t, wire.EventStream)
	if err != nil {
		return err
	}
	t.hub = conn
	ready := t.openSession()
	t.listed.id = t.id
	who := t.identity()
	t.srv.roster.enter(&t.listed, who)
	if err := t.srv.admitted(who); err != nil { // again: a revocation may not have found it
		return err
	}
	if err := conn.Follow(t.srv.ctx, joins, func(rooms []hub.Followed) []byte {
		t.begunBy(rooms)
		return appendBeginning(streamHead(h), joins, rooms, ready)
	}); err != nil {
		return err
	}
	for _, j := range joins {
		if err := t.srv.confirm(who, j.Room); err != nil {
			t.Close(room.AsError(err))
			break
		}
	}
	return nil
}

// appendBeginning appends what a stream begins with: ready, and a reset for each room whose position
// could not be continued. Up to its reset the ids name the position that was given, so that a client
// who is cut off in between hears of the reset again (rule SSE-7).
func appendBeginning(dst []byte, joins []hub.Join, rooms []hub.Followed, who wire.Ready) []byte {
	at := make([]wire.NamedPosition, len(rooms))
	for i, f := range rooms {
		at[i] = wire.NamedPosition{Room: f.Head.Room, Position: f.Position}
		if f.Reset != "" {
			at[i].Position = joins[i].Position
		}
	}
	dst = append(dst, retryLine...)
	ready, _ := json.Marshal(who) // strings always marshal
	dst = wire.AppendStreamReady(dst, wire.AppendStreamID(nil, at), ready)
	for i, f := range rooms {
		if f.Reset != "" {
			at[i].Position = f.Position
			r := wire.Reset{Room: f.Head.Room, Reason: f.Reset, Epoch: f.Head.Epoch, Floor: f.Head.Floor, Head: f.Head.Seq}
			dst = wire.EventStream.AppendReset(dst, r, wire.AppendStreamID(nil, at))
		}
	}
	return dst
}

// rawProblem is a problem as bytes, for a connection that net/http no longer has. h is what the answer's
// head has already.
func rawProblem(h http.Header, err error) []byte {
	p, _ := problemOf(err)
	p.RequestID = h.Get(requestID)
	body, err := json.Marshal(p)
	if err != nil {
		return nil
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if p.RetryAfterMS > 0 {
		h.Set("Retry-After", retryAfter(p.RetryAfterMS))
	}
	return append(appendHead(nil, p.Status, h), body...)
}
