package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"roomlog/server/room"
)

// streamColumns are those of streams as s.
const streamColumns = `s.room, s.author, s.tag, coalesce(s.seq, 0), s.base, s.text, s.over`

const (
	beginStream = `insert into streams (room, author, tag, base, until) values (?, ?, ?, ?, ?)
		on conflict do update set until = max(until, excluded.until)`

	// bindStream finds what selectBound says, which has the message.
	bindStream = `update streams set room_id = ?4, seq = ?5, until = ?6 where room = ?1 and author = ?2 and tag = ?3`

	selectMessage = `select r.id, e.seq from rooms r join events e on e.tag = ?3 and e.room = r.id and e.author = ?2
		where r.name = ?1 and e.gone is null and not exists (select 1 from events x where x.tag = ?4 and x.room = r.id and x.author = ?2)`

	selectOfTag = `select ` + streamColumns + ` from streams s where s.room = ? and s.author = ? and s.tag = ?`

	selectStreams = `select ` + streamColumns + ` from json_each(?1) j join rooms r on r.name = j.value
		join streams s on s.room_id = r.id and s.seq > 0 and (?2 = 0 or s.seq = ?2)`

	keepStream = `update streams set text = text || ?4, bytes = bytes + ?5, until = ?6
		where room_id = (select id from rooms where name = ?1) and seq = ?2 and bytes = ?3 and over = 0`

	selectKept = `select bytes, over from streams where room_id = (select id from rooms where name = ?) and seq = ?`

	closeStream = `update streams set over = 1, until = ?3 where room_id = (select id from rooms where name = ?1) and seq = ?2`

	endStream = `delete from streams where room = ? and author = ? and tag = ?`

	lostStreams = `delete from streams where until < ? and room_id is not null and room_id not in (select id from rooms)`

	selectOverdueStreams = `select ` + streamColumns + ` from streams s where s.until < ? order by s.until limit ?`

	takeStream = `update streams set over = 1, until = ?4 where room = ?1 and author = ?2 and tag = ?3`
)

func scanStream(rows *sql.Rows) (s room.Stream, err error) {
	var tag []byte
	err = rows.Scan(&s.Room, &s.Author, &tag, &s.Seq, &s.Base, &s.Text, &s.Over)
	copy(s.Tag[:], tag)
	return s, err
}

func (w *writer) streams(query string, args ...any) (list []room.Stream, err error) {
	rows, err := w.conn.QueryContext(background, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		s, err := scanStream(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, rows.Err()
}

func (s *Store) leased(lease time.Duration) int64 { return s.clock().Add(lease).UnixMicro() }

// BeginStream is [room.Streams.BeginStream]. ctx bounds the wait for a turn, as in all that follow but FindStreams.
func (s *Store) BeginStream(ctx context.Context, m room.Stream, lease time.Duration) error {
	_, err := s.change(ctx, beginStream, string(m.Room), m.Author, m.Tag[:], m.Base, s.leased(lease))
	return err
}

// BindStream is [room.Streams.BindStream].
func (s *Store) BindStream(ctx context.Context, id room.ID, author string, tag room.Tag, lease time.Duration) (out room.Stream, found bool, err error) {
	end := tag.End()
	err = s.transact(ctx, "open a stream", func(w *writer) error {
		var roomID, seq int64
		switch err := w.conn.QueryRowContext(background, selectMessage, string(id), author, tag[:], end[:]).Scan(&roomID, &seq); err {
		case sql.ErrNoRows:
			_, err = w.conn.ExecContext(background, endStream, string(id), author, tag[:])
			return err
		case nil:
		default:
			return err
		}
		if _, err := w.conn.ExecContext(background, bindStream, string(id), author, tag[:], roomID, seq, s.leased(lease)); err != nil {
			return err
		}
		list, err := w.streams(selectOfTag, string(id), author, tag[:])
		if found = len(list) > 0; found {
			out = list[0]
		}
		return err
	})
	return out, found && err == nil, err
}

// FindStreams is [room.Streams.FindStreams]. ctx bounds the wait for a connection.
func (s *Store) FindStreams(ctx context.Context, ids []room.ID, seq room.Seq) (list []room.Stream, err error) {
	names, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	err = s.read(ctx, func(r *reader) error {
		list = nil
		return r.each(background, selectStreams, []any{string(names), seq}, func(rows *sql.Rows) error {
			one, err := scanStream(rows)
			list = append(list, one)
			return err
		})
	})
	return list, err
}

// KeepStreams is [room.Streams.KeepStreams].
func (s *Store) KeepStreams(ctx context.Context, pieces []room.Piece, lease time.Duration) (out []room.Kept, err error) {
	err = s.transact(ctx, "keep streams", func(w *writer) error {
		out = make([]room.Kept, len(pieces))
		for i, p := range pieces {
			n, err := affected(w.conn.ExecContext(background, keepStream, string(p.Room), p.Seq, p.From, p.Text, len(p.Text), s.leased(lease)))
			if err != nil {
				return err
			}
			k := &out[i]
			k.Done = n > 0
			switch err := w.conn.QueryRowContext(background, selectKept, string(p.Room), p.Seq).Scan(&k.Bytes, &k.Over); err {
			case nil:
				k.Found = true
			case sql.ErrNoRows:
			default:
				return err
			}
		}
		return nil
	})
	return out, err
}

// CloseStream is [room.Streams.CloseStream].
func (s *Store) CloseStream(ctx context.Context, id room.ID, seq room.Seq, lease time.Duration) (out room.Stream, found bool, err error) {
	err = s.transact(ctx, "close a stream", func(w *writer) error {
		if _, err := w.conn.ExecContext(background, closeStream, string(id), seq, s.leased(lease)); err != nil {
			return err
		}
		list, err := w.streams(selectStreams, `["`+string(id)+`"]`, seq)
		if found = len(list) > 0; found {
			out = list[0]
		}
		return err
	})
	return out, found && err == nil, err
}

// EndStream is [room.Streams.EndStream].
func (s *Store) EndStream(ctx context.Context, id room.ID, author string, tag room.Tag) error {
	_, err := s.change(ctx, endStream, string(id), author, tag[:])
	return err
}

// OverdueStreams is [room.Streams.OverdueStreams]. It takes a turn only where there are some.
func (s *Store) OverdueStreams(ctx context.Context, limit int, lease time.Duration) (list []room.Stream, err error) {
	due := 0
	err = s.read(ctx, func(r *reader) error {
		return r.each(background, `select 1 from streams where until < ? limit 1`, []any{s.clock().UnixMicro()}, func(*sql.Rows) error {
			due++
			return nil
		})
	})
	if err != nil || due == 0 {
		return nil, err
	}
	err = s.transact(ctx, "take streams over", func(w *writer) error {
		now := s.clock().UnixMicro()
		if _, err := w.conn.ExecContext(background, lostStreams, now); err != nil {
			return err
		}
		if list, err = w.streams(selectOverdueStreams, now, limit); err != nil {
			return err
		}
		for i := range list {
			m := &list[i]
			if _, err := w.conn.ExecContext(background, takeStream, string(m.Room), m.Author, m.Tag[:], s.leased(lease)); err != nil {
				return err
			}
			m.Over = true
		}
		return nil
	})
	return list, err
}

var _ room.Streams = (*Store)(nil)
