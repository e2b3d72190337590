package transport

import (
	"context"
	"encoding/json"
	"net/http"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
	"roomlog/server/wire"
)

// Receipts takes marks, and knows who has read what. Its methods may be called concurrently.
type Receipts interface {
	// Mark has marks of a user stored. answer is called once, now or later and from any goroutine: when they are durable, or with why
	// they are not; nil: nobody wants to know. It must not block.
	Mark(m room.Marking, answer func(room.Own, error))
	// Readers is [room.Receipts.Readers].
	Readers(ctx context.Context, id room.ID, seq room.Seq, limit int) (room.Readers, error)
}

// readersMost is how many users an answer names.
const readersMost = 100

// routeReceipts adds the routes of receipts, where somebody keeps them.
func (s *Server) routeReceipts(mux *http.ServeMux) {
	if s.cfg.Receipts == nil {
		return
	}
	mux.Handle("/v1/rooms/{room}/receipt", s.api(methods{http.MethodPut: s.putReceipt}))
	mux.Handle("/v1/rooms/{room}/receipts", s.api(methods{http.MethodGet: s.getReceipts}))
}

// shownReceipts is how much of receipts a room shows; off is refused (rule RCPT-9).
func (s *Server) shownReceipts(id room.ID) (room.Show, error) {
	policy, _ := s.cfg.Kinds.Policy(id.Kind())
	if policy.Receipts == room.ShowNone {
		return policy.Receipts, &room.Error{Code: room.CodeForbidden, Title: "Rooms of this kind keep no receipts.", Field: "room"}
	}
	return policy.Receipts, nil
}

// checkMarks judges the marks of a request; each is a seq, and 0 says nothing (rule RCPT-2).
func checkMarks(delivered, read int64) error {
	for _, m := range []struct {
		field string
		seq   int64
	}{{"delivered", delivered}, {"read", read}} {
		if m.seq < 0 || m.seq > room.MaxSeq {
			return badQuery(m.field, "A mark is a seq, from 0 to 2^53-1.")
		}
	}
	return nil
}

// markRead does a read (rule RCPT-2). It is answered with where the user stands where it has an id.
func (s *Server) markRead(a asker, id room.ID, req *wire.Request, answer func([]byte, error)) {
	err := checkMarks(req.Delivered, req.Read)
	if err == nil {
		_, err = s.shownReceipts(id)
	}
	if err != nil {
		answer(nil, err)
		return
	}
	who, reqID, hasID := a.who, req.ID, req.HasID
	m := room.Marking{Room: id, User: who.User, Delivered: req.Delivered, Read: req.Read}
	s.cfg.Receipts.Mark(m, func(o room.Own, err error) {
		if err == nil && hasID { // again: access may have been taken back meanwhile
			err = s.allowed(who, id, auth.Read)
		}
		switch {
		case err != nil:
			answer(nil, err)
		case !hasID:
			answer(nil, nil)
		default:
			f := standing(o)
			f.ID, f.HasID = reqID, true
			answer(f.Append(make([]byte, 0, 192)), nil)
		}
	})
}

// standing is what users are told of where they stand in a room.
func standing(o room.Own) wire.Marked {
	return wire.Marked{
		Room: o.Room, Delivered: o.Delivered, Read: o.Read, Head: o.Head, Unread: o.Unread, More: o.More, FirstUnread: o.FirstUnread, Mentions: o.Mentions,
	}
}

// putReceipt is PUT /v1/rooms/{room}/receipt (rule RCPT-11).
func (s *Server) putReceipt(w http.ResponseWriter, r *http.Request) error {
	who, err := s.reads(r)
	if err != nil {
		return err
	}
	id, err := s.judge(r.Context(), who, r.PathValue("room"), auth.Read)
	if err != nil {
		return err
	}
	if _, err := s.shownReceipts(id); err != nil {
		return err
	}
	body, err := s.readJSON(w, r)
	if err != nil {
		return err
	}
	req, err := wire.ParseMarks(body)
	if err == nil {
		err = checkMarks(req.Delivered, req.Read)
	}
	if err != nil {
		return err
	}
	type outcome struct {
		own room.Own
		err error
	}
	answered := make(chan outcome, 1)
	m := room.Marking{Room: id, User: who.User, Delivered: req.Delivered, Read: req.Read}
	s.cfg.Receipts.Mark(m, func(o room.Own, err error) { answered <- outcome{o, err} })
	select {
	case o := <-answered:
		if refused := s.allowed(who, id, auth.Read); refused != nil { // again: access may have been taken back meanwhile
			return refused
		}
		if o.err != nil {
			return o.err
		}
		writeJSON(w, http.StatusOK, standing(o.own).AppendBody(nil))
		return nil
	case <-r.Context().Done():
		return &room.Error{Code: room.CodeOutcomeUnknown, Title: "The client went away before the outcome was known."}
	}
}

// readersAnswer is who has got as far as a seq. Where the kind shows counts alone, nobody is named.
type readersAnswer struct {
	Read           []string `json:"read"`
	Delivered      []string `json:"delivered"`
	ReadCount      int      `json:"read_count"`
	DeliveredCount int      `json:"delivered_count"`
}

// getReceipts is GET /v1/rooms/{room}/receipts?seq= (rule RCPT-12).
func (s *Server) getReceipts(w http.ResponseWriter, r *http.Request) error {
	who, err := s.reads(r)
	if err != nil {
		return err
	}
	id, err := s.judge(r.Context(), who, r.PathValue("room"), auth.Read)
	if err != nil {
		return err
	}
	show, err := s.shownReceipts(id)
	if err != nil {
		return err
	}
	if show == room.ShowPrivate {
		return &room.Error{Code: room.CodeForbidden, Title: "In rooms of this kind receipts are everybody's own.", Field: "room"}
	}
	q, err := parseQuery(r.URL.RawQuery, "seq")
	if err != nil {
		return err
	}
	seq, err := room.ParseSeq(q.Get("seq"))
	if err != nil || seq < 1 {
		return badQuery("seq", "The parameter seq is the seq of an event, from 1 to 2^53-1.")
	}
	found, err := s.cfg.Receipts.Readers(r.Context(), id, seq, readersMost)
	if refused := s.allowed(who, id, auth.Read); refused != nil { // again: access may have been taken back meanwhile
		return refused
	}
	if err != nil {
		return err
	}
	answer := readersAnswer{Read: []string{}, Delivered: []string{}, ReadCount: found.ReadCount, DeliveredCount: found.DeliveredCount}
	if show == room.ShowAll {
		answer.Read, answer.Delivered = append(answer.Read, found.Read...), append(answer.Delivered, found.Delivered...)
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, body)
	return nil
}
