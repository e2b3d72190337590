package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"roomlog/server/room"
)

// writer is the one connection that appends. Whoever holds it is alone, so a room's row needs no lock
// of its own: its lock is the turn.
type writer struct {
	session
	begin, commit, rollback *sql.Stmt
	room, bump              *sql.Stmt
	insert, stored          *sql.Stmt
	isDoc                   *sql.Stmt
	rewritten, asSent       *sql.Stmt
	creating
	retaining
	changing
	marking
	indexing
	keeping
	putSeen  *sql.Stmt
	failed   error  // why the file is no longer written; nil while it is
	broken   func() // called when it is not
	unfolded int64  // bytes of the log that the last fold had to leave
}

func newWriter(ctx context.Context, db *sql.DB) (*writer, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	w := &writer{session: session{conn: conn}}
	return w, errors.Join(
		w.prepare(ctx, `begin immediate`, &w.begin),
		w.prepare(ctx, `commit`, &w.commit),
		w.prepare(ctx, `rollback`, &w.rollback),
		w.prepare(ctx, selectHead, &w.room),
		w.prepare(ctx, `update rooms set head = ?, head_mark = ?, messages = ? where id = ?`, &w.bump),
		// The tag check and the insert are one statement: with one writer nothing can come between.
		// A clash of (room, seq) is no repeat but a damaged log, and stays an error.
		w.prepare(ctx, `insert into events (room, seq, mark, at, type, author, tag, data, ordinal)
			values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (tag, room, author) do nothing`, &w.insert),
		w.prepare(ctx, `select seq, mark, at, type = ? and data = ?, target, gone from events
			where tag = ? and room = ? and author = ?`, &w.stored),
		w.prepare(ctx, `insert or replace into rewrites (tag, room, author, sent) values (?, ?, ?, ?)`, &w.rewritten),
		w.prepare(ctx, `select e.type, e.data, w.sent from events e
			left join rewrites w on w.tag = e.tag and w.room = e.room and w.author = e.author
			where e.tag = ? and e.room = ? and e.author = ?`, &w.asSent),
		w.prepare(ctx, selectIs, &w.isDoc),
		w.prepareRooms(ctx),
		w.prepareRetention(ctx),
		w.prepareChanges(ctx),
		w.prepareReceipts(ctx),
		w.prepareSeen(ctx),
		w.prepareSearch(ctx),
		w.prepareState(ctx),
	)
}

// Append is [room.Store.Append]. ctx bounds the wait for a turn; a batch that has its turn is carried
// through, so its outcome is known unless the disk fails while it commits.
func (s *Store) Append(ctx context.Context, batch []room.Send) (out room.Appended, err error) {
	err = s.turn(ctx, func(w *writer) error {
		out, err = w.append(batch, s.clock())
		if err == nil {
			s.grown(out)
		}
		return err
	})
	return out, err
}

// turn runs f with the writer. ctx bounds the wait for it.
func (s *Store) turn(ctx context.Context, f func(*writer) error) error {
	leave, err := s.enter()
	if err != nil {
		return err
	}
	defer leave()
	if err := ctx.Err(); err != nil {
		return unavailable(err)
	}
	select {
	case w := <-s.writers:
		defer func() {
			s.fold(w)
			s.writers <- w
		}()
		if err := s.inPlace(); err != nil {
			return err
		}
		return f(w)
	case <-ctx.Done():
		return unavailable(ctx.Err())
	}
}

// background is for statements inside a turn: a context that can end would cost a goroutine per
// statement in the driver, and a batch is short.
var background = context.Background()

