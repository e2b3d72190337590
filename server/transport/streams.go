package transport

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/streams"
	"roomlog/server/transport/auth"
	"roomlog/server/wire"
)

// Streams takes the parts of messages that stream. [streams.Desk] implements it.
type Streams interface {
	Begin(ctx context.Context, s room.Stream) error
	Cancel(ctx context.Context, s room.Stream) error
	Open(ctx context.Context, s room.Stream) error
	Take(ctx context.Context, p streams.Part) (streams.Progress, error)
	Close(ctx context.Context, id room.ID, seq room.Seq, author string, whole int, judge func(room.Stream) error) (room.Stream, error)
	Ended(ctx context.Context, s room.Stream) error
	Lease() time.Duration
}

// partsMost is how many offsets a join names.
const partsMost = 100

// routeStreams adds the routes of messages that stream, where somebody takes their parts.
func (s *Server) routeStreams(mux *http.ServeMux) {
	if s.cfg.Streams == nil {
		return
	}
	mux.Handle("/v1/rooms/{room}/streams", s.api(methods{http.MethodPost: s.postStream}))
	mux.Handle("/v1/rooms/{room}/streams/{seq}", s.api(methods{http.MethodPost: s.postPart, http.MethodDelete: s.deleteStream}))
	mux.Handle("/v1/rooms/{room}/streams/{seq}/finish", s.api(methods{http.MethodPost: s.postFinish}))
}

// partsHad reads what a join says that its client has of texts (rule PART-9).
func partsHad(offsets map[string]int) (map[room.Seq]int, error) {
	if len(offsets) > partsMost {
		return nil, &room.Error{Code: room.CodeLimitExceeded, Title: "A join names at most so many offsets.", Field: "parts", Limit: partsMost}
	}
	had := make(map[room.Seq]int, len(offsets))
	for name, offset := range offsets {
		seq, err := room.ParseSeq(name)
		if err != nil || seq < 1 || offset < 0 {
			return nil, badQuery("parts", `The parts of a join are offsets by the seqs of messages: {"412":1830}.`)
		}
		had[seq] = offset
	}
	return had, nil
}

// streamRoom judges who asks something of the streams of a room.
func (s *Server) streamRoom(r *http.Request) (*auth.Identity, room.ID, error) {
	who, err := s.identify(r)
	if err != nil {
		return nil, "", err
	}
	id, err := s.judge(r.Context(), who, r.PathValue("room"), auth.Send)
	if err != nil {
		return nil, "", err
	}
	if policy, _ := s.cfg.Kinds.Policy(id.Kind()); policy.NoStreams {
		return nil, "", &room.Error{Code: room.CodeForbidden, Title: "In rooms of this kind no message streams.", Field: "room"}
	}
	return who, id, nil
}

func streamSeq(r *http.Request) (room.Seq, error) {
	seq, err := room.ParseSeq(r.PathValue("seq"))
	if err != nil || seq < 1 {
		return 0, badQuery("seq", "A stream is named by the seq of its message, from 1 to 2^53-1.")
	}
	return seq, nil
}

// object reads a body that is an object; unknown fields are ignored. optional: it may be empty.
func (s *Server) object(w http.ResponseWriter, r *http.Request, into any, form string, optional bool) error {
	if optional && r.ContentLength == 0 {
		return nil
	}
	body, err := s.readJSON(w, r)
	if err != nil {
		return err
	}
	if body = bytes.TrimSpace(body); len(body) == 0 || body[0] != '{' || json.Unmarshal(body, into) != nil {
		return badQuery("", "The body is one JSON object: "+form)
	}
	return nil
}

