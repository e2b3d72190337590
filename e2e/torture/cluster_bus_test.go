package torture

import (
	"context"
	"errors"
	"math/rand/v2"

	"roomlog/chaos"
	"roomlog/server/bus/nats/natstest"
	"roomlog/server/bus/redis/redistest"
)

// busServer is the real server of a bus, which can be stopped, emptied and started again.
type busServer interface {
	address() string
	scheme() string
	protocol() chaos.Protocol
	stop() error
	flush(context.Context) error // between a start and a stop
	restart() error
	close() error
}

func startBus(name string) (busServer, error) {
	switch name {
	case "redis":
		s, err := redistest.Start("")
		return redisBus{s}, err
	case "nats":
		s, err := natstest.Start("jetstream { max_memory_store: 16MB, store_dir: jetstream }") // for the leases of presence
		return natsBus{s}, err
	}
	return nil, errors.New("a bus is redis or nats, not " + name)
}

type redisBus struct{ *redistest.Server }

func (b redisBus) address() string          { return b.Address() }
func (b redisBus) scheme() string           { return "redis" }
func (b redisBus) protocol() chaos.Protocol { return chaos.RESP }
func (b redisBus) stop() error              { return b.Stop() }
func (b redisBus) restart() error           { return b.Restart() }
func (b redisBus) close() error             { return b.Close() }

func (b redisBus) flush(ctx context.Context) error {
	_, err := b.Do(ctx, "FLUSHALL")
	return err
}

type natsBus struct{ *natstest.Server }

func (b natsBus) address() string             { return b.Address() }
func (b natsBus) scheme() string              { return "nats" }
func (b natsBus) protocol() chaos.Protocol    { return chaos.NATS }
func (b natsBus) stop() error                 { return b.Stop() }
func (b natsBus) restart() error              { return b.Restart() }
func (b natsBus) close() error                { return b.Close() }
func (b natsBus) flush(context.Context) error { return nil } // it keeps nothing

// busFates are what becomes of messages while a run breaks things: some of each, drawn anew each time.
func busFates(rng *rand.Rand) chaos.Messages {
	return chaos.Messages{
		Drop: 0.05 + 0.15*rng.Float64(), Repeat: 0.1 * rng.Float64(), Garble: 0.02 + 0.03*rng.Float64(),
		Late: 0.2 * rng.Float64(), By: late,
	}
}
