// Package deploy holds how Roomlog is run as several nodes. `make cluster` has its load balancer from here, and
// compose.yaml the same one.
package deploy

import (
	_ "embed"
	"fmt"
	"strings"
)

// HAProxy is the configuration of the load balancer but for where it listens and where the nodes are.
//
//go:embed haproxy.cfg
var HAProxy []byte

// Node is a server behind the load balancer.
type Node struct {
	Name    string
	Address string // HOST:PORT
}

// Places is what follows HAProxy: where clients come in, in the words of a bind line, and the nodes, as
// haproxy.docker.cfg has them. When no node is ready, any of them is asked: each says in its own words what is wrong and
// when to come back, and serves what needs no database.
func Places(bind string, nodes []Node) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "frontend clients\n    bind %s\n    use_backend unready if { nbsrv(nodes) eq 0 }\n    default_backend nodes\n", bind)
	for _, backend := range []struct{ name, check string }{{"nodes", " check"}, {"unready", ""}} {
		fmt.Fprintf(&b, "\nbackend %s\n", backend.name)
		for _, n := range nodes {
			fmt.Fprintf(&b, "    server %s %s%s\n", n.Name, n.Address, backend.check)
		}
	}
	return []byte(b.String())
}
