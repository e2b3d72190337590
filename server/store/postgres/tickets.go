package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"roomlog/server/room"
)

// UseTicket is [room.TicketStore.UseTicket].
func (s *Store) UseTicket(ctx context.Context, id, user string, until time.Time) (first bool, err error) {
	n, err := s.change(ctx, `with old as (
			delete from roomlog.tickets where id in (
				select id from roomlog.tickets where who = $2 and first < now() - $4::interval order by first desc offset $5)
		)
		insert into roomlog.tickets (id, who, first, until) values ($1, $2, $3, $3) on conflict (id) do nothing`,
		id, user, until, room.TicketSlack, room.TicketsKept)
	return n == 1, err
}

// KeepTicket is [room.TicketStore.KeepTicket].
func (s *Store) KeepTicket(ctx context.Context, id string, kept []byte, until time.Time) error {
	_, err := s.change(ctx, `update roomlog.tickets set kept = $2, until = $3, tries = 0 where id = $1`, id, kept, until)
	return err
}

// TryTicket is [room.TicketStore.TryTicket].
func (s *Store) TryTicket(ctx context.Context, id string) (kept []byte, tries int, err error) {
	err = s.query(ctx, `update roomlog.tickets set tries = tries + 1 where id = $1 and kept is not null returning kept, tries`, []any{id},
		func(rows pgx.Rows) error {
			for rows.Next() {
				if err := rows.Scan(&kept, &tries); err != nil {
					return err
				}
			}
			return nil
		})
	return kept, tries, err
}

// ForgetTickets is [room.TicketStore.ForgetTickets].
func (s *Store) ForgetTickets(ctx context.Context, before time.Time) (int64, error) {
	return s.change(ctx, `delete from roomlog.tickets where until < $1`, before)
}

var _ room.TicketStore = (*Store)(nil)
