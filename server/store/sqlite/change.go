package sqlite

import (
	"context"
	"crypto/hmac"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"roomlog/server/room"
)

// changing are the writer's statements for messages that change, and for members.
type changing struct {
	target, tagged, aim     *sql.Stmt
	edit, react, unreact    *sql.Stmt
	hasEmoji, emojiKinds    *sql.Stmt
	mention, join, part     *sql.Stmt
	redacted, doomedContent *sql.Stmt
	said                    *sql.Stmt
	redact, blank, unsent   *sql.Stmt
	beside                  []*sql.Stmt // what goes with a message that is deleted
}

func (w *writer) prepareChanges(ctx context.Context) error {
	c := &w.changing
	const doomed = `select seq, author, tag, type, data, ordinal, (select sent from rewrites w where w.tag = e.tag and w.room = e.room and w.author = e.author)
		from events e where room = ?1 and `
	err := errors.Join(
		w.prepare(ctx, `select seq, type, author, at, gone from events where room = ? and seq = ?`, &c.target),
		w.prepare(ctx, `select seq, type, author, at, gone from events where tag = ? and room = ? and author = ?`, &c.tagged),
		w.prepare(ctx, `update events set target = ? where room = ? and seq = ?`, &c.aim),
		w.prepare(ctx, `insert or replace into edits (room, seq, edit_seq, at, who, data) values (?, ?, ?, ?, ?, ?)`, &c.edit),
		w.prepare(ctx, `insert into reactions (room, seq, emoji, who, at_seq) values (?, ?, ?, ?, ?) on conflict do nothing`, &c.react),
		w.prepare(ctx, `delete from reactions where room = ? and seq = ? and emoji = ? and who = ?`, &c.unreact),
		w.prepare(ctx, `select exists (select 1 from reactions where room = ? and seq = ? and emoji = ?)`, &c.hasEmoji),
		w.prepare(ctx, `select count(distinct emoji) from reactions where room = ? and seq = ?`, &c.emojiKinds),
		w.prepare(ctx, `insert into mentions (room, who, seq, ordinal) values (?, ?, ?, ?)`, &c.mention),
		w.prepare(ctx, `insert into members (room, who, role, since_seq, at, author) values (?, ?, ?, ?, ?, ?)
			on conflict do update set role = excluded.role`, &c.join),
		w.prepare(ctx, `delete from members where room = ? and who = ?`, &c.part),
		w.prepare(ctx, `select d.sum, `+redactedBy+` where d.room = ? and d.seq = ?`, &c.redacted),
		w.prepare(ctx, doomed+`seq = ?2 union all `+doomed+`type = 'edit' and target = ?2`, &c.doomedContent),
		w.prepare(ctx, `select author, tag, type, data, ordinal, (select sent from rewrites w where w.tag = e.tag and w.room = e.room and w.author = e.author)
			from events e where room = ? and seq = ? and gone is null`, &c.said),
		w.prepare(ctx, `insert into redactions (room, seq, ordinal, author, by_seq, who, at, sum) values (?, ?, ?, ?, ?, ?, ?, ?)`, &c.redact),
		w.prepare(ctx, `update events set data = 'null', gone = ? where room = ? and seq = ?`, &c.blank),
		w.prepare(ctx, `delete from rewrites where tag = ? and room = ? and author = ?`, &c.unsent),
	)
	c.beside = make([]*sql.Stmt, 3)
	for i, table := range []string{"edits", "reactions", "mentions"} {
		err = errors.Join(err, w.prepare(ctx, `delete from `+table+` where room = ? and seq = ?`, &c.beside[i]))
	}
	return err
}

// targetOf gives the message that a change is of, or says why its author may not make it (rules CHG-3, CHG-4).
func (a *appending) targetOf(g *growing, s *room.Send) (seq room.Seq, refused *room.Error, err error) {
	c := s.Change
	stmt, args := a.target, []any{g.id, c.Target}
	if c.Target == 0 {
		stmt, args = a.tagged, []any{c.TargetTag[:], g.id, s.Author}
	}
	var typ, author string
	var at int64
	var gone optional
	err = stmt.QueryRowContext(background, args...).Scan(&seq, &typ, &author, &at, &gone)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, room.UnknownTarget(), nil
	}
	if err != nil {
		return 0, nil, fmt.Errorf("find the target of a change of %s: %w", s.Room, err)
	}
	switch {
	case typ != room.TypeMessage || gone != 0:
		return 0, room.UnknownTarget(), nil
	case s.Type == room.TypeReaction && !c.Remove:
		refused, err = a.oneMore(g.id, seq, c.Emoji)
		return seq, refused, err
	case s.Type == room.TypeReaction || c.Others:
		return seq, nil, nil
	case !c.Own || author != s.Author:
		return 0, room.NotYours(), nil
	case c.Within > 0 && a.at.Sub(time.UnixMicro(at)) > c.Within:
		return 0, room.TooLate(c.Within), nil
	}
	return seq, nil, nil
}

