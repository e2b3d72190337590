package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"roomlog/server/room"
)

func overviewsOf(t *testing.T, s room.Store, q room.OverviewQuery) []room.Overview {
	t.Helper()
	o, ok := s.(room.Overviews)
	if !ok {
		t.Fatalf("%T has no overviews", s)
	}
	list, err := o.Overviews(within(t), q)
	if err != nil || len(list) > q.Limit {
		t.Fatalf("overviews %+v: %d, %v", q, len(list), err)
	}
	return list
}

func oneOverview(t *testing.T, s room.Store, user string, id room.ID) room.Overview {
	t.Helper()
	list := overviewsOf(t, s, room.OverviewQuery{User: user, Limit: 10, Rooms: []room.ID{id}})
	if len(list) != 1 || list[0].Room != id || list[0].User != user {
		t.Fatalf("MEM-9: the overview of %s is %+v", id, list)
	}
	return list[0]
}

// testOverviews says of a user's rooms what MEM-9 says, one thing after the other.
func testOverviews(t *testing.T, f Factory) {
	s := f.open(t)
	id := room.ID("chat:seen")
	if list := overviewsOf(t, s, room.OverviewQuery{User: "ben", Limit: 10}); len(list) != 0 {
		t.Errorf("MEM-8: rooms of nobody: %+v", list)
	}
	fill(t, s, id, 3)
	mustAppend(t, s, member(id, "ann", "ben", "guest"))
	o := oneOverview(t, s, "ben", id)
	if o.Head != 4 || o.Epoch != mustHead(t, s, id).Epoch || o.Role != "guest" || o.Since != 4 || o.At.IsZero() || o.Unread != 0 || o.FirstUnread != 0 {
		t.Errorf("MEM-9: who has just become a member has %+v", o)
	}
	if o.Last == nil || o.Last.Seq != 3 || o.Last.Author != "u1" || string(o.Last.Data) != `{"text":"3"}` || o.Last.Mark == 0 {
		t.Errorf("MEM-9: the last message is %+v", o.Last)
	}
	named := say(id, "ann", "ben!")
	named.Mentions = []string{"ben"}
	mustAppend(t, s, say(id, "ann", "x"), say(id, "ben", "mine"), named)
	if o = oneOverview(t, s, "ben", id); o.Unread != 2 || o.More || o.FirstUnread != 5 || o.Mentions != 1 || o.Last.Seq != 7 {
		t.Errorf("MEM-9: two of others are unread, one names ben: %+v", o)
	}
	mustMark(t, s, room.Marking{Room: id, User: "ben", Read: 5, Delivered: 7})
	if o = oneOverview(t, s, "ben", id); o.Read != 5 || o.Delivered != 7 || o.Unread != 1 || o.FirstUnread != 7 || o.Mentions != 1 {
		t.Errorf("MEM-9: after a mark: %+v", o)
	}
	mustAppend(t, s, edit(id, "ann", 7, "once"), edit(id, "ann", 7, "ben?"))
	if o = oneOverview(t, s, "ben", id); o.Last.Seq != 7 || string(o.Last.Data) != `{"text":"ben?"}` || o.Last.Edited == nil || o.Last.Edited.Seq != 9 || o.Last.Edited.At.IsZero() {
		t.Errorf("MEM-9: the last message, which was edited, is %+v", o.Last)
	}
	gone := say(id, "ann", "")
	gone.Type, gone.Data, gone.Change = room.TypeDelete, []byte(`{"target":7}`), &room.Change{Target: 7, Own: true}
	mustAppend(t, s, gone)
	o = oneOverview(t, s, "ben", id)
	if o.Unread != 0 || o.FirstUnread != 0 || o.Mentions != 0 || o.Last.Seq != 7 || o.Last.Gone == nil || o.Last.Gone.By != "ann" || string(o.Last.Data) != "null" || o.Last.Edited != nil {
		t.Errorf("MEM-9, CHG-7: the only unread one was deleted: %+v, last %+v", o, o.Last)
	}
	// A room where something else happens all the time.
	busy := make([]room.Send, room.LastWithin-1)
	for i := range busy {
		busy[i] = say(id, "ann", "x")
		busy[i].Type = "cursor"
	}
	mustAppend(t, s, busy...)
	if o = oneOverview(t, s, "ben", id); o.Last != nil || o.Head != 9+room.LastWithin {
		t.Errorf("MEM-9: a last message %+v that is not among the newest %d events", o.Last, room.LastWithin)
	}
	fill(t, s, id, room.MaxUnread+1)
	if o = oneOverview(t, s, "ben", id); o.Unread != room.MaxUnread || !o.More {
		t.Errorf("MEM-9: of %d unread ones %d, more %v", room.MaxUnread+1, o.Unread, o.More)
	}
	if mustAppend(t, s, member(id, "ann", "ben", "")); len(overviewsOf(t, s, room.OverviewQuery{User: "ben", Limit: 10})) != 0 {
		t.Error("MEM-11: an overview for who is no member any more")
	}
	mustAppend(t, s, member(id, "ann", "ben", "guest"))
	if mustDelete(t, s, id); len(overviewsOf(t, s, room.OverviewQuery{User: "ben", Limit: 10})) != 0 {
		t.Error("MEM-1: an overview of a room that is no more")
	}
}

