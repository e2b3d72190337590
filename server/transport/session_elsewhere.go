package transport

import (
	"context"
	"time"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// elsewhere is what the secret of a stream says that another node of the cluster holds: which one, and who opened it; nil: it says
// nothing of that, or they may not send any more (rule SESS-7). Whether the other node still holds the stream is
// not known here: the secret is good for as long as the token that it stands for.
func (s *Server) elsewhere(connection, secret string) *mandate {
	var m mandate
	if s.cfg.ClusterKey == nil || !s.secrets.open(secret, &m) || m.Connection != connection || m.Holder == s.self {
		return nil // one of our own that is not among the streams has ended
	}
	if !time.Now().Before(m.Who.Until) || s.admitted(&m.Who) != nil {
		return nil
	}
	return &m
}

// commandElsewhere does a command of a stream that another node holds. Its sends are like any over HTTP: the client
// has one of a room unanswered, so that their order is that of n, which nobody compares here (rule SESS-8). What concerns
// the connection goes on to the other node (rule SESS-9).
func (s *Server) commandElsewhere(ctx context.Context, c command, req *wire.Request, fault error) reply {
	if req.Op != wire.OpSend || fault != nil {
		if err := s.quotas.rates.read(c.who.User); err != nil {
			return reply{problem: err}
		}
	}
	if req.Op == wire.OpRefresh && fault == nil {
		return c.failure(req, &room.Error{
			Code: room.CodeUnavailable, RetryAfter: 100 * time.Millisecond,
			Title: "Another node holds this stream, and takes its new token; try again, or open the stream anew with it.",
		})
	}
	return c.do(ctx, req, fault)
}
