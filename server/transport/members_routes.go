package transport

import (
	"context"
	"crypto/rand"
	"net/http"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

// memberRoutes are the routes about who belongs to a room. They are there where the store knows.
func (s *Server) memberRoutes(mux *http.ServeMux) {
	if s.cfg.Members == nil {
		return
	}
	mux.Handle("/v1/rooms/{room}/members", s.api(methods{http.MethodGet: s.getMembers}))
	mux.Handle("/v1/rooms/{room}/members/{user}", s.api(methods{
		http.MethodGet: s.getMember, http.MethodPut: s.putMember, http.MethodDelete: s.deleteMember,
	}))
	if s.cfg.Overviews != nil {
		mux.Handle("/v1/me/rooms", s.api(methods{http.MethodGet: s.getMyRooms}))
	}
}

// memberJSON is a member on the wire (rule MEM-2).
type memberJSON struct {
	Room  room.ID  `json:"room"`
	User  string   `json:"user"`
	Role  string   `json:"role"`
	Since room.Seq `json:"since_seq"`
	At    string   `json:"at"`
}

func memberOf(m room.Member) memberJSON {
	return memberJSON{m.Room, m.User, m.Role, m.Since, timeText(m.At)}
}

// getMembers is GET /v1/rooms/{room}/members?after=USER&limit=N.
func (s *Server) getMembers(w http.ResponseWriter, r *http.Request) error {
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
	limit = parseLimit(limit)
	if after := q.Get("after"); after != "" && !room.ValidUser(after) {
		return badQuery("after", "after is the name of a user.")
	}
	found, err := s.cfg.Members.ListMembers(r.Context(), id, q.Get("after"), limit+1)
	if refused := s.allowed(who, id, auth.Read); refused != nil { // again: access may have been taken back meanwhile
		return refused
	}
	if err != nil {
		return err
	}
	more := len(found) > limit
	list := make([]memberJSON, min(len(found), limit))
	for i := range list {
		list[i] = memberOf(found[i])
	}
	return answerJSON(w, map[string]any{"members": list, "more": more})
}

// getMember is GET /v1/rooms/{room}/members/{user}.
func (s *Server) getMember(w http.ResponseWriter, r *http.Request) error {
	who, err := s.reads(r)
	if err != nil {
		return err
	}
	id, err := s.judge(r.Context(), who, r.PathValue("room"), auth.Read)
	if err != nil {
		return err
	}
	user := r.PathValue("user")
	if err := auth.CheckUser(user); err != nil {
		return err
	}
	found, is, err := s.cfg.Members.Member(r.Context(), id, user)
	if refused := s.allowed(who, id, auth.Read); refused != nil {
		return refused
	}
	if err != nil {
		return err
	}
	if !is {
		return &room.Error{Code: room.CodeNotFound, Title: "This user is no member of the room."}
	}
	return answerJSON(w, memberOf(found))
}

// membering is who asks for a change of a room's members, and of whom. Everybody may end their own membership.
func (s *Server) membering(r *http.Request, leaves bool) (who *auth.Identity, id room.ID, user string, err error) {
	if who, err = s.identify(r); err != nil {
		return nil, "", "", err
	}
	user, need := r.PathValue("user"), auth.Admin
	if leaves && user == who.User {
		need = auth.Read
	}
	if id, err = s.judge(r.Context(), who, r.PathValue("room"), need); err != nil {
		return nil, "", "", err
	}
	if err := s.quotas.rates.send(who.User); err != nil {
		return nil, "", "", err
	}
	return who, id, user, auth.CheckUser(user)
}

// putMember is PUT /v1/rooms/{room}/members/{user}.
func (s *Server) putMember(w http.ResponseWriter, r *http.Request) error {
	who, id, user, err := s.membering(r, false)
	if err != nil {
		return err
	}
	var body struct {
		Role *string `json:"role"`
	}
	if err := s.readOrder(w, r, &body); err != nil {
		return err
	}
	policy, _ := s.cfg.Kinds.Policy(id.Kind())
	if body.Role == nil || !policy.HasRole(*body.Role) {
		return badQuery("role", "The role is one that the kind of the room has, such as member.")
	}
	was, is, err := s.cfg.Members.Member(r.Context(), id, user)
	if err != nil {
		return err
	}
	if is && was.Role == *body.Role {
		return answerJSON(w, memberOf(was))
	}
	if err := s.changeMember(r.Context(), who, memberSend(who.User, id, user, *body.Role), auth.Admin); err != nil {
		return err
	}
	s.log.Info("member changed", "room", id, "user", user, "role", *body.Role, "by", who.User)
	now, is, err := s.cfg.Members.Member(r.Context(), id, user)
	if err != nil {
		return err
	}
	if !is { // ended by another meanwhile
		return &room.Error{Code: room.CodeNotFound, Title: "This user is no member of the room."}
	}
	status := http.StatusOK
	if was.Since != now.Since {
		status = http.StatusCreated
	}
	return writeRoom(w, status, memberOf(now))
}

// deleteMember is DELETE /v1/rooms/{room}/members/{user}: as if they had never been one.
func (s *Server) deleteMember(w http.ResponseWriter, r *http.Request) error {
	who, id, user, err := s.membering(r, true)
	if err != nil {
		return err
	}
	_, is, err := s.cfg.Members.Member(r.Context(), id, user)
	if err != nil {
		return err
	}
	if is {
		need := auth.Admin
		if user == who.User {
			need = auth.Read
		}
		if err := s.changeMember(r.Context(), who, memberSend(who.User, id, user, ""), need); err != nil {
			return err
		}
		s.log.Info("member removed", "room", id, "user", user, "by", who.User)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// changeMember stores a member event, and waits for what was under way by what held before it. A caller who hangs up has asked nevertheless.
func (s *Server) changeMember(ctx context.Context, who *auth.Identity, send room.Send, need auth.Action) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.changeWithin)
	defer cancel()
	policy, _ := s.cfg.Kinds.Policy(send.Room.Kind())
	send.RoomLimit = policy.RoomsPerUser
	if err := policy.CheckEvent(send.Type, send.Data); policy.Types[send.Type] != nil && err != nil {
		return err
	}
	if _, err := s.store(ctx, send, s.permitOf(who, need)); err != nil {
		return err
	}
	return s.cfg.Hub.Settle(ctx)
}

// newTag is a tag for an event that the server makes.
func newTag() (t room.Tag) {
	_, _ = rand.Read(t[:]) // never fails
	return t
}
