package transport

import (
	"context"
	"sync"
	"time"

	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

const (
	// memberFor is for how long what the store said of a member is gone by, where nothing else confirms it.
	memberFor = 500 * time.Millisecond
	// memberKept is for how long it is remembered for permits, where its room is not in memory.
	memberKept = time.Minute
)

// members is who belongs to which room, as far as this node has asked: the truth is in the store. What was read there is gone by for
// memberFor, or for as long as the node has an unbroken account of the room (hub.Account), which it hears member events by: it is
// [hub.Members]. What an event takes away is believed at once; what it gives is read from the store. So no order in which events
// and reads come lets anybody in.
type members struct {
	store   room.Members
	kinds   *room.Kinds
	account func(room.ID) uint64
	changed func(id room.ID, user string, own bool) // is told each member event; must not block
	grown   func(room.ID)                           // is told what has grown here; must not block
	again   chan room.ID                            // rooms of which events may have passed unseen

	mu    sync.RWMutex
	rooms map[room.ID]*belongings
	event uint64 // counts member events
}

// belongings are the members of one room.
type belongings struct {
	of   map[string]belonging
	used time.Time
}

// belonging is what is known of a user in a room.
type belonging struct {
	role    string // "": they are none of its members
	since   room.Seq
	asked   bool      // no member: whether the room may become theirs was asked,
	founder bool      // and it may (rule MEM-5)
	read    time.Time // when the store was asked; zero: it has to be
	account uint64    // of the room before that
	event   uint64    // the last member event about the user
}

func newMembers(store room.Members, kinds *room.Kinds) *members {
	return &members{
		store: store, kinds: kinds, rooms: make(map[room.ID]*belongings), again: make(chan room.ID, 1024),
		account: func(room.ID) uint64 { return 0 }, changed: func(room.ID, string, bool) {}, grown: func(room.ID) {},
	}
}

// limited reports whether what somebody may do in a room depends on their role.
func (m *members) limited(who *auth.Identity, id room.ID) (room.Policy, bool) {
	policy, _ := m.kinds.Policy(id.Kind())
	return policy, policy.Members && !who.ActsAlone()
}

// refuses judges by what is known: nil, or why the user's role does not allow something. It does not block.
func (m *members) refuses(who *auth.Identity, id room.ID, a auth.Action) *room.Error {
	policy, limited := m.limited(who, id)
	if !limited {
		return nil
	}
	b, known := m.look(id, who.User)
	switch {
	case m.store == nil: // nobody is a member of anything
		return unknownRoom()
	case !known:
		return &room.Error{Code: room.CodeUnavailable, Title: "Who belongs to this room has to be read again; try again.", RetryAfter: memberFor}
	case b.founder && a == auth.Send:
		return nil
	case !policy.RoleAllows(b.role, string(auth.Read)):
		return unknownRoom()
	case !policy.RoleAllows(b.role, string(a)):
		return &room.Error{Code: room.CodeForbidden, Title: "Your role does not allow this in this room.", Field: "room"}
	}
	return nil
}

func (m *members) look(id room.ID, user string) (belonging, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if r := m.rooms[id]; r != nil {
		b, known := r.of[user]
		return b, known
	}
	return belonging{}, false
}

// floor is the least seq that a user may be given of a room; 0: any (rule MEM-6).
func (m *members) floor(who *auth.Identity, id room.ID) room.Seq {
	policy, limited := m.limited(who, id)
	if !limited || !policy.HistorySince {
		return 0
	}
	b, _ := m.look(id, who.User)
	return b.since
}

// settled reports whether what is known of a user is good enough to be gone by. followed says that in a room that is in memory only
// an unbroken account of it will do; asked, that it is to be known whether the user may found the room.
func (m *members) settled(who *auth.Identity, id room.ID, followed, asked bool) bool {
	if _, limited := m.limited(who, id); !limited {
		return true
	}
	b, known := m.look(id, who.User)
	if !known || b.read.IsZero() || asked && b.role == "" && !b.asked {
		return false
	}
	if !followed && time.Since(b.read) < memberFor {
		return true
	}
	account := m.account(id)
	return account != 0 && account == b.account || account == 0 && time.Since(b.read) < memberFor
}

// know asks the store about a user, where what is known is not settled: before a request, join or send is judged. ask says
// whether the room may be the user's to found; nil: that is not the question.
// Errors: unavailable.
func (m *members) know(ctx context.Context, who *auth.Identity, id room.ID, followed bool, ask func(context.Context) (bool, error)) error {
	for range maxAsking {
		if m.settled(who, id, followed, ask != nil) {
			return nil
		}
		b := belonging{account: m.account(id), read: time.Now(), event: m.last()}
		found, is, err := m.store.Member(ctx, id, who.User)
		if err == nil && !is && ask != nil {
			b.asked = true
			b.founder, err = ask(ctx)
		}
		if err != nil {
			return err
		}
		if is {
			b.role, b.since = found.Role, found.Since
		}
		m.put(id, who.User, b)
	}
	return &room.Error{Code: room.CodeUnavailable, Title: "What you are in this room changes faster than it can be read; try again.", RetryAfter: memberFor}
}

// last is the number of the last member event.
func (m *members) last() uint64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.event
}

