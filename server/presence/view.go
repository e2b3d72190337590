package presence

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"time"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// countsEvery is how often at most a room that shows counts alone shows them.
const countsEvery = time.Second

// show folds what changed, and gives it to readers.
func (at *place) show(out *output) {
	at.countAll()
	changed := slices.Collect(maps.Keys(at.dirty))
	clear(at.dirty)
	if !at.needed {
		return
	}
	if time.Now().Before(at.waits) {
		at.flush = at.waits
		return
	}
	policy := at.p.cfg.Policy(at.id)
	if policy == room.ShowNone {
		if at.whole { // of before the kind showed nothing
			out.shows = append(out.shows, show{at.id, Update{Whole: true, About: []byte{}}})
		}
		at.whole = false
		return
	}
	if was := at.counting; policy == room.ShowCounts || at.users > at.p.cfg.Names || was && at.users > at.p.cfg.Names*9/10 {
		at.counting = true
		at.whole = at.whole || !was
	} else {
		at.counting = false
		at.whole = at.whole || was
	}
	u := Update{Whole: at.whole, About: at.about()}
	if at.whole {
		u.Every = at.p.cfg.Coalesce
		changed = slices.Collect(maps.Keys(at.people))
	}
	if at.counting {
		if at.whole {
			u.Every = countsEvery
		}
	} else {
		slices.Sort(changed)
		for _, user := range changed {
			u.Set = append(u.Set, Value{User: user, JSON: at.value(user)})
		}
	}
	at.whole = false
	out.shows = append(out.shows, show{at.id, u})
}

// count brings the room's counts and digest up to what a user has become.
func (at *place) count(user string) {
	who := at.people[user]
	if who == nil {
		return
	}
	was := who.counted
	if who.counted {
		at.users--
		at.connections -= who.shown.devices
		at.digest ^= sum(user, who.shown.since)
		who.counted = false
		at.unknow(user)
	}
	if len(who.entries) == 0 {
		delete(at.people, user)
		at.reorder(user, was, false)
		return
	}
	who.shown = shown{who.entries[0].since, len(who.devices())}
	for _, e := range who.entries {
		if e.since.Before(who.shown.since) {
			who.shown.since = e.since
		}
	}
	who.counted = true
	at.know(user)
	at.users++
	at.connections += who.shown.devices
	at.digest ^= sum(user, who.shown.since)
	at.reorder(user, was, true)
}

// know notes that a user is in the room, and unknow that this is not so.
func (at *place) know(user string) {
	rooms := at.p.known[user]
	if rooms == nil {
		rooms = make(map[*place]struct{}, 1)
		at.p.known[user] = rooms
	}
	rooms[at] = struct{}{}
}

func (at *place) unknow(user string) {
	rooms := at.p.known[user]
	if delete(rooms, at); len(rooms) == 0 {
		delete(at.p.known, user)
	}
}

// sum is a user's part of a room's digest: FNV-1a of their name, a line feed and since when they are here (rule PRES-5).
func sum(user string, since time.Time) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(user + "\n" + wire.Time(since))) // it never fails
	return h.Sum32()
}

// about are the members of a frame beside its values.
func (at *place) about() []byte {
	b := strconv.AppendInt([]byte(`"users":`), int64(at.users), 10)
	b = strconv.AppendInt(append(b, `,"connections":`...), int64(at.connections), 10)
	if at.counting {
		b = append(b, `,"counts":true`...)
	} else {
		b = fmt.Appendf(b, `,"digest":"%08x"`, at.digest)
	}
	if at.stale() {
		b = append(b, `,"stale":true`...)
	}
	return b
}

// stale reports whether others may be here, or have gone, unnoticed.
func (at *place) stale() bool { return at.p.stale() || at.silent > 0 || !at.asking.IsZero() }

// value is what is shown of a user (rule PRES-1); nil: they are not here.
func (at *place) value(user string) []byte {
	if at.people[user] == nil {
		return nil
	}
	text, _ := json.Marshal(at.member(user)) // it never fails: what Data holds was checked
	return text
}

// member folds a user's connections, of which there is one at least.
func (at *place) member(user string) Member {
	who := at.people[user]
	m := Member{User: user, Idle: true}
	since := who.entries[0].since
	var stamp uint64
	var from string
	for _, e := range who.entries {
		if e.since.Before(since) {
			since = e.since
		}
		if e.stamp > stamp || e.stamp == stamp && e.stamp > 0 && e.connection > from {
			stamp, from, m.Data = e.stamp, e.connection, e.data
		}
	}
	m.Since = wire.Time(since)
	if string(m.Data) == "null" {
		m.Data = nil
	}
	for _, e := range who.devices() {
		m.Devices = append(m.Devices, Device{e.connection, e.idle})
		m.Idle = m.Idle && e.idle
	}
	return m
}

// Member is a user who is in a room.
type Member struct {
	User    string          `json:"user"`
	Idle    bool            `json:"idle"` // all devices are
	Since   string          `json:"since"`
	Devices []Device        `json:"devices"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// Device is a connection of a user.
type Device struct {
	ID   string `json:"id"`
	Idle bool   `json:"idle"`
}
