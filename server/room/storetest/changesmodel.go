package storetest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"roomlog/server/room"
)

// changing is what a store must make of the changes in one room, in memory and without concurrency: the log as it was sent, and what
// each change did.
type changing struct {
	log     []told
	floor   room.Seq // one less than the floor
	members map[string]room.Seq
	roles   map[string]string
}

// told is an event, and what became of it.
type told struct {
	send      room.Send
	at        time.Time
	target    room.Seq
	edited    room.Seq // the last edit; 0: none
	reactions []reacted
	gone      room.Seq // the delete; 0: it is there
}

type reacted struct{ emoji, who string }

// append gives the verdict that a store must give: marks and times are the store's to choose.
func (m *changing) append(s room.Send) (v room.Verdict) {
	is := func(tag room.Tag) int {
		return slices.IndexFunc(m.log, func(e told) bool { return e.send.Tag == tag && e.send.Author == s.Author })
	}
	if at := is(s.Tag); at >= 0 {
		e := m.log[at]
		if e.send.Type != s.Type || string(e.send.Data) != string(s.Data) {
			return room.Verdict{Refused: room.TagConflict()}
		}
		return room.Verdict{Seq: room.Seq(at + 1), Duplicate: true, Target: e.target, Gone: m.left(e)}
	}
	if s.Repeat {
		return room.Verdict{NotStored: true}
	}
	if c := s.Change; c != nil {
		v.Target = c.Target
		if c.TargetTag != (room.Tag{}) {
			v.Target = room.Seq(is(c.TargetTag) + 1)
		}
		if v.Target <= m.floor || v.Target > room.Seq(len(m.log)) {
			return room.Verdict{Refused: room.UnknownTarget()}
		}
		switch e := &m.log[v.Target-1]; {
		case e.send.Type != room.TypeMessage, e.gone != 0:
			return room.Verdict{Refused: room.UnknownTarget()}
		case s.Type != room.TypeReaction && !c.Others && (e.send.Author != s.Author || !c.Own):
			return room.Verdict{Refused: room.NotYours()}
		}
	}
	v.Seq = room.Seq(len(m.log) + 1)
	m.log = append(m.log, told{send: s, target: v.Target})
	m.do(s, v)
	return v
}

// do does what a change that is stored does.
func (m *changing) do(s room.Send, v room.Verdict) {
	if c := s.Member; c != nil {
		if m.roles[c.User] == "" {
			m.members[c.User] = v.Seq
		}
		m.roles[c.User] = c.Role
		return
	}
	if s.Change == nil {
		return
	}
	e := &m.log[v.Target-1]
	mine := func(r reacted) bool { return r == reacted{s.Change.Emoji, s.Author} }
	switch s.Type {
	case room.TypeEdit:
		e.edited = v.Seq
	case room.TypeDelete:
		for i := range m.log {
			if room.Seq(i+1) == v.Target || m.log[i].target == v.Target && m.log[i].send.Type == room.TypeEdit {
				m.log[i].gone = v.Seq
			}
		}
	case room.TypeReaction:
		if s.Change.Remove {
			e.reactions = slices.DeleteFunc(e.reactions, mine)
		} else if !slices.ContainsFunc(e.reactions, mine) {
			e.reactions = append(e.reactions, reacted{s.Change.Emoji, s.Author})
		}
	}
}

// left is what is left of an event that was deleted.
func (m *changing) left(e told) *room.Gone {
	if e.gone == 0 {
		return nil
	}
	by := m.log[e.gone-1]
	return &room.Gone{Seq: e.gone, By: by.send.Author, At: by.at}
}

// event is how an event must read.
func (m *changing) event(seq room.Seq, shown bool) room.Event {
	t := m.log[seq-1]
	e := room.Event{Seq: seq, Type: t.send.Type, Author: t.send.Author, Tag: t.send.Tag, At: t.at, Data: t.send.Data, Target: t.target}
	if e.Gone = m.left(t); e.Gone != nil {
		e.Data = []byte(`null`)
		return e
	}
	if !shown {
		return e
	}
	if t.edited != 0 {
		by := m.log[t.edited-1]
		e.Data, e.Edited = by.send.Change.Data, &room.Edited{Seq: t.edited, At: by.at}
	}
	for _, r := range t.reactions {
		at := slices.IndexFunc(e.Reactions, func(c room.Reaction) bool { return c.Emoji == r.emoji })
		if at < 0 {
			at = len(e.Reactions)
			e.Reactions = append(e.Reactions, room.Reaction{Emoji: r.emoji})
		}
		c := &e.Reactions[at]
		if c.Count++; len(c.Users) < room.MaxReactors {
			c.Users = append(c.Users, r.who)
		}
	}
	return e
}

