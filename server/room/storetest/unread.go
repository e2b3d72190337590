package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"roomlog/server/room"
)

// register is what a room is to its readers, in the simplest way that is right: everything is counted anew each time.
type register struct {
	id     room.ID
	events []registered // by seq, from 1
	floor  room.Seq
	read   map[string]room.Seq
	given  map[string]room.Seq // delivered
}

type registered struct {
	typ, author string
	gone        bool
	mentions    []string
}

// unread counts what a user has not read, whose marks and since are known.
func (r *register) unread(user string, since room.Seq) (o room.Own) {
	o = room.Own{Room: r.id, Head: room.Seq(len(r.events))}
	o.User, o.Read, o.Delivered = user, r.read[user], r.given[user]
	all := 0
	for i, e := range r.events {
		seq := room.Seq(i + 1)
		if seq < r.floor || seq <= max(o.Read, since) || e.typ != room.TypeMessage || e.author == user || e.gone {
			continue
		}
		if all++; all == 1 {
			o.FirstUnread = seq
		}
		if slices.Contains(e.mentions, user) {
			o.Mentions = min(o.Mentions+1, room.MaxUnread)
		}
	}
	o.Unread, o.More = min(all, room.MaxUnread), all > room.MaxUnread
	return o
}

// step does one random thing to the room and to the register.
func (r *register) step(t *testing.T, s room.Store, random *rand.Rand) {
	t.Helper()
	user := fmt.Sprint("u", random.IntN(4))
	head := room.Seq(len(r.events))
	switch n := random.IntN(20); {
	case n < 7 || head == 0:
		var batch []room.Send
		for range 1 + random.IntN(3) {
			send := say(r.id, user, "hi")
			for i := range 4 {
				if random.IntN(6) == 0 {
					send.Mentions = append(send.Mentions, fmt.Sprint("u", i))
				}
			}
			if batch = append(batch, send); random.IntN(8) == 0 {
				batch = append(batch, send) // twice
			}
			r.events = append(r.events, registered{typ: room.TypeMessage, author: user, mentions: send.Mentions})
		}
		mustAppend(t, s, batch...)
	case n < 11:
		r.change(t, s, user, 1+random.Int64N(head), []string{room.TypeDelete, room.TypeDelete, room.TypeEdit, room.TypeReaction}[random.IntN(4)])
	case n < 12:
		other := say(r.id, user, "x")
		other.Type = "note"
		mustAppend(t, s, other)
		r.events = append(r.events, registered{typ: "note", author: user})
	case n < 13 && random.IntN(3) == 0:
		keep := 1 + random.Int64N(head)
		if out, err := s.(room.Pruner).Prune(within(t), r.id, room.Retention{Events: keep}, time.Hour, 5); err != nil {
			t.Fatal(err)
		} else {
			r.floor = out.Head.Floor
		}
	default:
		m := room.Marking{Room: r.id, User: user, Delivered: random.Int64N(2*head + 2), Read: random.Int64N(head+3) - 1}
		if random.IntN(3) > 0 { // late, or again
			m.Read = max(0, r.read[user]-random.Int64N(3))
		}
		r.read[user] = max(r.read[user], min(m.Read, head))
		r.given[user] = max(r.given[user], min(max(m.Delivered, m.Read), head))
		got := mustMark(t, s, m)[0]
		if got.Read != r.read[user] || got.Delivered != r.given[user] {
			t.Fatalf("I22: %+v makes %+v, not %d and %d", m, got, r.given[user], r.read[user])
		}
	}
}

// change has a user, who is a moderator, change some event, which may be none that can be.
func (r *register) change(t *testing.T, s room.Store, user string, target room.Seq, typ string) {
	t.Helper()
	send := say(r.id, user, "")
	send.Type, send.Data = typ, fmt.Appendf(nil, `{"target":%d}`, target)
	send.Change = &room.Change{Target: target, Own: true, Others: true}
	switch typ {
	case room.TypeEdit:
		send.Change.Data = []byte(`{"text":"edited"}`)
	case room.TypeReaction:
		send.Change.Emoji = "+"
	}
	v := mustAppend(t, s, send).Verdicts[0]
	e := &r.events[target-1]
	if may := e.typ == room.TypeMessage && !e.gone && target >= r.floor; (v.Refused == nil) != may {
		t.Fatalf("CHG-3: the %s of %d (%+v, floor %d) is answered with %+v", typ, target, *e, r.floor, v)
	}
	if v.Refused != nil {
		return
	}
	if typ == room.TypeDelete {
		e.gone = true
	}
	r.events = append(r.events, registered{typ: typ, author: user})
}

