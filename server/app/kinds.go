package app

import (
	"maps"
	"slices"
	"time"

	"roomlog/server/room"
)

// Kinds declares the kinds of rooms and the policy of each, as the configuration file has them under
// `kinds`: a list of names, each with the default policy, or a mapping from name to [KindConfig].
type Kinds map[string]KindConfig

// KindConfig is the policy of one kind as it is written in the file; `yaml` names the keys. A zero field is
// the default. docs/configuration.md explains each.
type KindConfig struct {
	Retention    RetentionConfig `yaml:"retention,omitempty"`
	RoomsPerUser int             `yaml:"rooms_per_user,omitempty"`
	// Types are the types of events that are taken, each with the file of its JSON Schema or none; without it,
	// every type is taken.
	Types        map[string]string `yaml:"types,omitempty"`
	BeforeAppend BeforeConfig      `yaml:"before_append,omitempty"`
	AfterAppend  []AfterConfig     `yaml:"after_append,omitempty"`
}

// RetentionConfig bounds what is kept of the log of a room.
type RetentionConfig struct {
	Age    time.Duration `yaml:"age,omitempty"`
	Events int64         `yaml:"events,omitempty"`
}

// NamedKinds declares kinds with the default policy.
func NamedKinds(names ...string) Kinds {
	kinds := make(Kinds, len(names))
	for _, name := range names {
		kinds[name] = KindConfig{}
	}
	return kinds
}

// validate names the first policy that is wrong.
func (k Kinds) validate() error {
	for _, name := range slices.Sorted(maps.Keys(k)) {
		if !room.ValidKind(name) {
			return configErrorf("--kinds: %q is not a kind; one is a-z, 0-9, _ and -, begins with a letter and has at most 32 characters", name)
		}
		switch c := k[name]; {
		case c.Retention.Age < 0 || c.Retention.Age > 0 && c.Retention.Age < leastAge:
			return configErrorf("kinds.%s.retention.age is at least %v, such as 720h or 30d", name, leastAge)
		case c.Retention.Events < 0:
			return configErrorf("kinds.%s.retention.events cannot be negative", name)
		case c.RoomsPerUser < 0:
			return configErrorf("kinds.%s.rooms_per_user cannot be negative", name)
		}
	}
	return nil
}

// leastAge keeps an age from being a typing error: what is pruned sooner than it can be read is no log.
const leastAge = time.Second

// policies are the policies of the kinds that exist; nil is every kind with the default policy.
func (c Config) policies() map[string]room.Policy {
	if c.Dev && len(c.Kinds) == 0 {
		return nil
	}
	policies := make(map[string]room.Policy, len(c.Kinds))
	for name, k := range c.Kinds {
		policies[name] = room.Policy{
			Retention:    room.Retention{Age: k.Retention.Age, Events: k.Retention.Events},
			RoomsPerUser: k.RoomsPerUser,
		}
	}
	return policies
}
