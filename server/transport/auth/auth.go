// Package auth says who a request comes from and what it may do: signed tokens (JWT) with grants by room
// pattern, and the keys of services. [Verifier] checks tokens, [KeySet] fetches the keys of an issuer,
// [Signer] makes tokens; all are safe for concurrent use. No error or log line of this package holds any
// part of a token or a key.
package auth

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"roomlog/server/room"
)

// MinKey is the fewest bytes a signing key may have: as many as the hash it feeds.
const MinKey = 32

// Action is one thing that a grant allows.
type Action string

// The actions.
const (
	Read     Action = "read"
	Send     Action = "send"
	Moderate Action = "moderate" // change messages of others; Admin has it in it
	Admin    Action = "admin"    // say who may come into a room; on every room: also what concerns users
)

// Actions are all of them.
var Actions = []Action{Read, Send, Moderate, Admin}

// within reports whether an action is among those that a grant allows.
func (a Action) within(can []Action) bool {
	return slices.Contains(can, a) || a == Moderate && slices.Contains(can, Admin)
}

// Grant allows actions on rooms. Rooms is a room id, or a prefix of room ids followed by `*`
// (rule AUTH-4); the star stands for any rest, the colon included.
type Grant struct {
	Rooms string   `json:"rooms"`
	Can   []Action `json:"can"`
}

func (g Grant) matches(id room.ID) bool {
	if prefix, ok := strings.CutSuffix(g.Rooms, "*"); ok {
		return strings.HasPrefix(string(id), prefix)
	}
	return g.Rooms == string(id)
}

// Grants is what a token allows; an action is allowed if any grant allows it.
type Grants []Grant

// Everything is the grant of a dev token.
func Everything() Grants { return Grants{{Rooms: "*", Can: []Action{Read, Send, Admin}}} }

// Allow reports whether the grants allow an action on a room.
func (gs Grants) Allow(a Action, id room.ID) bool {
	for _, g := range gs {
		if g.matches(id) && a.within(g.Can) {
			return true
		}
	}
	return false
}

// Everywhere reports whether the grants allow an action on every room, by the pattern `*`.
func (gs Grants) Everywhere(a Action) bool {
	return slices.ContainsFunc(gs, func(g Grant) bool { return g.Rooms == "*" && a.within(g.Can) })
}

// Covers reports whether everything that others allows is allowed by gs: each of its patterns, for each
// action, by one grant alone.
func (gs Grants) Covers(others Grants) bool {
	for _, o := range others {
		for _, can := range o.Can {
			if !slices.ContainsFunc(gs, func(g Grant) bool { return g.includes(o.Rooms) && can.within(g.Can) }) {
				return false
			}
		}
	}
	return true
}

// includes reports whether every room of a pattern is one of the grant.
func (g Grant) includes(pattern string) bool {
	prefix, open := strings.CutSuffix(g.Rooms, "*")
	return g.Rooms == pattern || open && strings.HasPrefix(pattern, prefix)
}

// Check refuses what no request should come with, so that a typing error in a grant does not look
// like a missing one.
func (gs Grants) Check() error {
	for _, g := range gs {
		if g.Rooms == "" || strings.Contains(strings.TrimSuffix(g.Rooms, "*"), "*") {
			return fmt.Errorf("the grant %q is neither a room id nor a prefix ending in *", g.Rooms)
		}
		for _, can := range g.Can {
			if !slices.Contains(Actions, can) {
				return fmt.Errorf("the grant of %q can %q, which is none of read, send, moderate and admin", g.Rooms, can)
			}
		}
	}
	return nil
}

// Identity is what a good token, ticket or service key says: the user, what they may do, and until when.
type Identity struct {
	User     string
	Service  string // the name of the service that acts for the user, or for itself; "" where a token does
	Grants   Grants
	Until    time.Time // the token's exp and the leeway
	ID       string    // the token's jti; "" where it has none
	IssuedAt time.Time // the token's iat; zero where it has none, or one that is still to come
}

// CheckUser checks the grammar of a user name, the `sub` of a token (see [room.ValidUser]). Anything else is `bad_request`.
func CheckUser(name string) error {
	if !room.ValidUser(name) {
		return &room.Error{
			Code: room.CodeBadRequest, Field: "user", Limit: room.MaxUser,
			Title: "A user is 1 to 128 bytes of text without control characters, not beginning with service:, and neither . nor .. alone.",
		}
	}
	return nil
}
