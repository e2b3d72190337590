package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"roomlog/server/room"
)

// identity is what a connection tells of the database at its other end.
type identity struct {
	system   string    // the cluster's identifier, which survives failover; empty where the user may not ask
	place    string    // oids of the database and of the table meta: a load from a dump makes new ones
	timeline int32     // moves on with each promotion and each recovery to a point in time
	started  time.Time // of the server process: another one may serve other files
	relaxed  string    // not part of it, but asked for with it: see relaxedSQL
}

func (a identity) equal(b identity) bool {
	return a.system == b.system && a.place == b.place && a.timeline == b.timeline && a.started.Equal(b.started)
}

// identitySQL asks for an identity; its verb is the cluster's identifier. The timeline is not taken from
// pg_control_checkpoint, which follows a promotion only at the next checkpoint.
const identitySQL = `select pg_is_in_recovery(), %s,
	(select oid from pg_database where datname = current_database()) || '/' || 'roomlog.meta'::regclass::oid,
	case when pg_is_in_recovery() then 0 else ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int end,
	pg_postmaster_start_time(), ` + relaxedSQL

const (
	systemSQL       = "(select system_identifier::text from pg_control_system())"
	noSystemSQL     = "''"
	notPermitted    = "42501"
	identifyTimeout = 5 * time.Second
)

// mostWitnesses bounds the rooms whose last known event is looked for in a database that may be another.
const mostWitnesses = 1024

// ground watches that the database under the store stays the one it was. Postgres itself cannot tell a
// failover from a restore, since either may be a new process, another machine, a new timeline; so what
// decides is data: the last events that this node has seen stored.
type ground struct {
	log     *slog.Logger
	sql     string        // set by open
	changed chan struct{} // see room.Watcher; holds one

	mu  sync.Mutex // held while a new connection is judged
	now identity

	relaxed atomic.Pointer[string] // why less than full durability is promised, as last seen; nil: not seen
	stale   chan struct{}          // holds one when that has changed: there are connections of before

	seenMu sync.Mutex
	seen   map[room.ID]room.Position // the newest event that an append returned, of some rooms
}

func newGround(log *slog.Logger) *ground {
	return &ground{log: log, sql: fmt.Sprintf(identitySQL, systemSQL), changed: make(chan struct{}, 1), stale: make(chan struct{}, 1), seen: make(map[room.ID]room.Position)}
}

// open judges the database by its first connection.
func (g *ground) open(ctx context.Context, conn *pgx.Conn) error {
	_, err := g.identify(ctx, conn)
	var e *pgconn.PgError
	if errors.As(err, &e) && e.Code == notPermitted {
		g.log.Warn("the database user may not call pg_control_system: a copy of the whole cluster is not noticed at start; run `roomlog epoch bump` after a restore")
		g.sql = fmt.Sprintf(identitySQL, noSystemSQL)
	}
	return g.judge(ctx, conn)
}

// judge looks at a new connection before it is used. Where it leads to another server process or another
// database than before, the database is compared with what is known of it.
func (g *ground) judge(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, identifyTimeout)
	defer cancel()
	id, err := g.identify(ctx, conn)
	if err != nil {
		return fmt.Errorf("identify the database: %w", err)
	}
	g.agree(id.relaxed)
	g.mu.Lock()
	defer g.mu.Unlock()
	if id.equal(g.now) {
		return nil
	}
	if err := g.settle(ctx, conn, id); err != nil {
		return fmt.Errorf("compare the database with what it was: %w", err)
	}
	g.now = id
	g.tell()
	return nil
}

// tell lets who waits for Changed look.
func (g *ground) tell() {
	select {
	case g.changed <- struct{}{}:
	default:
	}
}

// identify refuses a standby: it may be behind what is acknowledged, and cannot be written.
func (g *ground) identify(ctx context.Context, conn *pgx.Conn) (id identity, err error) {
	var standby bool
	err = conn.QueryRow(ctx, g.sql).Scan(&standby, &id.system, &id.place, &id.timeline, &id.started, &id.relaxed)
	if err == nil && standby {
		err = errors.New("the server is a standby, which cannot be written")
	}
	return id, err
}

// note remembers where an append left its rooms.
func (g *ground) note(out room.Appended) {
	g.seenMu.Lock()
	defer g.seenMu.Unlock()
	for _, r := range out.Rooms {
		if _, known := g.seen[r.Head.Room]; !known && len(g.seen) >= mostWitnesses {
			for other := range g.seen { // any
				delete(g.seen, other)
				break
			}
		}
		g.seen[r.Head.Room] = r.Head.Position()
	}
}

// Changed is [room.Watcher.Changed]: the store has connected to another server process or database, or to the same again
// after it was away.
func (s *Store) Changed() <-chan struct{} { return s.ground.changed }

var _ room.Watcher = (*Store)(nil)
