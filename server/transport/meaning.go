package transport

import (
	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

// mean reads what an event of ours does besides being stored, and judges whether its author may (rules CHG-1, CHG-4 and MEM-1); the
// store judges the rest, which knows the target.
func (s *Server) mean(who *auth.Identity, send *room.Send) error {
	if err := send.Mean(); err != nil {
		return err
	}
	policy, _ := s.cfg.Kinds.Policy(send.Room.Kind())
	switch {
	case send.State != nil:
		return policy.State.Bound(send.State)
	case send.Doc != nil:
		if policy.Docs.Off || s.cfg.Docs == nil {
			return &room.Error{Code: room.CodeBadType, Title: "Rooms of this kind have no documents.", Field: "type"}
		}
	case send.Change != nil:
		if err := policy.CheckChange(send.Change); err != nil {
			return err
		}
		moderates, err := s.may(who, send.Room, auth.Moderate)
		if err != nil {
			return err
		}
		return policy.Changes.Empower(send.Type, send.Change, moderates)
	case send.Member != nil:
		if role := send.Member.Role; role != "" && !policy.HasRole(role) {
			return &room.Error{Code: room.CodeBadData, Title: "The role is one that the kind of the room has, such as member.", Field: "data/role"}
		}
		if may, err := s.may(who, send.Room, needs(send)); err != nil || may {
			return err
		}
		return &room.Error{Code: room.CodeForbidden, Title: "Members are made and ended by who may admin the room.", Field: "type"}
	}
	return nil
}

// needs is what a send needs: to send or, where it changes members, to admin the room. Everybody may end their own membership.
func needs(send *room.Send) auth.Action {
	if m := send.Member; m != nil && (m.Role != "" || m.User != send.Author) {
		return auth.Admin
	}
	return auth.Send
}

// may reports whether an identity is allowed something in a room where it may send.
func (s *Server) may(who *auth.Identity, id room.ID, a auth.Action) (bool, error) {
	err := s.allowed(who, id, a)
	if err == nil || room.AsError(err).Code == room.CodeForbidden {
		return err == nil, nil
	}
	return false, err
}
