package transport

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"time"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/transport/auth"
	"roomlog/server/wire"
)

// know has it read what a user is in a room, where that decides and is not known well enough: before allowed. It asks about nobody
// whose token does not reach the room. Errors: unavailable.
func (s *Server) know(ctx context.Context, who *auth.Identity, id room.ID, a auth.Action) error {
	if !who.Grants.Allow(auth.Read, id) {
		return nil
	}
	if s.cfg.Members == nil {
		return nil // and nothing is known of anybody
	}
	var ask func(context.Context) (bool, error)
	if a == auth.Send && s.cfg.Rooms != nil && who.Grants.Allow(auth.Send, id) {
		ask = func(ctx context.Context) (bool, error) { return s.mayFound(ctx, who, id) }
	}
	return s.members.know(ctx, who, id, true, ask)
}

// knowThese is know for rooms of a list, to be read.
func (s *Server) knowThese(ctx context.Context, who *auth.Identity, rooms []room.Record) error {
	for _, r := range rooms {
		if err := s.know(ctx, who, r.Room, auth.Read); err != nil {
			return err
		}
	}
	return nil
}

// confirm judges again what was let in before its room was followed: only from then on is a change of members heard of at once.
func (s *Server) confirm(who *auth.Identity, id room.ID) error {
	if err := s.know(s.ctx, who, id, auth.Read); err != nil {
		return err
	}
	return s.allowed(who, id, auth.Read)
}

// mayFound reports whether a room may become the user's (rule MEM-5): it does not exist, or they have created it, and nobody has
// written there. A room that was ever written to has its members.
func (s *Server) mayFound(ctx context.Context, who *auth.Identity, id room.ID) (bool, error) {
	r, err := s.cfg.Rooms.Find(ctx, id)
	return err == nil && (!r.Exists() || r.CreatedBy == who.User && r.Seq == 0), err
}

// found makes a room that may be founded the user's, just before they send there or put it: it is created, and says so by its first event.
// Whose it is, is decided by the creation, which one of several does; the event has a tag of its own, so that however often it is
// stored it is one. false: there was nothing to found.
func (s *Server) found(ctx context.Context, who *auth.Identity, id room.ID) (bool, error) {
	policy, limited := s.members.limited(who, id)
	if !limited {
		return false, nil
	}
	if b, _ := s.members.look(id, who.User); !b.founder {
		return false, nil
	}
	r, created, err := s.cfg.Rooms.Create(ctx, id, who.User, policy.RoomsPerUser)
	switch {
	case err != nil:
		return false, err
	case !created && (r.CreatedBy != who.User || r.Seq != 0):
		s.members.forget(id, who.User)
		return false, s.confirm(who, id) // another was first
	}
	send := memberSend(who.User, id, who.User, policy.CreatorRole())
	send.Tag = foundingTag(r.Head, who.User)
	if _, err := s.store(ctx, send, nil); err != nil {
		return false, err
	}
	return true, s.confirm(who, id)
}

// foundingTag is the tag of the event that makes a user the first member of a room.
func foundingTag(h room.Head, user string) (t room.Tag) {
	sum := sha256.Sum256([]byte("roomlog founding\x00" + string(h.Room) + "\x00" + string(h.Epoch) + "\x00" + user))
	copy(t[:], sum[:])
	return t
}

// memberSend is an event that says what a user is in a room from now on; role "": nothing.
func memberSend(author string, id room.ID, user, role string) room.Send {
	data := struct {
		User string  `json:"user"`
		Role *string `json:"role"`
	}{user, &role}
	if role == "" {
		data.Role = nil
	}
	text, _ := json.Marshal(data) // texts always marshal
	return room.Send{
		Room: id, Author: author, Tag: newTag(), Type: room.TypeMember, Data: text, Member: &room.MemberChange{User: user, Role: role},
	}
}

// store appends an event and waits for the outcome, which the hub knows in bounded time. Errors: those of sends.
func (s *Server) store(ctx context.Context, send room.Send, p hub.Permit) (hub.Outcome, error) {
	answered := make(chan hub.Outcome, 1)
	s.cfg.Hub.Submit(hub.Submit{Send: send, Permit: p}, func(o hub.Outcome) { answered <- o })
	select {
	case o := <-answered:
		if o.Err != nil {
			return o, o.Err
		}
		return o, nil
	case <-ctx.Done():
		return hub.Outcome{}, &room.Error{Code: room.CodeOutcomeUnknown, Title: "The client went away before the outcome was known."}
	}
}

// answerFounded answers a PUT of a room that was founded by it.
func (s *Server) answerFounded(w http.ResponseWriter, r *http.Request, id room.ID, err error) error {
	if err != nil {
		return err
	}
	made, err := s.cfg.Rooms.Find(r.Context(), id)
	if err != nil {
		return err
	}
	return writeRoom(w, http.StatusCreated, s.describe(made))
}

// watchMembers reads the members of rooms again of which events may have passed unseen. It ends with ctx.
func (s *Server) watchMembers(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case id := <-s.members.again:
			if s.cfg.Members == nil {
				continue
			}
			if err := s.members.reread(ctx, id); err != nil {
				if ctx.Err() == nil {
					s.log.Warn("the members of a room could not be read again; who is in it is asked about when it is used", "room", id, "error", err)
				}
				continue
			}
			s.cfg.Hub.Judge(id)
		}
	}
}

// forget has a user asked about again.
func (m *members) forget(id room.ID, user string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.rooms[id]; r != nil {
		b := r.of[user]
		b.founder, b.read = false, time.Time{}
		r.of[user] = b
	}
}

// become takes an identity for a connection.
func (c *socket) become(who *auth.Identity) {
	c.who, c.permit, c.sends = who, c.srv.permitOf(who, auth.Read), c.srv.permitOf(who, auth.Send)
}

// judge is [Server.judge] for a frame. What the store has to be asked about holds up what comes behind it, and not what was answered.
func (c *socket) judge(name string, a auth.Action) (room.ID, error) {
	if id := room.ID(name); !c.srv.members.settled(c.who, id, true, a == auth.Send) {
		c.letGo()
	}
	return c.srv.judge(c.srv.ctx, c.who, name, a)
}

// admit is [Server.admit], likewise.
func (c *socket) admit(id room.ID, req *wire.Request) (room.Send, error) {
	if !c.srv.members.settled(c.who, id, true, true) {
		c.letGo()
	}
	return c.srv.admit(c.srv.ctx, c.who, id, req)
}

// confirm is [Server.confirm] for a room that was joined just now: where it is not to be, it is left.
func (c *socket) confirm(id room.ID) error {
	err := c.srv.confirm(c.listed.who.Load(), id) // beside the reading, which may take another token meanwhile
	if err != nil && c.hub.Leave(id) {
		return c.fail(&wire.Request{Room: string(id)}, err)
	}
	return nil
}
