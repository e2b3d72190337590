// Package postgres is the store for production: PostgreSQL 15 or later, shared by any number of nodes.
//
// Everything lives in the schema roomlog. Seqs are made in one place, the SQL function roomlog.append,
// which other backends may call inside transactions of their own (see migrations). A batch is one round
// trip; a read is one statement, so it needs no transaction to see one snapshot.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"roomlog/server/room"
)

const (
	// minVersion is 15.0, the oldest that is tested.
	minVersion = 150000
	// defaultConns is enough for one append, its successor, and reads that keep two cores busy. The DSN
	// may say otherwise by pool_max_conns.
	defaultConns = 10
	// keptForAppends is how many connections reads never take, so that acks do not wait for pages.
	keptForAppends = 2
	// openTimeout is how long a connection may take to be made at the start, where nobody waits for an answer.
	openTimeout = 5 * time.Second
	// connectTimeout is the same once the store serves. It is short: a database that is down is better answered as
	// unavailable than waited for, and before the hub has to say (after 2 s) that it does not know what became of a send.
	connectTimeout = 1500 * time.Millisecond
	// userTimeout is how long sent bytes may stay unacknowledged before the connection counts as lost.
	userTimeout = 10 * time.Second
)

// settings are what each session runs with. The DSN may override each by its name.
var settings = map[string]string{
	"application_name": "roomlog",
	// One statement per batch under the room's lock; the next must see what the last holder committed.
	"default_transaction_isolation": "read committed",
	// A room held elsewhere for longer (a paused node) is answered as unavailable, not waited for.
	"lock_timeout": "2s",
	// Below the hub's patience of 10 s with an append: a refusal by the database is a definite answer,
	// where giving up on it would leave the outcome unknown.
	"statement_timeout": "8s",
	// We never pause inside a transaction; whoever does (a frozen node) loses its locks.
	"idle_in_transaction_session_timeout": "5s",
	// The server's side of a connection whose node has vanished, so that its locks go with it.
	"tcp_keepalives_idle":     "10",
	"tcp_keepalives_interval": "5",
	"tcp_keepalives_count":    "3",
	"tcp_user_timeout":        "10000",
	// Plans are made once per connection, maybe while the tables are empty, and every query has an
	// index: a plan that scans would be a trap for when they are full.
	"jit": "off", "enable_seqscan": "off", "plan_cache_mode": "force_generic_plan",
}

// Store is a [room.Store] in a PostgreSQL database. Its methods may be called concurrently.
type Store struct {
	info   room.Info // but for the durability, which may change
	pool   *pgxpool.Pool
	reads  chan struct{} // one for each read under way
	ground *ground

	pokesKept time.Duration // pokesKept, but in tests

	mu     sync.Mutex
	closed bool
	calls  sync.WaitGroup // calls in flight; added to only under mu while not closed
	stop   func()         // ends what watch began
}

// Open connects to the database of dsn, postgres://… or key=value, and migrates it. It fails if the
// server is older than 15, if the database is not in UTF-8, or if a newer Roomlog migrated it. A server
// that is down later is no failure of the store: calls are refused as unavailable until it is back.
// A database that is a copy or a restore gets a new epoch; log (nil: nothing is logged) is told.
// ctx bounds the opening alone.
func Open(ctx context.Context, dsn string, log *slog.Logger) (*Store, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	cfg, err := configure(dsn)
	if err != nil {
		return nil, fmt.Errorf("open postgres: %w", err)
	}
	if err := migrate(ctx, cfg.ConnConfig, log); err != nil {
		return nil, fmt.Errorf("open postgres: %w", err)
	}
	s := &Store{ground: newGround(log), reads: make(chan struct{}, max(1, cfg.MaxConns-keptForAppends)), pokesKept: pokesKept}
	line, err := s.stand(ctx, cfg.ConnConfig)
	if err != nil {
		return nil, fmt.Errorf("open postgres: %w", err)
	}
	if s.info, err = describe(ctx, line); err != nil { // as patient as the rest of the opening, which the pool is not
		hangUp(line)
		return nil, fmt.Errorf("open postgres: %w", err)
	}
	if !saysConnectTimeout(dsn) {
		cfg.ConnConfig.ConnectTimeout = connectTimeout
	}
	lineTo := cfg.ConnConfig.Copy()
	cfg.AfterConnect = s.ground.judge
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		hangUp(line)
		return nil, fmt.Errorf("open postgres: %w", err)
	}
	s.pool = pool
	s.watch(line, lineTo)
	return s, nil
}

