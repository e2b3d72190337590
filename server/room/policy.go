package room

import (
	"maps"
	"slices"
	"sync/atomic"
	"time"
)

// Policy says how the rooms of one kind are kept and what they may hold. The zero Policy is the default:
// everything is kept for ever. It must not be changed once it is shared.
type Policy struct {
	Retention Retention
	// RoomsPerUser is how many rooms of the kind one user may have created; 0: no limit.
	RoomsPerUser int
	// Types are the types of events that the rooms take, each with the schema of its data, nil for any data.
	// nil: every type is taken, with any data.
	Types map[string]Schema
	// Before is asked about each send; nil: nobody is.
	Before Gate
	// Members says that only members may come in, each with what their role allows; false: grants alone decide.
	Members bool
	// Roles are what members may do by role; nil: DefaultRoles.
	Roles map[string][]string
	// Creator is the role of who creates a room, with Members; "": FirstRole.
	Creator string
	// HistorySince says that members read nothing from before they joined; false: everything.
	HistorySince bool
	Changes      Changes
	Presence     Show
	Receipts     Show
	NoSignals    bool // signals are refused
	NoStreams    bool // no message streams
	NoSearch     bool // messages are not indexed, and searches refused
	State        StatePolicy
	Docs         DocPolicy
}

// StatePolicy is how the maps of rooms are kept. The zero StatePolicy: with the events that made them, within the default bounds.
type StatePolicy struct {
	MapOnly bool          // the events are kept as long as their tags, and listed live alone (history: none)
	Tags    time.Duration // how long that is; 0: DefaultStateTags
	Keys    int           // that may have a value; 0: StateKeys
	Bytes   int           // of those keys and values; 0: StateBytes
}

// Bound gives a change of a map the kind's bounds, and refuses what alone would pass them.
func (s StatePolicy) Bound(set *StateSet) error {
	set.Keys, set.Bytes = s.Keys, s.Bytes
	keys, bytes := 0, 0
	for _, c := range set.Changes {
		if c.Value != nil {
			keys, bytes = keys+1, bytes+len(c.Key)+len(c.Value)
		}
	}
	switch mostKeys, mostBytes := set.Bounds(); {
	case keys > mostKeys:
		return TooMuchState("keys", mostKeys)
	case bytes > mostBytes:
		return TooMuchState("bytes", mostBytes)
	}
	return nil
}

// DefaultStateTags is how long events of the type state are kept where only the map is.
const DefaultStateTags = time.Hour

// Window is how long events of the type state are kept; 0: for as long as others.
func (s StatePolicy) Window() time.Duration {
	if !s.MapOnly {
		return 0
	}
	if s.Tags == 0 {
		return DefaultStateTags
	}
	return s.Tags
}

// Changes is who may change messages. The zero Changes: authors their own and moderators all, at any time, and reactions.
type Changes struct {
	Edit, Delete Changers
	Within       time.Duration // authors, after the message was stored; 0: at any time
	NoReactions  bool
}

// Changers says whose messages may be changed by whom.
type Changers uint8

// The changers.
const (
	ByAuthors    Changers = iota // and by moderators
	ByModerators                 // alone
	ByNobody
)

// Show is how much of presence or receipts a room shows.
type Show uint8

// How much is shown.
const (
	ShowAll     Show = iota
	ShowCounts       // how many, without names
	ShowPrivate      // receipts: everybody their own alone
	ShowNone         // nothing is kept
)

// DefaultRoles are what members may do in rooms of a kind that has no roles of its own.
var DefaultRoles = map[string][]string{
	"owner":     {"read", "send", "moderate", "admin"},
	"moderator": {"read", "send", "moderate"},
	"member":    {"read", "send"},
	"guest":     {"read"},
}

// FirstRole is the role of who creates a room, where the kind names no other.
const FirstRole = "owner"

// The actions that a role may have.
var roleActions = []string{"read", "send", "moderate", "admin"}

// ValidAction reports whether a role may have such an action.
func ValidAction(action string) bool { return slices.Contains(roleActions, action) }

// HasRole reports whether the kind has a role.
func (p Policy) HasRole(role string) bool {
	_, has := p.roles()[role]
	return has
}

// RoleAllows reports whether a role may do something: read, send, moderate (which admin may) or admin. A role that the kind does not
// have may do nothing.
func (p Policy) RoleAllows(role, action string) bool {
	can := p.roles()[role]
	return slices.Contains(can, action) || action == "moderate" && slices.Contains(can, "admin")
}

// CreatorRole is the role of who creates a room.
func (p Policy) CreatorRole() string {
	if p.Creator == "" {
		return FirstRole
	}
	return p.Creator
}

func (p Policy) roles() map[string][]string {
	if p.Roles == nil {
		return DefaultRoles
	}
	return p.Roles
}

// Retention is how much of the log layer is kept at least. What lies outside either bound may be pruned,
// soon but not at once; the floor of the room tells.
type Retention struct {
	Age    time.Duration // events older than this may go, by the store's clock; 0: no bound
	Events int64         // all but the newest so many may go; 0: no bound
}

// Limited reports whether anything is ever pruned.
func (r Retention) Limited() bool { return r.Age > 0 || r.Events > 0 }

// Kinds are the kinds of rooms that exist and their policies. They may be replaced while they are used: each
// question is answered from one whole set. Its methods may be called concurrently.
type Kinds struct {
	policies atomic.Pointer[map[string]Policy] // the maps never change; nil inside: every kind exists
}

// AnyKind is the name, which no kind has, under which a set has the policy of every kind that it does not name. Without it such a kind is
// unknown.
const AnyKind = ""

// NewKinds makes the set; nil policies: every kind exists and has the default policy (rule ROOM-3).
func NewKinds(policies map[string]Policy) *Kinds {
	k := &Kinds{}
	k.Replace(policies)
	return k
}

// Replace puts another set in place of the one there is, for questions from now on. The map is copied.
func (k *Kinds) Replace(policies map[string]Policy) {
	policies = maps.Clone(policies) // nil stays nil
	k.policies.Store(&policies)
}

// Policy is the policy of a kind; false: there is no such kind.
func (k *Kinds) Policy(kind string) (Policy, bool) {
	policies := *k.policies.Load()
	if policies == nil {
		return Policy{}, true
	}
	p, known := policies[kind]
	if !known {
		p, known = policies[AnyKind]
	}
	return p, known
}

// Declared are the kinds that exist; nil where every kind does. The map is not to be changed.
func (k *Kinds) Declared() map[string]Policy {
	policies := *k.policies.Load()
	if _, open := policies[AnyKind]; open {
		return nil
	}
	return policies
}

// Limited names the kinds whose rooms are pruned, in their order.
func (k *Kinds) Limited() (names []string) {
	for name, p := range *k.policies.Load() {
		if p.Retention.Limited() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
