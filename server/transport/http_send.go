package transport

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/transport/auth"
	"roomlog/server/wire"
)

// postEvent is POST /v1/rooms/{room}/events: a send without order, or several. It answers once the event is on
// durable storage, or refused.
func (s *Server) postEvent(w http.ResponseWriter, r *http.Request) error {
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
	body, err := s.readJSON(w, r)
	if err != nil {
		return err
	}
	posts, several, err := wire.ParsePost(body)
	if err != nil {
		return err
	}
	if several {
		return s.postEvents(w, r, who, id, posts)
	}
	return s.answerSend(w, r, who, id, posts[0])
}

// answerSend stores one event and answers with it.
func (s *Server) answerSend(w http.ResponseWriter, r *http.Request, who *auth.Identity, id room.ID, p wire.Post) error {
	f, err := s.launch(r.Context(), who, id, p)
	if err != nil {
		return err
	}
	answer, duplicate, err := s.land(r.Context(), f, nil)
	if err != nil {
		return err
	}
	status := http.StatusCreated
	if duplicate {
		status = http.StatusOK
	}
	writeJSON(w, status, answer)
	return nil
}

// parseSend judges what a send carries, in this order: tag, type, data, what it does. The first fault is told. p.If is read already, as ifSeq.
func (s *Server) parseSend(id room.ID, who *auth.Identity, p wire.Post, ifSeq *room.Seq) (room.Send, error) {
	policy, _ := s.cfg.Kinds.Policy(id.Kind())
	send := room.Send{Room: id, Author: who.User, Type: p.Type, RoomLimit: policy.RoomsPerUser}
	var err error
	if send.Tag, err = room.ParseTag(p.Tag); err != nil {
		return send, err
	}
	var docID string
	if send.Data, docID, err = s.judgeEvent(id, p.Type, p.Data); err != nil {
		return send, err
	}
	if docID == "" {
		docID = p.DocID
	}
	if docID != "" {
		send.Doc = &room.DocChange{ID: docID, Named: true}
	}
	if ifSeq != nil {
		send.State = &room.StateSet{If: true, Seq: *ifSeq}
	}
	return send, s.mean(who, &send)
}

// flight is a send that the hub has.
type flight struct {
	send     room.Send // what is stored, where it is rewritten, once it is answered
	asks     bool      // its kind has a webhook that is asked first
	answered chan hub.Outcome
}

// launch judges a send and gives it to the hub.
func (s *Server) launch(ctx context.Context, who *auth.Identity, id room.ID, p wire.Post) (*flight, error) {
	ifSeq, err := wire.ParseIfSeq(p.If, p.Type)
	if err != nil {
		return nil, err
	}
	send, err := s.parseSend(id, who, p, ifSeq)
	if err != nil {
		return nil, err
	}
	if err := s.quotas.rates.sendTo(id); err != nil {
		return nil, err
	}
	if _, err := s.found(ctx, who, id); err != nil {
		return nil, err
	}
	f := &flight{send: send, answered: make(chan hub.Outcome, 1)}
	ask := s.asking(who, send, &f.send)
	f.asks = ask != nil
	s.cfg.Hub.Submit(hub.Submit{Send: send, Permit: s.permitOf(who, needs(&send)), Ask: ask}, func(o hub.Outcome) { f.answered <- o })
	return f, nil
}

// land waits for the outcome of a send and appends the answer to dst. The hub answers in bounded time: what it does not
// know by then is outcome_unknown. A client that goes away meanwhile has an event that may be stored.
func (s *Server) land(ctx context.Context, f *flight, dst []byte) (answer []byte, duplicate bool, err error) {
	o, err := f.outcome(ctx)
	if err != nil {
		return dst, false, err
	}
	e, err := s.stored(ctx, f.send, o)
	if err != nil {
		return dst, false, err
	}
	if o.Verdict.Known {
		return wire.AppendKnown(dst, f.send.Room, o.Epoch, &e), true, nil
	}
	return wire.AppendStored(dst, f.send.Room, o.Epoch, &e, o.Verdict.Duplicate), o.Verdict.Duplicate, nil
}

// outcome waits for that of a send.
func (f *flight) outcome(ctx context.Context) (hub.Outcome, error) {
	select {
	case o := <-f.answered:
		if o.Err != nil {
			return o, o.Err
		}
		return o, nil
	case <-ctx.Done():
		return hub.Outcome{}, &room.Error{Code: room.CodeOutcomeUnknown, Title: "The client went away before the outcome was known."}
	}
}

// readJSON reads a body that says it is JSON. Only that content type is taken: a form of a foreign
// page cannot send it without asking first.
func (s *Server) readJSON(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	return s.readBody(w, r, "application/json")
}

// readBody reads a body of one of some types.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request, types ...string) ([]byte, error) {
	return s.readUpTo(w, r, int64(s.cfg.Limits.FrameBytes), types...)
}

// readUpTo reads a body of one of some types that has limit bytes at most.
func (s *Server) readUpTo(w http.ResponseWriter, r *http.Request, limit int64, types ...string) ([]byte, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || !slices.Contains(types, kind) {
		return nil, &room.Error{Code: room.CodeUnsupportedMediaType, Title: "The body has to be " + types[0] + ".", Field: "Content-Type"}
	}
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
