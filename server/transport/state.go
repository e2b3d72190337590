package transport

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/transport/auth"
	"roomlog/server/wire"
)

func (s *Server) routeState(mux *http.ServeMux) {
	mux.Handle("/v1/rooms/{room}/state", s.api(methods{http.MethodGet: s.getState, http.MethodPatch: s.patchState}))
}

// getState is GET /v1/rooms/{room}/state: the map of a room, or what changed in it since a position (rule STATE-13).
func (s *Server) getState(w http.ResponseWriter, r *http.Request) error {
	who, err := s.identify(r)
	if err != nil {
		return err
	}
	if err := s.quotas.rates.read(who.User); err != nil {
		return err
	}
	id, err := s.judge(r.Context(), who, r.PathValue("room"), auth.Read)
	if err != nil {
		return err
	}
	q, err := parseQuery(r.URL.RawQuery, "since")
	if err != nil {
		return err
	}
	var since *room.Position
	if q.Has("since") {
		at, err := room.ParsePosition(q.Get("since"))
		if e := (*room.Error)(nil); errors.As(err, &e) {
			e.Field = "since"
			return e
		}
		since = &at
	}
	page, err := s.cfg.Hub.State(r.Context(), id, since)
	if refused := s.allowed(who, id, auth.Read); refused != nil { // again: access may have been taken back meanwhile
		return refused
	}
	if err != nil {
		return err
	}
	w.Header().Set("ETag", `"`+strconv.FormatInt(page.Seq, 10)+`"`)
	writeJSON(w, http.StatusOK, wire.AppendStateAnswer(make([]byte, 0, len(page.State)+256), pageOf(id, page)))
	return nil
}

func pageOf(id room.ID, p hub.Page) wire.Page {
	return wire.Page{Room: id, Epoch: p.Head.Epoch, Prev: p.Prev, Seq: p.Seq, Mark: p.Mark, Full: p.Full, State: p.State}
}

// patchState is PATCH /v1/rooms/{room}/state: a send of the type state (rule STATE-14).
func (s *Server) patchState(w http.ResponseWriter, r *http.Request) error {
	who, err := s.identify(r)
	if err != nil {
		return err
	}
	id, err := s.judge(r.Context(), who, r.PathValue("room"), auth.Send)
	if err != nil {
		return err
	}
	if err := s.quotas.rates.send(who.User); err != nil { // before the body: it may be a large one
		return err
	}
	post := wire.Post{Type: room.TypeState}
	if post.Tag, err = idempotencyKey(r); err != nil {
		return err
	}
	if given := r.Header.Values("If-Match"); len(given) > 0 {
		seq, quoted := strings.CutPrefix(strings.Join(given, ","), `"`)
		seq, closed := strings.CutSuffix(seq, `"`)
		if _, err := room.ParseSeq(seq); err != nil || !quoted || !closed {
			return badQuery("If-Match", `If-Match is one seq in quotes, such as "412"; a map has no other tags, and * says nothing of its keys.`)
		}
		post.If = []byte(seq)
	}
	if post.Data, err = s.readBody(w, r, "application/json", "application/merge-patch+json"); err != nil {
		return err
	}
	return s.answerSend(w, r, who, id, post)
}

// idempotencyKey is the tag of a send whose body is no event: the one that the request names, or a new one.
func idempotencyKey(r *http.Request) (string, error) {
	given := r.Header.Values("Idempotency-Key")
	if len(given) == 0 {
		return newTag().String(), nil
	}
	tag := strings.Trim(strings.Join(given, ","), `"`) // of several none is a tag
	if _, err := room.ParseTag(tag); err != nil {
		e := room.AsError(err)
		e.Field = "Idempotency-Key"
		return "", e
	}
	return tag, nil
}
