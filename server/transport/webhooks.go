package transport

import (
	"bytes"
	"encoding/json"
	"net/http"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

// webhookRoutes are the routes by which operators see webhooks and have a room delivered again.
func (s *Server) webhookRoutes(mux *http.ServeMux) {
	if s.cfg.Webhooks == nil {
		return
	}
	mux.Handle("/v1/webhooks", s.api(methods{http.MethodGet: s.getWebhooks}))
	mux.Handle("/v1/webhooks/{name}/replay", s.api(methods{http.MethodPost: s.postReplay}))
}

// getWebhooks is GET /v1/webhooks: the hooks, what they lack, and why (rule HOOK-18).
func (s *Server) getWebhooks(w http.ResponseWriter, r *http.Request) error {
	if _, err := s.admin(r); err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{"webhooks": s.cfg.Webhooks.States()})
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, body)
	return nil
}

// postReplay is POST /v1/webhooks/{name}/replay {"room","after"}: deliver a room's log again from the event
// behind after on (rule HOOK-12).
func (s *Server) postReplay(w http.ResponseWriter, r *http.Request) error {
	who, err := s.identify(r)
	if err != nil {
		return err
	}
	body, err := s.readJSON(w, r)
	if err != nil {
		return err
	}
	var asked struct {
		Room  string    `json:"room"`
		After *room.Seq `json:"after"`
	}
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&asked); err != nil {
		return &room.Error{Code: room.CodeBadRequest, Title: "The body is {\"room\",\"after\"}: a room id and a seq."}
	}
	id, err := room.ParseID(asked.Room)
	if err != nil {
		return err
	}
	if !who.Grants.Allow(auth.Admin, id) {
		return noAdmin()
	}
	if err := s.know(r.Context(), who, id, auth.Read); err != nil {
		return err
	}
	if err := s.members.refuses(who, id, auth.Admin); err != nil {
		return err
	}
	if asked.After == nil || *asked.After < 0 || *asked.After > room.MaxSeq {
		return &room.Error{Code: room.CodeBadRequest, Field: "after", Limit: room.MaxSeq, Title: "A replay needs the seq after which it begins; 0 is the beginning."}
	}
	if err := s.cfg.Webhooks.Replay(r.Context(), r.PathValue("name"), id, *asked.After); err != nil {
		return err
	}
	s.log.Info("webhook replay", "hook", r.PathValue("name"), "room", id, "after", *asked.After, "by", who.User)
	w.WriteHeader(http.StatusAccepted)
	return nil
}
