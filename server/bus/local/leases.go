package local

import (
	"context"
	"errors"
	"sync"
	"time"

	"roomlog/server/room"
)

// Leases is a room.Leases within one process: for tests of several nodes in one. Its clock is the process's, in place of the
// server's.
type Leases struct {
	medium  *Medium
	cluster string

	mu     sync.Mutex
	closed bool
}

// leases is what the medium keeps of them. Its lock is a leaf.
type leases struct {
	mu   sync.Mutex
	last room.Generation
	held map[leased]term
}

type leased struct{ cluster, name string }

// term is who holds a name, and until when.
type term struct {
	generation room.Generation
	until      time.Time
}

// Leases makes a handle of a cluster's leases on the medium. They do not answer while the medium is stopped, and are lost by it.
func (m *Medium) Leases(cluster string) *Leases { return &Leases{medium: m, cluster: cluster} }

// Flush loses all leases.
func (m *Medium) Flush() {
	m.leases.mu.Lock()
	defer m.leases.mu.Unlock()
	clear(m.leases.held)
}

var errLeasesClosed = errors.New("the leases are closed")

// do calls f with what is held, if the medium works.
func (l *Leases) do(ctx context.Context, f func(at *leases)) error {
	l.mu.Lock()
	closed := l.closed
	l.mu.Unlock()
	l.medium.mu.RLock()
	stopped := l.medium.stopped
	l.medium.mu.RUnlock()
	switch {
	case ctx.Err() != nil:
		return room.NoLeases(ctx.Err())
	case closed:
		return room.NoLeases(errLeasesClosed)
	case stopped:
		return room.NoLeases(errStopped)
	}
	at := &l.medium.leases
	at.mu.Lock()
	defer at.mu.Unlock()
	if at.held == nil {
		at.held = map[leased]term{}
	}
	f(at)
	return nil
}

// Hold is room.Leases's.
func (l *Leases) Hold(ctx context.Context, name string, ttl time.Duration) (g room.Generation, err error) {
	if !room.ValidLeaseName(name) {
		return 0, room.BadLeaseName()
	}
	err = l.do(ctx, func(at *leases) {
		at.last++
		g = at.last
		at.held[leased{l.cluster, name}] = term{g, time.Now().Add(ttl)}
	})
	return g, err
}

// Renew is room.Leases's.
func (l *Leases) Renew(ctx context.Context, lease room.Lease, ttl time.Duration) (held bool, err error) {
	err = l.do(ctx, func(at *leases) {
		key := leased{l.cluster, lease.Name}
		if t, ok := at.held[key]; ok && t.generation == lease.Generation && time.Now().Before(t.until) {
			at.held[key] = term{t.generation, time.Now().Add(ttl)}
			held = true
		}
	})
	return held, err
}

// Release is room.Leases's.
func (l *Leases) Release(ctx context.Context, lease room.Lease) error {
	return l.do(ctx, func(at *leases) {
		if key := (leased{l.cluster, lease.Name}); at.held[key].generation == lease.Generation {
			delete(at.held, key)
		}
	})
}

// List is room.Leases's.
func (l *Leases) List(ctx context.Context) (all []room.Lease, err error) {
	err = l.do(ctx, func(at *leases) {
		now := time.Now()
		for key, t := range at.held {
			if key.cluster == l.cluster && now.Before(t.until) {
				all = append(all, room.Lease{Name: key.name, Generation: t.generation})
			}
		}
	})
	return all, err
}

// Close is room.Leases's.
func (l *Leases) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	return nil
}
