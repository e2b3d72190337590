package app

import (
	"time"

	"roomlog/server/room"
)

// StateConfig says how the maps of a kind's rooms are kept (rules STATE-6, STATE-11).
type StateConfig struct {
	History string        `yaml:"history,omitempty"` // full (the default): the events stay in the log; none: only the map
	Tags    time.Duration `yaml:"tags,omitempty"`    // with none: for how long a repeat is known; default 1 h
	Keys    int           `yaml:"keys,omitempty"`    // that may have a value; default 1,000
	Bytes   int           `yaml:"bytes,omitempty"`   // of keys and values; default 524,288
}

const (
	stateFull, stateNone = "full", "none"
	// leastTags keeps a retry from being another event because the server was away for a moment.
	leastTags = time.Minute
)

func (c StateConfig) validate(at string) error {
	switch {
	case c.History != "" && c.History != stateFull && c.History != stateNone:
		return configErrorf("%s.history is full or none, not %q", at, c.History)
	case c.Tags != 0 && c.History != stateNone:
		return configErrorf("%s.tags goes with history: none; elsewhere events are kept as the retention says", at)
	case c.Tags != 0 && c.Tags < leastTags:
		return configErrorf("%s.tags is at least %v, such as 1h", at, leastTags)
	case c.Keys < 0 || c.Keys > room.MostStateKeys:
		return configErrorf("%s.keys is from 1 to %d", at, room.MostStateKeys)
	case c.Bytes < 0 || c.Bytes > room.StateBytes:
		return configErrorf("%s.bytes is from 1 to %d", at, room.StateBytes)
	}
	return nil
}

func (c StateConfig) policy() room.StatePolicy {
	return room.StatePolicy{MapOnly: c.History == stateNone, Tags: c.Tags, Keys: c.Keys, Bytes: c.Bytes}
}

// mapOnly says of which kinds only the map is kept, by their policies of the moment.
func mapOnly(kinds *room.Kinds) func(kind string) bool {
	return func(kind string) bool {
		policy, _ := kinds.Policy(kind)
		return policy.State.MapOnly
	}
}
