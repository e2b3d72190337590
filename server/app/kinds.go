package app

import (
	"context"
	"fmt"
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
	// Reports is told what users report of the rooms.
	Reports ReportsConfig `yaml:"reports,omitempty"`
	// Access is `grants` (the default) or `members`.
	Access string `yaml:"access,omitempty"`
	// Roles are what members may do by role; without it, room.DefaultRoles.
	Roles map[string][]string `yaml:"roles,omitempty"`
	// Creator is the role of who creates a room; without it, owner.
	Creator string `yaml:"creator,omitempty"`
	// History is `all` (the default) or `joined`: members read nothing from before they joined.
	History string `yaml:"history,omitempty"`
	// Receipts is how much of how far users have read a room shows: on, counts, private or off.
	Receipts string `yaml:"receipts,omitempty"`
	// Presence is how much a room shows of who is there: on, counts or off. Signals is on or off.
	Presence string `yaml:"presence,omitempty"`
	Signals  string `yaml:"signals,omitempty"`
	// Streams is off where no message may stream; `on` (the default) or `off`.
	Streams string `yaml:"streams,omitempty"`
	// SQL is `allow` to take events from SQL although they pass neither the schemas nor the before_append webhook.
	SQL string `yaml:"sql,omitempty"`
	// Search is `off` where messages are not to be indexed; `on` (the default) or `off`.
	Search string `yaml:"search,omitempty"`
	// Changes says who may change messages.
	Changes ChangesConfig `yaml:"changes,omitempty"`
	// State says how the maps of the rooms are kept.
	State StateConfig `yaml:"state,omitempty"`
	// Docs says whether the rooms have documents, and how large.
	Docs DocsConfig `yaml:"docs,omitempty"`
}

// The values of KindConfig.Access and KindConfig.History.
const (
	accessGrants, accessMembers = "grants", "members"
	historyAll, historyJoined   = "all", "joined"
)

// allowSQL is the one value of KindConfig.SQL.
const allowSQL = "allow"

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
		case !knownReceipts(c.Receipts):
			return configErrorf("kinds.%s.receipts is on, counts, private or off, not %q", name, c.Receipts)
		case c.SQL != "" && c.SQL != allowSQL:
			return configErrorf("kinds.%s.sql is allow or left out, not %q", name, c.SQL)
		case c.Search != "" && c.Search != "on" && c.Search != "off":
			return configErrorf("kinds.%s.search is on or off, not %q", name, c.Search)
		}
		if err := k[name].Changes.validate("kinds." + name + ".changes"); err != nil {
			return err
		}
		if err := k[name].State.validate("kinds." + name + ".state"); err != nil {
			return err
		}
		if err := k[name].Docs.validate("kinds." + name + ".docs"); err != nil {
			return err
		}
		if err := k[name].validatePeople("kinds." + name); err != nil {
			return err
		}
		if err := k[name].validateMembers("kinds." + name); err != nil {
			return err
		}
	}
	return nil
}

// leastAge keeps an age from being a typing error: what is pruned sooner than it can be read is no log.
const leastAge = time.Second

// devFeedEvents is what dev keeps of a feed: an hour at ten points a second. Figures would fill a disk that nobody looks after.
const devFeedEvents = 36_000

// policies are the policies of the kinds that exist. Dev without kinds knows every kind.
func (c Config) policies() map[string]room.Policy {
	if c.Dev && len(c.Kinds) == 0 {
		return map[string]room.Policy{
			room.AnyKind:   {},
			devFeed.Kind(): {Retention: room.Retention{Events: devFeedEvents}},
		}
	}
	policies := make(map[string]room.Policy, len(c.Kinds))
	for name, k := range c.Kinds {
		policies[name] = room.Policy{
			Retention:    room.Retention{Age: k.Retention.Age, Events: k.Retention.Events},
			RoomsPerUser: k.RoomsPerUser,
			NoSearch:     k.Search == "off",
			Receipts:     receiptsShown[k.Receipts],
			Presence:     presenceShown[k.Presence], NoSignals: signalsOff[k.Signals], NoStreams: k.Streams == "off",
			Changes: k.Changes.policy(), State: k.State.policy(), Docs: k.Docs.policy(),
			Members: k.Access == accessMembers, Roles: k.Roles, Creator: k.Creator, HistorySince: k.History == historyJoined,
		}
	}
	return policies
}

// putKinds tells a store that takes events from SQL what the kinds take.
func (a *App) putKinds(ctx context.Context, cfg Config, policies map[string]room.Policy) error {
	if a.terms == nil {
		return nil
	}
	if err := a.terms.PutKinds(ctx, cfg.terms(policies)); err != nil {
		return fmt.Errorf("tell the store what the kinds take: %w", err)
	}
	return nil
}

// terms are what the kinds take from SQL. Schemas and webhooks are not asked there, so a kind that has either takes
// nothing, unless its policy says so.
func (c Config) terms(policies map[string]room.Policy) []room.KindTerms {
	terms := make([]room.KindTerms, 0, len(policies))
	for name, p := range policies {
		k := room.KindTerms{Kind: name, EventBytes: c.MaxEventBytes, FrameBytes: c.MaxFrameBytes, RoomsPerUser: p.RoomsPerUser, StateKeys: p.State.Keys, StateBytes: p.State.Bytes}
		judged := p.Before != nil
		if p.Types != nil {
			k.Types = slices.Sorted(maps.Keys(p.Types))
			for _, s := range p.Types {
				judged = judged || s != nil
			}
		}
		if judged && c.Kinds[name].SQL != allowSQL {
			k.Closed = "Events of this kind pass a schema or a webhook, which SQL cannot ask; its policy says sql: allow where that does not matter."
		}
		terms = append(terms, k)
	}
	return terms
}
