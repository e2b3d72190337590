package nats

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"roomlog/server/bus/link"
	"roomlog/server/room"
)

// Leases is a room.Leases on a key-value bucket of JetStream, `roomlog_<cluster>`, kept in memory, with a key for each name that holds the
// generation and for how long the lease is good. When it was renewed, and what time it is, are the server's timestamps: those of the key
// and of another, `clock`, that is written to be read. The time to live of the keys themselves is not used: an update
// does not renew it (github.com/nats-io/nats.go/issues/1994). A generation is the microsecond at which it was drawn, or one more than the one
// before.
type Leases struct {
	dsn, bucket string
	sockets     *link.Sockets

	mu     sync.Mutex
	conn   *nats.Conn         // nil before the first call
	kv     jetstream.KeyValue // nil where the bucket may have to be made
	closed bool
}

// leaseKept is how long the server keeps what was not renewed, so that no generation is given again.
const leaseKept = 24 * time.Hour

// OpenLeases makes a handle of a cluster's leases over the servers of a DSN, as [Open] takes it; it connects when it is first used. An
// error is one of the DSN or the cluster's name, and holds no secret.
func OpenLeases(dsn, cluster string) (*Leases, error) {
	if _, err := Open(dsn, cluster, room.BusOptions{}); err != nil { // which judges both
		return nil, err
	}
	return &Leases{dsn: dsn, bucket: "roomlog_" + cluster, sockets: link.NewSockets(net.Dialer{Timeout: silence, KeepAlive: silence})}, nil
}

var (
	errLeasesClosed = errors.New("the leases are closed")
	errNoJetStream  = errors.New("JetStream is off on this NATS server, so nodes have no leases and show nobody of each other: " +
		"switch it on by `jetstream {}` in the server's configuration")
)

// open is the bucket, made where it is not there.
func (l *Leases) open(ctx context.Context) (jetstream.KeyValue, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errLeasesClosed
	}
	if l.conn == nil {
		conn, err := nats.Connect(l.dsn, nats.Name("roomlog leases"), nats.SetCustomDialer(l.sockets), nats.MaxReconnects(-1),
			nats.ReconnectWait(100*time.Millisecond), nats.ReconnectJitter(100*time.Millisecond, 100*time.Millisecond), nats.Timeout(silence),
			nats.FlusherTimeout(silence), nats.PingInterval(pingGap), nats.MaxPingsOutstanding(1), nats.ReconnectBufSize(-1))
		if err != nil {
			return nil, fmt.Errorf("connect to NATS: %w", err)
		}
		l.conn = conn
	}
	if l.kv == nil {
		js, err := jetstream.New(l.conn)
		if err != nil {
			return nil, err
		}
		kv, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: l.bucket, Storage: jetstream.MemoryStorage, TTL: leaseKept})
		switch {
		case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
			return nil, errNoJetStream
		case err != nil:
			return nil, err
		}
		l.kv = kv
	}
	return l.kv, nil
}

// do calls f with the bucket; once more where the server has lost it, for which it has several errors.
func (l *Leases) do(ctx context.Context, f func(context.Context, jetstream.KeyValue) error) error {
	ctx, cancel := context.WithTimeout(ctx, 2*silence)
	defer cancel()
	var last error
	for range 2 {
		kv, err := l.open(ctx)
		if err != nil {
			return room.NoLeases(err)
		}
		if last = f(ctx, kv); last == nil {
			return nil
		}
		l.mu.Lock()
		l.kv = nil
		l.mu.Unlock()
		if ctx.Err() != nil {
			break
		}
	}
	return room.NoLeases(last)
}

// record is what a key holds.
type record struct {
	generation room.Generation
	until      time.Time // by the server's clock; zero: it is not held
	revision   uint64    // 0: there is no such key
}

func keyOf(name string) string { return "node_" + encode(room.Topic(name)) }

func text(g room.Generation, ttl time.Duration) []byte {
	return fmt.Appendf(nil, "%d %d", g, ttl.Microseconds())
}

