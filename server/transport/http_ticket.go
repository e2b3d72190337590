package transport

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/transport/auth"
	"roomlog/server/wire"
)

// postTicket is POST /v1/tickets: a one-time ticket for whoever asks, which may allow less than the token.
func (s *Server) postTicket(w http.ResponseWriter, r *http.Request) error {
	who, err := s.identify(r)
	if err != nil {
		return err
	}
	if err := s.quotas.rates.read(who.User); err != nil {
		return err
	}
	asked := *who
	if r.ContentLength != 0 {
		body, err := s.readJSON(w, r)
		if err != nil {
			return err
		}
		grants, err := parseNarrower(body)
		if err != nil {
			return err
		}
		if grants != nil {
			if !who.Grants.Covers(grants) {
				return &room.Error{Code: room.CodeForbidden, Title: "A ticket allows no more than its token; one of these grants does.", Field: "grants"}
			}
			asked.Grants = grants
		}
	}
	text, until := s.tickets.issue(asked)
	answer, err := json.Marshal(map[string]any{"ticket": text, "expires_at": until.UTC().Format(time.RFC3339)})
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, answer)
	return nil
}

// parseNarrower reads the body of a request for a ticket; nil: it does not name grants.
func parseNarrower(body []byte) (auth.Grants, error) {
	var b *struct {
		Grants auth.Grants `json:"grants"`
	}
	if err := json.Unmarshal(body, &b); err != nil || b == nil {
		return nil, badQuery("grants", `The body is one JSON object: {"grants":[{"rooms":…,"can":[…]}]}.`)
	}
	if err := b.Grants.Check(); err != nil {
		return nil, badQuery("grants", "A grant names rooms by an id or a prefix ending in *, and what they can.")
	}
	return b.Grants, nil
}

// usedTicket says the same of every ticket that lets nobody in.
func usedTicket() *room.Error {
	return &room.Error{
		Code: room.CodeUnauthenticated, Field: "ticket",
		Title: "The ticket was used, is over or never was one; get a new one.",
	}
}

// entry is how a stream is let in.
type entry struct {
	who     *auth.Identity
	ticket  *ticket   // nil: by a token or a key
	resumes *ticketed // the ticket was used before, for this
}

// identifyStream says who opens a stream. An EventSource cannot set headers, so a ticket may come in the
// URL, or where that is allowed a token; the URL is never logged.
func (s *Server) identifyStream(r *http.Request, q url.Values) (entry, error) {
	if q.Has("ticket") {
		if err := aloneTicket(r, q); err != nil {
			return entry{}, err
		}
		if err := s.barred(s.addressOf(r)); err != nil {
			return entry{}, err
		}
		t, who, resumes, err := s.tickets.use(r.Context(), q.Get("ticket"), false)
		if err != nil {
			return entry{}, err
		}
		if t == nil {
			s.failed(s.addressOf(r))
			return entry{}, usedTicket()
		}
		return entry{who, t, resumes}, s.admitted(who)
	}
	if q.Has("token") && bearer(r) == "" {
		if !s.cfg.TokenInURL {
			return entry{}, &room.Error{Code: room.CodeUnauthenticated, Title: "This server takes no token from a URL; get a ticket for it.", Field: "token"}
		}
		who, err := s.verify(s.addressOf(r), q.Get("token"))
		if err == nil {
			err = actsAlone(r)
		}
		return entry{who: who}, err
	}
	who, err := s.identify(r)
	return entry{who: who}, err
}

// aloneTicket refuses a ticket beside another proof or name: which of them counts would have to be guessed.
func aloneTicket(r *http.Request, q url.Values) error {
	if q.Has("token") || r.Header.Get("Authorization") != "" {
		return badQuery("ticket", "A request has a ticket or a token, not both.")
	}
	return actsAlone(r)
}

// resume judges a request that takes up the stream of a used ticket (rule TICK-5): it names the same
// rooms, and for each of them a position that only who has followed them since can know. Everything else
// is answered alike.
func (s *Server) resume(r *http.Request, e entry, joins []hub.Join, malformed error) error {
	err := malformed
	asks := r.URL.Query().Get("me") == "true"
	if err == nil && (asks && !e.resumes.Me || !e.resumes.matches(joins, r.Header.Get("Last-Event-ID"), s.addressOf(r))) {
		err = usedTicket()
	}
	if err == nil {
		err = s.continuable(r.Context(), joins)
	}
	if err == nil {
		err = s.tickets.keep(r.Context(), e.ticket, *e.resumes)
	}
	if err != nil && room.AsError(err).Retryable() {
		return err // the store does not answer
	}
	if err != nil {
		return usedTicket()
	}
	return nil
}

