package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"roomlog/server/room"
)

// PutSeen is [room.SeenStore.PutSeen]. Rows are locked in one order, whoever else puts the same users.
func (s *Store) PutSeen(ctx context.Context, list []room.LastSeen) error {
	users, at, until := make([]string, len(list)), make([]time.Time, len(list)), make([]time.Time, len(list))
	for i, one := range list {
		users[i], at[i], until[i] = one.User, one.At, one.Until
	}
	_, err := s.change(ctx, `insert into roomlog.seen as s (who, at, until)
		select * from unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) as u (who, at, until) order by who collate "C"
		on conflict (who) do update set at = excluded.at, until = excluded.until where s.at <= excluded.at`, users, at, until)
	return err
}

// LastSeen is [room.SeenStore.LastSeen].
func (s *Store) LastSeen(ctx context.Context, users []string) (list []room.LastSeen, err error) {
	err = s.query(ctx, `select who, at, until from roomlog.seen where who = any ($1::text[])`, []any{users}, func(rows pgx.Rows) error {
		list = nil
		for rows.Next() {
			var one room.LastSeen
			if err := rows.Scan(&one.User, &one.At, &one.Until); err != nil {
				return err
			}
			one.At, one.Until = one.At.UTC(), one.Until.UTC()
			list = append(list, one)
		}
		return rows.Err()
	})
	return list, err
}

var _ room.SeenStore = (*Store)(nil)