// postStream is POST /v1/rooms/{room}/streams (rule PART-1). That the message streams is on durable storage before it is itself, so that
// it is ended whatever happens in between.
func (s *Server) postStream(w http.ResponseWriter, r *http.Request) error {
	who, id, err := s.streamRoom(r)
	if err != nil {
		return err
	}
	if err := s.quotas.rates.send(who.User); err != nil {
		return err
	}
	var b struct {
		Tag  string          `json:"tag"`
		Data json.RawMessage `json:"data"`
	}
	if err := s.object(w, r, &b, `{"tag":…,"data":{"text":""}}.`, false); err != nil {
		return err
	}
	tag, err := room.ParseTag(b.Tag)
	if err != nil {
		return err
	}
	data, err := room.CompactData(b.Data, s.cfg.Limits.EventBytes)
	if err == nil {
		data, err = room.BeginText(data)
	}
	if err != nil {
		return err
	}
	stream := room.Stream{Room: id, Author: who.User, Tag: tag, Base: len(data)}
	if err := s.cfg.Streams.Begin(r.Context(), stream); err != nil {
		return err
	}
	f, err := s.launch(r.Context(), who, id, wire.Post{Tag: b.Tag, Type: room.TypeMessage, Data: data})
	var answer []byte
	var duplicate bool
	if err == nil {
		answer, duplicate, err = s.land(r.Context(), f, nil)
	}
	if err != nil {
		if !room.AsError(err).Retryable() { // a repeat of what is refused would not open it
			_ = s.cfg.Streams.Cancel(context.WithoutCancel(r.Context()), stream) // else its lease ends
		}
		return err
	}
	if err := s.cfg.Streams.Open(r.Context(), stream); err != nil {
		return err
	}
	status := http.StatusCreated
	if duplicate {
		status = http.StatusOK
	}
	writeJSON(w, status, fmt.Appendf(answer[:len(answer)-1], `,"lease_ms":%d}`, s.cfg.Streams.Lease().Milliseconds()))
	return nil
}

// postPart is POST /v1/rooms/{room}/streams/{seq} (rule PART-2).
func (s *Server) postPart(w http.ResponseWriter, r *http.Request) error {
	who, id, err := s.streamRoom(r)
	if err != nil {
		return err
	}
	if err := s.quotas.rates.read(who.User); err != nil {
		return err
	}
	seq, err := streamSeq(r)
	if err != nil {
		return err
	}
	var b struct {
		Offset *int   `json:"offset"`
		Text   string `json:"text"`
	}
	if err := s.object(w, r, &b, `{"offset":0,"text":"…"}.`, false); err != nil {
		return err
	}
	switch {
	case b.Offset == nil || *b.Offset < 0:
		return badOffset()
	case strings.ContainsRune(b.Text, 0):
		return &room.Error{Code: room.CodeBadData, Title: "A text has no character U+0000.", Field: "text"}
	}
	progress, err := s.cfg.Streams.Take(r.Context(), streams.Part{
		Room: id, Seq: seq, Author: who.User, Offset: *b.Offset, Text: b.Text, Most: s.cfg.Limits.EventBytes,
	})
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, fmt.Appendf(nil, `{"offset":%d,"kept":%d}`, progress.Offset, progress.Kept))
	return nil
}

// postFinish is POST /v1/rooms/{room}/streams/{seq}/finish (rule PART-6).
func (s *Server) postFinish(w http.ResponseWriter, r *http.Request) error {
	var b struct {
		Offset int             `json:"offset"`
		Data   json.RawMessage `json:"data"`
	}
	return s.endStream(w, r, false, func() (whole int, final []byte, err error) {
		if err := s.object(w, r, &b, `{"offset":…,"data":{…}}, or there is none.`, true); err != nil {
			return 0, nil, err
		}
		if b.Offset < 0 {
			return 0, nil, badOffset()
		}
		if b.Data != nil {
			final, err = room.CompactData(b.Data, s.cfg.Limits.EventBytes)
		}
		return b.Offset, final, err
	})
}

// deleteStream is DELETE /v1/rooms/{room}/streams/{seq} (rule PART-5).
func (s *Server) deleteStream(w http.ResponseWriter, r *http.Request) error {
	return s.endStream(w, r, true, func() (int, []byte, error) { return 0, nil, nil })
}

func badOffset() error {
	return badQuery("offset", "The offset is how many bytes of text came before, from 0.")
}

