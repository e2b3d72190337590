package storetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"roomlog/server/room"
)

// member is a member event: user has the role from now on, or, without one, belongs to the room no more.
func member(id room.ID, author, user, role string) room.Send {
	s := say(id, author, "")
	s.Type, s.Member = room.TypeMember, &room.MemberChange{User: user, Role: role}
	s.Data = fmt.Appendf(nil, `{"User":%q,"Role":%q}`, user, role)
	return s
}

func memberOf(t *testing.T, s room.Store, id room.ID, user string) (room.Member, bool) {
	t.Helper()
	m, found, err := s.(room.Members).Member(within(t), id, user)
	if err != nil {
		t.Fatalf("member %s of %s: %v", user, id, err)
	}
	return m, found
}

func membersOf(t *testing.T, s room.Store, id room.ID, after string, limit int) []room.Member {
	t.Helper()
	list, err := s.(room.Members).ListMembers(within(t), id, after, limit)
	if err != nil || len(list) > limit {
		t.Fatalf("members of %s, %d at most: %d, %v", id, limit, len(list), err)
	}
	return list
}

func roomsOf(t *testing.T, s room.Store, user string, after room.ID, limit int) []room.Member {
	t.Helper()
	list, err := s.(room.Members).Memberships(within(t), user, after, limit)
	if err != nil || len(list) > limit {
		t.Fatalf("rooms of %s, %d at most: %d, %v", user, limit, len(list), err)
	}
	return list
}

func sameMember(a, b room.Member) bool {
	at := a.At.Equal(b.At)
	a.At = b.At
	return at && a == b
}

// testMembers changes members by member events, which are stored like any other; the event that made a member one stays theirs when
// their role changes, and is another when they come back.
func testMembers(t *testing.T, f Factory) {
	hs := f.pair(t)
	id := room.ID("chat:members")
	check := func(when, user string, want *room.Member) {
		t.Helper()
		m, found := memberOf(t, hs[1], id, user)
		if want == nil {
			if found || m != (room.Member{}) {
				t.Errorf("%s, who is no member is %+v, %t", when, m, found)
			}
			return
		}
		if !found || !sameMember(m, *want) {
			t.Errorf("%s, the member is %+v, %t, not %+v", when, m, found, *want)
		}
	}
	is := func(user, role string, v room.Verdict) *room.Member {
		return &room.Member{Room: id, User: user, Role: role, Since: v.Seq, At: v.At}
	}
	check("before anything", "u1", nil)
	none := member(id, "u1", "u9", "")
	first, joined := member(id, "u1", "u1", "owner"), member(id, "u1", "u2", "member")
	out := mustAppend(t, hs[0], first, joined, none, say(id, "u2", "hi")).Verdicts
	if out[0].Seq != 1 || out[1].Seq != 2 || out[2].Seq != 3 || out[1].Target != 0 {
		t.Fatalf("member events are answered with %+v", out)
	}
	log := mustLog(t, hs[1], id)
	checkDense(t, log, 1, 4)
	checkStored(t, log[1], joined, out[1])
	check("joined", "u1", is("u1", "owner", out[0]))
	check("joined", "u2", is("u2", "member", out[1]))
	check("removed without having been one", "u9", nil)
	check("a stranger", "u3", nil)
	one(t, hs[0], member(id, "u1", "u2", "moderator"))
	check("promoted", "u2", is("u2", "moderator", out[1]))
	if v := mustAppend(t, hs[0], joined).Verdicts[0]; v != duplicateOf(out[1]) {
		t.Errorf("TAG-3: the repeat of a member event is answered with %+v", v)
	}
	conflict := member(id, "u1", "u2", "guest")
	conflict.Tag = joined.Tag
	asked := member(id, "u1", "u2", "guest")
	asked.Repeat = true
	if v := mustAppend(t, hs[0], conflict, asked).Verdicts; !refusedAs(v[0], room.TagConflict()) || !v[1].NotStored {
		t.Errorf("TAG-4: member events that are not stored are answered with %+v", v)
	}
	check("repeated and refused", "u2", is("u2", "moderator", out[1]))
	one(t, hs[0], member(id, "u2", "u2", ""))
	check("gone", "u2", nil)
	back := mustAppend(t, hs[0], member(id, "u1", "u2", "guest"), member(id, "u1", "u2", ""), member(id, "u1", "u2", "member"), member(id, "u1", "u2", "guest")).Verdicts
	check("back, within one batch", "u2", is("u2", "guest", back[2]))
	check("all the time", "u1", is("u1", "owner", out[0]))
	if r := mustFind(t, hs[0], id); r.CreatedBy != "u1" {
		t.Errorf("ROOM-4: the room that a member event made is %+v", r)
	}
	limited := member("chat:members2", "u1", "u1", "owner")
	limited.RoomLimit = 1
	if v := mustAppend(t, hs[0], limited).Verdicts[0]; !refusedForRooms(v, 1) {
		t.Errorf("ROOM-9: a member event for a room too many is answered with %+v", v)
	}
	if m, found := memberOf(t, hs[1], "chat:members2", "u1"); found {
		t.Errorf("ROOM-9: a member event that was refused made %+v", m)
	}
	if b := f.Beside(t); b.Members != 2 {
		t.Errorf("%d rows of 2 members", b.Members)
	}
}

