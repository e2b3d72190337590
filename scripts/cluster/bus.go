//go:build unix

package main

import (
	"context"
	"path/filepath"

	"roomlog/child"
	"roomlog/server/bus/nats/natstest"
	"roomlog/server/bus/redis/redistest"
)

// buses are how each kind of bus is started.
var buses = map[string]func(*cluster) error{
	"redis": startRedis,
	"nats":  startNATS,
	"none":  func(*cluster) error { return nil },
}

func startRedis(c *cluster) error {
	dir, err := c.folder("redis")
	if err != nil {
		return err
	}
	server, err := redistest.StartIn(dir, "")
	if err != nil {
		return err
	}
	c.busDSN = "redis://" + server.Address()
	c.addBus("Redis", dir, server)
	return nil
}

func startNATS(c *cluster) error {
	dir, err := c.folder("nats")
	if err != nil {
		return err
	}
	server, err := natstest.StartIn(dir, "jetstream { max_memory_store: 16MB, store_dir: jetstream }") // for the leases of presence
	if err != nil {
		return err
	}
	c.busDSN = server.URL()
	c.addBus("NATS", dir, server)
	return nil
}

// bus is a server that keeps its address when it is started again.
type bus interface {
	Restart() error
	Process() *child.Process
	Stop() error
}

// addBus adds the server of busDSN to the parts.
func (c *cluster) addBus(name, dir string, server bus) {
	p := &part{name: name, at: c.busDSN, log: filepath.Join(dir, "log"), Process: server.Process(), stop: server.Stop}
	p.again = func(context.Context) error {
		err := server.Restart()
		p.Process = server.Process()
		return err
	}
	c.parts = append(c.parts, p)
}
