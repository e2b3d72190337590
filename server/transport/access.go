package transport

import (
	"sync"
	"sync/atomic"
	"time"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

// access is who is kept out, as this node judges it: the store's [room.Access] in memory. It is asked for
// every request, join and send, so a look is two or three probes of a map. Keys are structs: what users and
// rooms are called can never make one key look like another.
type access struct {
	mu     sync.RWMutex
	bans   map[banKey]room.Ban
	mutes  map[banKey]room.Ban
	tokens map[tokenKey]room.Revocation

	changing chan struct{} // full over a change of the store and of the maps, so that both agree
	wakes    atomic.Int64  // how often the maps may have become long out of date
	fresh    atomic.Int64  // the wakes that a read of them began after: while it is less, nobody is let in
}

// banKey is a user in a room; room "" is every room.
type banKey struct {
	room room.ID
	user string
}

// tokenKey is a token of a user by its id; token "" is all that were issued before a time.
type tokenKey struct{ user, token string }

func newAccess() *access {
	return &access{bans: make(map[banKey]room.Ban), mutes: make(map[banKey]room.Ban), tokens: make(map[tokenKey]room.Revocation), changing: make(chan struct{}, 1)}
}

// refuses says why an identity is kept out of a room, or, where id is "", out of everything: `revoked` where
// its token is dead or its user blocked, `unknown_room` for a ban, `overloaded` where that has to be read again first.
// nil: it is not.
func (a *access) refuses(who *auth.Identity, id room.ID) *room.Error {
	if a.fresh.Load() != a.wakes.Load() {
		return waking()
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	if len(a.bans) == 0 && len(a.tokens) == 0 {
		return nil
	}
	if a.dead(who) || a.banned("", who.User) {
		return revoked()
	}
	if id != "" && a.banned(id, who.User) {
		return unknownRoom()
	}
	return nil
}

// dead reports whether a token was revoked. One without iat counts as issued before any other.
func (a *access) dead(who *auth.Identity) bool {
	if all, some := a.tokens[tokenKey{user: who.User}]; some && who.IssuedAt.Before(all.Before) {
		return true
	}
	_, one := a.tokens[tokenKey{who.User, who.ID}]
	return one && who.ID != ""
}

func (a *access) banned(id room.ID, user string) bool {
	b, some := a.bans[banKey{id, user}]
	return some && (b.Until.IsZero() || b.InForce(time.Now()))
}

// set takes over what the store says, and returns the users for whom it says more than was known. The caller
// holds changing: nobody else changes the maps meanwhile, so that requests, which read them, wait for two
// pointers and not for all that is kept.
func (a *access) set(all room.Access) (concerned []string) {
	bans := make(map[banKey]room.Ban, len(all.Bans))
	mutes := make(map[banKey]room.Ban, len(all.Mutes))
	tokens := make(map[tokenKey]room.Revocation, len(all.Revocations))
	for _, b := range all.Mutes { // it ends nothing that a user has: their sends are judged each
		mutes[banKey{b.Room, b.User}] = b
	}
	for _, b := range all.Bans {
		k := banKey{b.Room, b.User}
		if bans[k] = b; a.bans[k] != b {
			concerned = append(concerned, b.User)
		}
	}
	for _, r := range all.Revocations {
		k := tokenKey{r.User, r.Token}
		if tokens[k] = r; a.tokens[k] != r {
			concerned = append(concerned, r.User)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bans, a.mutes, a.tokens = bans, mutes, tokens
	return concerned
}

// ban, lift and revoke change one entry, as the store was changed. The caller holds changing.
func (a *access) ban(b room.Ban) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bans[banKey{b.Room, b.User}] = b
}

func (a *access) lift(id room.ID, user string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.bans, banKey{id, user})
}

func (a *access) revoke(r room.Revocation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	k := tokenKey{r.User, r.Token}
	if old := a.tokens[k]; old.Before.After(r.Before) {
		r.Before = old.Before
	}
	a.tokens[k] = r
}

// bansOf lists the bans in force of a room by user, after a name: at most limit, and whether there are more.
func (a *access) bansOf(id room.ID, after string, limit int) (bans []room.Ban, more bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return inForce(a.bans, id, after, limit)
}

// inForce are those of a room that hold. The caller holds a.mu of their access.
func inForce(all map[banKey]room.Ban, id room.ID, after string, limit int) (bans []room.Ban, more bool) {
	now := time.Now()
	for k, b := range all {
		if k.room == id && k.user > after && b.InForce(now) {
			bans = append(bans, b)
		}
	}
	return firstBans(bans, limit)
}

// of is what the user has: a ban of all rooms (zero: none in force), and since when tokens are good (zero:
// all are, but for those that were revoked one by one).
func (a *access) of(user string) (block room.Ban, all room.Revocation) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if b := a.bans[banKey{user: user}]; b.InForce(time.Now()) {
		block = b
	}
	return block, a.tokens[tokenKey{user: user}]
}

func revoked() *room.Error {
	return &room.Error{Code: room.CodeRevoked, Title: "The token was revoked, or its user is blocked.", Field: "token"}
}

func unknownRoom() *room.Error {
	return &room.Error{Code: room.CodeUnknownRoom, Title: "There is no such room for this user.", Field: "room"}
}

// admitted reports whether a token that was good is so still: nil, or `revoked`. Whoever keeps an identity
// for longer than a request asks again when it is used.
func (s *Server) admitted(who *auth.Identity) error {
	if err := s.access.refuses(who, ""); err != nil {
		return err
	}
	return nil
}

// permit is a [hub.Permit] of an identity for one action: what it may not any more is refused before it is stored or
// delivered.
type permit struct {
	access  *access
	members *members
	who     *auth.Identity
	action  auth.Action
}

// Permits implements [hub.Permit].
func (p *permit) Permits(id room.ID) *room.Error {
	if err := p.access.refuses(p.who, id); err != nil {
		return err
	}
	if _, known := p.members.kinds.Policy(id.Kind()); !known { // any more
		return unknownRoom()
	}
	if p.action != auth.Read { // of whatever type it is
		if err := p.access.silences(p.who, id); err != nil {
			return err
		}
	}
	return p.members.refuses(p.who, id, p.action)
}

// Floor implements [hub.Floored].
func (p *permit) Floor(id room.ID) room.Seq { return p.members.floor(p.who, id) }

// permitOf makes the permit of an identity, for as long as that is in use.
func (s *Server) permitOf(who *auth.Identity, a auth.Action) *permit {
	return &permit{s.access, s.members, who, a}
}
