package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"roomlog/server/room"
)

// redactedBy is what made the data of the event of a redaction d null, and when: what a part of an erasure removed has a number below 0, under
// which the event is told once it is stored; until then its seq is 0.
const redactedBy = `coalesce(x.seq, max(d.by_seq, 0)), d.who, coalesce(x.at, d.at)
	from redactions d left join erased x on x.room = d.room and x.number = -d.by_seq`

// Plans are told of indexes, and of the order of joins (cross): without statistics they would go through the room.

// ofUser says that an event e loses its data when ?2 is erased: that it is theirs, or an edit of a message of theirs. What is behind the
// data in a row is looked at last.
const ofUser = `(e.author = ?2 and e.type not in ('delete', 'member', 'erase', 'doc')
	or e.type = 'edit' and exists (select 1 from events t where t.room = e.room and t.seq = e.target and t.author = ?2)) and e.gone is null`

const (
	selectErased = `select number, upto, events from erased where room = ? and tag = ?`
	selectSaid   = `select e.seq from events e where e.room = ?1 and e.seq > ?3 and e.seq <= ?4 and ` + ofUser + ` order by e.seq limit ?5 + 0`

	// selectBeside counts what there is of a user that takes rows without bound, as far as ?3.
	selectBeside = `select max((select count(*) from (select 1 from mentions where room = ?1 and who = ?2 limit ?3 + 0)),
		(select count(*) from (select 1 from reports indexed by reports_by where room = ?1 and who = ?2 limit ?3 + 0)))`

	// selectTraces says whether a room has anything of a user but events.
	selectTraces = `select exists (select 1 from members where room = ?1 and who = ?2) or exists (select 1 from mentions where room = ?1 and who = ?2)
		or exists (select 1 from receipts where room = ?1 and who = ?2) or exists (select 1 from reports indexed by reports_by where room = ?1 and who = ?2)
		or exists (select 1 from state where room = ?1 and author = ?2 and value is not null)`
)

// part is a part of what there is to erase in a room.
type part struct {
	id     int64 // of the room; 0: there is none
	head   room.Seq
	number int64 // of the erasure in the room; 0: none was seen yet
	events int64 // that lost their data before
	reach  room.Seq
	said   []room.Seq // that lose it now
	more   bool       // it is not the last
	traces bool       // there is something else
}

// EraseIn is [room.ErasureStore.EraseIn]. ctx bounds the waits for a connection and a turn. The log is looked through beside appends; these wait for
// what is found.
func (s *Store) EraseIn(ctx context.Context, e room.Erasure, id room.ID, tag room.Tag, data []byte) (out room.Erased, err error) {
	var p part
	send := room.Send{Room: id, Author: e.By, Tag: tag, Type: room.TypeErase, Data: data}
	err = s.read(ctx, func(r *reader) error {
		p, err = r.partOf(e.User, send)
		return err
	})
	if err != nil || p.id == 0 {
		return out, err
	}
	err = s.turn(ctx, func(w *writer) error {
		var grown room.Appended
		err := w.transact("erase", func(w *writer) error {
			out, grown, err = w.eraseNext(e, p, send, s.clock().UTC().Truncate(time.Microsecond))
			return err
		})
		if err == nil {
			s.grown(grown)
		}
		return err
	})
	return out, err
}

// eraseNext removes a part, unless the room is another by now, and counts it.
func (w *writer) eraseNext(e room.Erasure, p part, send room.Send, now time.Time) (out room.Erased, grown room.Appended, err error) {
	_, r, err := w.find(send.Room)
	if err != nil || r.id != p.id {
		out.More = err == nil && r.createdAt != 0 // it began anew
		return out, grown, err
	}
	if out, grown, err = w.erasePart(e, p, send, now); err != nil || out.Events == 0 {
		return out, grown, err
	}
	_, err = w.conn.ExecContext(background, `update erasures set events = events + ? where who = ? and job = ? and done_at is null`, out.Events, e.User, e.Job[:])
	return out, grown, err
}

