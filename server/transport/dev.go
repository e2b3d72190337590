package transport

import (
	"encoding/json"
	"net/http"
	"time"

	"roomlog/server/transport/auth"
)

// devTokenLives is how long a dev token is good: longer than anybody leaves a page open in a day.
const devTokenLives = 24 * time.Hour

// getDevToken is GET /v1/dev/token?user=NAME: a token that may do everything, for whoever sits at this
// machine.
func (s *Server) getDevToken(w http.ResponseWriter, r *http.Request) error {
	q, err := parseQuery(r.URL.RawQuery, "user")
	if err != nil {
		return err
	}
	if err := auth.CheckUser(q.Get("user")); err != nil {
		return err
	}
	token, expires, err := s.cfg.DevSigner.Sign(q.Get("user"), auth.Everything(), devTokenLives)
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{"token": token, "expires_at": expires})
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, body)
	return nil
}