// testUnreadModel compares what a store says to users of what they have not read with a register that counts anew (I22; RCPT-1,
// RCPT-5, RCPT-6, RCPT-7).
func testUnreadModel(t *testing.T, f Factory) {
	hs := f.pair(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for round := range 4 {
		random := rand.New(rand.NewPCG(seed, uint64(round)))
		r := &register{id: room.ID(fmt.Sprint("chat:r", round)), floor: 1, read: map[string]room.Seq{}, given: map[string]room.Seq{}}
		for step := range 50 {
			r.step(t, hs[random.IntN(2)], random)
			var asked []room.Standing
			for i := range 5 { // one of them does nothing
				asked = append(asked, room.Standing{Room: r.id, User: fmt.Sprint("u", i), Since: random.Int64N(2) * random.Int64N(int64(len(r.events)+2))})
			}
			got, err := receiptsOf(t, hs[random.IntN(2)]).Own(within(t), asked)
			if err != nil || len(got) != len(asked) {
				t.Fatalf("round %d, step %d: %v", round, step, err)
			}
			for i, a := range asked {
				want := r.unread(a.User, a.Since)
				got[i].Epoch, got[i].Version, got[i].At = "", 0, time.Time{}
				if got[i] != want {
					t.Fatalf("I22: round %d, step %d: after %d %s stands at\n%+v, not\n%+v", round, step, a.Since, a.User, got[i], want)
				}
			}
		}
	}
}

// testUnreadOfMembers counts from where a member joined (RCPT-5).
func testUnreadOfMembers(t *testing.T, f Factory) {
	s := f.open(t)
	id := room.ID("chat:joined")
	fill(t, s, id, 5)
	joins := say(id, "u1", "")
	joins.Type, joins.Data, joins.Member = room.TypeMember, []byte(`{"user":"u2","role":"member"}`), &room.MemberChange{User: "u2", Role: "member"}
	mustAppend(t, s, joins)
	mustAppend(t, s, say(id, "u1", "7"), say(id, "u2", "8"), say(id, "u1", "9"))
	if o := mustOwn(t, s, "u2", id); o.Unread != 2 || o.FirstUnread != 7 || o.Read != 0 {
		t.Errorf("RCPT-5: a member since 6 stands at %+v", o)
	}
	if o := mustOwn(t, s, "u3", id); o.Unread != 8 || o.FirstUnread != 1 {
		t.Errorf("RCPT-5: who is no member stands at %+v", o)
	}
	mustMark(t, s, room.Marking{Room: id, User: "u2", Read: 3})
	if o := mustOwn(t, s, "u2", id); o.Unread != 2 || o.FirstUnread != 7 || o.Read != 3 {
		t.Errorf("RCPT-5: a member since 6 who read 3 stands at %+v", o)
	}
}

// testUnreadMany counts beyond what is counted, and over more of one's own than are looked at first (RCPT-5).
func testUnreadMany(t *testing.T, f Factory) {
	s := f.open(t)
	id := room.ID("chat:many")
	many := func(author string, n int) {
		for i := range n {
			if i%200 == 0 {
				var batch []room.Send
				for j := range min(200, n-i) {
					batch = append(batch, say(id, author, fmt.Sprint(j)))
				}
				mustAppend(t, s, batch...)
			}
		}
	}
	check := func(what string, unread int, more bool, first room.Seq) {
		t.Helper()
		if o := mustOwn(t, s, "u2", id); o.Unread != unread || o.More != more || o.FirstUnread != first {
			t.Errorf("RCPT-5: %s, it is %d, %v, from %d, not %d, %v, from %d", what, o.Unread, o.More, o.FirstUnread, unread, more, first)
		}
	}
	check("where there is nothing", 0, false, 0)
	many("u1", 999)
	check("after 999", 999, false, 1)
	many("u2", 3)
	check("after 999 and three own", 999, false, 1)
	many("u1", 1)
	check("after 1,000", 999, true, 1)
	remove := say(id, "u1", "")
	remove.Type, remove.Data, remove.Change = room.TypeDelete, []byte(`{"target":1}`), &room.Change{Target: 1, Own: true}
	mustAppend(t, s, remove)
	check("after 1,000 of which one was deleted", 999, false, 2)
	mustMark(t, s, room.Marking{Room: id, User: "u2", Read: 990})
	check("read up to 990", 10, false, 991)
	many("u2", 4300)
	check("after 4,300 own", 10, false, 991)
	mustMark(t, s, room.Marking{Room: id, User: "u2", Read: 999})
	check("read up to 999", 1, false, 1003)
	mustMark(t, s, room.Marking{Room: id, User: "u2", Read: room.MaxSeq})
	check("all is read", 0, false, 0)
}
