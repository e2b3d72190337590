package sqlite

import (
	"context"
	"database/sql"
	"time"

	"roomlog/server/room"
)

// micros is a time as it is kept; the zero time is null.
func micros(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: !t.IsZero()}
}

func fromMicros(n sql.NullInt64) time.Time {
	if !n.Valid || n.Int64 == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n.Int64).UTC()
}

// Access is [room.AccessStore.Access].
func (s *Store) Access(ctx context.Context, now time.Time) (room.Access, error) {
	var all room.Access
	err := s.read(ctx, func(r *reader) (err error) {
		if all.Bans, err = r.bans("bans", now); err != nil {
			return err
		}
		if all.Mutes, err = r.bans("mutes", now); err != nil {
			return err
		}
		all.Revocations, err = r.revocations(now)
		return err
	})
	return all, err
}

// bans reads a table of bans or of mutes, which are kept alike.
func (r *reader) bans(table string, now time.Time) (bans []room.Ban, err error) {
	rows, err := r.conn.QueryContext(background, `select room, who, until, reason, author, at from `+table+`
		where until is null or until > ? order by room, who`, now.UnixMicro())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var b room.Ban
		var until, at sql.NullInt64
		if err := rows.Scan(&b.Room, &b.User, &until, &b.Reason, &b.By, &at); err != nil {
			return nil, err
		}
		b.Until, b.At = fromMicros(until), fromMicros(at)
		bans = append(bans, b)
	}
	return bans, rows.Err()
}

func (r *reader) revocations(now time.Time) (revoked []room.Revocation, err error) {
	rows, err := r.conn.QueryContext(background, `select who, token, before, until, reason, author, at from revocations
		where until > ? order by who, token`, now.UnixMicro())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var v room.Revocation
		var before, until, at sql.NullInt64
		if err := rows.Scan(&v.User, &v.Token, &before, &until, &v.Reason, &v.By, &at); err != nil {
			return nil, err
		}
		v.Before, v.Until, v.At = fromMicros(before), fromMicros(until), fromMicros(at)
		revoked = append(revoked, v)
	}
	return revoked, rows.Err()
}

func (s *Store) putBan(ctx context.Context, table string, b room.Ban) error {
	_, err := s.change(ctx, `insert into `+table+` (room, who, until, reason, author, at) values (?, ?, ?, ?, ?, ?)
		on conflict do update set until = excluded.until, reason = excluded.reason, author = excluded.author, at = excluded.at`,
		string(b.Room), b.User, micros(b.Until), b.Reason, b.By, b.At.UnixMicro())
	return err
}

func (s *Store) dropBan(ctx context.Context, table string, id room.ID, user string) error {
	_, err := s.change(ctx, `delete from `+table+` where room = ? and who = ?`, string(id), user)
	return err
}

// PutBan is [room.AccessStore.PutBan].
func (s *Store) PutBan(ctx context.Context, b room.Ban) error { return s.putBan(ctx, "bans", b) }

// DropBan is [room.AccessStore.DropBan].
func (s *Store) DropBan(ctx context.Context, id room.ID, user string) error {
	return s.dropBan(ctx, "bans", id, user)
}

// PutMute is [room.AccessStore.PutMute].
func (s *Store) PutMute(ctx context.Context, b room.Ban) error { return s.putBan(ctx, "mutes", b) }

// DropMute is [room.AccessStore.DropMute].
func (s *Store) DropMute(ctx context.Context, id room.ID, user string) error {
	return s.dropBan(ctx, "mutes", id, user)
}

// PutRevocation is [room.AccessStore.PutRevocation].
func (s *Store) PutRevocation(ctx context.Context, r room.Revocation) error {
	var before int64
	if !r.Before.IsZero() {
		before = r.Before.UnixMicro()
	}
	_, err := s.change(ctx, `insert into revocations (who, token, before, until, reason, author, at) values (?, ?, ?, ?, ?, ?, ?)
		on conflict do update set before = max(before, excluded.before), until = max(until, excluded.until),
			reason = excluded.reason, author = excluded.author, at = excluded.at`,
		r.User, r.Token, before, r.Until.UnixMicro(), r.Reason, r.By, r.At.UnixMicro())
	return err
}

// ForgetAccess is [room.AccessStore.ForgetAccess].
func (s *Store) ForgetAccess(ctx context.Context, now time.Time) (int64, error) {
	bans, err := s.change(ctx, `delete from bans where until <= ?`, now.UnixMicro())
	if err != nil {
		return 0, err
	}
	mutes, err := s.change(ctx, `delete from mutes where until <= ?`, now.UnixMicro())
	if err != nil {
		return int64(bans), err
	}
	revoked, err := s.change(ctx, `delete from revocations where until <= ?`, now.UnixMicro())
	return int64(bans + mutes + revoked), err
}

// change runs one statement in a turn of the writer, durable when it returns, and says how many rows it
// touched. ctx bounds the wait for the turn.
func (s *Store) change(ctx context.Context, query string, args ...any) (rows int, err error) {
	err = s.transact(ctx, "change", func(w *writer) error {
		rows, err = affected(w.conn.ExecContext(background, query, args...))
		return err
	})
	return rows, err
}

var _ room.AccessStore = (*Store)(nil)