func (w *writer) append(batch []room.Send, now time.Time) (room.Appended, error) {
	if w.failed != nil {
		return room.Appended{}, unavailable(w.failed)
	}
	w.mutateBegin()
	if _, err := w.begin.ExecContext(background); err != nil {
		return room.Appended{}, classify("begin", err)
	}
	a := appending{writer: w, at: now.UTC().Truncate(time.Microsecond), rooms: map[room.ID]*growing{}}
	out, err := a.run(batch)
	if err != nil {
		return room.Appended{}, w.undo(classify("append", err))
	}
	if w.mutateCommit() { // mutant ack_memory
		return out, nil
	}
	if _, err := w.commit.ExecContext(background); err != nil {
		return room.Appended{}, w.torn(err)
	}
	return out, nil
}

// undo rolls back. A full disk may have rolled back already, which is as good.
func (w *writer) undo(err error) error {
	if _, rollback := w.rollback.ExecContext(background); rollback != nil && !strings.Contains(rollback.Error(), "no transaction is active") {
		w.fail(errors.Join(err, rollback))
		return unavailable(w.failed)
	}
	return err
}

// fail ends the writing of the file.
func (w *writer) fail(err error) {
	w.failed = err
	w.broken()
}

// torn judges a COMMIT that failed. Where the disk was full or a lock was missing, nothing of it can be
// valid. After any other fault (an fsync that failed) the commit may be on disk or not, and what the
// system cached is no evidence, so nothing more is written until a restart has read the log back.
func (w *writer) torn(err error) error {
	switch primary(err) {
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM,
		sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL:
		return w.undo(classify("commit", err))
	}
	w.fail(fmt.Errorf("the disk failed during a commit; restart to recover: %w", err))
	w.undo(err)
	return fmt.Errorf("%w: %w", room.ErrOutcomeUnknown, err)
}

// appending is one batch under way.
type appending struct {
	*writer
	at    time.Time
	rooms map[room.ID]*growing
}

// growing is a room of the batch.
type growing struct {
	room.Growth
	row
	mark  room.Mark  // of the events of this batch
	state *stateRoom // nil: it was not looked at
}

func (a *appending) run(batch []room.Send) (room.Appended, error) {
	out := room.Appended{Verdicts: make([]room.Verdict, len(batch))}
	for i := range batch {
		g, err := a.open(batch[i].Room)
		if err == nil {
			out.Verdicts[i], err = a.judge(g, &batch[i])
		}
		if err != nil {
			return out, err
		}
	}
	for _, g := range a.rooms {
		if g.createdAt == 0 {
			continue // only asked about by repeats, or refused
		}
		if g.Head.Seq > g.Before {
			g.Head.Mark = g.mark
			if _, err := a.bump.ExecContext(background, g.Head.Seq, int64(g.mark), g.messages, g.id); err != nil {
				return out, fmt.Errorf("bump %s: %w", g.Head.Room, err)
			}
		}
		if err := a.keepState(g); err != nil {
			return out, fmt.Errorf("keep the map of %s: %w", g.Head.Room, err)
		}
		out.Rooms = append(out.Rooms, g.Growth)
	}
	slices.SortFunc(out.Rooms, func(a, b room.Growth) int { return strings.Compare(string(a.Head.Room), string(b.Head.Room)) })
	return out, nil
}

// open reads a room's row once per batch.
func (a *appending) open(id room.ID) (*growing, error) {
	if g := a.rooms[id]; g != nil {
		return g, nil
	}
	h, row, err := a.find(id)
	if err != nil {
		return nil, fmt.Errorf("read room %s: %w", id, err)
	}
	g := &growing{Growth: room.Growth{Head: h, Before: h.Seq, BeforeMark: h.Mark}, row: row}
	for g.mark == 0 {
		g.mark = room.Mark(rand.Uint32())
	}
	a.rooms[id] = g
	return g, nil
}