// oneMore says whether a message may have an emoji (rule CHG-6).
func (a *appending) oneMore(id int64, seq room.Seq, emoji string) (*room.Error, error) {
	var has bool
	err := a.hasEmoji.QueryRowContext(background, id, seq, emoji).Scan(&has)
	if err != nil || has {
		return nil, err
	}
	var kinds int
	if err := a.emojiKinds.QueryRowContext(background, id, seq).Scan(&kinds); err != nil || kinds < room.MaxEmojiKinds {
		return nil, err
	}
	return room.TooManyEmoji(), nil
}

// effect keeps what the event at seq, which was stored just now, says of messages and members.
func (a *appending) effect(g *growing, s *room.Send, seq, target room.Seq) (err error) {
	for _, who := range s.Mentions {
		if _, err = a.mention.ExecContext(background, g.id, who, seq, g.messages); err != nil {
			return fmt.Errorf("keep a mention: %w", err)
		}
	}
	if m := s.Member; m != nil && m.Role != "" {
		_, err = a.join.ExecContext(background, g.id, m.User, m.Role, seq, a.at.UnixMicro(), s.Author)
	} else if m != nil {
		_, err = a.part.ExecContext(background, g.id, m.User)
	}
	if err != nil || s.Change == nil {
		return err
	}
	if _, err = a.aim.ExecContext(background, target, g.id, seq); err != nil {
		return err
	}
	switch c := s.Change; {
	case s.Type == room.TypeEdit:
		_, err = a.edit.ExecContext(background, g.id, target, seq, a.at.UnixMicro(), s.Author, string(c.Data))
	case s.Type == room.TypeDelete:
		err = a.erase(g.id, target, seq, s.Author)
	case c.Remove:
		_, err = a.unreact.ExecContext(background, g.id, target, c.Emoji, s.Author)
	default:
		_, err = a.react.ExecContext(background, g.id, target, c.Emoji, s.Author, seq)
	}
	return err
}

// content is an event that loses its data.
type content struct {
	seq     room.Seq
	author  string
	tag     []byte
	ordinal int64
	sum     []byte
}

// erase takes the data from a message and from its edits, and with it everything that says what it was (rule CHG-7). Of a rewritten one the
// fingerprint of what was sent goes, too: it has no key.
func (a *appending) erase(id int64, target, by room.Seq, who string) error {
	doomed, err := a.contentOf(id, target)
	if err != nil {
		return fmt.Errorf("find message %d and its edits: %w", target, err)
	}
	for _, c := range doomed {
		_, err := a.redact.ExecContext(background, id, c.seq, c.ordinal, c.author, by, who, a.at.UnixMicro(), c.sum)
		if err == nil {
			_, err = a.blank.ExecContext(background, by, id, c.seq)
		}
		if err == nil {
			_, err = a.unsent.ExecContext(background, c.tag, id, c.author)
		}
		if err != nil {
			return fmt.Errorf("redact %d: %w", c.seq, err)
		}
	}
	for _, stmt := range a.beside {
		if _, err := stmt.ExecContext(background, id, target); err != nil {
			return fmt.Errorf("redact what is kept beside %d: %w", target, err)
		}
	}
	return nil
}

func (a *appending) contentOf(id int64, target room.Seq) (doomed []content, err error) {
	rows, err := a.doomedContent.QueryContext(background, id, target)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var c content
		var typ string
		var data, rewritten []byte
		if err := rows.Scan(&c.seq, &c.author, &c.tag, &typ, &data, &c.ordinal, &rewritten); err != nil {
			return nil, err
		}
		if c.seq != target {
			c.ordinal = 0
		}
		c.sum = a.sum(sentOf(typ, data, rewritten))
		doomed = append(doomed, c)
	}
	return doomed, rows.Err()
}

// sentOf is the fingerprint of what the author of an event sent, which may have been rewritten.
func sentOf(typ string, data, rewritten []byte) room.Fingerprint {
	if rewritten != nil {
		return room.Fingerprint(rewritten)
	}
	return room.FingerprintOf(typ, data)
}

// tombstone is what is left of an event, and whether s is the send that it was.
func (a *appending) tombstone(id int64, seq room.Seq, s *room.Send) (*room.Gone, bool, error) {
	var gone room.Gone
	var at int64
	var sum []byte
	err := a.redacted.QueryRowContext(background, id, seq).Scan(&sum, &gone.Seq, &gone.By, &at)
	if err != nil {
		return nil, false, fmt.Errorf("what is left of %s/%d: %w", s.Room, seq, err)
	}
	gone.At = time.UnixMicro(at).UTC()
	return &gone, hmac.Equal(sum, a.sum(s.AsSent())), nil
}

// optional is an integer of a column that may be null: 0.
type optional int64

// Scan is [sql.Scanner.Scan].
func (o *optional) Scan(from any) error {
	n, ok := from.(int64)
	if !ok && from != nil {
		return fmt.Errorf("%T is no integer", from)
	}
	*o = optional(n)
	return nil
}
