package transport

import (
	"container/list"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/netip"
	"slices"
	"sync"
	"time"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

const (
	// ticketLives is how long a ticket waits for its first use.
	ticketLives = 30 * time.Second
	// serviceTicketLives is how long the connection lasts that a service got a ticket for: its key does not end.
	serviceTicketLives = 12 * time.Hour
	// ticketsPerUser and ticketsInAll bound how many are kept. The oldest goes first; one user alone can push
	// out only tickets of their own.
	ticketsPerUser = 100
	ticketsInAll   = 100_000
	// ticketMisses is how many ids that do not match end a ticket: nobody finds a mark by trying.
	ticketMisses = 5
)

// tickets are one-time passes that stand for a token where only a URL can carry one (rules TICK-1 to
// TICK-7). They are kept in memory, by their hash: they end with the process, and this is one node.
type tickets struct {
	now   func() time.Time
	inAll int

	mu    sync.Mutex
	of    map[[sha256.Size]byte]*ticket
	users map[string][]*ticket // the oldest first
	order *list.List           // of *ticket, the oldest first
	swept time.Time
}

// ticket is one pass. Its fields are guarded by the lock of tickets.
type ticket struct {
	hash   [sha256.Size]byte
	user   string
	who    *auth.Identity
	unused time.Time // until when it waits for its first use; zero: it was used
	stream *ticketed // of a used one: the stream that may be taken up again; nil: there is none
	misses int
	place  *list.Element
}

// ticketed is the stream that a ticket opened: what a request that takes it up again has to match.
type ticketed struct {
	from  netip.Prefix
	rooms map[room.ID]room.Seq // where it began
}

func newTickets(now func() time.Time) *tickets {
	return &tickets{now: now, inAll: ticketsInAll, of: make(map[[sha256.Size]byte]*ticket), users: make(map[string][]*ticket), order: list.New()}
}

// issue makes a ticket for an identity, and says until when it has to be used.
func (ts *tickets) issue(who auth.Identity) (text string, until time.Time) {
	var b [24]byte
	_, _ = rand.Read(b[:]) // never fails
	text = base64.RawURLEncoding.EncodeToString(b[:])
	now := ts.now()
	if who.Service != "" {
		who.Until = now.Add(serviceTicketLives)
	}
	until = now.Add(ticketLives)
	if who.Until.Before(until) {
		until = who.Until
	}
	t := &ticket{hash: sha256.Sum256([]byte(text)), user: who.User, who: &who, unused: until}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if mine := ts.users[t.user]; len(mine) >= ticketsPerUser {
		ts.forget(mine[0])
	}
	if len(ts.of) >= ts.inAll {
		ts.forget(ts.order.Front().Value.(*ticket))
	}
	ts.of[t.hash] = t
	ts.users[t.user] = append(ts.users[t.user], t)
	t.place = ts.order.PushBack(t)
	return text, until
}

// use takes a ticket: for the first time, or again for a stream that it opened, which the caller has to
// match against resumes. nil: there is no such ticket, or it was used. once: it is not to be used again.
func (ts *tickets) use(text string, once bool) (t *ticket, who *auth.Identity, resumes *ticketed) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t = ts.of[sha256.Sum256([]byte(text))]
	if t == nil {
		return nil, nil, nil
	}
	who = t.who
	now, first := ts.now(), !t.unused.IsZero()
	switch {
	case !now.Before(who.Until), first && !now.Before(t.unused):
		ts.forget(t)
		return nil, nil, nil
	case !first && (once || t.stream == nil):
		return nil, nil, nil
	case once:
		ts.forget(t)
		return t, who, nil
	}
	t.unused = time.Time{}
	return t, who, t.stream
}

// began notes the stream that a ticket opened, or took up again.
func (ts *tickets) began(t *ticket, stream *ticketed) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t.stream, t.misses = stream, 0
}

// missed notes that a used ticket came with an id that does not match.
func (ts *tickets) missed(t *ticket) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if t.misses++; t.misses >= ticketMisses {
		ts.forget(t)
	}
}

// renew gives a ticket the identity that a refresh gave its stream.
func (ts *tickets) renew(t *ticket, who *auth.Identity) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t.who = who
}

// forget ends a ticket; one that has ended is none the worse. The caller holds the lock.
func (ts *tickets) forget(t *ticket) {
	if ts.of[t.hash] != t {
		return
	}
	delete(ts.of, t.hash)
	ts.order.Remove(t.place)
	mine := slices.DeleteFunc(ts.users[t.user], func(other *ticket) bool { return other == t })
	if ts.users[t.user] = mine; len(mine) == 0 {
		delete(ts.users, t.user)
	}
}

// sweep forgets the tickets whose time is over.
func (ts *tickets) sweep() {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	now := ts.now()
	if now.Sub(ts.swept) < ticketLives {
		return
	}
	ts.swept = now
	for _, t := range ts.of {
		if !now.Before(t.who.Until) || !t.unused.IsZero() && !now.Before(t.unused) {
			ts.forget(t)
		}
	}
}
