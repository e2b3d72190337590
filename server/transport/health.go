package transport

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"roomlog/server/room"
)

// getHealth is GET /healthz: the process is alive, and what it is.
func (s *Server) getHealth(w http.ResponseWriter, _ *http.Request) error {
	stats, store := s.cfg.Hub.Stats(), s.cfg.Store()
	body, err := json.Marshal(struct {
		Status       string `json:"status"`
		Version      string `json:"version"`
		Node         string `json:"node,omitempty"`
		Store        string `json:"store"`
		StoreVersion string `json:"store_version"`
		Durability   string `json:"durability"`
		Relaxed      string `json:"relaxed,omitempty"`
		Connections  int    `json:"connections"`
		Rooms        int    `json:"rooms"`
		TailBytes    int64  `json:"tail_bytes"`
		Queued       int    `json:"queued"`
	}{
		"ok", s.cfg.Version, s.cfg.Node, store.Name, store.Version, store.Durability, store.Relaxed,
		stats.Connections, stats.Rooms, stats.TailBytes, stats.Queued,
	})
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, body)
	return nil
}

// readyWithin bounds the question whether the store answers.
const readyWithin = 2 * time.Second

// unready says in one sentence what is wrong with a store that cannot be asked. What it is in detail is
// for the log.
func unready(ctx context.Context, err error) *room.Error {
	e := &room.Error{Code: room.CodeUnavailable, Title: "The store does not answer.", Cause: err}
	var said *room.Error
	switch {
	case ctx.Err() != nil:
		e.Title = "The store has not answered within " + readyWithin.String() + "."
	case errors.As(err, &said) && said.Title != "":
		e.Title = said.Title
	}
	return e
}

// getReady is GET /readyz: whether requests should come here, which needs a store that answers and
// that has not just failed to keep a send. What else it does without is named, and no reason to go elsewhere.
func (s *Server) getReady(w http.ResponseWriter, r *http.Request) error {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed || s.draining.Load() {
		return goingAway()
	}
	if err := s.quotas.admit(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyWithin)
	defer cancel()
	if err := s.cfg.Ready(ctx); err != nil {
		return unready(ctx, err)
	}
	if trouble := s.cfg.Hub.Trouble(); trouble != nil {
		return trouble
	}
	body, err := json.Marshal(struct {
		Status   string   `json:"status"`
		Degraded []string `json:"degraded,omitempty"`
	}{"ready", s.Degraded()})
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, body)
	return nil
}
