package transport

import (
	"context"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

// asking is what becomes of a send where its kind has a gate (rule HOOK-1), or that changes a document (rule DOC-4): a function for hub.Submit.Ask, nil
// where there is none. as is then the send as it was stored; it is set before the hub answers.
func (s *Server) asking(who *auth.Identity, send room.Send, as *room.Send) func(context.Context) (room.Send, *room.Error) {
	policy, _ := s.cfg.Kinds.Policy(send.Room.Kind())
	if policy.Before == nil && send.Doc == nil {
		return nil
	}
	return func(ctx context.Context) (out room.Send, err *room.Error) {
		out = send
		if policy.Before != nil {
			out, err = policy.Before.Ask(ctx, send, func(typ string, data []byte) ([]byte, error) {
				return s.judgeRewritten(who, send, typ, data)
			})
			if err != nil {
				return out, err
			}
			if refused := s.mean(who, &out); refused != nil { // what is stored means what it says now, whatever was sent
				return out, room.AsError(refused)
			}
		}
		if out.Doc != nil {
			if out, err = s.cfg.Docs.Trim(ctx, out, policy.Docs); err != nil {
				return out, err
			}
		}
		*as = out
		return out, nil
	}
}

// judgeRewritten judges what a gate puts in place of what was sent, as if its author had sent that.
func (s *Server) judgeRewritten(who *auth.Identity, send room.Send, typ string, data []byte) ([]byte, error) {
	compacted, _, err := s.judgeEvent(send.Room, typ, data)
	if err != nil {
		return nil, err
	}
	send.Type, send.Data = typ, compacted
	return compacted, s.mean(who, &send)
}

// judgeEvent judges the type and data of an event, whoever wrote them: by the protocol, then by what the kind of
// the room says. It gives the data compacted, and off it the document that an update is said to be of (rule DOC-13).
func (s *Server) judgeEvent(id room.ID, typ string, data []byte) (compacted []byte, docID string, err error) {
	if err := room.CheckType(typ); err != nil {
		return nil, "", err
	}
	most := s.cfg.Limits.EventBytes
	if typ == room.TypeDoc {
		most = max(most, room.MaxDocData)
	}
	if compacted, err = room.CompactData(data, most); err != nil {
		return nil, "", err
	}
	if typ == room.TypeDoc {
		var refused *room.Error
		if compacted, docID, refused = room.CutDocID(compacted); refused != nil {
			return nil, "", refused
		}
	}
	policy, _ := s.cfg.Kinds.Policy(id.Kind())
	return compacted, docID, policy.CheckEvent(typ, compacted)
}

// stored is the event of an outcome. A repeat is read back: where it was rewritten, what was sent is not what is
// stored (rule HOOK-6), and the hook that did so may be gone from the policy.
func (s *Server) stored(ctx context.Context, send room.Send, o hub.Outcome) (room.Event, error) {
	v := o.Verdict
	e := room.Event{
		Seq: v.Seq, Mark: v.Mark, Type: send.Type, Author: send.Author, Tag: send.Tag, At: v.At, Data: send.Data, Target: v.Target, Gone: v.Gone,
	}
	if e.Gone != nil { // it is not said again (rule CHG-7)
		e.Data = room.NoData
	}
	if !v.Duplicate {
		return e, nil
	}
	found, err := s.cfg.Hub.EventAt(ctx, send.Room, v.Seq)
	if err != nil || found == nil || found.Mark != v.Mark { // pruned, or gone with its room: what was sent is the best that is known
		return e, err
	}
	return *found, nil
}