// stand judges the database once, before anything is read from it, and gives the connection.
func (s *Store) stand(ctx context.Context, cfg *pgx.ConnConfig) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, cfg.Copy())
	if err != nil {
		return nil, err
	}
	if err := s.ground.open(ctx, conn); err != nil {
		hangUp(conn)
		return nil, err
	}
	return conn, nil
}

// watch begins to look after the database, until stop: its settings from time to time, and whether it is there.
func (s *Store) watch(line *pgx.Conn, cfg *pgx.ConnConfig) {
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { s.sweep(ctx) })
	watching.Go(func() { s.attend(ctx, line, cfg) })
	s.stop = sync.OnceFunc(func() {
		cancel()
		watching.Wait()
	})
}

// configure reads dsn and adds what it does not say.
func configure(dsn string) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err // pgx leaves the password out
	}
	if !strings.Contains(dsn, "pool_max_conns") {
		cfg.MaxConns = defaultConns
	}
	conn := cfg.ConnConfig
	for name, value := range settings {
		if _, said := conn.RuntimeParams[name]; !said {
			conn.RuntimeParams[name] = value
		}
	}
	if !saysConnectTimeout(dsn) {
		conn.ConnectTimeout = openTimeout
	}
	dialer := &net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3},
		Control:         limitUnacknowledged,
	}
	conn.DialFunc = dialer.DialContext
	return cfg, nil
}

func saysConnectTimeout(dsn string) bool { return strings.Contains(dsn, "connect_timeout") }

// describe reads what the server promises, and refuses one that cannot hold the store.
func describe(ctx context.Context, conn *pgx.Conn) (room.Info, error) {
	var version, encoding string
	var number int
	err := conn.QueryRow(ctx, `select current_setting('server_version'), current_setting('server_version_num')::int,
		current_setting('server_encoding')`).Scan(&version, &number, &encoding)
	switch {
	case err != nil:
		return room.Info{}, err
	case number < minVersion:
		return room.Info{}, fmt.Errorf("PostgreSQL %s is too old; 15 or later is needed", version)
	case encoding != "UTF8":
		return room.Info{}, fmt.Errorf("the database is encoded in %s; UTF8 is needed", encoding)
	}
	return room.Info{Name: "postgres", Version: version}, nil
}

// Info describes the server as it was when the store was opened, and its durability as it was last seen.
func (s *Store) Info() room.Info {
	info := s.info
	info.Durability, info.Relaxed = s.ground.terms()
	return info
}

// Close waits for the calls in flight and closes the connections. Later calls are refused as
// `going_away`.
func (s *Store) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.calls.Wait()
	s.stop()
	s.pool.Close()
	return nil
}

// enter registers a call; its result must be called when the call ends.
func (s *Store) enter() (func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, &room.Error{Code: room.CodeGoingAway, Title: "The store is closed."}
	}
	s.calls.Add(1)
	return s.calls.Done, nil
}

// release gives a connection back. Where it turned out to be lost, its idle siblings are suspected of
// the same and replaced, so that the store is whole as soon as the server is back.
func (s *Store) release(ctx context.Context, conn *pgxpool.Conn) {
	lost := conn.Conn().IsClosed() && ctx.Err() == nil
	conn.Release()
	if lost {
		s.pool.Reset()
	}
}

// errShort says that the server gave fewer rows than the statement has.
var errShort = errors.New("the answer is incomplete")

var _ room.Shared = (*Store)(nil)
