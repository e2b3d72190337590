package transport

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

// roster lists everyone who is connected, by user: WebSockets after hello, streams, and polls that wait.
type roster struct {
	mu    sync.Mutex
	users map[string]*guest // each the head of a list
}

// guest is one connection of a user, from when that is known until it ends.
type guest struct {
	id    string
	kind  string // "websocket", "sse" or "poll"
	since time.Time
	link  link

	who        atomic.Pointer[auth.Identity] // changes with a refresh, never its user
	user       string
	prev, next *guest // guarded by the roster's lock
}

// link is what a guest is connected by. Its methods may be called from any goroutine, also when the
// connection has ended.
type link interface {
	// cut ends the connection. When it returns, nothing more is given to the peer.
	cut(why *room.Error)
	// expel ends what the connection has of a room, and says why. When it returns, no page of the room
	// is given to the peer any more, beyond what it has begun to take.
	expel(id room.ID, why *room.Error)
	inform(d *degradation)
	follows() []room.ID // its rooms
	behind() int        // rooms that it is not at the head of
	address() string
}

func newRoster() *roster { return &roster{users: make(map[string]*guest)} }

// enter puts a guest on the list, whose id, kind and link are set. Whether it is still admitted has to be asked
// after that: only then is it sure that a revocation finds it.
func (r *roster) enter(g *guest, who *auth.Identity) {
	g.since, g.user = time.Now(), who.User
	g.who.Store(who)
	r.mu.Lock()
	defer r.mu.Unlock()
	if g.next = r.users[g.user]; g.next != nil {
		g.next.prev = g
	}
	r.users[g.user] = g
}

// leave takes a guest off the list; one that is not on it is none the worse.
func (r *roster) leave(g *guest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case g.prev != nil:
		g.prev.next = g.next
	case r.users[g.user] != g: // not there
		return
	case g.next == nil:
		delete(r.users, g.user)
	default:
		r.users[g.user] = g.next
	}
	if g.next != nil {
		g.next.prev = g.prev
	}
	g.prev, g.next = nil, nil
}

// of lists the guests of a user; "" is everybody.
func (r *roster) of(user string) (all []*guest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if user != "" {
		return r.users[user].list(nil)
	}
	for _, g := range r.users {
		all = g.list(all)
	}
	return all
}

func (g *guest) list(all []*guest) []*guest {
	for ; g != nil; g = g.next {
		all = append(all, g)
	}
	return all
}

// find is the guest with an id; nil: there is none.
func (r *roster) find(id string) *guest {
	all := r.of("")
	if at := slices.IndexFunc(all, func(g *guest) bool { return g.id == id }); at >= 0 {
		return all[at]
	}
	return nil
}

// bySince orders guests by when they came.
func bySince(a, b *guest) int {
	if c := a.since.Compare(b.since); c != 0 {
		return c
	}
	return strings.Compare(a.id, b.id)
}

// enforce ends what the user's connections have and may not have any more.
func (s *Server) enforce(user string) {
	if s.mutateEnforce() { // mutant revoke_later
		return
	}
	s.feed.again(user)
	for _, g := range s.roster.of(user) {
		who := g.who.Load()
		if why := s.access.refuses(who, ""); why != nil {
			g.link.cut(why)
			continue
		}
		for _, id := range g.link.follows() {
			if why := s.access.refuses(who, id); why != nil {
				g.link.expel(id, why)
			}
		}
	}
}

// Rejudge ends what anybody has and may not have any more, since the kinds of rooms and what they let users do are others now. Of whom the store does
// not say in time who they are in a room, that ends too: they come back, and are asked about.
func (s *Server) Rejudge(ctx context.Context) {
	for _, g := range s.roster.of("") {
		who := g.who.Load()
		for _, id := range g.link.follows() {
			err := s.know(ctx, who, id, auth.Read)
			if err == nil {
				err = s.allowed(who, id, auth.Read)
			}
			if err != nil {
				g.link.expel(id, room.AsError(err))
			}
		}
	}
}
