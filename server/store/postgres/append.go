package postgres

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"roomlog/server/room"
)

// appendSQL takes a batch as arrays: however many sends, one statement and one round trip.
const appendSQL = `select * from roomlog.append($1::text[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::boolean[], $7::integer[])`

// Append is [room.Store.Append]. If ctx ends after the batch was sent, the outcome is unknown.
func (s *Store) Append(ctx context.Context, batch []room.Send) (room.Appended, error) {
	leave, err := s.enter()
	if err != nil {
		return room.Appended{}, err
	}
	defer leave()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return room.Appended{}, refusal("connect", err)
	}
	defer s.release(ctx, conn)
	query, args := appendSQL, columns(batch)
	if sent := rewritten(batch); sent != nil {
		query, args = appendRewrittenSQL, append(args, sent)
	}
	rows, err := conn.Query(ctx, query, args...)
	if err != nil {
		return room.Appended{}, appendFailure(err, false)
	}
	out, err := collect(rows, batch)
	if err == nil {
		err = resent(ctx, conn.Conn(), batch, out.Verdicts)
	}
	if err == nil {
		s.ground.note(out)
	}
	return out, err
}

// columns turns a batch into the arguments of appendSQL.
func columns(batch []room.Send) []any {
	n := len(batch)
	rooms, authors, types := make([]string, n), make([]string, n), make([]string, n)
	tags, datas, repeats := make([][16]byte, n), make([][]byte, n), make([]bool, n)
	for i, s := range batch {
		rooms[i], authors[i], types[i] = string(s.Room), s.Author, s.Type
		tags[i], datas[i], repeats[i] = s.Tag, s.Data, s.Repeat
	}
	return []any{rooms, authors, tags, types, datas, repeats, limits(batch)}
}

// limits are the room limits of a batch; nil where it has none.
func limits(batch []room.Send) []int32 {
	var most []int32
	for i, s := range batch {
		if s.RoomLimit > 0 && most == nil {
			most = make([]int32, len(batch))
		}
		if s.RoomLimit > 0 {
			most[i] = int32(min(s.RoomLimit, math.MaxInt32))
		}
	}
	return most
}

// collect reads the answer. It is an answer only once the server is ready again, which is when the
// transaction is committed: rows that came before an error mean nothing.
func collect(rows pgx.Rows, batch []room.Send) (room.Appended, error) {
	out := room.Appended{Verdicts: make([]room.Verdict, len(batch))}
	var a answer
	fields := a.fields()
	got := 0
	for rows.Next() {
		if err := rows.Scan(fields...); err != nil {
			break // Scan has closed rows; Err has the error
		}
		i := int(a.send) - 1
		out.Verdicts[i] = a.verdict(batch[i].RoomLimit)
		if a.epoch != nil {
			out.Rooms = append(out.Rooms, a.growth(batch[i].Room))
		}
		got++
	}
	rows.Close()
	answered := got == len(batch)
	if err := rows.Err(); err != nil {
		return room.Appended{}, appendFailure(err, answered)
	}
	if !answered {
		return room.Appended{}, fmt.Errorf("append: %w: %w", room.ErrOutcomeUnknown, errShort)
	}
	slices.SortFunc(out.Rooms, func(a, b room.Growth) int { return cmp.Compare(a.Head.Room, b.Head.Room) })
	return out, nil
}

// answer is a row of the function's answer.
type answer struct {
	send                                                 int32
	outcome                                              string
	seq, mark                                            *int64
	at                                                   *time.Time
	epoch                                                *string
	before, beforeMark, head, headMark, floor, floorMark *int64
	room                                                 *int64 // its id
}

func (a *answer) fields() []any {
	return []any{&a.send, &a.outcome, &a.seq, &a.mark, &a.at, &a.epoch, &a.before, &a.beforeMark, &a.head, &a.headMark, &a.floor, &a.floorMark, &a.room}
}

func (a *answer) verdict(roomLimit int) room.Verdict {
	switch a.outcome {
	case "limit_exceeded":
		return room.Verdict{Refused: room.TooManyRooms(roomLimit)}
	case "tag_conflict":
		return room.Verdict{Refused: room.TagConflict()}
	case "not_stored":
		return room.Verdict{NotStored: true}
	}
	return room.Verdict{Seq: *a.seq, Mark: room.Mark(*a.mark), At: a.at.UTC(), Duplicate: a.outcome == "duplicate"}
}

func (a *answer) growth(id room.ID) room.Growth {
	return room.Growth{
		Head: room.Head{
			Room: id, Epoch: room.Epoch(*a.epoch), Floor: *a.floor, FloorMark: room.Mark(*a.floorMark),
			Seq: *a.head, Mark: room.Mark(*a.headMark),
		},
		Before: *a.before, BeforeMark: room.Mark(*a.beforeMark),
	}
}