// maxAsking bounds how often somebody is asked about because the room's members changed meanwhile.
const maxAsking = 5

// put keeps what was read, unless an event about the user came since the read began: that may be newer.
func (m *members) put(id room.ID, user string, b belonging) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.room(id); r.of[user].event <= b.event {
		r.of[user] = b
	}
}

// room is what is kept of a room. The caller holds m.mu.
func (m *members) room(id room.ID) *belongings {
	r := m.rooms[id]
	if r == nil {
		r = &belongings{of: make(map[string]belonging)}
		m.rooms[id] = r
	}
	r.used = time.Now()
	return r
}

// Member implements [hub.Members].
func (m *members) Member(id room.ID, e *room.Event, own bool) {
	data, is := e.MemberChange()
	if !is {
		return // of a time before such events meant anything
	}
	defer m.changed(id, data.User, own)
	policy, known := m.kinds.Policy(id.Kind())
	if !known || !policy.Members {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.event++
	r := m.room(id)
	b := r.of[data.User]
	switch {
	case e.Seq <= b.since:
	case data.Role == "":
		b.role = ""
	case b.role != "" && !gains(policy, b.role, data.Role):
		b.role = data.Role
	}
	b.founder, b.read, b.event = false, time.Time{}, m.event
	r.of[data.User] = b
}

// gains reports whether a role may do anything that another may not.
func gains(p room.Policy, was, is string) bool {
	for _, a := range []auth.Action{auth.Read, auth.Send, auth.Moderate, auth.Admin} {
		if p.RoleAllows(is, string(a)) && !p.RoleAllows(was, string(a)) {
			return true
		}
	}
	return false
}

// Grown implements [hub.Members].
func (m *members) Grown(id room.ID) { m.grown(id) }

// Restarted implements [hub.Members]: all that is known of the room is to be read again.
func (m *members) Restarted(id room.ID) {
	m.mu.Lock()
	r := m.rooms[id]
	if r != nil {
		for user, b := range r.of {
			b.read = time.Time{}
			r.of[user] = b
		}
	}
	m.mu.Unlock()
	if r == nil {
		return
	}
	select {
	case m.again <- id:
	default: // so many at once that each is asked about when it is used
	}
}

// reread reads a room's members again, so that permits of those who are there go by what holds now.
func (m *members) reread(ctx context.Context, id room.ID) error {
	event, at := m.last(), time.Now()
	all := make(map[string]belonging)
	for after, more := "", true; more; {
		page, err := m.store.ListMembers(ctx, id, after, maxList)
		if err != nil {
			return err
		}
		for _, one := range page {
			all[one.User] = belonging{role: one.Role, since: one.Since}
			after = one.User
		}
		more = len(page) == maxList
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.rooms[id]; r != nil {
		for user, was := range r.of {
			if was.event <= event {
				is := all[user]
				is.read, is.event = at, event
				r.of[user] = is
			}
		}
	}
	return nil
}

// sweep forgets rooms that are not in memory and that nobody asked about for a while.
func (m *members) sweep() {
	m.mu.RLock()
	var old []room.ID
	for id, r := range m.rooms {
		if time.Since(r.used) > memberKept {
			old = append(old, id)
		}
	}
	m.mu.RUnlock()
	for _, id := range old {
		if m.account(id) != 0 { // its cursors are judged by what is kept
			continue
		}
		m.mu.Lock()
		if r := m.rooms[id]; r != nil && time.Since(r.used) > memberKept {
			delete(m.rooms, id)
		}
		m.mu.Unlock()
	}
}
