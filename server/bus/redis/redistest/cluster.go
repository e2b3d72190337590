//go:build unix

package redistest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"roomlog/child"
)

// Cluster is a Redis Cluster of primaries that share the slots evenly, without replicas.
type Cluster struct{ Servers []*Server }

const slots = 16384

// StartCluster starts a cluster of n servers.
func StartCluster(ctx context.Context, program string, n int) (*Cluster, error) {
	c := &Cluster{}
	for range n {
		// The port of the cluster's own traffic is asked for as well: the usual one, 10000 higher, may be taken or too high.
		own, err := child.FreePort()
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		s, err := Start(program, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(own),
			"--cluster-node-timeout", "3000", "--cluster-config-file", "nodes.conf")
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.Servers = append(c.Servers, s)
	}
	for i, s := range c.Servers {
		from, to := i*slots/n, (i+1)*slots/n-1
		if _, err := s.Do(ctx, "CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(from), strconv.Itoa(to)); err != nil {
			return nil, errors.Join(err, c.Close())
		}
		if _, err := s.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1)); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	for _, s := range c.Servers[1:] {
		own := s.args[3]
		if _, err := c.Servers[0].Do(ctx, "CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(s.port), own); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	if err := c.Settle(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Settle waits until every server knows the others, and all slots are served.
func (c *Cluster) Settle(ctx context.Context) error {
	for _, s := range c.Servers {
		for {
			info, err := s.Do(ctx, "CLUSTER", "INFO")
			if err == nil && strings.Contains(info, "cluster_state:ok") &&
				strings.Contains(info, "cluster_known_nodes:"+strconv.Itoa(len(c.Servers))) {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("the cluster does not settle: %s %w", info, errors.Join(err, ctx.Err()))
			case <-time.After(20 * time.Millisecond): // between two questions to another process
			}
		}
	}
	return nil
}

// Close ends all servers.
func (c *Cluster) Close() error {
	var errs []error
	for _, s := range c.Servers {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