func parseRecord(e jetstream.KeyValueEntry) (r record) {
	r.revision = e.Revision()
	first, second, _ := strings.Cut(string(e.Value()), " ")
	g, err := strconv.ParseUint(first, 10, 64)
	ttl, err2 := strconv.ParseInt(second, 10, 64)
	if err != nil || err2 != nil {
		return r // of somebody who is about to hold it
	}
	r.generation = room.Generation(g)
	if ttl > 0 {
		r.until = e.Created().Add(time.Duration(ttl) * time.Microsecond)
	}
	return r
}

func get(ctx context.Context, kv jetstream.KeyValue, name string) (record, error) {
	e, err := kv.Get(ctx, keyOf(name))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return record{}, nil
	}
	if err != nil {
		return record{}, err
	}
	return parseRecord(e), nil
}

// clock is what time it is at the server.
func clock(ctx context.Context, kv jetstream.KeyValue) (time.Time, error) {
	if _, err := kv.Put(ctx, "clock", nil); err != nil {
		return time.Time{}, err
	}
	e, err := kv.Get(ctx, "clock")
	if err != nil {
		return time.Time{}, err
	}
	return e.Created(), nil
}

// Hold is room.Leases's. It writes twice: to learn the time, then the generation, if nobody came between.
func (l *Leases) Hold(ctx context.Context, name string, ttl time.Duration) (g room.Generation, err error) {
	if !room.ValidLeaseName(name) {
		return 0, room.BadLeaseName()
	}
	err = l.do(ctx, func(ctx context.Context, kv jetstream.KeyValue) error {
		for {
			before, err := get(ctx, kv, name)
			if err != nil {
				return err
			}
			revision, err := kv.Put(ctx, keyOf(name), text(before.generation, 0))
			if err != nil {
				return err
			}
			e, err := kv.Get(ctx, keyOf(name))
			if err != nil {
				return err
			}
			if e.Revision() != revision {
				continue
			}
			g = max(room.Generation(e.Created().UnixMicro()), before.generation+1)
			if _, err = kv.Update(ctx, keyOf(name), text(g, ttl), revision); !errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
				return err
			}
		}
	})
	return g, err
}

// Renew is room.Leases's.
func (l *Leases) Renew(ctx context.Context, lease room.Lease, ttl time.Duration) (held bool, err error) {
	err = l.do(ctx, func(ctx context.Context, kv jetstream.KeyValue) error {
		held = false
		now, err := clock(ctx, kv)
		if err != nil {
			return err
		}
		r, err := get(ctx, kv, lease.Name)
		if err != nil || r.generation != lease.Generation || !now.Before(r.until) {
			return err
		}
		_, err = kv.Update(ctx, keyOf(lease.Name), text(r.generation, ttl), r.revision)
		held = err == nil
		if errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
			return nil // somebody took it
		}
		return err
	})
	return held, err
}

// Release is room.Leases's.
func (l *Leases) Release(ctx context.Context, lease room.Lease) error {
	return l.do(ctx, func(ctx context.Context, kv jetstream.KeyValue) error {
		r, err := get(ctx, kv, lease.Name)
		if err != nil || r.generation != lease.Generation {
			return err
		}
		_, err = kv.Update(ctx, keyOf(lease.Name), text(r.generation, 0), r.revision)
		if errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
			return nil
		}
		return err
	})
}

// List is room.Leases's.
func (l *Leases) List(ctx context.Context) (all []room.Lease, err error) {
	err = l.do(ctx, func(ctx context.Context, kv jetstream.KeyValue) error {
		all = nil
		now, err := clock(ctx, kv)
		if err != nil {
			return err
		}
		watcher, err := kv.WatchAll(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = watcher.Stop() }() // what it may still say is not asked for
		for {
			select {
			case e := <-watcher.Updates():
				if e == nil { // that was what there is
					return nil
				}
				level, ours := strings.CutPrefix(e.Key(), "node_")
				if name, ok := decode(level); ours && ok {
					if r := parseRecord(e); now.Before(r.until) {
						all = append(all, room.Lease{Name: string(name), Generation: r.generation})
					}
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	return all, err
}

// Close is room.Leases's.
func (l *Leases) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conn != nil && !l.closed {
		l.sockets.Close() // a server that reads nothing would hold up the library's own end
		l.conn.Close()
	}
	l.closed = true
	return nil
}
