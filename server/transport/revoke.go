package transport

import (
	"context"
	"net/http"
	"strings"
	"time"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

// revokedJSON is what was revoked of a user, on the wire.
type revokedJSON struct {
	User    string `json:"user"`
	Before  string `json:"before,omitempty"` // tokens issued before are dead
	JTI     string `json:"jti,omitempty"`    // the one token that is
	Blocked bool   `json:"blocked"`
	Until   string `json:"until,omitempty"` // of the block
	Reason  string `json:"reason,omitempty"`
	By      string `json:"by,omitempty"`
	At      string `json:"at,omitempty"`
}

// revokeBody is what POST /v1/users/{user}/revoke takes.
type revokeBody struct {
	JTI    *string `json:"jti"`
	Block  bool    `json:"block"`
	For    *string `json:"for"`
	Reason string  `json:"reason"`
}

// maxTokenID bounds the jti of a token that is to be revoked.
const maxTokenID = 256

// user is who a route is about. Whether the token may ask comes first.
func (s *Server) user(r *http.Request) (who *auth.Identity, user string, err error) {
	if who, err = s.admin(r); err != nil {
		return nil, "", err
	}
	user = r.PathValue("user")
	return who, user, auth.CheckUser(user)
}

// postRevoke is POST /v1/users/{user}/revoke: all tokens that the user has, or one of them; with block or
// for, the user is kept out with new ones, too.
func (s *Server) postRevoke(w http.ResponseWriter, r *http.Request) error {
	who, user, err := s.user(r)
	if err != nil {
		return err
	}
	var body revokeBody
	if err := s.readOrder(w, r, &body); err != nil {
		return err
	}
	revocation, block, err := s.parseRevoke(who, user, body)
	if err != nil {
		return err
	}
	changes := []change{revoking(revocation)}
	if block.User != "" {
		changes = append(changes, banning(block))
	}
	if err := s.takeBack(r.Context(), user, changes...); err != nil {
		return err
	}
	s.log.Info("user revoked", "user", user, "by", who.User, "one_token", body.JTI != nil, "blocked", block.User != "", "until", timeText(block.Until))
	answer := revokedOf(revocation, block)
	answer.User, answer.Blocked = user, block.User != ""
	return answerJSON(w, answer)
}

// parseRevoke makes a revocation of a body, and the block that comes with it; without user: none.
func (s *Server) parseRevoke(who *auth.Identity, user string, body revokeBody) (room.Revocation, room.Ban, error) {
	at := now()
	v := room.Revocation{User: user, Until: at.Add(s.cfg.RevocationsKept), Reason: body.Reason, By: who.User, At: at}
	blocks := body.Block || body.For != nil
	switch {
	case body.JTI == nil:
		// Times of issue are whole seconds: a token of this second may be older than the revocation.
		v.Before = at.Truncate(time.Second).Add(time.Second)
	case *body.JTI == "" || len(*body.JTI) > maxTokenID || strings.ContainsRune(*body.JTI, 0):
		return v, room.Ban{}, &room.Error{
			Code: room.CodeBadRequest, Field: "jti", Limit: maxTokenID,
			Title: "The id of a token is neither empty nor as long as this, and has no NUL; without jti all tokens are meant.",
		}
	case blocks:
		return v, room.Ban{}, badQuery("jti", "To block a user ends every token; to end a single one does not block.")
	default:
		v.Token = *body.JTI
	}
	if !blocks {
		return v, room.Ban{}, checkReason(body.Reason)
	}
	block, err := newBan(who, "", user, body.For, body.Reason)
	return v, block, err
}

func revoking(v room.Revocation) change {
	return change{
		keep:  func(ctx context.Context, store room.AccessStore) error { return store.PutRevocation(ctx, v) },
		apply: func(a *access) { a.revoke(v) },
	}
}

func revokedOf(v room.Revocation, block room.Ban) revokedJSON {
	out := revokedJSON{Before: timeText(v.Before), JTI: v.Token, Until: timeText(block.Until), Reason: v.Reason, By: v.By, At: timeText(v.At)}
	if block.User != "" {
		out.Reason, out.By, out.At = block.Reason, block.By, timeText(block.At)
	}
	return out
}

// getRevoke is GET /v1/users/{user}/revoke: whether the user is blocked, and since when tokens are good.
func (s *Server) getRevoke(w http.ResponseWriter, r *http.Request) error {
	_, user, err := s.user(r)
	if err != nil {
		return err
	}
	block, all := s.access.of(user)
	answer := revokedOf(all, block)
	answer.User, answer.Blocked = user, block.User != ""
	return answerJSON(w, answer)
}

// deleteRevoke is DELETE /v1/users/{user}/revoke: the user is not blocked any more. Tokens that were revoked
// stay dead: whoever stole one would have it back.
func (s *Server) deleteRevoke(w http.ResponseWriter, r *http.Request) error {
	who, user, err := s.user(r)
	if err != nil {
		return err
	}
	return s.lift(w, r, who, "", user)
}