// matches compares what can be compared without the store. A room that nobody wrote to has no mark, and
// its epoch is no secret: where there are only such rooms, the request has to come from where the first came.
func (d *ticketed) matches(joins []hub.Join, lastID string, from netip.Prefix) bool {
	if lastID == "" || len(joins) != len(d.Rooms) {
		return false
	}
	secret := false
	for _, j := range joins {
		from, followed := d.Rooms[j.Room]
		p := j.Position
		if !followed || !j.HasPosition || p.Epoch == "" || p.Seq < from || p.Seq > 0 && p.Mark == 0 {
			return false
		}
		secret = secret || p.Mark != 0
	}
	return secret || from == d.From
}

// continuable reports whether every position can be continued, its mark included; the error is what
// the store, or the position, has against it.
func (s *Server) continuable(ctx context.Context, joins []hub.Join) error {
	for _, j := range joins {
		_, err := s.cfg.Hub.Poll(ctx, hub.Join{Room: j.Room, Position: j.Position, Limit: 1}, 0)
		if reset := (*hub.ResetError)(nil); errors.As(err, &reset) {
			return usedTicket()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// begunBy notes where a stream began that a ticket opened, so that it can be taken up again.
func (t *stream) begunBy(rooms []hub.Followed) {
	t.state.Lock()
	defer t.state.Unlock()
	if t.ticket == nil || t.begunAs != nil {
		return
	}
	d := ticketed{From: t.from, Me: t.me, Rooms: make(map[room.ID]room.Seq, len(rooms))}
	for _, f := range rooms {
		d.Rooms[f.Head.Room] = f.Position.Seq
	}
	t.begunAs = &d
	t.keepTicket(d)
}

// renewTicket has its ticket stand for the token of a refresh from now on.
func (t *stream) renewTicket(who *auth.Identity) {
	t.state.Lock()
	defer t.state.Unlock()
	if t.ticket == nil || t.begunAs == nil {
		return
	}
	t.begunAs.Who = who
	t.keepTicket(*t.begunAs)
}

// keepTicket has its ticket take up the stream. Where the store does not answer, it does not: a client that comes back needs a new one.
func (t *stream) keepTicket(d ticketed) {
	if err := t.srv.tickets.keep(t.srv.ctx, t.ticket, d); err != nil {
		t.srv.log.Warn("what a ticket opened is not kept", "connection", t.id, "error", err)
	}
}

// socketTicket takes the ticket of a WebSocket's URL; nil: it has none.
func (s *Server) socketTicket(r *http.Request) (*auth.Identity, error) {
	if r.URL.RawQuery == "" {
		return nil, nil
	}
	q, err := parseQuery(r.URL.RawQuery, "ticket")
	if err != nil || !q.Has("ticket") {
		return nil, err
	}
	if err := aloneTicket(r, q); err != nil {
		return nil, err
	}
	if err := s.barred(s.addressOf(r)); err != nil {
		return nil, err
	}
	t, who, _, err := s.tickets.use(r.Context(), q.Get("ticket"), true)
	if err != nil {
		return nil, err
	}
	if t == nil {
		s.failed(s.addressOf(r))
		return nil, usedTicket()
	}
	return who, nil
}

// introduced is who says hello: the user of its token, or of the ticket of its handshake where it has none.
func (c *socket) introduced(req *wire.Request) (*auth.Identity, error) {
	who := c.guest
	c.guest = nil
	switch {
	case who == nil:
		return c.srv.verify(c.seat.address, req.Token)
	case req.Token != "":
		return nil, &room.Error{Code: room.CodeBadRequest, Title: "A connection has a ticket or a token, not both.", Field: "token"}
	case !time.Now().Before(who.Until):
		return nil, overdue(room.CodeTokenExpired)
	}
	return who, c.srv.admitted(who)
}
