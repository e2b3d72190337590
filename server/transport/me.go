package transport

import (
	"net/http"
	"net/url"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// answerBytes is about how many bytes of overviews one answer holds.
const answerBytes = 1 << 20

// getMyRooms is GET /v1/me/rooms?after=ROOM&limit=N (rule MEM-8).
func (s *Server) getMyRooms(w http.ResponseWriter, r *http.Request) error {
	who, err := s.reads(r)
	if err != nil {
		return err
	}
	q, err := parseQuery(r.URL.RawQuery, "after", "limit")
	if err != nil {
		return err
	}
	limit, err := parseCount(q, "limit", 1)
	if err != nil {
		return err
	}
	if limit == 0 {
		limit = listDefault
	}
	if !partOfID(q.Get("after")) {
		return badQuery("after", "after is what a room id may begin with.")
	}
	ask := room.OverviewQuery{User: who.User, After: room.ID(q.Get("after")), Limit: min(limit, listMost)}
	page, err := s.cfg.Overviews.Overviews(r.Context(), ask)
	if refused := s.admitted(who); refused != nil { // again, as each of the rooms
		return refused
	}
	if err != nil {
		return err
	}
	body, next := []byte(`{"rooms":[`), room.ID("")
	empty := len(body)
	if len(page) == ask.Limit {
		next = page[len(page)-1].Room
	}
	for i := range page {
		if !s.shows(who, &page[i]) {
			continue
		}
		if len(body) > empty {
			body = append(body, ',')
		}
		if body = wire.AppendOverview(body, &page[i]); len(body) > answerBytes && i+1 < len(page) {
			next = page[i].Room
			break
		}
	}
	if body = append(body, ']'); next != "" {
		body = append(append(append(body, `,"next":"`...), next...), '"')
	}
	writeJSON(w, http.StatusOK, append(body, '}'))
	return nil
}

// me follows the user's own rooms (rule MEM-10).
func (s *Server) me(a asker, _ room.ID, req *wire.Request, answer func([]byte, error)) {
	switch {
	case s.cfg.Overviews == nil || s.cfg.Members == nil:
		answer(nil, &room.Error{Code: room.CodeUnknownOp, Title: "This server does not take this op.", Field: "op"})
		return
	case a.conn == nil:
		a.pass(answer)
		return
	}
	err := s.quotas.rates.join(a.who.User, 1)
	if err == nil {
		err = s.feed.watch(a.conn, a.guest.framing(), a.guest.who.Load, &asked{id: req.ID, hasID: req.HasID, answer: answer})
	}
	if err != nil {
		answer(nil, err)
	}
}

// framing is how the guest's connection is written to.
func (g *guest) framing() wire.Framing {
	if g.kind == "sse" {
		return wire.EventStream
	}
	return wire.WebSocket
}

// asksForMe reads whether the URL of a stream asks for its user's rooms (rule MEM-12).
func (s *Server) asksForMe(q url.Values) (bool, error) {
	switch q.Get("me") {
	case "", "false":
		return false, nil
	case "true":
		if s.cfg.Overviews == nil || s.cfg.Members == nil {
			return false, badQuery("me", "This server keeps no members.")
		}
		return true, nil
	}
	return false, badQuery("me", "me is true or false.")
}

// followMe has a stream told of its user's rooms.
func (s *Server) followMe(t *stream) {
	err := s.quotas.rates.join(t.identity().User, 1)
	if err == nil {
		err = s.feed.watch(t.hub, wire.EventStream, t.listed.who.Load, &asked{})
	}
	if err != nil {
		t.Close(err)
	}
}