// testMembersListed lists members in the order of their names, byte by byte, in pages.
func testMembersListed(t *testing.T, f Factory) {
	s := f.open(t)
	id := room.ID("chat:list")
	if list := membersOf(t, s, id, "", 10); len(list) != 0 {
		t.Errorf("a room that does not exist has the members %+v", list)
	}
	names := []string{"zoe", "Zoe", "a", "a-1", "a.1", "ab", "B", "é", "_", "10", "9", "a b"}
	var batch []room.Send
	for _, n := range names {
		batch = append(batch, member(id, "u1", n, "role-"+n), member("chat:other", "u1", n+"x", "member"))
	}
	out := mustAppend(t, s, batch...).Verdicts
	want := make([]room.Member, len(names))
	for i, n := range names {
		want[i] = room.Member{Room: id, User: n, Role: "role-" + n, Since: out[2*i].Seq, At: out[2*i].At}
	}
	slices.SortFunc(want, func(a, b room.Member) int { return slices.Compare([]byte(a.User), []byte(b.User)) })
	for _, limit := range []int{1, 2, 5, 12, 100} {
		var got []room.Member
		for after := ""; ; {
			page := membersOf(t, s, id, after, limit)
			got = append(got, page...)
			if len(page) < limit || len(got) > 50 {
				break
			}
			after = page[len(page)-1].User
		}
		if !slices.EqualFunc(got, want, sameMember) {
			t.Errorf("the members, %d at a time, are %+v, not %+v", limit, got, want)
		}
	}
	if list := membersOf(t, s, id, "a/", 2); len(list) != 2 || list[0].User != "ab" || list[1].User != "zoe" {
		t.Errorf("after a name that nobody has come %+v", list)
	}
}

// testMemberships lists the rooms of a user in the order of their ids, byte by byte, in pages.
func testMemberships(t *testing.T, f Factory) {
	s := f.open(t)
	ids := []room.ID{"chat:b", "chat:a", "board:z", "chat:B", "chat:a-1", "chat:a.1", "chat:ab", "chat_x:a", "chat:10", "chat:9"}
	if list := roomsOf(t, s, "u2", "", 10); len(list) != 0 {
		t.Errorf("who is nowhere a member belongs to %+v", list)
	}
	var batch []room.Send
	for i, id := range ids {
		batch = append(batch, say(id, "u1", "x"), member(id, "u1", "u2", fmt.Sprint("role-", i)), member(id, "u1", "u3", "member"))
	}
	batch = append(batch, member("chat:left", "u1", "u2", "member"), member("chat:left", "u1", "u2", ""), member("chat:others", "u1", "u3", "member"))
	mustAppend(t, s, batch...)
	mustAppend(t, s, member("chat:gone", "u1", "u2", "member"))
	mustDelete(t, s, "chat:gone")
	order := slices.Sorted(slices.Values(ids))
	for _, limit := range []int{1, 3, 10, 100} {
		var got []room.ID
		for after := room.ID(""); ; {
			page := roomsOf(t, s, "u2", after, limit)
			for _, m := range page {
				if want := fmt.Sprint("role-", slices.Index(ids, m.Room)); m.Role != want || m.Since != 2 {
					t.Errorf("u2 is in %s as %+v, not %s since 2", m.Room, m, want)
				}
				got = append(got, m.Room)
			}
			if len(page) < limit || len(got) > 50 {
				break
			}
			after = page[len(page)-1].Room
		}
		if !slices.Equal(got, order) {
			t.Errorf("the rooms of u2, %d at a time, are %v, not %v", limit, got, order)
		}
	}
	if list := roomsOf(t, s, "u2", "chat:a/", 1); len(list) != 1 || list[0].Room != "chat:ab" {
		t.Errorf("after a room that is none of them comes %+v", list)
	}
}

