package transport

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

// connectionJSON is a connection as operators see it.
type connectionJSON struct {
	ID        string    `json:"id"`
	User      string    `json:"user"`
	Transport string    `json:"transport"`
	Address   string    `json:"address"`
	Since     string    `json:"since"`
	Rooms     []room.ID `json:"rooms"`
	Behind    int       `json:"behind"`
}

// getConnections is GET /v1/connections?user=&room=&limit=: who is connected to this node, the oldest first.
func (s *Server) getConnections(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.admin(r); err != nil {
		return err
	}
	q, err := parseQuery(r.URL.RawQuery, "user", "room", "limit")
	if err != nil {
		return err
	}
	limit, err := parseCount(q, "limit", 1)
	if err != nil {
		return err
	}
	guests, err := s.guests(q)
	if err != nil {
		return err
	}
	slices.SortFunc(guests, bySince)
	list := make([]connectionJSON, 0, min(len(guests), parseLimit(limit)))
	for _, g := range guests[:cap(list)] {
		rooms := g.link.follows()
		if rooms == nil {
			rooms = []room.ID{}
		}
		slices.Sort(rooms)
		list = append(list, connectionJSON{
			ID: g.id, User: g.user, Transport: g.kind, Address: g.link.address(), Since: timeText(g.since),
			Rooms: rooms, Behind: g.link.behind(),
		})
	}
	return answerJSON(w, map[string]any{"connections": list, "total": len(guests)})
}

// guests are those that a query asks for.
func (s *Server) guests(q url.Values) ([]*guest, error) {
	if q.Has("user") {
		if err := auth.CheckUser(q.Get("user")); err != nil {
			return nil, err
		}
	}
	guests := s.roster.of(q.Get("user"))
	if !q.Has("room") {
		return guests, nil
	}
	id, err := room.ParseID(q.Get("room"))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(guests, func(g *guest) bool { return !slices.Contains(g.link.follows(), id) }), nil
}

// deleteConnection is DELETE /v1/connections/{id}: it is closed as by a server that goes away, and its
// client comes back.
func (s *Server) deleteConnection(w http.ResponseWriter, r *http.Request) error {
	who, err := s.admin(r)
	if err != nil {
		return err
	}
	g := s.roster.find(r.PathValue("connection"))
	if g == nil {
		return &room.Error{Code: room.CodeNotFound, Title: "There is no such connection.", Field: "id"}
	}
	g.link.cut(&room.Error{Code: room.CodeGoingAway, Title: "An operator closed this connection; connect again.", RetryAfter: time.Second})
	s.log.Info("connection closed", "connection", g.id, "user", g.user, "by", who.User)
	w.WriteHeader(http.StatusNoContent)
	return nil
}
