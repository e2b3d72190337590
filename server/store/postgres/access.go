package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"roomlog/server/room"
)

// accessSQL is what is in force, in one statement and so one snapshot: bans first, each in its order.
const accessSQL = `
select 1 as part, room, who, '' as token, null::timestamptz as before, until, reason, author, at
from roomlog.bans where until is null or until > $1
union all
select 2, '', who, token, before, until, reason, author, at from roomlog.revocations where until > $1
union all
select 3, room, who, '', null, until, reason, author, at from roomlog.mutes where until is null or until > $1
order by 1, 2, 3, 4`

// Access is [room.AccessStore.Access].
func (s *Store) Access(ctx context.Context, now time.Time) (room.Access, error) {
	var all room.Access
	err := s.query(ctx, accessSQL, []any{now}, func(rows pgx.Rows) error {
		all = room.Access{}
		for rows.Next() {
			var part int32
			var id, user, token, reason, by string
			var before, until *time.Time
			var at time.Time
			if err := rows.Scan(&part, &id, &user, &token, &before, &until, &reason, &by, &at); err != nil {
				return err
			}
			b := room.Ban{Room: room.ID(id), User: user, Until: given(until), Reason: reason, By: by, At: at.UTC()}
			switch part {
			case 1:
				all.Bans = append(all.Bans, b)
				continue
			case 3:
				all.Mutes = append(all.Mutes, b)
				continue
			}
			all.Revocations = append(all.Revocations, room.Revocation{
				User: user, Token: token, Before: given(before), Until: given(until), Reason: reason, By: by, At: at.UTC(),
			})
		}
		return nil
	})
	return all, err
}

// given is a time as it was kept; null is the zero time.
func given(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// kept is a time to be kept; the zero time is null.
func kept(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// pokeAccess begins a statement that changes access: the other nodes are told of it in the same transaction.
const pokeAccess = `with poke as (insert into roomlog.pokes (topic) values ('` + string(room.ClusterTopic) + `')) `

// putBanSQL and dropBanSQL are of bans, and of mutes, which are kept alike.
func putBanSQL(table string) string {
	return pokeAccess + `insert into roomlog.` + table + ` (room, who, until, reason, author, at) values ($1, $2, $3, $4, $5, $6)
		on conflict (room, who) do update set until = excluded.until, reason = excluded.reason, author = excluded.author, at = excluded.at`
}

func dropBanSQL(table string) string {
	return pokeAccess + `delete from roomlog.` + table + ` where room = $1 and who = $2`
}

// PutBan is [room.AccessStore.PutBan].
func (s *Store) PutBan(ctx context.Context, b room.Ban) error {
	_, err := s.change(ctx, putBanSQL("bans"), string(b.Room), b.User, kept(b.Until), b.Reason, b.By, b.At)
	return err
}

// DropBan is [room.AccessStore.DropBan].
func (s *Store) DropBan(ctx context.Context, id room.ID, user string) error {
	_, err := s.change(ctx, dropBanSQL("bans"), string(id), user)
	return err
}

// PutMute is [room.AccessStore.PutMute].
func (s *Store) PutMute(ctx context.Context, b room.Ban) error {
	_, err := s.change(ctx, putBanSQL("mutes"), string(b.Room), b.User, kept(b.Until), b.Reason, b.By, b.At)
	return err
}

// DropMute is [room.AccessStore.DropMute].
func (s *Store) DropMute(ctx context.Context, id room.ID, user string) error {
	_, err := s.change(ctx, dropBanSQL("mutes"), string(id), user)
	return err
}

// PutRevocation is [room.AccessStore.PutRevocation].
func (s *Store) PutRevocation(ctx context.Context, r room.Revocation) error {
	_, err := s.change(ctx, pokeAccess+`insert into roomlog.revocations as r (who, token, before, until, reason, author, at) values ($1, $2, $3, $4, $5, $6, $7)
		on conflict (who, token) do update set before = greatest(r.before, excluded.before), until = greatest(r.until, excluded.until),
			reason = excluded.reason, author = excluded.author, at = excluded.at`,
		r.User, r.Token, kept(r.Before), r.Until, r.Reason, r.By, r.At)
	return err
}

// ForgetAccess is [room.AccessStore.ForgetAccess].
func (s *Store) ForgetAccess(ctx context.Context, now time.Time) (int64, error) {
	bans, err := s.change(ctx, `delete from roomlog.bans where until <= $1`, now)
	if err != nil {
		return 0, err
	}
	mutes, err := s.change(ctx, `delete from roomlog.mutes where until <= $1`, now)
	if err != nil {
		return bans, err
	}
	revoked, err := s.change(ctx, `delete from roomlog.revocations where until <= $1`, now)
	return bans + mutes + revoked, err
}

// change runs one statement, a transaction by itself, and says how many rows it touched.
func (s *Store) change(ctx context.Context, sql string, args ...any) (int64, error) {
	leave, err := s.enter()
	if err != nil {
		return 0, err
	}
	defer leave()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return 0, refusal("connect", err)
	}
	defer s.release(ctx, conn)
	tag, err := conn.Exec(ctx, sql, args...)
	if err != nil {
		return 0, appendFailure(err, false)
	}
	return tag.RowsAffected(), nil
}

var _ room.AccessStore = (*Store)(nil)
