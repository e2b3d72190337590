package transport

import (
	"context"
	"net/http"
	"time"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

// silences says why somebody may not send to a room that they may read: they are muted there (rule MOD-1). nil: they are not.
func (a *access) silences(who *auth.Identity, id room.ID) *room.Error {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if len(a.mutes) == 0 {
		return nil
	}
	b, some := a.mutes[banKey{id, who.User}]
	if !some || !b.InForce(time.Now()) {
		return nil
	}
	return &room.Error{Code: room.CodeForbidden, Title: "You are muted in this room: you may read it, and send nothing.", Field: "room"}
}

func muting(b room.Ban) change {
	return change{
		keep: func(ctx context.Context, store room.AccessStore) error { return store.PutMute(ctx, b) },
		apply: func(a *access) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.mutes[banKey{b.Room, b.User}] = b
		},
	}
}

func unmuting(id room.ID, user string) change {
	return change{
		keep: func(ctx context.Context, store room.AccessStore) error { return store.DropMute(ctx, id, user) },
		apply: func(a *access) {
			a.mu.Lock()
			defer a.mu.Unlock()
			delete(a.mutes, banKey{id, user})
		},
		lifts: true,
	}
}

// moderated is who asks for something that concerns a user of a room, as a moderator of it.
func (s *Server) moderated(r *http.Request) (who *auth.Identity, id room.ID, user string, err error) {
	if who, id, err = s.mayOf(r, auth.Moderate); err != nil {
		return nil, "", "", err
	}
	if refused := s.quotas.rates.send(who.User); refused != nil { // as bans are
		return nil, "", "", refused
	}
	user = r.PathValue("user")
	return who, id, user, auth.CheckUser(user)
}

// putMute is PUT /v1/rooms/{room}/mutes/{user} (rule MOD-2).
func (s *Server) putMute(w http.ResponseWriter, r *http.Request) error {
	who, id, user, err := s.moderated(r)
	if err != nil {
		return err
	}
	var body struct {
		For    *string `json:"for"`
		Reason string  `json:"reason"`
	}
	if err := s.readOrder(w, r, &body); err != nil {
		return err
	}
	b, err := newBan(who, id, user, body.For, body.Reason)
	if err != nil {
		return err
	}
	if err := s.takeBack(r.Context(), user, muting(b)); err != nil {
		return err
	}
	s.log.Info("user muted", "room", id, "user", user, "by", who.User, "until", timeText(b.Until))
	return answerJSON(w, banOf(b))
}

// deleteMute is DELETE /v1/rooms/{room}/mutes/{user}: as if there had never been one.
func (s *Server) deleteMute(w http.ResponseWriter, r *http.Request) error {
	who, id, user, err := s.moderated(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), s.changeWithin)
	defer cancel()
	if err := s.makeChanges(ctx, unmuting(id, user)); err != nil {
		return err
	}
	if s.cfg.AccessChanged != nil {
		s.cfg.AccessChanged()
	}
	s.log.Info("mute lifted", "room", id, "user", user, "by", who.User)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// getMutes is GET /v1/rooms/{room}/mutes?after=USER&limit=N: in the order of users.
func (s *Server) getMutes(w http.ResponseWriter, r *http.Request) error {
	who, id, err := s.mayOf(r, auth.Moderate)
	if err != nil {
		return err
	}
	if err := s.quotas.rates.read(who.User); err != nil {
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
	s.access.mu.RLock()
	mutes, more := inForce(s.access.mutes, id, q.Get("after"), parseLimit(limit))
	s.access.mu.RUnlock()
	list := make([]banJSON, len(mutes))
	for i, b := range mutes {
		list[i] = banOf(b)
	}
	return answerJSON(w, map[string]any{"mutes": list, "more": more})
}
