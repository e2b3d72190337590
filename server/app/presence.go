package app

import (
	"context"
	"strings"
	"time"

	"roomlog/server/bus/nats"
	"roomlog/server/bus/redis"
	"roomlog/server/cluster"
	"roomlog/server/hub"
	"roomlog/server/presence"
	"roomlog/server/room"
	"roomlog/server/signals"
)

// shown are the values of KindConfig.Presence; signalled those of KindConfig.Signals.
var (
	presenceShown = map[string]room.Show{"": room.ShowAll, "on": room.ShowAll, "counts": room.ShowCounts, "off": room.ShowNone}
	signalsOff    = map[string]bool{"": false, "on": false, "off": true}
)

func (k KindConfig) validatePeople(at string) error {
	if _, known := presenceShown[k.Presence]; !known {
		return configErrorf("%s.presence is on, counts or off, not %q", at, k.Presence)
	}
	if _, known := signalsOff[k.Signals]; !known {
		return configErrorf("%s.signals is on or off, not %q", at, k.Signals)
	}
	if _, known := signalsOff[k.Streams]; !known {
		return configErrorf("%s.streams is on or off, not %q", at, k.Streams)
	}
	return nil
}

// presence is what is configured of it.
func (c Config) presence() presence.Config {
	return presence.Config{
		Node: c.Node, Log: c.Log, Grace: c.PresenceGrace, Lease: c.PresenceLease, Coalesce: c.PresenceCoalesce, Names: c.PresenceNames,
	}
}

func (c Config) validatePresence() error {
	if err := c.presence().Validate(); err != nil {
		return configErrorf("%v", err)
	}
	return nil
}

// openLeases makes the leases of the cluster's nodes, on the server of its bus; nil: this is the only node.
func (c Config) openLeases() (room.Leases, error) {
	scheme, _, _ := strings.Cut(c.Bus, "://")
	switch scheme {
	case "redis", "rediss":
		leases, err := redis.OpenLeases(c.Bus, c.Cluster)
		if err != nil {
			return nil, configErrorf("--bus: %v", err)
		}
		return leases, nil
	case "nats", "tls":
		leases, err := nats.OpenLeases(c.Bus, c.Cluster)
		if err != nil {
			return nil, configErrorf("--bus: %v", err)
		}
		return leases, nil
	}
	return nil, nil
}

// people is who is in which room, and what passes between them.
type people struct {
	presence *presence.Presence
	signals  *signals.Signals
	seen     room.SeenStore // nil where the store keeps none
}

// buildPeople makes it. What other nodes are told goes by the node that joins the cluster later.
func (a *App) buildPeople(store room.Store) error {
	cfg := a.cfg.presence()
	if seen, keeps := store.(room.SeenStore); keeps {
		a.people.seen, cfg.Seen = seen, seen.PutSeen
	}
	leases, err := a.cfg.openLeases()
	if err != nil {
		return err
	}
	if leases != nil {
		a.undo.push("close the leases", func(context.Context) error { return leases.Close() })
		cfg.Leases = leases
		cfg.Say = func(id room.ID, body []byte) { a.node.Say(id, cluster.PartPresence, body) }
		cfg.Ask = func(body []byte) { a.node.SayAll(cluster.PartPresence, body) }
	}
	cfg.Policy = func(id room.ID) room.Show {
		policy, _ := a.kinds.Policy(id.Kind())
		return policy.Presence
	}
	cfg.Show = a.showPresence
	a.people.presence = presence.New(cfg)
	a.people.signals = signals.New(signals.Config{
		Show: a.showSignals,
		Say: func(id room.ID, body []byte) {
			if a.node != nil {
				a.node.Say(id, cluster.PartSignals, body)
			}
		},
	})
	return nil
}

// start begins to show who is there, once the hub has begun.
func (a *App) startPeople() {
	a.people.presence.Start()
	a.people.signals.Start()
	a.undo.push("stop presence", a.people.presence.Stop)
	a.undo.push("stop signals", a.people.signals.Stop)
}

func (a *App) showPresence(id room.ID, u presence.Update) {
	out := hub.SideUpdate{Whole: u.Whole, About: u.About, Every: u.Every}
	for _, v := range u.Set {
		out.Set = append(out.Set, hub.SideEntry{Key: v.User, Value: v.JSON})
	}
	a.hub.SetSide(id, hub.SidePresence, out)
}

func (a *App) showSignals(id room.ID, u signals.Update) {
	out := hub.SideUpdate{Whole: u.Whole}
	for _, v := range u.Set {
		out.Set = append(out.Set, hub.SideEntry{Key: v.Key, Value: v.JSON})
	}
	a.hub.SetSide(id, hub.SideSignals, out)
}

// Came implements [hub.Company].
func (p *people) Came(id room.ID, g *hub.Guest) {
	if g.Present {
		p.presence.Came(id, g, presence.Guest{Connection: g.Connection, User: g.User, Data: g.Data})
	}
	p.signals.Came(id, g, g.Connection, g.User)
}

// Went implements [hub.Company].
func (p *people) Went(id room.ID, g *hub.Guest) {
	if g.Present {
		p.presence.Went(id, g, g.Connection)
	}
	p.signals.Went(id, g, g.Connection)
}

// drain says that the clients are told to come back, over at most a time.
func (p *people) drain(over time.Duration) { p.presence.Drain(over) }

// hears adds those who are told what other nodes say.
func (p *people) hears(all map[cluster.Part]cluster.Hearer) {
	all[cluster.PartPresence] = func(_ cluster.Peer, id room.ID, body []byte) { p.presence.Hear(id, body) }
	all[cluster.PartSignals] = func(from cluster.Peer, id room.ID, body []byte) { p.signals.Hear(string(from[:]), id, body) }
}
