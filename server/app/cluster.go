package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"

	"roomlog/server/bus/nats"
	"roomlog/server/bus/redis"
	"roomlog/server/cluster"
	"roomlog/server/hub"
	"roomlog/server/room"
)

// noBus is the value of Bus that says that this is the only node.
const noBus = "none"

// nodeNames is the grammar of the name of a node: it stands in headers, labels and logs.
var nodeNames = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// nodeName is a name that no other node has, the same for as long as this process lives: that of the host is not enough,
// for two nodes may share a machine.
var nodeName = sync.OnceValue(func() string {
	host, err := os.Hostname()
	if host, _, _ = strings.Cut(host, "."); err != nil || !nodeNames.MatchString(host) || len(host) > 48 {
		host = "node"
	}
	var digits [2]byte
	_, _ = rand.Read(digits[:]) // never fails: crypto/rand ends the program instead
	return host + "-" + hex.EncodeToString(digits[:])
})

// toldNode is the name that clients are told: none where this is the only node and nobody has given it one.
func (c Config) toldNode() string {
	if c.Bus == noBus && c.Node == nodeName() {
		return ""
	}
	return c.Node
}

func (c Config) validateCluster() error {
	if !nodeNames.MatchString(c.Node) {
		return configErrorf("--node is 1 to 64 of A-Z, a-z, 0-9, ., _ and -, such as node-1")
	}
	if !room.ValidCluster(c.Cluster) {
		return configErrorf("--cluster is 1 to 32 of a-z, 0-9, _ and -, such as main")
	}
	if c.ClusterKey != "" && c.ClusterKeyFile != "" {
		return configErrorf("the key of the cluster is given twice: keep one of --cluster-key (ROOMLOG_CLUSTER_KEY) and --cluster-key-file (ROOMLOG_CLUSTER_KEY_FILE)")
	}
	if c.Bus == noBus {
		return nil
	}
	if bus, err := c.openBus(); err != nil || bus == nil {
		return err
	}
	if name, _, err := c.storePlace(); err != nil {
		return err
	} else if name != postgresName {
		return configErrorf("--bus joins nodes that serve one database, which SQLite cannot be: give --store postgres://USER:PASSWORD@HOST/DATABASE")
	}
	if c.ClusterKey == "" && c.ClusterKeyFile == "" {
		return configErrorf("--bus needs a key that all nodes of the cluster have: --cluster-key-file FILE or ROOMLOG_CLUSTER_KEY")
	}
	return nil
}

// openBus makes the bus that is configured, not connected yet; nil: there is none.
func (c Config) openBus() (room.Bus, error) {
	scheme, _, _ := strings.Cut(c.Bus, "://")
	switch scheme {
	case noBus:
		return nil, nil
	case "redis", "rediss":
		bus, err := redis.Open(c.Bus, c.Cluster, room.BusOptions{})
		if err != nil {
			return nil, configErrorf("--bus: %v", err)
		}
		return bus, nil
	case "nats", "tls":
		bus, err := nats.Open(c.Bus, c.Cluster, room.BusOptions{})
		if err != nil {
			return nil, configErrorf("--bus: %v", err)
		}
		return bus, nil
	}
	return nil, configErrorf("--bus is none, redis://HOST:PORT or nats://HOST:PORT")
}

// busPlace says to operators where the bus is, without a password.
func (c Config) busPlace() string {
	first, _, more := strings.Cut(c.Bus, ",")
	u, err := url.Parse(first)
	if err != nil {
		return "a bus"
	}
	place := u.Scheme + "://" + u.Host
	if more {
		place += " and others"
	}
	return place
}

// clusterKey is the key that the nodes share; nil: none is given.
func (c Config) clusterKey() ([]byte, error) {
	switch {
	case c.ClusterKey != "":
		return checkKey([]byte(c.ClusterKey), "--cluster-key (ROOMLOG_CLUSTER_KEY)")
	case c.ClusterKeyFile != "":
		key, err := os.ReadFile(c.ClusterKeyFile)
		if err != nil {
			return nil, configErrorf("read the key of --cluster-key-file: %v", err)
		}
		return checkKey(bytes.TrimSpace(key), c.ClusterKeyFile)
	}
	return nil, nil
}

// joinCluster makes this process a node of its cluster, and gives what joins the hub to the others; nil: there are none.
// Where the store can be appended to from elsewhere, pokes are heard by a single node as well.
func (a *App) joinCluster(store room.Store) (hub.Link, error) {
	pokes, ok := store.(room.Pokes)
	if !ok {
		return nil, nil
	}
	bus, err := a.cfg.openBus()
	if err != nil {
		return nil, err
	}
	key, err := a.cfg.clusterKey()
	if err != nil {
		return nil, err
	}
	a.node = cluster.New(cluster.Config{
		Bus: bus, Pokes: pokes, Name: a.cfg.Node, Cluster: a.cfg.Cluster, Key: key, Log: a.cfg.Log,
		Access:   func(ctx context.Context) error { return a.api.ReadAccess(ctx) },
		Degraded: a.degraded, Hears: a.hears(),
		Grown: func(id room.ID) {
			a.grew(id)
			a.api.Poked(id)
		},
		Named: func(id room.ID) {
			a.api.Grew(id)
			a.indexer.Grew(id)
		},
		Missed: func() {
			a.api.Missed()
			a.indexer.Grew("")
		},
	})
	a.undo.push("leave the cluster", a.node.Stop)
	if bus == nil {
		return nil, nil
	}
	return a.node, nil
}

// peerName is a node as the secrets of its streams name it.
func peerName(p cluster.Peer) string { return hex.EncodeToString(p[:]) }

// sayTo tells another node something for its api. A name that is none is that of a node of an older version, which hears nothing.
func (a *App) sayTo(node string, body []byte) {
	if to, err := hex.DecodeString(node); err == nil && len(to) == len(cluster.Peer{}) {
		a.node.SayTo(cluster.Peer(to), cluster.PartCommands, body)
	}
}

// busPart is the bus among the parts that a server may be without (rule NODE-2).
const busPart = "bus"

// degraded is told whether other nodes are heard of by the store alone.
func (a *App) degraded(is bool) {
	a.people.presence.Degraded(is)
	if is {
		a.cfg.Log.Warn("degraded: what other nodes append comes up to a second later")
		a.api.SetDegraded([]string{busPart})
	} else {
		a.cfg.Log.Info("other nodes are heard of at once again")
		a.api.SetDegraded(nil)
	}
}
