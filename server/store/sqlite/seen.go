package sqlite

import (
	"context"
	"encoding/json"
	"time"

	"roomlog/server/room"
)

func (w *writer) prepareSeen(ctx context.Context) error {
	return w.prepare(ctx, `insert into seen (who, at, until) values (?, ?, ?)
		on conflict do update set at = excluded.at, until = excluded.until where seen.at <= excluded.at`, &w.putSeen)
}

func (r *reader) prepareSeen(ctx context.Context) error {
	return r.prepare(ctx, `select s.who, s.at, s.until from json_each(?) j join seen s on s.who = j.value`, &r.lastSeen)
}

// PutSeen is [room.SeenStore.PutSeen]. ctx bounds the wait for a turn, which appends take too.
func (s *Store) PutSeen(ctx context.Context, list []room.LastSeen) error {
	return s.transact(ctx, "put seen", func(w *writer) error {
		for _, one := range list {
			if _, err := w.putSeen.ExecContext(background, one.User, one.At.UnixMicro(), one.Until.UnixMicro()); err != nil {
				return err
			}
		}
		return nil
	})
}

// LastSeen is [room.SeenStore.LastSeen]. ctx bounds the wait for a connection.
func (s *Store) LastSeen(ctx context.Context, users []string) (list []room.LastSeen, err error) {
	names, err := json.Marshal(users)
	if err != nil {
		return nil, err
	}
	err = s.read(ctx, func(r *reader) error {
		rows, err := r.lastSeen.QueryContext(background, string(names))
		if err != nil {
			return err
		}
		defer rows.Close()
		list = nil
		for rows.Next() {
			var one room.LastSeen
			var at, until int64
			if err := rows.Scan(&one.User, &at, &until); err != nil {
				return err
			}
			one.At, one.Until = time.UnixMicro(at).UTC(), time.UnixMicro(until).UTC()
			list = append(list, one)
		}
		return rows.Err()
	})
	return list, err
}

var _ room.SeenStore = (*Store)(nil)
