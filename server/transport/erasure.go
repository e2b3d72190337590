package transport

import (
	"context"
	"net/http"
	"time"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

// Erasures begins the removal of users' data, and says how far it has come. It may be called concurrently. Errors: *room.Error,
// `unavailable`.
type Erasures interface {
	Ask(ctx context.Context, user, by string, at time.Time) (room.Erasure, error)
	Find(ctx context.Context, user string) (room.Erasure, bool, error)
}

// routeErasures adds the route of erasures, where somebody carries them out.
func (s *Server) routeErasures(mux *http.ServeMux) {
	if s.cfg.Erasures != nil {
		mux.Handle("/v1/users/{user}/data", s.api(methods{http.MethodDelete: s.deleteData, http.MethodGet: s.getData}))
	}
}

// erasureJSON is an erasure on the wire.
type erasureJSON struct {
	User   string `json:"user"`
	By     string `json:"by"`
	Asked  string `json:"asked_at"`
	Rooms  int64  `json:"rooms"`
	Events int64  `json:"events"`
	Done   string `json:"done_at,omitempty"`
}

func writeErasure(w http.ResponseWriter, status int, e room.Erasure) error {
	return writeRoom(w, status, erasureJSON{e.User, e.By, timeText(e.Asked), e.Rooms, e.Events, timeText(e.Done)})
}

// deleteData is DELETE /v1/users/{user}/data: it is begun when it answers (rule ERASE-1).
func (s *Server) deleteData(w http.ResponseWriter, r *http.Request) error {
	who, err := s.admin(r)
	if err != nil {
		return err
	}
	if err := s.quotas.rates.send(who.User); err != nil {
		return err
	}
	user := r.PathValue("user")
	if err := auth.CheckUser(user); err != nil {
		return err
	}
	e, err := s.cfg.Erasures.Ask(r.Context(), user, who.User, now())
	if err != nil {
		return err
	}
	s.log.Info("erasure asked for", "user", user, "by", who.User)
	return writeErasure(w, http.StatusAccepted, e)
}

// getData is GET /v1/users/{user}/data: how far the last erasure of the user has come.
func (s *Server) getData(w http.ResponseWriter, r *http.Request) error {
	who, err := s.admin(r)
	if err != nil {
		return err
	}
	if err := s.quotas.rates.read(who.User); err != nil {
		return err
	}
	user := r.PathValue("user")
	if err := auth.CheckUser(user); err != nil {
		return err
	}
	e, asked, err := s.cfg.Erasures.Find(r.Context(), user)
	if err == nil && !asked {
		err = &room.Error{Code: room.CodeNotFound, Title: "Nobody has asked for the data of this user to be erased.", Field: "user"}
	}
	if err != nil {
		return err
	}
	return writeErasure(w, http.StatusOK, e)
}