// partOf finds what is next.
func (r *reader) partOf(user string, send room.Send) (p part, err error) {
	head, row, err := scanHead(r.head.QueryRowContext(background, string(send.Room)), send.Room)
	if err != nil || row.createdAt == 0 {
		return p, err
	}
	p.id, p.head = row.id, head.Seq
	var upto room.Seq
	err = r.conn.QueryRowContext(background, selectErased, p.id, send.Tag[:]).Scan(&p.number, &upto, &p.events)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return p, err
	}
	upto = max(upto, head.Floor-1)
	p.reach = min(upto+room.EraseLook, p.head)
	err = r.each(background, selectSaid, []any{p.id, user, upto, p.reach, room.EraseMost + 1}, func(rows *sql.Rows) error {
		p.said = append(p.said, 0)
		return rows.Scan(&p.said[len(p.said)-1])
	})
	if err != nil {
		return p, fmt.Errorf("what %s says: %w", send.Room, err)
	}
	if len(p.said) > room.EraseMost {
		p.said = p.said[:room.EraseMost]
		p.reach = p.said[room.EraseMost-1]
	}
	var beside int
	if err := r.conn.QueryRowContext(background, selectBeside, p.id, user, room.EraseMost+1).Scan(&beside); err != nil {
		return p, err
	}
	p.more = p.reach < p.head || beside > room.EraseMost
	return p, r.conn.QueryRowContext(background, selectTraces, p.id, user).Scan(&p.traces)
}

// erasePart removes what was found, and with the last part stores the event.
func (w *writer) erasePart(e room.Erasure, p part, send room.Send, at time.Time) (out room.Erased, grown room.Appended, err error) {
	a := appending{writer: w, at: at, rooms: map[room.ID]*growing{}}
	send.Repeat = p.more || len(p.said) == 0 && p.events == 0 && !p.traces // then only what was done before is told
	if grown, err = a.run([]room.Send{send}); err != nil {
		return out, grown, err
	}
	v := grown.Verdicts[0]
	switch {
	case v.Refused != nil:
		return out, grown, v.Refused
	case v.Duplicate:
		out.Stored = v.Seq
		return out, grown, nil
	case send.Repeat && !p.more:
		_, err := w.conn.ExecContext(background, `delete from erased where room = ? and number = ? and events = 0`, p.id, p.number)
		return out, grown, err
	}
	if out.Stored, out.More = v.Seq, p.more; !p.more { // what came meanwhile goes, too
		if p.said, err = w.saidSince(p, e.User, v.Seq); err != nil {
			return out, grown, err
		}
	}
	by := v.Seq
	if p.more {
		err := w.conn.QueryRowContext(background, `insert into erased (room, number, tag)
			select ?1, coalesce(max(number), 0) + 1, ?2 from erased where room = ?1 on conflict (room, tag) do update set upto = upto returning number`,
			p.id, send.Tag[:]).Scan(&p.number)
		if err != nil {
			return out, grown, fmt.Errorf("number an erasure: %w", err)
		}
		by = -p.number
	}
	seqs, err := w.wipe(p, e, by, at)
	if err == nil {
		err = w.wipeBeside(p, e.User, seqs)
	}
	if out.Events = int64(len(seqs)); err != nil {
		return out, grown, err
	}
	if p.more {
		_, err = w.conn.ExecContext(background, `update erased set upto = max(upto, ?), events = events + ? where room = ? and number = ?`, p.reach, out.Events, p.id, p.number)
		return out, grown, err
	}
	_, err = w.conn.ExecContext(background, `update erased set seq = ?, at = ? where room = ? and tag = ?`, v.Seq, at.UnixMicro(), p.id, send.Tag[:])
	if err == nil {
		err = w.wipeUser(p.id, e.User)
	}
	if err == nil {
		err = w.eraseState(p.id, e.User, v.Seq, e.By, at)
	}
	return out, grown, err
}

func (w *writer) saidSince(p part, user string, before room.Seq) ([]room.Seq, error) {
	rows, err := w.conn.QueryContext(background, selectSaid, p.id, user, p.reach, before-1, -1)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		p.said = append(p.said, 0)
		if err := rows.Scan(&p.said[len(p.said)-1]); err != nil {
			return nil, err
		}
	}
	return p.said, rows.Err()
}

