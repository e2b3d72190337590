package torture

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"roomlog/chaos"
)

// startNodes starts the nodes one after the other, the first of which makes the schema.
func (c *cluster) startNodes(ctx context.Context) error {
	var random [64]byte
	rand.Read(random[:])
	c.key = []byte(hex.EncodeToString(random[:32]))
	key, clusterKey := filepath.Join(c.dir, "key"), filepath.Join(c.dir, "cluster-key")
	if err := os.WriteFile(key, c.key, 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(clusterKey, []byte(hex.EncodeToString(random[32:])), 0o600); err != nil {
		return err
	}
	config := filepath.Join(c.dir, "roomlog.yaml")
	if err := os.WriteFile(config, []byte(kindsOfClusters), 0o600); err != nil {
		return err
	}
	for i := range clusterNodes {
		name := string(rune('a' + i))
		dir := filepath.Join(c.dir, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		line, err := chaos.ListenBroker("127.0.0.1:0", c.bus.address(), c.bus.protocol(), uint64(c.seed)+uint64(i))
		if err != nil {
			return err
		}
		c.lines = append(c.lines, line)
		n, err := newNode(c.binary, dir, c.db.DSN("")+"&application_name=roomlog-"+name)
		if err != nil {
			return err
		}
		n.name, n.env = name, c.env
		n.base = []string{"serve", "--config", config, "--origins", "none", "--key-file", key}
		n.args = []string{
			"--node", name, "--pause-limit", pauseLimit.String(), "--cluster", "torture", "--cluster-key-file", clusterKey,
			"--bus", c.bus.scheme() + "://" + line.Addr().String(),
		}
		n.args = append(n.args, presenceArgs...)
		c.nodes = append(c.nodes, n)
		if err := n.start(ctx); err != nil {
			return fmt.Errorf("node %s: %w", name, err)
		}
	}
	return nil
}

func (c *cluster) doors() []door {
	var list []door
	for _, n := range c.nodes {
		list = append(list, door{n.addr, n.name})
	}
	return list
}

// lastRoom is where the last hint before silence is dropped while everything else goes on.
const lastRoom = "chat:last"

func clusterRoom(i int) string { return fmt.Sprintf("chat:room-%d", i) }

// cast makes the clients: readers of each room over each transport, writers, and readers whose access comes and goes.
// Each connection of a client, and each poll, goes to another node than the one before.
func (c *cluster) cast() error {
	transports := []string{"ws", "sse", "poll"}
	for i := range clusterRooms {
		c.rooms = append(c.rooms, clusterRoom(i))
	}
	c.rooms = append(c.rooms, lastRoom)
	token := func(user string, can ...string) (string, error) {
		return sign(c.key, user, []grant{{Rooms: "*", Can: can}}, 12*time.Hour)
	}
	follow := func(name, transport, room string) error {
		t, err := token(name, "read")
		rng := c.draw()
		c.followers = append(c.followers, &follower{
			name: name, transport: transport, room: room, token: t, rec: c.rec, rng: rng, moves: rounds(rng, c.doors()), position: "0",
		})
		return err
	}
	for i := range clusterFollowers {
		if err := follow(fmt.Sprintf("reader-%d", i), transports[i/clusterRooms%3], clusterRoom(i%clusterRooms)); err != nil {
			return err
		}
	}
	for _, transport := range transports {
		if err := follow("last-"+transport, transport, lastRoom); err != nil {
			return err
		}
	}
	for i := range clusterOutcasts {
		if err := follow(fmt.Sprintf("outcast-%d", i), transports[i%3], clusterRoom(i)); err != nil {
			return err
		}
		f := c.followers[len(c.followers)-1]
		f.outcast = true
		f.refresh = func() (string, time.Duration) { // one that was issued after the last revocation
			t, err := token(f.name, "read")
			if err != nil {
				panic(err)
			}
			return t, 12 * time.Hour
		}
		c.outcasts = append(c.outcasts, f)
	}
	for i := range clusterWriters {
		name := fmt.Sprintf("writer-%d", i)
		t, err := token(name, "read", "send")
		if err != nil {
			return err
		}
		rng := c.draw()
		c.writers = append(c.writers, &writer{
			// Each room has writers of both transports.
			name: name, transport: []string{"ws", "http"}[(i+i/clusterRooms)%2], room: clusterRoom(i % clusterRooms),
			token: t, rec: c.rec, rng: rng, moves: rounds(rng, c.doors()), pace: clusterPace,
		})
	}
	return nil
}

// wardens are those whose revocations last long enough to be seen on every node, and not so long that a later look
// would find them by itself. Each has outcasts of its own.
func (c *cluster) wardens() (list []*warden, err error) {
	token, err := sign(c.key, "warden", []grant{{Rooms: "*", Can: []string{"read", "admin"}}}, 12*time.Hour)
	for some := range slices.Chunk(c.outcasts, 2) {
		rng := c.draw()
		doors := rounds(rng, c.doors())
		list = append(list, &warden{
			rec: c.rec, rng: rng, token: token, door: func() string { return doors().addr }, outcasts: some,
			least: revokeBound + time.Second, most: revokeBound + 3*time.Second, bound: revokeBound,
		})
	}
	return list, err
}
