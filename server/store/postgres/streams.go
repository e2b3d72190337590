package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"roomlog/server/room"
)

// streamColumns are those of streams as s.
const streamColumns = `s.room, s.author, s.tag, coalesce(s.seq, 0), s.base, s.text, s.over`

const (
	beginStreamSQL = `insert into roomlog.streams as s (room, author, tag, base, until) values ($1, $2, $3, $4, clock_timestamp() + $5::interval)
		on conflict (room, author, tag) do update set until = greatest(s.until, excluded.until)`

	// bindStreamSQL holds on to the message: who deletes it finds the stream bound, or was before.
	bindStreamSQL = `with at as materialized (
			select r.id, e.seq from roomlog.rooms r join roomlog.events e on e.room = r.id and e.tag = $3 and e.author = $2
			where r.name = $1 and e.gone is null and not exists (select from roomlog.events x where x.tag = $5 and x.room = r.id and x.author = $2)
			for share of e
		)
		update roomlog.streams s set room_id = at.id, seq = at.seq, until = clock_timestamp() + $4::interval from at
		where s.room = $1 and s.author = $2 and s.tag = $3 returning ` + streamColumns

	findStreamsSQL = `select ` + streamColumns + ` from unnest($1::text[]) as a (room)
		join roomlog.rooms r on r.name = a.room join roomlog.streams s on s.room_id = r.id and s.seq > 0 and ($2 = 0 or s.seq = $2)`

	// keepStreamsSQL and keptStreamsSQL are statements of their own, so that the second sees what others kept while the first waited.
	keepStreamsSQL = `update roomlog.streams s set text = s.text || p.text, bytes = s.bytes + octet_length(p.text), until = clock_timestamp() + $5::interval
		from unnest($1::text[], $2::bigint[], $3::integer[], $4::text[]) with ordinality as p (room, seq, at, text, n) join roomlog.rooms r on r.name = p.room
		where s.room_id = r.id and s.seq = p.seq and s.bytes = p.at and not s.over returning p.n`

	keptStreamsSQL = `select p.n, s.bytes, s.over from unnest($1::text[], $2::bigint[]) with ordinality as p (room, seq, n)
		join roomlog.rooms r on r.name = p.room join roomlog.streams s on s.room_id = r.id and s.seq = p.seq`

	closeStreamSQL = `update roomlog.streams s set over = true, until = clock_timestamp() + $3::interval
		from roomlog.rooms r where r.name = $1 and s.room_id = r.id and s.seq = $2 returning ` + streamColumns

	endStreamSQL = `delete from roomlog.streams where room = $1 and author = $2 and tag = $3`

	lostStreamsSQL = `delete from roomlog.streams s where s.until < clock_timestamp() and s.room_id is not null
		and not exists (select from roomlog.rooms r where r.id = s.room_id)`

	overdueStreamsSQL = `update roomlog.streams s set over = true, until = clock_timestamp() + $2::interval where s.ctid = any (array(
		select x.ctid from roomlog.streams x where x.until < clock_timestamp() order by x.until limit $1 for update skip locked))
		returning ` + streamColumns
)

func scanStreams(into *[]room.Stream) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		*into = nil
		for rows.Next() {
			var s room.Stream
			var tag pgtype.UUID
			if err := rows.Scan(&s.Room, &s.Author, &tag, &s.Seq, &s.Base, &s.Text, &s.Over); err != nil {
				return err
			}
			s.Tag = tag.Bytes
			*into = append(*into, s)
		}
		return rows.Err()
	}
}

// BeginStream is [room.Streams.BeginStream].
func (s *Store) BeginStream(ctx context.Context, m room.Stream, lease time.Duration) error {
	_, err := s.exec(ctx, "begin a stream", beginStreamSQL, string(m.Room), m.Author, pgtype.UUID{Bytes: m.Tag, Valid: true}, m.Base, lease)
	return err
}

