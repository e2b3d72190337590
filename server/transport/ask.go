package transport

import (
	"context"

	"roomlog/server/hub"
	"roomlog/server/room"
)

// asking is what becomes of a send where its kind has a gate (rule HOOK-1): a function for hub.Submit.Ask, nil
// where there is none. as is then the send as it was stored; it is set before the hub answers.
func (s *Server) asking(send room.Send, as *room.Send) func(context.Context) (room.Send, *room.Error) {
	policy, _ := s.cfg.Kinds.Policy(send.Room.Kind())
	if policy.Before == nil {
		return nil
	}
	return func(ctx context.Context) (room.Send, *room.Error) {
		out, err := policy.Before.Ask(ctx, send, func(typ string, data []byte) ([]byte, error) {
			return s.judgeEvent(send.Room, typ, data)
		})
		if err == nil {
			*as = out
		}
		return out, err
	}
}

// judgeEvent judges the type and data of an event, whoever wrote them: by the protocol, then by what the kind of
// the room says. It gives the data compacted.
func (s *Server) judgeEvent(id room.ID, typ string, data []byte) ([]byte, error) {
	if err := room.CheckType(typ); err != nil {
		return nil, err
	}
	compacted, err := room.CompactData(data, s.cfg.Limits.EventBytes)
	if err != nil {
		return nil, err
	}
	policy, _ := s.cfg.Kinds.Policy(id.Kind())
	return compacted, policy.CheckEvent(typ, compacted)
}

// stored is the event of an outcome. A repeat is read back: where it was rewritten, what was sent is not what is
// stored (rule HOOK-6), and the hook that did so may be gone from the policy.
func (s *Server) stored(ctx context.Context, send room.Send, o hub.Outcome) (room.Event, error) {
	v := o.Verdict
	e := room.Event{Seq: v.Seq, Mark: v.Mark, Type: send.Type, Author: send.Author, Tag: send.Tag, At: v.At, Data: send.Data}
	if !v.Duplicate {
		return e, nil
	}
	found, err := s.cfg.Hub.EventAt(ctx, send.Room, v.Seq)
	if err != nil || found == nil || found.Mark != v.Mark { // pruned or deleted: what was sent is the best that is known
		return e, err
	}
	return *found, nil
}
