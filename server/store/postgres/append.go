package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"roomlog/server/room"
)

// appendSQL takes a batch as arrays: however many sends, one statement and one round trip.
const appendSQL = `select * from roomlog.append($1::text[], $2::integer[], $3::integer[], $4::integer[], $5::text[], $6::uuid[],
	$7::text[], $8::text[], $9::boolean[], $10::integer[], $11::bytea[], $12::boolean, $13::integer, $14::jsonb)`

// Append is [room.Store.Append]. If ctx ends after the batch was sent, the outcome is unknown.
func (s *Store) Append(ctx context.Context, batch []room.Send) (room.Appended, error) {
	return s.append(ctx, batch, new(int32))
}

// AppendWithin is [room.Shared.AppendWithin].
func (s *Store) AppendWithin(ctx context.Context, batch []room.Send, wait time.Duration) (room.Appended, error) {
	var within *int32
	if wait > 0 {
		within = new(int32)
		*within = int32(min(max(wait.Milliseconds(), 1), math.MaxInt32))
	}
	out, err := s.append(ctx, batch, within)
	if e := (*pgconn.PgError)(nil); wait > 0 && errors.As(err, &e) && e.Code == lockNotAvailable {
		out, err = room.Appended{Verdicts: make([]room.Verdict, len(batch))}, nil
		for i := range out.Verdicts {
			out.Verdicts[i].Held = true
		}
	}
	return out, err
}

// append waits for the rooms of the batch for so many milliseconds, 0 is for as long as the session does; nil: it
// does not wait, and some may be held.
func (s *Store) append(ctx context.Context, batch []room.Send, wait *int32) (room.Appended, error) {
	if len(batch) == 0 {
		return room.Appended{}, nil
	}
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
	l := lay(batch)
	a, err := l.run(ctx, conn, wait)
	if err != nil {
		return room.Appended{}, err
	}
	out, err := l.appended(a)
	if err == nil {
		err = resent(ctx, conn.Conn(), batch, out.Verdicts)
	}
	if err == nil {
		goneMeanwhile(batch, out.Verdicts)
		s.ground.note(out)
	}
	return out, err
}

// rounds is how often a batch is begun anew because rows of rooms that do not exist come and go.
const rounds = 8

// run has the batch appended; where one of its rooms has no row yet, by a second call, which makes it.
func (l *layout) run(ctx context.Context, conn *pgxpool.Conn, wait *int32) (answer, error) {
	for round := range rounds {
		a, err := ask(ctx, conn, l.arguments(round > 0, wait))
		if err != nil || a.heads != nil {
			return a, err
		}
	}
	return answer{}, refusal("append", errors.New("the rows of its rooms come and go"))
}

// ask calls the function once. There is an answer only once the server is ready again, which is when the
// transaction is committed: a row that came before an error means nothing.
func ask(ctx context.Context, conn *pgxpool.Conn, args []any) (answer, error) {
	var a answer
	rows, err := conn.Query(ctx, appendSQL, args...)
	if err != nil {
		return a, appendFailure(err, false)
	}
	answered := rows.Next()
	if answered {
		err = rows.Scan(a.fields()...)
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return a, appendFailure(err, answered)
	}
	if err == nil && !answered {
		err = errShort
	}
	if err != nil {
		return a, fmt.Errorf("append: %w: %w", room.ErrOutcomeUnknown, err)
	}
	return a, nil
}

// answer is the row that the function gives (see its migration).
type answer struct {
	epoch                            *string
	mark                             *int64
	at                               *time.Time
	generations, added               []int32
	heads, marks, floors, floorMarks []int64
	others                           []int32
	outcomes                         []string
	seqs, otherMarks                 []int64
	ats                              []time.Time
	targets                          []*int64
}

func (a *answer) fields() []any {
	return []any{
		&a.epoch, &a.mark, &a.at, &a.generations, &a.heads, &a.marks, &a.floors, &a.floorMarks, &a.added,
		&a.others, &a.outcomes, &a.seqs, &a.otherMarks, &a.ats, &a.targets,
	}
}

// layout is a batch as the function takes it: its rooms in order, each once, and the sends that it has to judge.
type layout struct {
	batch   []room.Send
	names   []string
	counts  []int32     // sends of each room
	sends   []int       // the places in the batch of the sends that the function is given
	rooms   []int32     // of each of them, from 1
	numbers []int32     // among those of its room, from 1
	follows map[int]int // sends that repeat an earlier one of the batch, by that
	again   []int       // from 1, those of sends whose tag a change before them has, which may be refused
}