// testOverviewsModel compares overviews with what a walk over the logs finds, after many random changes.
func testOverviewsModel(t *testing.T, f Factory) {
	s := f.open(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	ids := []room.ID{"chat:A", "chat:a", "chat:a-1", "chat:a.1", "chat:b", "club:z"}
	people := []string{"Zoe", "ann", "ben"}
	names := make(map[string][]string) // whom a message names, by its data
	for step := range 400 {
		id, who := ids[rng.IntN(len(ids))], people[rng.IntN(len(people))]
		switch rng.IntN(10) {
		case 0:
			mustAppend(t, s, member(id, "u1", who, "member"))
		case 1:
			if rng.IntN(3) == 0 {
				mustAppend(t, s, member(id, "u1", who, ""))
			}
		case 2:
			if head := mustHead(t, s, id).Seq; head > 0 {
				mustMark(t, s, room.Marking{Room: id, User: who, Read: rng.Int64N(head + 1), Delivered: rng.Int64N(head + 1)})
			}
		case 3:
			if head := mustHead(t, s, id).Seq; head > 0 {
				gone := say(id, "mod", "")
				target := 1 + rng.Int64N(head)
				gone.Type, gone.Data = room.TypeDelete, fmt.Appendf(nil, `{"target":%d}`, target)
				gone.Change = &room.Change{Target: target, Others: true}
				mustAppend(t, s, gone)
			}
		default:
			m := say(id, who, fmt.Sprint("step ", step))
			for _, other := range people {
				if rng.IntN(4) == 0 {
					m.Mentions = append(m.Mentions, other)
				}
			}
			names[string(m.Data)] = m.Mentions
			mustAppend(t, s, m)
		}
	}
	for _, user := range people {
		var want []room.Overview
		for _, id := range ids {
			if m, is := memberOf(t, s, id, user); is {
				want = append(want, walked(t, s, m, names))
			}
		}
		for _, limit := range []int{1, 2, 100} {
			var got []room.Overview
			for after := room.ID(""); ; after = got[len(got)-1].Room {
				page := overviewsOf(t, s, room.OverviewQuery{User: user, After: after, Limit: limit})
				if got = append(got, page...); len(page) < limit {
					break
				}
			}
			sameOverviews(t, got, want)
		}
		some := []room.ID{ids[5], ids[1], "chat:none", ids[0]}
		got := overviewsOf(t, s, room.OverviewQuery{User: user, Limit: 10, Rooms: some})
		sameOverviews(t, got, slices.DeleteFunc(want, func(o room.Overview) bool { return !slices.Contains(some, o.Room) }))
	}
}

// walked is an overview as a walk over the log finds it.
func walked(t *testing.T, s room.Store, m room.Member, names map[string][]string) room.Overview {
	t.Helper()
	head := mustHead(t, s, m.Room)
	own := mustOwn(t, s, m.User, m.Room)
	o := room.Overview{Member: m, Epoch: head.Epoch, Head: head.Seq, Read: own.Read, Delivered: own.Delivered}
	for _, e := range mustLog(t, s, m.Room) {
		if e.Type != room.TypeMessage {
			continue
		}
		if o.Last = &e; e.Seq > max(own.Read, m.Since) && e.Author != m.User && e.Gone == nil {
			if o.Unread++; o.FirstUnread == 0 {
				o.FirstUnread = e.Seq
			}
			if slices.Contains(names[string(e.Data)], m.User) {
				o.Mentions++
			}
		}
	}
	return o
}

func sameOverviews(t *testing.T, got, want []room.Overview) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("MEM-8: %d overviews, not %d", len(got), len(want))
	}
	for i := range got {
		g, w := got[i], want[i]
		if !sameMember(g.Member, w.Member) {
			t.Fatalf("MEM-9: the member is %+v, not %+v", g.Member, w.Member)
		}
		if (g.Last == nil) != (w.Last == nil) || g.Last != nil && (g.Last.Seq != w.Last.Seq || string(g.Last.Data) != string(w.Last.Data)) {
			t.Errorf("MEM-9: the last message of %s is %+v, not %+v", g.Room, g.Last, w.Last)
		}
		g.Member, g.Last, w.Member, w.Last = room.Member{}, nil, room.Member{}, nil
		if g != w {
			t.Errorf("MEM-9: the overview of %s is %+v, not %+v", got[i].Room, g, w)
		}
	}
}
