package hub

import (
	"time"

	"roomlog/server/room"
	"roomlog/server/wire"
)

// Side is one of the things that a room shows beside its log: the latest value per key, and nothing of what it was before.
// A cursor stands at a version of each side that it asked for, and is given what changed since, so that a slow reader is
// given less, later, and nothing is queued for anybody.
type Side uint8

// The sides, in the order in which a connection is given them.
const (
	SidePresence Side = iota
	SideReceipts
	SideSignals
	SideParts     // of another kind: a cursor has an offset in each text in place of a version (see [Hub.SetPart])
	Sides     = 4 // how many there are
)

var sideNames = [Sides]string{"presence", "receipts", "signals", "parts"}

// sideEvery is how long at least is between two frames of a side of a room, unless its source says otherwise.
var sideEvery = [Sides]time.Duration{250 * time.Millisecond, 100 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond}

// String is the side's name on the wire: what a join asks for it by, and, but for parts, the op of its frames.
func (s Side) String() string { return sideNames[s] }

// ParseSide finds a side by its name.
func ParseSide(name string) (Side, bool) {
	for s, n := range sideNames {
		if n == name {
			return Side(s), true
		}
	}
	return 0, false
}

// SideSet is a set of sides.
type SideSet uint8

// Of is the set with one more side.
func (s SideSet) Of(one Side) SideSet { return s | 1<<one }

// Has reports whether a side is in the set.
func (s SideSet) Has(one Side) bool { return s&(1<<one) != 0 }

// SideEntry is the value of a key: a JSON object, which must not be changed any more. nil: the key is gone.
type SideEntry struct {
	Key   string
	Value []byte
}

// SideUpdate says what became of a side of a room.
type SideUpdate struct {
	Set   []SideEntry
	Whole bool          // what Set does not name is gone
	About []byte        // JSON members of every frame from now on, such as `"users":3`; nil: as before
	Every time.Duration // at least so long is between frames from now on; 0: as before
}

// SideSource fills a side. Its methods are called under locks of the hub, in order for each room: they must neither block nor
// call the hub.
type SideSource interface {
	// Needed says that somebody reads the side of a room from now on: the source tells what there is by [Hub.SetSide]
	// ([Hub.SetPart] for parts), and what changes, until Unneeded.
	Needed(id room.ID)
	// Unneeded says that nobody does any more, and that the hub has forgotten what it was told.
	Unneeded(id room.ID)
}

// sideEntry is a key's latest value. Entries hang in a list by version, those that are gone among them.
type sideEntry struct {
	key          string
	value        []byte // nil: gone
	version      uint64
	older, newer *sideEntry
}

// side is one side of a room that somebody reads. The room's lock guards it.
type side struct {
	every time.Duration

	version uint64 // of the latest change; 0: the source has not said anything, and nobody is given a frame
	shown   uint64 // what cursors are brought to at least: the version at the last tick
	entries map[string]*sideEntry
	ends    sideEntry // of the list: ends.newer is the oldest entry, ends.older the newest
	gone    int       // how many of the entries are
	forgot  uint64    // of the keys that were gone up to here not all are known any more
	about   []byte
	aboutAt uint64 // the version that about is of
	last    int64  // when shown moved last, on the hub's clock; 0: never
	due     bool   // the tick knows of it

	diffs, fulls [wire.Framings]sideFrame // the last that was encoded of each
}

// sideFrame is an encoded frame, which all who stand at the same version share.
type sideFrame struct {
	from, to uint64
	bytes    []byte
}

// goneKept is how many keys that are gone a side remembers at least, beyond as many as it has.
const goneKept = 64

func newSide(every time.Duration) *side {
	s := &side{every: every, entries: make(map[string]*sideEntry)}
	s.ends.older, s.ends.newer = &s.ends, &s.ends
	return s
}

// set takes an update, and reports whether anything changed.
func (s *side) set(u SideUpdate) bool {
	before := s.version
	s.version = max(s.version, 1)
	if u.Every > 0 {
		s.every = u.Every
	}
	if u.Whole {
		named := make(map[string]bool, len(u.Set))
		for _, e := range u.Set {
			named[e.Key] = true
		}
		for key := range s.entries {
			if !named[key] {
				s.put(key, nil)
			}
		}
	}
	for _, e := range u.Set {
		s.put(e.Key, e.Value)
	}
	if u.About != nil && string(u.About) != string(s.about) {
		s.version++
		s.about, s.aboutAt = u.About, s.version
	}
	s.trim()
	return s.version != before
}

// put gives a key its value, if it has another.
func (s *side) put(key string, value []byte) {
	e := s.entries[key]
	switch {
	case e == nil && value == nil:
		return
	case e == nil:
		e = &sideEntry{key: key}
		s.entries[key] = e
	case string(e.value) == string(value) && (e.value == nil) == (value == nil):
		return
	default:
		e.unlink()
		if e.value == nil {
			s.gone--
		}
	}
	if value == nil {
		s.gone++
	}
	s.version++
	e.value, e.version = value, s.version
	e.older, e.newer = s.ends.older, &s.ends
	e.older.newer, e.newer.older = e, e
}

func (e *sideEntry) unlink() { e.older.newer, e.newer.older = e.newer, e.older }

// trim forgets the keys that are gone for the longest, where they are many. A cursor from before that is given everything.
func (s *side) trim() {
	if s.gone <= goneKept+2*(len(s.entries)-s.gone) {
		return
	}
	for e := s.ends.newer; s.gone > goneKept && e != &s.ends; {
		next := e.newer
		if e.value == nil {
			e.unlink()
			delete(s.entries, e.key)
			s.gone--
			s.forgot = e.version
		}
		e = next
	}
}

// frame is what brings a reader from a version (0: none) to what is shown, or beyond it where more has changed by now: a frame is of
// one moment, or what it says of all values would not be so of those that its reader has. nil: it stands there.
func (s *side) frame(f wire.Framing, id room.ID, name string, from uint64) (frame []byte, to uint64) {
	if s.version == 0 {
		return nil, from
	}
	if from == 0 || from < s.forgot {
		return s.full(f, id, name), s.version
	}
	if from >= s.shown {
		return nil, from
	}
	if d := &s.diffs[f]; d.from == from && d.to >= s.shown {
		return d.bytes, d.to
	}
	w := wire.Side{Name: name, Room: id, Prev: from, Version: s.version}
	if s.aboutAt > from {
		w.About = s.about
	}
	for e := s.ends.older; e != &s.ends && e.version > from; e = e.older {
		if e.value == nil {
			w.Gone = append(w.Gone, e.key)
		} else {
			w.Set = append(w.Set, e.value)
		}
	}
	s.diffs[f] = sideFrame{from, s.version, f.AppendSide(nil, w)}
	return s.diffs[f].bytes, s.version
}

// full is everything there is, shown or not yet.
func (s *side) full(f wire.Framing, id room.ID, name string) []byte {
	if d := &s.fulls[f]; d.to == s.version {
		return d.bytes
	}
	w := wire.Side{Name: name, Room: id, Full: true, Version: s.version, About: s.about}
	for e := s.ends.newer; e != &s.ends; e = e.newer {
		if e.value != nil {
			w.Set = append(w.Set, e.value)
		}
	}
	s.fulls[f] = sideFrame{0, s.version, f.AppendSide(nil, w)}
	return s.fulls[f].bytes
}
