package transport

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/transport/auth"
	"roomlog/server/wire"
)

// read is what GET /v1/rooms/{room}/events asks for.
type read struct {
	history *room.Query   // before, around
	after   room.Position // else
	seen    room.Seq      // with after: the highest that was acked to this client
	limit   int           // 0: the default
	wait    time.Duration
}

// getEvents is GET /v1/rooms/{room}/events: polling, long polling and history.
func (s *Server) getEvents(w http.ResponseWriter, r *http.Request) error {
	who, err := s.identify(r)
	if err != nil {
		return err
	}
	if err := s.quotas.rates.read(who.User); err != nil {
		return err
	}
	id, err := s.judge(r.Context(), who, r.PathValue("room"), auth.Read)
	if err != nil && !s.mutateHistory(r) { // mutant history_open
		return err
	}
	want, err := s.parseRead(id, r.URL.RawQuery)
	if err != nil {
		return err
	}
	floor := s.members.floor(who, id)
	page, err := s.read(r, who, id, want)
	if err == nil && want.wait > 0 {
		err = s.know(r.Context(), who, id, auth.Read)
	}
	// Again: what was read may have been stored after access was taken back, and that wakes up who waits.
	if refused := s.allowed(who, id, auth.Read); refused != nil && !s.mutateHistory(r) {
		return refused
	}
	if err != nil {
		return err
	}
	if anew := s.members.floor(who, id); anew > floor && page.Prev < anew-1 { // they ended and began anew meanwhile
		page.Head.Floor = max(page.Head.Floor, min(anew, page.Head.Seq+1))
		return &hub.ResetError{Reason: room.ResetPruned, Head: page.Head}
	}
	span := wire.Page{Room: id, Epoch: page.Head.Epoch, Prev: page.Prev, Seq: page.Seq, Mark: page.Mark, Full: page.Full, State: page.State, Docs: page.Docs}
	writeJSON(w, http.StatusOK, wire.AppendPolled(make([]byte, 0, len(page.Events)+512), span, page.Head.Floor, page.Head.Seq, s.Degraded(), page.Events))
	return nil
}

func (s *Server) read(r *http.Request, who *auth.Identity, id room.ID, want read) (hub.Page, error) {
	if want.history != nil {
		want.history.As = who.User
		return s.cfg.Hub.History(r.Context(), *want.history, s.members.floor(who, id))
	}
	// Nobody is answered after their token is over.
	want.wait = min(want.wait, max(0, time.Until(who.Until)))
	if want.wait > 0 {
		// One that waits is a connection like any other.
		seat, err := s.quotas.arrive(s.addressOf(r), false)
		if err != nil {
			return hub.Page{}, err
		}
		defer s.quotas.leave(seat)
		if err := s.quotas.name(seat, who.User); err != nil {
			return hub.Page{}, err
		}
		if err := s.quotas.park(seat); err != nil {
			return hub.Page{}, err
		}
		defer s.quotas.unpark(seat)
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if want.wait > 0 {
		p := &parked{room: id, from: r.RemoteAddr, cancel: cancel}
		p.id, p.kind, p.link = newID(), "poll", p
		s.roster.enter(&p.guest, who)
		defer s.roster.leave(&p.guest)
		if err := s.allowed(who, id, auth.Read); err != nil { // again: a revocation may not have found it
			return hub.Page{}, err
		}
	}
	return s.cfg.Hub.Poll(ctx, hub.Join{
		Room: id, Position: want.after, Seen: want.seen, Limit: want.limit, Floor: s.members.floor(who, id),
	}, want.wait)
}

// parseRead reads the query: one of after, before and around, and after=0 where there is none
// (rule POLL-1); limit from 1, where more than the most means the most; wait in seconds, likewise.
func (s *Server) parseRead(id room.ID, raw string) (read, error) {
	q, err := parseQuery(raw, "after", "before", "around", "limit", "wait", "seen")
	if err != nil {
		return read{}, err
	}
	var want read
	if want.limit, err = parseCount(q, "limit", 1); err != nil {
		return read{}, err
	}
	seconds, err := parseCount(q, "wait", 0)
	if err != nil {
		return read{}, err
	}
	if q.Has("seen") {
		if want.seen, err = room.ParseSeq(q.Get("seen")); err != nil {
			return read{}, badQuery("seen", "What was seen is a seq, from 0 to 2^53-1.")
		}
	}
	want.wait = min(time.Duration(seconds)*time.Second, s.cfg.Limits.PollWait)
	if len(q["after"])+len(q["before"])+len(q["around"]) > 1 {
		return read{}, badQuery("after", "A read has one of after, before and around.")
	}
	switch {
	case q.Has("before"):
		want.history = &room.Query{Room: id, Anchor: room.Before, Limit: want.limit, Present: true}
		want.history.Seq, err = room.ParseSeq(q.Get("before"))
	case q.Has("around"):
		want.history = &room.Query{Room: id, Anchor: room.Around, Limit: want.limit, Present: true}
		want.history.Seq, err = room.ParseSeq(q.Get("around"))
	case q.Has("after"):
		want.after, err = room.ParsePosition(q.Get("after"))
	}
	return want, err
}

// parseQuery reads a query in which none of the names comes twice; others are ignored.
func parseQuery(raw string, names ...string) (url.Values, error) {
	q, err := url.ParseQuery(raw)
	if err != nil {
		return nil, badQuery("", "The query of the URL cannot be read.")
	}
	for _, name := range names {
		if len(q[name]) > 1 {
			return nil, badQuery(name, "The parameter "+name+" comes more than once.")
		}
	}
	return q, nil
}

// maxCount bounds the numbers of a query; all that is larger means "as many as there may be".
const maxCount = 1_000_000

// parseCount reads a whole number of at least least; 0 where the parameter is absent.
func parseCount(q url.Values, name string, least int) (int, error) {
	text := q.Get(name)
	if !q.Has(name) {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if errors.Is(err, strconv.ErrRange) {
		return maxCount, nil // more than any number that means the most
	}
	if err != nil || n < uint64(least) {
		return 0, badQuery(name, "The parameter "+name+" is a whole number of at least "+strconv.Itoa(least)+".")
	}
	return int(min(n, maxCount)), nil
}

func badQuery(field, title string) *room.Error {
	return &room.Error{Code: room.CodeBadRequest, Title: title, Field: field}
}
