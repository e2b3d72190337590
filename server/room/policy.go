package room

import (
	"maps"
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
	return p, known
}

// Declared are the kinds with a policy of their own; nil where every kind exists. The map is not to be changed.
func (k *Kinds) Declared() map[string]Policy { return *k.policies.Load() }
