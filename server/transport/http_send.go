package transport

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/transport/auth"
	"roomlog/server/wire"
)

// postEvent is POST /v1/rooms/{room}/events: a send without order. It answers once the event is on
// durable storage, or refused.
func (s *Server) postEvent(w http.ResponseWriter, r *http.Request) error {
	who, err := s.identify(r)
	if err != nil {
		return err
	}
	id, err := s.judge(who, r.PathValue("room"), auth.Send)
	if err != nil {
		return err
	}
	if err := s.quotas.rates.send(who.User); err != nil { // before the body: it may be a large one
		return err
	}
	body, err := s.readJSON(w, r)
	if err != nil {
		return err
	}
	tag, typ, data, err := wire.ParsePost(body)
	if err != nil {
		return err
	}
	send, err := s.parseSend(id, who.User, tag, typ, data)
	if err != nil {
		return err
	}
	if err := s.quotas.rates.sendTo(id); err != nil {
		return err
	}
	out, err := s.submit(r.Context(), &send, s.permitOf(who))
	if err != nil {
		return err
	}
	status, duplicate := http.StatusCreated, out.Verdict.Duplicate
	if duplicate {
		status = http.StatusOK
	}
	e, err := s.stored(r.Context(), send, out)
	if err != nil {
		return err
	}
	writeJSON(w, status, wire.AppendStored(nil, id, out.Epoch, &e, duplicate))
	return nil
}

// parseSend judges what a send carries, in this order: tag, type, data. The first fault is told.
func (s *Server) parseSend(id room.ID, author, tag, typ string, data []byte) (room.Send, error) {
	policy, _ := s.cfg.Kinds.Policy(id.Kind())
	send := room.Send{Room: id, Author: author, Type: typ, RoomLimit: policy.RoomsPerUser}
	var err error
	if send.Tag, err = room.ParseTag(tag); err != nil {
		return send, err
	}
	send.Data, err = s.judgeEvent(id, typ, data)
	return send, err
}

// submit waits for the outcome of a send. The hub answers in bounded time: what it does not know by
// then is outcome_unknown. A client that goes away meanwhile has an event that may be stored. send becomes what
// was stored, where it was rewritten.
func (s *Server) submit(ctx context.Context, send *room.Send, p hub.Permit) (hub.Outcome, error) {
	answered := make(chan hub.Outcome, 1)
	as := *send
	s.cfg.Hub.Submit(hub.Submit{Send: *send, Permit: p, Ask: s.asking(*send, &as)}, func(o hub.Outcome) { answered <- o })
	select {
	case o := <-answered:
		if o.Err != nil {
			return o, o.Err
		}
		*send = as
		return o, nil
	case <-ctx.Done():
		return hub.Outcome{}, &room.Error{Code: room.CodeOutcomeUnknown, Title: "The client went away before the outcome was known."}
	}
}

// readJSON reads a body that says it is JSON. Only that content type is taken: a form of a foreign
// page cannot send it without asking first.
func (s *Server) readJSON(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return nil, &room.Error{Code: room.CodeUnsupportedMediaType, Title: "The body has to be application/json.", Field: "Content-Type"}
	}
	limit := int64(s.cfg.Limits.FrameBytes)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, &room.Error{Code: room.CodeMessageTooLarge, Title: "The body is larger than a request may be.", Limit: limit}
	case err != nil:
		return nil, &room.Error{Code: room.CodeBadRequest, Title: "The body could not be read to its end."}
	}
	// From here on the connection is watched for the client's going away, which takes as long as it does.
	// A body that is not whole keeps its deadline: see bounded.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return body, nil
}