// judge stores one send, or finds what its tag stored before.
func (a *appending) judge(g *growing, s *room.Send) (_ room.Verdict, err error) {
	if s.Repeat {
		return a.first(g, s)
	}
	v := room.Verdict{Seq: g.Head.Seq + 1, Mark: g.mark, At: a.at}
	if s.Change != nil || s.State != nil || s.Doc != nil && s.Doc.ID != "" {
		told, err := a.first(g, s) // before what it changes is looked at, which may be gone or another since
		if err != nil || !told.NotStored {
			return told, err
		}
	}
	var keys, bytes int64
	switch told := (room.Verdict{}); {
	case s.Doc != nil:
		if told.Refused, err = a.judgeDoc(g.id, s.Doc); err != nil || told.Refused != nil {
			return told, err
		}
	case s.State != nil:
		if keys, bytes, told.Refused, err = a.judgeState(g, s.State); err != nil || told.Refused != nil {
			return told, err
		}
	case s.Change != nil:
		if v.Target, told.Refused, err = a.targetOf(g, s); err != nil || told.Refused != nil {
			return room.Verdict{Refused: told.Refused}, err
		}
	}
	if g.createdAt == 0 {
		r, created, err := a.create(s.Room, g.row, s.Author, s.RoomLimit, a.at)
		if err != nil {
			return room.Verdict{}, fmt.Errorf("create room %s: %w", s.Room, err)
		}
		if !created {
			return room.Verdict{Refused: room.TooManyRooms(s.RoomLimit)}, nil
		}
		g.row = r
	}
	if g.Head.Floor > 1 { // some were pruned
		if told, found, err := a.remembered(g.id, s); found || err != nil {
			return told, err
		}
	}
	messages := g.messages
	if s.Type == room.TypeMessage {
		messages++
	}
	res, err := a.insert.ExecContext(background, g.id, v.Seq, int64(g.mark), a.at.UnixMicro(), s.Type, s.Author, s.Tag[:], string(s.Data), messages)
	if err != nil {
		return room.Verdict{}, fmt.Errorf("insert %s/%d: %w", s.Room, v.Seq, err)
	}
	stored, err := res.RowsAffected()
	if err != nil {
		return room.Verdict{}, err
	}
	if stored == 0 {
		return a.first(g, s)
	}
	if s.Rewritten() {
		if err := a.remember(g.id, s); err != nil {
			return room.Verdict{}, fmt.Errorf("remember what was sent for %s/%d: %w", s.Room, v.Seq, err)
		}
	}
	g.Head.Seq, g.messages = v.Seq, messages
	if s.State != nil {
		err = a.setKeys(g, s, v.Seq, keys, bytes)
	} else {
		err = a.effect(g, s, v.Seq, v.Target)
	}
	if err == nil && (s.State != nil || s.Doc != nil) {
		err = a.passOver(g, v.Seq)
	}
	if err != nil {
		return room.Verdict{}, fmt.Errorf("keep what %s/%d does: %w", s.Room, v.Seq, err)
	}
	return v, nil
}

// first answers a repeat with the first result of its tag, or refuses it where the event is another.
func (a *appending) first(g *growing, s *room.Send) (room.Verdict, error) {
	var at int64
	var same bool
	var target, gone optional
	v := room.Verdict{Duplicate: true}
	err := a.stored.QueryRowContext(background, s.Type, string(s.Data), s.Tag[:], g.id, s.Author).Scan(&v.Seq, &v.Mark, &at, &same, &target, &gone)
	if errors.Is(err, sql.ErrNoRows) {
		v, found, err := a.remembered(g.id, s)
		v.NotStored = !found && err == nil
		return v, err
	}
	if err != nil {
		return room.Verdict{}, fmt.Errorf("find tag %s in %s: %w", s.Tag, s.Room, err)
	}
	switch {
	case gone != 0:
		if v.Gone, same, err = a.tombstone(g.id, v.Seq, s); err != nil {
			return room.Verdict{}, err
		}
	case !same:
		if same, err = a.resent(g.id, s); err != nil {
			return room.Verdict{}, fmt.Errorf("compare what was sent as %s in %s: %w", s.Tag, s.Room, err)
		}
	}
	if !same {
		return room.Verdict{Refused: room.TagConflict()}, nil
	}
	v.At, v.Target = time.UnixMicro(at).UTC(), room.Seq(target)
	return v, nil
}
