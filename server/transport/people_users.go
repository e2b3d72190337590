package transport

import (
	"net/http"
	"strings"
	"time"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
	"roomlog/server/wire"
)

// The most users of one question, the most of a user's rooms that are looked at, and of all rooms the most that are judged.
const (
	askedUsers  = 100
	askedRooms  = 64
	judgedRooms = 256
)

// userPresence is what the API says of a user, wherever they are.
type userPresence struct {
	User     string `json:"user"`
	Online   bool   `json:"online"`
	LastSeen string `json:"last_seen,omitempty"` // absent: never, or not for this asker
}

// getUsersPresence is GET /v1/users/presence (rule PRES-17).
func (s *Server) getUsersPresence(w http.ResponseWriter, r *http.Request) error {
	who, err := s.reads(r)
	if err != nil {
		return err
	}
	q, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	users := q["user"]
	if len(users) == 0 {
		return badQuery("user", "Name the users that are asked for, as user=NAME for each.")
	}
	if len(users) > askedUsers {
		return &room.Error{Code: room.CodeLimitExceeded, Field: "user", Limit: askedUsers, Title: "More users are asked for than one answer has."}
	}
	for _, user := range users {
		if !room.ValidUser(strings.TrimPrefix(user, room.ServicePrefix)) {
			return badQuery("user", "A user is 1 to 128 bytes of UTF-8 without control characters.")
		}
	}
	seen, err := s.lastSeen(r, users)
	if err != nil {
		return err
	}
	out := struct {
		Users []userPresence `json:"users"`
		Stale bool           `json:"stale,omitempty"`
	}{Users: make([]userPresence, 0, len(users)), Stale: s.cfg.Presence.Stale()}
	all, now := who.Grants.Everywhere(auth.Admin), time.Now()
	judged := make(map[room.ID]bool)
	for _, user := range users {
		one := userPresence{User: user}
		rooms := s.cfg.Presence.Rooms(user, askedRooms)
		if all || user == who.User || s.meets(r, who, rooms, judged) {
			at, kept := seen[user]
			one.Online = len(rooms) > 0 || at.There(now)
			if kept {
				one.LastSeen = wire.Time(at.At)
			}
		}
		out.Users = append(out.Users, one)
	}
	if refused := s.admitted(who); refused != nil { // again: access may have been taken back meanwhile
		return refused
	}
	return writeRoom(w, http.StatusOK, out)
}

func (s *Server) lastSeen(r *http.Request, users []string) (map[string]room.LastSeen, error) {
	seen := make(map[string]room.LastSeen, len(users))
	if s.cfg.Seen == nil {
		return seen, nil
	}
	list, err := s.cfg.Seen.LastSeen(r.Context(), users)
	for _, one := range list {
		seen[one.User] = one
	}
	return seen, err
}

// meets reports whether one may see who is in some of the rooms. judged are those that were judged for this answer: there are mostly the
// same ones for many users, and no more than judgedRooms in all, since the store may have to be asked about each.
func (s *Server) meets(r *http.Request, who *auth.Identity, rooms []room.ID, judged map[room.ID]bool) bool {
	for _, id := range rooms {
		policy, _ := s.cfg.Kinds.Policy(id.Kind())
		if policy.Presence != room.ShowAll {
			continue
		}
		may, known := judged[id]
		if !known && len(judged) < judgedRooms {
			_, err := s.judge(r.Context(), who, string(id), auth.Read)
			may = err == nil
			judged[id] = may
		}
		if may {
			return true
		}
	}
	return false
}
