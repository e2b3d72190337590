package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// target is a kind of server to measure. Each run starts one of its own, empty.
type target interface {
	name() string // in the table
	can() ability
	built() error // nil, or in one sentence what is missing
	start(ctx context.Context) (server, error)
}

// server is a target that runs, and the language of its clients.
type server interface {
	dialect
	at() string // host:port
	usage() (usage, error)
	stop() error // an error too where it had ended by itself
}

// dialect is how the clients of a target speak. What it knows of one connection is in the client; its methods
// are called for many clients at once, and look and publish for each frame: they allocate nothing.
type dialect interface {
	// token is what a client shows to be taken for user; it may be empty.
	token(ctx context.Context, user string) (string, error)
	// path is that of the WebSocket's upgrade.
	path(c *client) string
	// hello writes the first frames on a new connection: it shows c.token and joins c.room, where
	// that is not empty, from c.position, where that is not empty. What has to wait for an answer is written by look.
	hello(c *client) error
	// publish appends the text of a frame that sends s.
	publish(b []byte, c *client, s *send) []byte
	// look takes a frame. It sets c.entered once hello is answered in full; counts and checks delivered events
	// (c.follows or c.bodies), and answered sends (c.acked); answers pings; keeps c.position, where the target has any.
	look(c *client, frame []byte) error
}

// send is one event to be sent.
type send struct {
	room string
	n    int64  // counts those of the connection to the room, from 1
	tag  string // a UUID
	data []byte // a JSON object (appendBody)
}

// ability is what a row needs of a target.
type ability uint

const (
	// resumes: a client that comes back is given what it has missed.
	resumes ability = 1 << iota
	// restarts: so it is after a restart on the same store.
	restarts
	// streams: Server-Sent Events.
	streams
	// onPostgres: the store is a PostgreSQL database.
	onPostgres
	// clusters: several serve the same rooms, joined by a bus.
	clusters
	// tells: the server is ours, and tells by its metrics what it does.
	tells
	// durable: an answered send outlives the server's process.
	durable
)

// peers are what Roomlog is compared with.
var peers []target

// chosen gives the targets of a run: Roomlog on each store, and the peers that were asked for.
func chosen(o *Options) ([]target, error) {
	var list []target
	for _, store := range o.Stores {
		list = append(list, roomlogTarget{binary: o.Binary, store: store})
	}
	var missing []error
	for _, name := range o.Peers {
		i := slices.IndexFunc(peers, func(p target) bool { return p.name() == name })
		if i < 0 {
			var there []string
			for _, p := range peers {
				there = append(there, p.name())
			}
			return nil, fmt.Errorf("no peer is named %q; there are: %s", name, strings.Join(there, ", "))
		}
		if err := peers[i].built(); err != nil {
			missing = append(missing, fmt.Errorf("%s: %w", name, err))
		}
		list = append(list, peers[i])
	}
	if o.AllPeers {
		for _, p := range peers {
			if err := p.built(); err != nil {
				fmt.Fprintf(o.Progress, "%s is left out: %v\n", p.name(), err)
			} else if !slices.Contains(o.Peers, p.name()) {
				list = append(list, p)
			}
		}
	}
	return list, errors.Join(missing...)
}