// lay parts the sends that the function has to judge from those that only repeat another of the same batch.
func lay(batch []room.Send) *layout {
	l := &layout{batch: batch, sends: make([]int, 0, len(batch))}
	place := make(map[room.ID]int32, 1)
	first := make(map[key]int, len(batch))
	for i := range batch {
		s := &batch[i]
		k := key{s.Room, s.Author, s.Tag}
		if j, again := first[k]; again {
			if s.Repeat || !conditional(&batch[j]) {
				l.follow(i, j)
				continue
			}
			l.again = append(l.again, len(l.sends)+1)
		}
		if !s.Repeat {
			first[k] = i
		}
		l.sends = append(l.sends, i)
		if place[s.Room] == 0 {
			l.names = append(l.names, string(s.Room))
			place[s.Room] = 1
		}
	}
	slices.Sort(l.names)
	for i, name := range l.names {
		place[room.ID(name)] = int32(i + 1)
	}
	l.counts = make([]int32, len(l.names))
	l.rooms, l.numbers = make([]int32, len(l.sends)), make([]int32, len(l.sends))
	for n, i := range l.sends {
		at := place[batch[i].Room]
		l.counts[at-1]++
		l.rooms[n], l.numbers[n] = at, l.counts[at-1]
	}
	return l
}

// conditional reports whether a send may be refused for what its room has, so that one that repeats it has to be judged itself.
func conditional(s *room.Send) bool {
	return s.Change != nil || s.State != nil || s.Doc != nil && s.Doc.ID != ""
}

func (l *layout) follow(i, j int) {
	if l.follows == nil {
		l.follows = make(map[int]int)
	}
	l.follows[i] = j
}

// key is what is unique among the events that are stored.
type key struct {
	room   room.ID
	author string
	tag    room.Tag
}

// arguments are those of appendSQL. The last of the arrays are null where no send has what they are about.
func (l *layout) arguments(create bool, wait *int32) []any {
	n := len(l.sends)
	authors, types := make([]string, n), make([]string, n)
	tags, datas := make([][16]byte, n), make([][]byte, n)
	var repeats []bool
	var limits []int32
	var sent [][]byte
	for i, at := range l.sends {
		s := &l.batch[at]
		authors[i], types[i], tags[i], datas[i] = s.Author, s.Type, s.Tag, s.Data
		if s.Repeat {
			set(&repeats, n)[i] = true
		}
		if s.RoomLimit > 0 {
			set(&limits, n)[i] = int32(min(s.RoomLimit, math.MaxInt32))
		}
		if s.Rewritten() {
			set(&sent, n)[i] = s.Sent[:]
		}
	}
	return []any{l.names, l.counts, l.rooms, l.numbers, authors, tags, types, datas, repeats, limits, sent, create, wait, l.changes()}
}

// set makes a slice of n when its first element is set.
func set[T any](list *[]T, n int) []T {
	if *list == nil {
		*list = make([]T, n)
	}
	return *list
}

// appended reads the answer.
func (l *layout) appended(a answer) (room.Appended, error) {
	if !a.fits(len(l.names), len(l.sends)) {
		return room.Appended{}, fmt.Errorf("append: %w: %w", room.ErrOutcomeUnknown, errShort)
	}
	out := room.Appended{Verdicts: make([]room.Verdict, len(l.batch)), Rooms: make([]room.Growth, 0, len(l.names))}
	for i, n := range a.others {
		at := l.sends[n-1]
		if a.outcomes[i] == "follows" {
			l.follow(at, l.sends[a.seqs[i]-1])
		}
		out.Verdicts[at] = a.verdict(i, &l.batch[at])
	}
	next := slices.Clone(a.heads)
	mark, at := room.Mark(*a.mark), a.at.UTC()
	for n, i := range l.sends {
		if v := &out.Verdicts[i]; *v == (room.Verdict{}) {
			next[l.rooms[n]-1]++
			*v = room.Verdict{Seq: next[l.rooms[n]-1], Mark: mark, At: at}
		}
	}
	for n, target := range a.targets {
		if target != nil {
			out.Verdicts[l.sends[n]].Target = *target
		}
	}
	for i := range l.batch { // in order: one may follow another that does
		if j, follows := l.follows[i]; follows {
			out.Verdicts[i] = l.following(i, j, out.Verdicts[j])
		}
	}
	for i, name := range l.names {
		if a.generations[i] >= 0 {
			out.Rooms = append(out.Rooms, a.growth(room.ID(name), i))
		}
	}
	return out, nil
}