// testChangesModel runs random batches of messages, changes, member events and repeats, with prunes between them, against the model; a
// failure prints the shortest run and its seed.
func testChangesModel(t *testing.T, f Factory) {
	hs := f.pair(t)
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++ // a room of its own, so that each run begins with an empty one
		id := room.ID(fmt.Sprintf("chat:%d", run))
		m := &changing{members: map[string]room.Seq{}, roles: map[string]string{}}
		for range rapid.IntRange(1, 5).Draw(rt, "steps") {
			batch := rapid.SliceOfN(drawChange(id, len(m.log)), 1, 16).Draw(rt, "batch")
			s := hs[rapid.IntRange(0, 1).Draw(rt, "handle")]
			out, err := s.Append(t.Context(), batch)
			if err != nil {
				rt.Fatalf("append: %v", err)
			}
			for i := range batch {
				v, want := out.Verdicts[i], m.append(batch[i])
				if want.Seq != 0 && !want.Duplicate {
					m.log[want.Seq-1].at = v.At
				}
				if !sameVerdict(v, want) || v.Target != want.Target || !sameGone(v.Gone, want.Gone) || want.Refused != nil && !refusedAs(v, want.Refused) {
					rt.Fatalf("send %d (%+v, %+v) is answered with %+v, not %+v", i, batch[i], batch[i].Change, v, want)
				}
			}
			if rapid.IntRange(0, 3).Draw(rt, "prune") == 0 && len(m.log) > 0 {
				keep := rapid.IntRange(1, len(m.log)).Draw(rt, "keep")
				m.floor = max(m.floor, room.Seq(len(m.log)-keep))
				if _, err := s.(room.Pruner).Prune(t.Context(), id, room.Retention{Events: int64(keep)}, time.Hour, 1000); err != nil {
					rt.Fatalf("prune: %v", err)
				}
			}
			m.compare(rt, hs[rapid.IntRange(0, 1).Draw(rt, "reader")], id)
		}
	})
}

// compare reads a room in some way, and its members, and compares them with the model's.
func (m *changing) compare(rt *rapid.T, s room.Store, id room.ID) {
	head := room.Seq(len(m.log))
	for _, shown := range []bool{false, true} {
		for _, q := range []room.Query{
			{Anchor: room.After, Limit: 1000}, {Anchor: room.Anchor(rapid.IntRange(0, 3).Draw(rt, "anchor")),
				Seq: rapid.Int64Range(0, head+1).Draw(rt, "seq"), Limit: rapid.IntRange(1, 20).Draw(rt, "limit")},
		} {
			q.Room, q.Present = id, shown
			p, err := s.Read(rt.Context(), q)
			if err != nil {
				rt.Fatalf("read: %v", err)
			}
			prev, last, _ := q.Span(m.floor+1, head)
			if p.Prev != prev || p.Seq() != last || p.Head.Seq != head {
				rt.Fatalf("%+v gives (%d, %d] and the head %d, not (%d, %d] and %d", q, p.Prev, p.Seq(), p.Head.Seq, prev, last, head)
			}
			for _, e := range p.Events {
				e.Mark = 0
				if why := differs(e, m.event(e.Seq, shown)); why != "" {
					rt.Fatalf("%+v gives event %d as %+v with %s: %s", q, e.Seq, e, e.Data, why)
				}
			}
		}
	}
	list, err := s.(room.Members).ListMembers(rt.Context(), id, "", 100)
	if err != nil {
		rt.Fatalf("members: %v", err)
	}
	got := map[string]string{}
	for _, l := range list {
		got[l.User] = l.Role
		if since := m.members[l.User]; l.Since != since || !l.At.Equal(m.log[since-1].at) {
			rt.Fatalf("the member is %+v, since %d in the model", l, since)
		}
	}
	for user, role := range m.roles {
		if got[user] != role {
			rt.Fatalf("%s is %q, not %q", user, got[user], role)
		}
	}
}

// drawChange draws sends of few authors, tags and texts, whose targets lie about the head, so that everything that may happen does.
func drawChange(id room.ID, head int) *rapid.Generator[room.Send] {
	return rapid.Custom(func(t *rapid.T) room.Send {
		author := rapid.SampledFrom([]string{"u1", "u2", "u3"}).Draw(t, "author")
		target := room.Seq(rapid.IntRange(0, head+8).Draw(t, "target"))
		text := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "text")
		var s room.Send
		switch rapid.IntRange(0, 9).Draw(t, "type") {
		case 0, 1:
			s = edit(id, author, target, text)
		case 2:
			s = erase(id, author, target)
		case 3, 4:
			author = fmt.Sprint("r", rapid.IntRange(1, 12).Draw(t, "who"))
			s = react(id, author, target, text)
			s.Change.Remove = rapid.IntRange(0, 3).Draw(t, "remove") == 0
		case 5:
			s = member(id, author, rapid.SampledFrom([]string{"u1", "u2"}).Draw(t, "user"), rapid.SampledFrom([]string{"", "guest", "owner"}).Draw(t, "role"))
		case 6:
			s = say(id, author, text)
			s.Type = "poll"
		default:
			s = say(id, author, text)
		}
		if c := s.Change; c != nil {
			c.Others = rapid.IntRange(0, 2).Draw(t, "moderator") == 0
			c.Own = rapid.IntRange(0, 5).Draw(t, "own") > 0
			if rapid.IntRange(0, 2).Draw(t, "by tag") == 0 {
				c.Target, c.TargetTag = 0, smallTag(t, "target's tag")
			}
		}
		s.Tag = smallTag(t, "tag")
		s.Repeat = rapid.IntRange(0, 9).Draw(t, "repeat") == 0
		return s
	})
}

func smallTag(t *rapid.T, label string) room.Tag {
	return room.Tag{15: byte(rapid.IntRange(1, 40).Draw(t, label))}
}