// testMembersLast finds members, present content and what was deleted as they were, after the store was opened again.
func testMembersLast(t *testing.T, f Factory) {
	s := f.Open(t)
	id := room.ID("chat:last")
	mustAppend(t, s, member(id, "u1", "u1", "owner"), member(id, "u1", "u2", "member"))
	filled(t, s, id, 2)
	members, rooms, shown, log := membersOf(t, s, id, "", 10), roomsOf(t, s, "u2", "", 10), present(t, s, id), mustLog(t, s, id)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = f.open(t)
	if got := membersOf(t, s, id, "", 10); len(got) != 2 || !slices.EqualFunc(got, members, sameMember) {
		t.Errorf("the members were %+v and are %+v", members, got)
	}
	if got := roomsOf(t, s, "u2", "", 10); len(got) != 1 || got[0].Room != rooms[0].Room || got[0].Role != rooms[0].Role || got[0].Since != rooms[0].Since {
		t.Errorf("the rooms were %+v and are %+v", rooms, got)
	}
	for _, c := range []struct{ was, is []room.Event }{{shown, present(t, s, id)}, {log, mustLog(t, s, id)}} {
		for i, e := range c.is {
			if why := differs(e, c.was[i]); why != "" {
				t.Errorf("event %d is %+v: %s", e.Seq, e, why)
			}
		}
	}
}

// testMembersUnderLoad has users join and leave over two handles, by themselves and by others: who is a member in the end is what the log
// says, event by event.
func testMembersUnderLoad(t *testing.T, f Factory) {
	hs, ctx := f.pair(t), within(t)
	ids := []room.ID{"chat:m1", "chat:m2"}
	together(t, 12, func(i int) error {
		for r := range rounds {
			var batch []room.Send
			for k := range 4 {
				user := fmt.Sprint("u", (i+r*k)%6)
				batch = append(batch, member(ids[(i+k)%2], fmt.Sprint("w", i), user, []string{"member", "", "guest", "member"}[(i+r+k)%4]))
			}
			if _, err := hs[(i+r)%2].Append(ctx, batch); err != nil {
				return err
			}
			if _, err := hs[i%2].(room.Members).ListMembers(ctx, ids[0], "", 100); err != nil {
				return err
			}
		}
		return nil
	})
	for _, id := range ids {
		want := map[string]room.Member{}
		for _, e := range mustLog(t, hs[0], id) {
			var c room.MemberChange
			if err := json.Unmarshal(e.Data, &c); err != nil {
				t.Fatal(err)
			}
			m, was := want[c.User]
			switch {
			case c.Role == "":
				delete(want, c.User)
			case was:
				m.Role = c.Role
				want[c.User] = m
			default:
				want[c.User] = room.Member{Room: id, User: c.User, Role: c.Role, Since: e.Seq, At: e.At}
			}
		}
		got := membersOf(t, hs[1], id, "", 100)
		if len(got) != len(want) || len(got) == 0 {
			t.Errorf("%s has the members %+v, its log says %+v", id, got, want)
		}
		for _, m := range got {
			if !sameMember(m, want[m.User]) {
				t.Errorf("a member of %s is %+v, its log says %+v", id, m, want[m.User])
			}
		}
	}
}
