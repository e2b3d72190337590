package transport

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"roomlog/server/docs"
	"roomlog/server/room"
	"roomlog/server/transport/auth"
	"roomlog/server/wire"
)

func (s *Server) routeDocs(mux *http.ServeMux) {
	if s.cfg.Docs != nil {
		mux.Handle("/v1/rooms/{room}/docs/{name}", s.api(methods{http.MethodGet: s.getDoc, http.MethodPost: s.postDoc}))
	}
}

const octets = "application/octet-stream"

// docName is the name in the path of a request.
func docName(r *http.Request) (string, error) {
	name := r.PathValue("name")
	if !room.ValidDoc(name) {
		return "", &room.Error{Code: room.CodeBadRequest, Title: "A document's name is 1 to 64 bytes of UTF-8 without control characters.", Field: "doc", Limit: room.MaxDocName}
	}
	return name, nil
}

// getDoc is GET /v1/rooms/{room}/docs/{name}: what a reader lacks of a document (rule DOC-6).
func (s *Server) getDoc(w http.ResponseWriter, r *http.Request) error {
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
	name, err := docName(r)
	if err != nil {
		return err
	}
	q, err := parseQuery(r.URL.RawQuery, "sv")
	if err != nil {
		return err
	}
	var vector []byte
	if q.Has("sv") {
		if vector, err = base64.RawURLEncoding.DecodeString(strings.TrimRight(q.Get("sv"), "=")); err != nil {
			return badQuery("sv", "A state vector is in base64url.")
		}
	}
	doc, failed := s.readDoc(r.Context(), who.User, id, name, vector)
	if refused := s.allowed(who, id, auth.Read); refused != nil { // again: access may have been taken back meanwhile
		return refused
	}
	if failed != nil {
		return failed
	}
	h := w.Header()
	tag := etagOf(doc)
	h.Set("ETag", tag)
	h.Add("Vary", "Accept")
	if hasTag(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		writeJSON(w, http.StatusOK, docAnswer(doc))
		return nil
	}
	writeBody(w, http.StatusOK, octets, doc.State)
	return nil
}

// hasTag reports whether a tag is among those of If-None-Match, compared weakly: a proxy that compresses makes tags weak (RFC 9110 §13.1.2).
func hasTag(lines []string, tag string) bool {
	for _, line := range lines {
		for one := range strings.SplitSeq(line, ",") {
			if one = strings.TrimPrefix(strings.TrimSpace(one), "W/"); one == tag || one == "*" && tag != noDoc {
				return true
			}
		}
	}
	return false
}

// noDoc is the tag of a document that does not exist.
const noDoc = `"0"`

// etagOf is another one after each update of a document that was stored; what it was compacted to does not change it.
func etagOf(doc docs.Doc) string {
	if doc.ID == "" {
		return noDoc
	}
	return `"` + doc.ID + ":" + room.DocID(doc.Seq, doc.Mark) + `"`
}

func docAnswer(doc docs.Doc) []byte {
	at := doc.Head
	answer := struct {
		Room     room.ID    `json:"room"`
		Epoch    room.Epoch `json:"epoch"`
		Seq      room.Seq   `json:"seq"`
		Position string     `json:"position"`
		Doc      string     `json:"doc"`
		ID       string     `json:"id,omitempty"`
		Vector   []byte     `json:"vector"`
		Update   []byte     `json:"update"`
	}{at.Room, at.Epoch, at.Seq, room.Position{Epoch: at.Epoch, Seq: at.Seq, Mark: at.Mark}.String(), doc.Name, doc.ID, doc.Vector, doc.State}
	body, _ := json.Marshal(answer) // texts, numbers and bytes always marshal
	return body
}

// docIDOf is which document a request says that its update is of (rule DOC-13); empty: it does not.
func docIDOf(r *http.Request) (string, error) {
	q, err := parseQuery(r.URL.RawQuery, "id")
	if err != nil {
		return "", err
	}
	id := q.Get("id")
	if id != "" && !room.ValidDoc(id) {
		return "", badQuery("id", "The id of a document is one that the server gave it.")
	}
	return id, nil
}

// postDoc is POST /v1/rooms/{room}/docs/{name}: a send of the type doc (rule DOC-7).
func (s *Server) postDoc(w http.ResponseWriter, r *http.Request) error {
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
	change := &room.DocChange{}
	if change.Name, err = docName(r); err != nil {
		return err
	}
	post := wire.Post{Type: room.TypeDoc}
	if post.DocID, err = docIDOf(r); err != nil {
		return err
	}
	if post.Tag, err = idempotencyKey(r); err != nil {
		return err
	}
	if change.Update, err = s.readUpdate(w, r); err != nil {
		return err
	}
	post.Data = change.Data()
	f, err := s.launch(r.Context(), who, id, post)
	if err != nil {
		return err
	}
	o, err := f.outcome(r.Context())
	if err != nil {
		return err
	}
	status := http.StatusCreated
	if o.Verdict.Duplicate || o.Verdict.Known {
		status = http.StatusOK
	}
	body, _ := json.Marshal(struct {
		Room      room.ID    `json:"room"`
		Epoch     room.Epoch `json:"epoch"`
		Seq       room.Seq   `json:"seq"`
		Doc       string     `json:"doc"`
		Tag       string     `json:"tag"`
		At        string     `json:"at"`
		Duplicate bool       `json:"duplicate,omitempty"`
		Known     bool       `json:"known,omitempty"`
	}{id, o.Epoch, o.Verdict.Seq, change.Name, f.send.Tag.String(), wire.Time(o.Verdict.At), o.Verdict.Duplicate, o.Verdict.Known})
	writeJSON(w, status, body)
	return nil
}

// readUpdate reads a body that is an update. What is wrong with it is said as of an event that has it.
func (s *Server) readUpdate(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := s.readUpTo(w, r, room.MaxDocUpdate, octets)
	switch {
	case err != nil && room.AsError(err).Code == room.CodeMessageTooLarge:
		return nil, room.DocTooLarge("data/update")
	case err == nil && len(body) == 0:
		return nil, &room.Error{Code: room.CodeBadData, Title: "The body is empty: it has to be an update.", Field: "data/update"}
	}
	return body, err
}
