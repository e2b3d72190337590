package transport

import (
	"encoding/json"
	"errors"
	"net/http"

	"roomlog/server/hub"
	"roomlog/server/presence"
	"roomlog/server/room"
	"roomlog/server/transport/auth"
	"roomlog/server/wire"
)

// routePeople adds the routes of presence, where somebody keeps it.
func (s *Server) routePeople(mux *http.ServeMux) {
	if s.cfg.Presence != nil {
		mux.Handle("/v1/rooms/{room}/presence", s.api(methods{http.MethodGet: s.getPresence}))
		mux.Handle("/v1/users/presence", s.api(methods{http.MethodGet: s.getUsersPresence}))
	}
}

// peopleOps adds the ops of presence and signals.
func (s *Server) peopleOps(ops map[wire.Op]besides) {
	if s.cfg.Presence != nil {
		ops[wire.OpPresence] = s.setPresence
	}
	if s.cfg.Signals != nil {
		ops[wire.OpSignal] = s.signal
	}
}

// setPresence does a presence (rule PRES-3).
func (s *Server) setPresence(a asker, id room.ID, req *wire.Request, answer func([]byte, error)) {
	policy, _ := s.cfg.Kinds.Policy(id.Kind())
	switch {
	case policy.Presence == room.ShowNone:
		answer(nil, &room.Error{Code: room.CodeForbidden, Title: "Rooms of this kind keep no presence.", Field: "room"})
	case a.conn == nil:
		a.pass(answer)
	default:
		answer(nil, s.cfg.Presence.Change(id, a.id, req.Data, req.Idle))
	}
}

// signal does a signal (rule SIG-1), which needs the grant to send.
func (s *Server) signal(a asker, id room.ID, req *wire.Request, answer func([]byte, error)) {
	policy, _ := s.cfg.Kinds.Policy(id.Kind())
	if policy.NoSignals {
		answer(nil, &room.Error{Code: room.CodeForbidden, Title: "Rooms of this kind take no signals.", Field: "room"})
		return
	}
	if err := s.allowed(a.who, id, auth.Send); err != nil {
		answer(nil, err)
		return
	}
	if a.conn == nil {
		a.pass(answer)
		return
	}
	data := req.Data
	if data == nil {
		data = []byte("null")
	}
	answer(nil, s.cfg.Signals.Set(id, a.id, req.Type, req.Key, data))
}

// sentBy says that a connection has sent to a room: nobody is typing there any more (rule SIG-4).
func (s *Server) sentBy(id room.ID, connection string) {
	if s.cfg.Signals != nil {
		s.cfg.Signals.Sent(id, connection)
	}
}

// The most members of an answer, and how many there are by default.
const presenceDefault, presenceMost = 100, 500

// getPresence is GET /v1/rooms/{room}/presence (rule PRES-14).
func (s *Server) getPresence(w http.ResponseWriter, r *http.Request) error {
	who, err := s.reads(r)
	if err != nil {
		return err
	}
	id, err := s.judge(r.Context(), who, r.PathValue("room"), auth.Read)
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
		limit = presenceDefault
	}
	// The room is in memory from here on, so that this node follows it, and is told by others who is there.
	var reset *hub.ResetError
	if _, err := s.cfg.Hub.Poll(r.Context(), hub.Join{Room: id, Limit: 1}, 0); err != nil && !errors.As(err, &reset) {
		return err
	}
	page, err := s.cfg.Presence.Page(r.Context(), id, q.Get("after"), min(limit, presenceMost))
	if refused := s.allowed(who, id, auth.Read); refused != nil { // again: access may have been taken back meanwhile
		return refused
	}
	if err != nil {
		return err
	}
	return writeRoom(w, http.StatusOK, presenceOf(id, page))
}

// presenceInfo is what the API says of who is in a room.
type presenceInfo struct {
	Room        room.ID           `json:"room"`
	Users       int               `json:"users"`
	Connections int               `json:"connections"`
	Counts      bool              `json:"counts,omitempty"` // no names are shown
	Stale       bool              `json:"stale,omitempty"`
	Members     []json.RawMessage `json:"members"`
	Next        string            `json:"next,omitempty"` // give it as after; absent: these were the last
}

func presenceOf(id room.ID, p presence.Page) presenceInfo {
	out := presenceInfo{
		Room: id, Users: p.Users, Connections: p.Connections, Counts: p.Counts, Stale: p.Stale, Next: p.Next, Members: []json.RawMessage{},
	}
	for _, m := range p.Members {
		out.Members = append(out.Members, m)
	}
	return out
}
