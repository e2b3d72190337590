package transport

import (
	"context"
	"slices"
	"sync"
	"time"

	"roomlog/server/room"
)

// usedInAll bounds how many used tickets a node without a store for them keeps.
const usedInAll = 100_000

// usedTickets is the [room.TicketStore] of an only node: in memory, as its key is.
type usedTickets struct {
	now   func() time.Time
	inAll int

	mu    sync.Mutex
	of    map[string]*ticketUse
	users map[string][]*ticketUse // the oldest first
}

type ticketUse struct {
	id, user     string
	first, until time.Time
	kept         []byte
	tries        int
}

func newUsedTickets(now func() time.Time) *usedTickets {
	return &usedTickets{now: now, inAll: usedInAll, of: make(map[string]*ticketUse), users: make(map[string][]*ticketUse)}
}

// UseTicket implements [room.TicketStore]. Where too many are kept, no further one is taken: to forget one that could
// be used first would be to take it twice.
func (u *usedTickets) UseTicket(_ context.Context, id, user string, until time.Time) (first bool, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.of[id] != nil {
		return false, nil
	}
	var old []*ticketUse
	for _, t := range u.users[user] {
		if t.first.Before(u.now()) {
			old = append(old, t)
		}
	}
	for _, t := range old[:max(0, len(old)-room.TicketsKept)] {
		u.forget(t)
	}
	if len(u.of) >= u.inAll {
		u.forgetBefore(u.now())
	}
	if len(u.of) >= u.inAll {
		return false, &room.Error{Code: room.CodeOverloaded, Title: "More tickets are in use than this server keeps; try again.", RetryAfter: time.Second}
	}
	t := &ticketUse{id: id, user: user, first: until, until: until}
	u.of[id] = t
	u.users[user] = append(u.users[user], t)
	return true, nil
}

// KeepTicket implements [room.TicketStore].
func (u *usedTickets) KeepTicket(_ context.Context, id string, kept []byte, until time.Time) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if t := u.of[id]; t != nil {
		t.kept, t.until, t.tries = kept, until, 0
	}
	return nil
}

// TryTicket implements [room.TicketStore].
func (u *usedTickets) TryTicket(_ context.Context, id string) (kept []byte, tries int, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	t := u.of[id]
	if t == nil || t.kept == nil {
		return nil, 0, nil
	}
	t.tries++
	return t.kept, t.tries, nil
}

// ForgetTickets implements [room.TicketStore].
func (u *usedTickets) ForgetTickets(_ context.Context, before time.Time) (int64, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.forgetBefore(before), nil
}

func (u *usedTickets) forgetBefore(before time.Time) (n int64) {
	for _, t := range u.of {
		if t.until.Before(before) {
			u.forget(t)
			n++
		}
	}
	return n
}

// forget ends a ticket. The caller holds the lock.
func (u *usedTickets) forget(t *ticketUse) {
	delete(u.of, t.id)
	mine := slices.DeleteFunc(u.users[t.user], func(other *ticketUse) bool { return other == t })
	if u.users[t.user] = mine; len(mine) == 0 {
		delete(u.users, t.user)
	}
}
