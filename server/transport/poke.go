package transport

import (
	"net/http"

	"roomlog/server/transport/auth"
)

// postPoke is POST /v1/rooms/{room}/poke: look now whether the room has grown by what somebody appended from elsewhere
// (rule SQL-6). It changes nothing and says nothing, so it needs no more than the grant to make the room grow, which
// whoever appends has; and it counts as a read, which is what it costs.
func (s *Server) postPoke(w http.ResponseWriter, r *http.Request) error {
	who, err := s.reads(r)
	if err != nil {
		return err
	}
	id, err := s.judge(r.Context(), who, r.PathValue("room"), auth.Send)
	if err != nil {
		return err
	}
	if err := s.cfg.Poke(r.Context(), id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// routePokes adds the route of pokes, where somebody is to be told of them.
func (s *Server) routePokes(mux *http.ServeMux) {
	if s.cfg.Poke != nil {
		mux.Handle("/v1/rooms/{room}/poke", s.api(methods{http.MethodPost: s.postPoke}))
	}
}
