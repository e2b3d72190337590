package bench

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"time"
)

// busOf is what the nodes of one cluster share beside their database.
type busOf struct {
	url, cluster, key string
	process           *process // nil: somebody else's
}

// cluster is several nodes of one target, on its database and joined by a bus.
type cluster struct {
	bus   *busOf
	nodes []server
}

// startCluster starts n nodes on the database of the trial's server, and a bus unless one is given.
func (t *trial) startCluster(ctx context.Context, n int) (c *cluster, err error) {
	one, ok := t.target.(roomlogTarget)
	if !ok {
		return nil, errors.New("only Roomlog is started as a cluster")
	}
	c = &cluster{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
		}
	}()
	if c.bus, err = startBus(ctx, t.Bus); err != nil {
		return c, err
	}
	one.bus = c.bus
	for range n {
		node, err := one.start(ctx)
		if err != nil {
			return c, err
		}
		c.nodes = append(c.nodes, node)
	}
	return c, nil
}

// redisServer is the program of the bus that is started where none is given, and redisEnv names another.
const (
	redisServer = "redis-server"
	redisEnv    = "ROOMLOG_REDIS_SERVER"
)

// startBus makes a cluster of its own on the bus of that URL, or on a Redis server that it starts.
func startBus(ctx context.Context, url string) (*busOf, error) {
	bus := &busOf{url: url, cluster: "bench-" + newTag()[26:], key: rand.Text() + rand.Text()}
	if url != "" {
		return bus, nil
	}
	program, err := exec.LookPath(cmp.Or(os.Getenv(redisEnv), redisServer))
	if err != nil {
		return nil, fmt.Errorf("many nodes need a bus: give --bus redis://HOST:PORT or nats://HOST:PORT, install redis-server, or name one in %s: %w", redisEnv, err)
	}
	bus.process, err = startProcess(ctx, func(addr, dir string) *exec.Cmd {
		_, port, _ := net.SplitHostPort(addr) // it is one of freeAddr
		return exec.Command(program, "--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no", "--daemonize", "no")
	}, nil)
	if err != nil {
		return nil, err
	}
	bus.url = "redis://" + bus.process.at()
	return bus, nil
}

// busCPU is what the bus has used; 0 where it is not ours.
func (c *cluster) busCPU() (time.Duration, error) {
	if c.bus.process == nil {
		return 0, nil
	}
	u, err := c.bus.process.usage()
	return u.CPU, err
}

// usage is that of all nodes together.
func (c *cluster) usage() (sum usage, err error) {
	for _, node := range c.nodes {
		u, err := node.usage()
		if err != nil {
			return sum, err
		}
		sum.CPU, sum.RSS = sum.CPU+u.CPU, sum.RSS+u.RSS
	}
	return sum, nil
}

// node is node i, counted around.
func (c *cluster) node(i int) server { return c.nodes[i%len(c.nodes)] }

// stop ends the nodes, then the bus.
func (c *cluster) stop() error {
	var errs []error
	for _, node := range c.nodes {
		errs = append(errs, node.stop())
	}
	if c.bus != nil && c.bus.process != nil {
		errs = append(errs, c.bus.process.stop())
	}
	return errors.Join(errs...)
}

// with starts a cluster for as long as do takes.
func (t *trial) with(ctx context.Context, n int, do func(*cluster) ([]measured, error)) ([]measured, error) {
	c, err := t.startCluster(ctx, n)
	if err != nil {
		return nil, err
	}
	out, err := do(c)
	return out, errors.Join(err, c.stop())
}

// costs are what the parts have used since they were metered; rss is what the servers hold now.
type costs struct {
	servers, database, bus time.Duration
	rss                    int64
}

// meter counts, from now on, what the nodes use (nil: the trial's server), their bus and the database. What cannot be seen
// from here is 0.
func (t *trial) meter(ctx context.Context, c *cluster) (func() (costs, error), error) {
	servers, bus := t.usage, func() (time.Duration, error) { return 0, nil }
	if c != nil {
		servers, bus = c.usage, c.busCPU
	}
	database, err := t.databaseCPU(ctx)
	if err != nil {
		return nil, err
	}
	before, errServers := servers()
	busBefore, errBus := bus()
	return func() (k costs, err error) {
		after, errServers := servers()
		busAfter, errBus := bus()
		if database != nil {
			k.database, err = database()
		}
		k.servers, k.bus, k.rss = after.CPU-before.CPU, busAfter-busBefore, after.RSS
		return k, errors.Join(errServers, errBus, err)
	}, errors.Join(errServers, errBus)
}