// wipe removes the data of the events of a part, and gives their seqs: those that had lost it meanwhile are not among them.
func (w *writer) wipe(p part, e room.Erasure, by room.Seq, at time.Time) (seqs []room.Seq, err error) {
	for _, seq := range p.said {
		c, left, err := w.contentAt(p.id, seq)
		if err == nil && left {
			_, err = w.redact.ExecContext(background, p.id, seq, c.ordinal, c.author, by, e.By, at.UnixMicro(), c.sum)
		}
		if err == nil && left {
			_, err = w.blank.ExecContext(background, by, p.id, seq)
		}
		if err == nil && left {
			_, err = w.unsent.ExecContext(background, c.tag, p.id, c.author)
		}
		if err != nil {
			return nil, fmt.Errorf("redact %d: %w", seq, err)
		}
		if left {
			seqs = append(seqs, seq)
		}
	}
	return seqs, nil
}

// contentAt reads what an event says; false: it is gone.
func (w *writer) contentAt(id int64, seq room.Seq) (c content, left bool, err error) {
	var typ string
	var data, rewritten []byte
	err = w.said.QueryRowContext(background, id, seq).Scan(&c.author, &c.tag, &typ, &data, &c.ordinal, &rewritten)
	if errors.Is(err, sql.ErrNoRows) {
		return c, false, nil
	}
	if typ != room.TypeMessage {
		c.ordinal = 0
	}
	c.seq, c.sum = seq, w.sum(sentOf(typ, data, rewritten))
	return c, err == nil, err
}

// wipeBeside removes what is kept beside the events that went: of the user's, all of it, but of what takes rows without bound, before the last part
// a part. Messages of others whose last edit went are as the edit before left them.
func (w *writer) wipeBeside(p part, user string, seqs []room.Seq) error {
	most := -1
	if p.more {
		most = room.EraseMost
	}
	went, err := json.Marshal(seqs)
	if err != nil {
		return err
	}
	const (
		these   = ` in (select value from json_each(?3))`
		targets = ` in (select e.target from json_each(?3) j cross join events e on e.room = ?1 and e.seq = j.value where e.target is not null and e.type = `
		last    = ` d.room = ?1 and d.seq` + targets + `'edit') and d.edit_seq` + these
	)
	for _, statement := range []string{
		`delete from reactions where room = ?1 and ?2 = ?2 and seq` + these,
		`delete from reactions where room = ?1 and who = ?2 and seq` + targets + `'reaction')`,
		`delete from edits where room = ?1 and ?2 = ?2 and seq` + these,
		`insert or replace into edits (room, seq, edit_seq, at, who, data)
			select e.room, e.target, e.seq, e.at, e.author, e.data -> '$.data' from edits d
			join events e on e.room = d.room and e.seq = (select x.seq from events x indexed by events_edits
				where x.room = d.room and x.type = 'edit' and x.target = d.seq and x.gone is null order by x.seq desc limit 1)
			where ?2 = ?2 and` + last,
		`delete from edits as d where ?2 = ?2 and` + last,
		`delete from search where rowid in (select id from search_docs where room = ?1 and ?2 = ?2 and seq` + these + `)`,
		`delete from search_docs where room = ?1 and ?2 = ?2 and seq` + these,
		`delete from mentions indexed by mentions_seq where room = ?1 and ?2 = ?2 and seq` + these,
	} {
		if _, err := w.conn.ExecContext(background, statement, p.id, user, string(went)); err != nil {
			return fmt.Errorf("erase what is kept beside events: %w", err)
		}
	}
	for _, statement := range []string{
		`delete from mentions where room = ?1 and who = ?2 and seq in (select seq from mentions where room = ?1 and who = ?2 order by seq limit ?3 + 0)`,
		`delete from reports where number in (select number from reports indexed by reports_by where room = ?1 and who = ?2 order by number limit ?3 + 0)`,
	} {
		if _, err := w.conn.ExecContext(background, statement, p.id, user, most); err != nil {
			return fmt.Errorf("erase mentions and reports: %w", err)
		}
	}
	return nil
}

// wipeUser removes what a room has of a user beside what was said.
func (w *writer) wipeUser(id int64, user string) error {
	for _, statement := range []string{
		`delete from members where room = ?1 and who = ?2`,
		// Who is shown the receipts is told that some are gone by the version of all.
		`insert into receipt_versions (room, version, removed) select ?1, 1, 1 from receipts where room = ?1 and who = ?2
			on conflict do update set version = version + 1, removed = version + 1`,
		`delete from receipts where room = ?1 and who = ?2`,
	} {
		if _, err := w.conn.ExecContext(background, statement, id, user); err != nil {
			return fmt.Errorf("erase what a room has of a user: %w", err)
		}
	}
	return nil
}