// BindStream is [room.Streams.BindStream].
func (s *Store) BindStream(ctx context.Context, id room.ID, author string, tag room.Tag, lease time.Duration) (room.Stream, bool, error) {
	var found []room.Stream
	start, end := pgtype.UUID{Bytes: tag, Valid: true}, pgtype.UUID{Bytes: tag.End(), Valid: true}
	err := s.streams(ctx, "open a stream", &found, bindStreamSQL, string(id), author, start, lease, end)
	if err == nil && len(found) == 0 {
		return room.Stream{}, false, s.EndStream(ctx, id, author, tag)
	}
	if err != nil {
		return room.Stream{}, false, err
	}
	return found[0], true, nil
}

// streams runs a statement that changes streams, in a transaction, and scans those that it returns.
func (s *Store) streams(ctx context.Context, step string, into *[]room.Stream, sql string, args ...any) error {
	return s.transact(ctx, step, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		return scanStreams(into)(rows)
	})
}

// FindStreams is [room.Streams.FindStreams].
func (s *Store) FindStreams(ctx context.Context, ids []room.ID, seq room.Seq) (found []room.Stream, err error) {
	err = s.query(ctx, findStreamsSQL, []any{names(ids), seq}, scanStreams(&found))
	return found, err
}

// KeepStreams is [room.Streams.KeepStreams].
func (s *Store) KeepStreams(ctx context.Context, pieces []room.Piece, lease time.Duration) ([]room.Kept, error) {
	rooms, seqs, from, texts := make([]string, len(pieces)), make([]int64, len(pieces)), make([]int32, len(pieces)), make([]string, len(pieces))
	for i, p := range pieces {
		rooms[i], seqs[i], from[i], texts[i] = string(p.Room), p.Seq, int32(p.From), p.Text
	}
	var out []room.Kept
	err := s.transact(ctx, "keep streams", func(tx pgx.Tx) error {
		out = make([]room.Kept, len(pieces))
		rows, err := tx.Query(ctx, keepStreamsSQL, rooms, seqs, from, texts, lease)
		if err != nil {
			return err
		}
		var n, bytes int
		var over bool
		if _, err := pgx.ForEachRow(rows, []any{&n}, func() error { out[n-1].Done = true; return nil }); err != nil {
			return err
		}
		if rows, err = tx.Query(ctx, keptStreamsSQL, rooms, seqs); err != nil {
			return err
		}
		_, err = pgx.ForEachRow(rows, []any{&n, &bytes, &over}, func() error {
			out[n-1].Found, out[n-1].Bytes, out[n-1].Over = true, bytes, over
			return nil
		})
		return err
	})
	return out, err
}

// CloseStream is [room.Streams.CloseStream].
func (s *Store) CloseStream(ctx context.Context, id room.ID, seq room.Seq, lease time.Duration) (room.Stream, bool, error) {
	var found []room.Stream
	if err := s.streams(ctx, "close a stream", &found, closeStreamSQL, string(id), seq, lease); err != nil || len(found) == 0 {
		return room.Stream{}, false, err
	}
	return found[0], true, nil
}

// EndStream is [room.Streams.EndStream].
func (s *Store) EndStream(ctx context.Context, id room.ID, author string, tag room.Tag) error {
	_, err := s.exec(ctx, "end a stream", endStreamSQL, string(id), author, pgtype.UUID{Bytes: tag, Valid: true})
	return err
}

// OverdueStreams is [room.Streams.OverdueStreams].
func (s *Store) OverdueStreams(ctx context.Context, limit int, lease time.Duration) (found []room.Stream, err error) {
	if _, err := s.exec(ctx, "forget streams", lostStreamsSQL); err != nil {
		return nil, err
	}
	err = s.streams(ctx, "take streams over", &found, overdueStreamsSQL, limit, lease)
	return found, err
}

var _ room.Streams = (*Store)(nil)
