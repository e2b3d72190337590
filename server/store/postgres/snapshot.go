package postgres

import (
	"context"
	"fmt"
	"time"

	"roomlog/server/room"
)

// snapshotSQL finds the oldest transaction of this database that keeps dead rows alive. Of other users'
// sessions the server says when they began only to members of pg_monitor.
const snapshotSQL = `select coalesce(extract(epoch from clock_timestamp() - min(began)), 0)::float8 from (
	select xact_start as began from pg_stat_activity
		where datname = current_database() and pid <> pg_backend_pid() and (backend_xmin is not null or backend_xid is not null)
	union all
	select prepared from pg_prepared_xacts where database = current_database()
) held`

// OldestSnapshot is [room.SnapshotAger.OldestSnapshot].
func (s *Store) OldestSnapshot(ctx context.Context) (time.Duration, error) {
	leave, err := s.enter()
	if err != nil {
		return 0, err
	}
	defer leave()
	var seconds float64
	if err := s.pool.QueryRow(ctx, snapshotSQL).Scan(&seconds); err != nil {
		return 0, fmt.Errorf("read the oldest snapshot: %w", err)
	}
	return time.Duration(max(seconds, 0) * float64(time.Second)), nil
}

var _ room.SnapshotAger = (*Store)(nil)