func (s *Server) endStream(w http.ResponseWriter, r *http.Request, aborted bool, body func() (whole int, final []byte, err error)) error {
	who, id, err := s.streamRoom(r)
	if err != nil {
		return err
	}
	if err := s.quotas.rates.send(who.User); err != nil {
		return err
	}
	seq, err := streamSeq(r)
	if err != nil {
		return err
	}
	whole, final, err := body()
	if err != nil {
		return err
	}
	ending := func(stream room.Stream) (room.Send, error) { return s.ending(r.Context(), stream, final, aborted) }
	stream, err := s.cfg.Streams.Close(r.Context(), id, seq, who.User, whole, func(stream room.Stream) error {
		_, err := ending(stream)
		return err
	})
	if err != nil {
		if room.AsError(err).Code == room.CodeUnknownTarget {
			return s.endedBefore(w, r, who, id, seq, aborted, err)
		}
		return err
	}
	send, err := ending(stream)
	switch {
	case err != nil && room.AsError(err).Code == room.CodeUnknownTarget:
		return s.streamGone(r, stream)
	case err != nil:
		return err
	}
	f := &flight{send: send, answered: make(chan hub.Outcome, 1)}
	submit := hub.Submit{Send: send, Permit: s.permitOf(who, auth.Send)}
	if ask := s.asking(who, send, &f.send); ask != nil {
		f.asks = true
		submit.Ask = func(ctx context.Context) (room.Send, *room.Error) {
			out, refused := ask(ctx)
			if out.Change != nil {
				out.Change.Own = true // as streams.Ending says
			}
			return out, refused
		}
	}
	s.cfg.Hub.Submit(submit, func(o hub.Outcome) { f.answered <- o })
	answer, duplicate, err := s.land(r.Context(), f, nil)
	switch code := room.AsError(err).Code; {
	case err == nil:
	case code == room.CodeTagConflict || code == room.CodeUnknownTarget: // it was ended otherwise; or the message is deleted
		return s.streamGone(r, stream)
	default:
		return err
	}
	if err := s.cfg.Streams.Ended(context.WithoutCancel(r.Context()), stream); err != nil {
		s.log.Debug("a stream that has ended is forgotten when its lease ends", "room", id, "seq", seq, "error", err)
	}
	status := http.StatusCreated
	if duplicate {
		status = http.StatusOK
	}
	writeJSON(w, status, answer)
	return nil
}

// ending is the event by which a message ends that streams, judged: `unknown_target` where the message is not there any more.
func (s *Server) ending(ctx context.Context, stream room.Stream, final []byte, aborted bool) (room.Send, error) {
	start, err := s.cfg.Hub.EventAt(ctx, stream.Room, stream.Seq)
	if err != nil {
		return room.Send{}, err
	}
	if start == nil || start.Gone != nil || start.Tag != stream.Tag {
		return room.Send{}, endedOtherwise()
	}
	send, err := streams.Ending(stream, start.Data, final, aborted)
	if err != nil {
		return send, err
	}
	if most := s.cfg.Limits.EventBytes; len(send.Change.Data) > most {
		return send, &room.Error{Code: room.CodeMessageTooLarge, Title: "The message is larger than a message may be.", Field: "data", Limit: int64(most)}
	}
	policy, _ := s.cfg.Kinds.Policy(stream.Room.Kind())
	return send, policy.CheckEvent(room.TypeMessage, send.Change.Data)
}

func endedOtherwise() *room.Error {
	return &room.Error{Code: room.CodeUnknownTarget, Title: "The message has ended otherwise, or is deleted.", Field: "seq"}
}

func (s *Server) streamGone(r *http.Request, stream room.Stream) error {
	_ = s.cfg.Streams.Ended(context.WithoutCancel(r.Context()), stream) // else its lease ends
	return endedOtherwise()
}

// endedBefore answers who ends again what has ended: by how it did, if that was what is asked for (rule PART-6).
func (s *Server) endedBefore(w http.ResponseWriter, r *http.Request, who *auth.Identity, id room.ID, seq room.Seq, aborted bool, refused error) error {
	start, err := s.cfg.Hub.EventAt(r.Context(), id, seq)
	if err != nil {
		return err
	}
	if start == nil || start.Gone != nil || start.Author != who.User {
		return refused
	}
	ended, epoch, err := s.cfg.Hub.LastEdit(r.Context(), id, seq)
	if err != nil {
		return err
	}
	if ended == nil || ended.Tag != start.Tag.End() {
		return refused
	}
	var was struct {
		Data struct {
			Aborted bool `json:"aborted"`
		} `json:"data"`
	}
	if _ = json.Unmarshal(ended.Data, &was); was.Data.Aborted != aborted { // data that has no such member was not aborted
		return refused
	}
	writeJSON(w, http.StatusOK, wire.AppendStored(nil, id, epoch, ended, true))
	return nil
}