// fits reports whether an answer is about as many rooms and sends as were asked about.
func (a *answer) fits(rooms, sends int) bool {
	for _, n := range []int{len(a.generations), len(a.heads), len(a.marks), len(a.floors), len(a.floorMarks), len(a.added)} {
		if n != rooms {
			return false
		}
	}
	for _, n := range []int{len(a.outcomes), len(a.seqs), len(a.otherMarks), len(a.ats)} {
		if n != len(a.others) {
			return false
		}
	}
	if a.targets != nil && len(a.targets) != sends {
		return false
	}
	for _, n := range a.others {
		if n < 1 || int(n) > sends {
			return false
		}
	}
	for i, outcome := range a.outcomes {
		if outcome == "follows" && (a.seqs[i] < 1 || a.seqs[i] >= int64(a.others[i])) {
			return false
		}
	}
	return a.epoch != nil && a.mark != nil && a.at != nil
}

// verdict is that of other i, which was not stored.
func (a *answer) verdict(i int, s *room.Send) room.Verdict {
	if way, is := strings.CutPrefix(a.outcomes[i], "conflict:"); is {
		return room.Verdict{Refused: room.Conflict(inTheWay(way))}
	}
	switch a.outcomes[i] {
	case "keys":
		keys, _ := s.State.Bounds()
		return room.Verdict{Refused: room.TooMuchState("keys", keys)}
	case "bytes":
		_, bytes := s.State.Bounds()
		return room.Verdict{Refused: room.TooMuchState("bytes", bytes)}
	case "limit_exceeded":
		if s.Change != nil { // which makes no room
			return room.Verdict{Refused: room.TooManyEmoji()}
		}
		return room.Verdict{Refused: room.TooManyRooms(s.RoomLimit)}
	case "unknown_target":
		return room.Verdict{Refused: room.UnknownTarget()}
	case "not_yours":
		return room.Verdict{Refused: room.NotYours()}
	case "too_late":
		return room.Verdict{Refused: room.TooLate(s.Change.Within)}
	case "doc_replaced":
		return room.Verdict{Refused: s.Doc.Replaced()}
	case "tag_conflict":
		return room.Verdict{Refused: room.TagConflict()}
	case "not_stored":
		return room.Verdict{NotStored: true}
	case "held":
		return room.Verdict{Held: true}
	}
	return room.Verdict{Seq: a.seqs[i], Mark: room.Mark(a.otherMarks[i]), At: a.ats[i].UTC(), Duplicate: true}
}

// following is the verdict of send i, whose tag send j of the same batch had before it. Where the tag is that of an
// older event, which of the two is its repeat is for [resent] to find out.
func (l *layout) following(i, j int, first room.Verdict) room.Verdict {
	a, b := &l.batch[i], &l.batch[j]
	switch {
	case first.Held:
		return first
	case first.Refused != nil && first.Refused.Code != room.CodeTagConflict:
		if a.Repeat {
			return room.Verdict{NotStored: true}
		}
		return first
	case first.Refused != nil, a.Type != b.Type, string(a.Data) != string(b.Data):
		return room.Verdict{Refused: room.TagConflict()}
	}
	first.Duplicate = true
	return first
}

func (a *answer) growth(id room.ID, i int) room.Growth {
	g := room.Growth{
		Head: room.Head{
			Room: id, Epoch: room.Epoch(*a.epoch), Floor: a.floors[i], FloorMark: room.Mark(a.floorMarks[i]),
			Seq: a.heads[i] + room.Seq(a.added[i]), Mark: room.Mark(a.marks[i]),
		},
		Before: a.heads[i], BeforeMark: room.Mark(a.marks[i]),
	}
	if a.generations[i] > 0 {
		g.Head.Epoch += room.Epoch("-" + strconv.Itoa(int(a.generations[i])))
	}
	if a.added[i] > 0 {
		g.Head.Mark = room.Mark(*a.mark)
	}
	return g
}
