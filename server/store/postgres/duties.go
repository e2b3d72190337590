package postgres

import (
	"context"
	"time"

	"roomlog/server/room"
)

// takeDutySQL takes what nobody has, what one has oneself, and what another has let go by.
const takeDutySQL = `insert into roomlog.duties as d (duty, holder, until) values ($1, $2, clock_timestamp() + $3::interval)
	on conflict (duty) do update set holder = excluded.holder, until = excluded.until where d.holder = excluded.holder or d.until < clock_timestamp()`

// TakeDuty is [room.Duties.TakeDuty].
func (s *Store) TakeDuty(ctx context.Context, duty, holder string, lasts time.Duration) (bool, error) {
	tag, err := s.exec(ctx, "take a duty", takeDutySQL, duty, holder, lasts)
	return tag.RowsAffected() > 0, err
}

// LeaveDuty is [room.Duties.LeaveDuty].
func (s *Store) LeaveDuty(ctx context.Context, duty, holder string) error {
	_, err := s.exec(ctx, "leave a duty", `delete from roomlog.duties where duty = $1 and holder = $2`, duty, holder)
	return err
}

var _ room.Duties = (*Store)(nil)
