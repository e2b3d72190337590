package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"roomlog/server/room"
)

// accessOf is the store as one that keeps access.
func accessOf(t *testing.T, s room.Store) room.AccessStore {
	t.Helper()
	a, ok := s.(room.AccessStore)
	if !ok {
		t.Fatalf("%T keeps no access: a server on it cannot take any back", s)
	}
	return a
}

func mustAccess(t *testing.T, s room.Store, now time.Time) room.Access {
	t.Helper()
	all, err := accessOf(t, s).Access(within(t), now)
	if err != nil {
		t.Fatalf("read access: %v", err)
	}
	return all
}

func must(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// noon is a time as stores keep it: in microseconds.
var noon = time.Date(2026, 11, 23, 12, 0, 0, 123456000, time.UTC)

// testBans stores, replaces and lifts bans, by both handles, and opens the database anew (ACC-3, ACC-7).
func testBans(t *testing.T, f Factory) {
	hs := f.pair(t)
	a, b := accessOf(t, hs[0]), accessOf(t, hs[1])
	if all := mustAccess(t, hs[0], noon); len(all.Bans)+len(all.Revocations) != 0 {
		t.Fatalf("a new store keeps out %+v", all)
	}
	odd := strings.Repeat("é'\"\\%", 16) // 128 bytes and no more
	bans := []room.Ban{
		{Room: "", User: "blocked", Until: noon.Add(time.Hour), Reason: "spam", By: "admin", At: noon},
		{Room: "chat:a", User: "u1", Until: noon.Add(time.Minute), By: "admin", At: noon},
		{Room: "chat:a", User: odd, Reason: "", By: odd, At: noon},
		{Room: "chat:b", User: "u1", By: "admin", At: noon},
	}
	for i := range bans {
		was := bans[i]
		was.Reason, was.Until, was.At = "another", time.Time{}, noon.Add(-time.Hour)
		must(t, "ban", []room.AccessStore{a, b}[i%2].PutBan(within(t), was))
		must(t, "ban again", a.PutBan(within(t), bans[i])) // in its place, until included
	}
	for _, h := range hs {
		if all := mustAccess(t, h, noon); !slices.Equal(all.Bans, bans) {
			t.Fatalf("the bans are %+v, want %+v", all.Bans, bans)
		}
	}
	if all := mustAccess(t, hs[1], noon.Add(time.Minute)); len(all.Bans) != 3 {
		t.Errorf("a ban whose time is over is in force: %+v", all.Bans)
	}
	for range 2 { // the second time nothing is left to lift
		must(t, "lift", b.DropBan(within(t), "chat:b", "u1"))
		must(t, "lift", b.DropBan(within(t), "chat:nobody", "u1"))
	}
	if all := mustAccess(t, hs[0], noon); !slices.Equal(all.Bans, bans[:3]) {
		t.Errorf("the bans are %+v after one was lifted, want %+v", all.Bans, bans[:3])
	}
	if n, err := a.ForgetAccess(within(t), noon.Add(time.Minute)); n != 1 || err != nil {
		t.Errorf("forgot %d bans, want the one that is over: %v", n, err)
	}
	if all := mustAccess(t, hs[1], noon); !slices.Equal(all.Bans, []room.Ban{bans[0], bans[2]}) {
		t.Errorf("the bans are %+v after one was forgotten", all.Bans)
	}
}

// testRevocations stores revocations in any order: none brings a token back (ACC-2).
func testRevocations(t *testing.T, f Factory) {
	hs := f.pair(t)
	a, b := accessOf(t, hs[0]), accessOf(t, hs[1])
	want := []room.Revocation{
		{User: "u1", Before: noon.Add(time.Second), Until: noon.Add(time.Hour), Reason: "lost", By: "admin", At: noon},
		{User: "u1", Token: "t-1", Until: noon.Add(time.Hour), By: "admin", At: noon},
		{User: "u2", Token: "t-1", Until: noon.Add(time.Minute), By: "admin", At: noon},
	}
	for _, r := range want {
		must(t, "revoke", a.PutRevocation(within(t), r))
	}
	older := want[0]
	older.Before, older.Until = noon, noon.Add(time.Minute)
	must(t, "revoke", b.PutRevocation(within(t), older)) // takes nothing back
	if all := mustAccess(t, hs[1], noon); !slices.Equal(all.Revocations, want) {
		t.Fatalf("the revocations are %+v, want %+v", all.Revocations, want)
	}
	if n, err := b.ForgetAccess(within(t), noon.Add(time.Minute)); n != 1 || err != nil {
		t.Errorf("forgot %d revocations, want the one that is over: %v", n, err)
	}
	if all := mustAccess(t, hs[0], noon); !slices.Equal(all.Revocations, want[:2]) {
		t.Errorf("the revocations are %+v, want %+v", all.Revocations, want[:2])
	}
}

// testAccessLasts writes from many goroutines, then closes and opens the database: all is there (ACC-3).
func testAccessLasts(t *testing.T, f Factory) {
	s := f.Open(t)
	a := accessOf(t, s)
	together(t, 8, func(i int) error {
		for n := range rounds {
			user := fmt.Sprintf("u%d-%d", i, n)
			if err := a.PutBan(within(t), room.Ban{Room: "chat:a", User: user, By: "admin", At: noon}); err != nil {
				return err
			}
			if err := a.PutRevocation(within(t), room.Revocation{User: user, Before: noon, Until: noon.Add(time.Hour), By: "admin", At: noon}); err != nil {
				return err
			}
		}
		return nil
	})
	before := mustAccess(t, s, noon)
	if len(before.Bans) != 8*rounds || len(before.Revocations) != 8*rounds {
		t.Fatalf("%d bans and %d revocations, want %d of each", len(before.Bans), len(before.Revocations), 8*rounds)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.PutBan(ended, room.Ban{Room: "chat:a", User: "late", By: "admin", At: noon}); err == nil {
		t.Error("a ban whose context had ended was stored")
	} else if err := checkRefusal(err); err != nil {
		t.Error(err)
	}
	must(t, "close", s.Close())
	if err := a.PutBan(t.Context(), before.Bans[0]); err == nil || checkRefusal(err) != nil {
		t.Errorf("a ban after Close: %v", err)
	}
	if after := mustAccess(t, f.open(t), noon); !slices.Equal(after.Bans, before.Bans) || !slices.Equal(after.Revocations, before.Revocations) {
		t.Error("access is another after the database was opened anew")
	}
}

// testMutes stores, replaces, lifts and forgets mutes, apart from bans of the same user and room (MOD-2).
func testMutes(t *testing.T, f Factory) {
	hs := f.pair(t)
	a, b := accessOf(t, hs[0]), accessOf(t, hs[1])
	mutes := []room.Ban{
		{Room: "chat:a", User: "u1", Until: noon.Add(time.Minute), Reason: "noise", By: "mod", At: noon},
		{Room: "chat:a", User: "u2", By: "mod", At: noon},
		{Room: "chat:b", User: "u1", By: "mod", At: noon},
	}
	ban := room.Ban{Room: "chat:a", User: "u1", By: "admin", At: noon}
	for _, m := range mutes {
		was := m
		was.Reason, was.Until = "another", time.Time{}
		must(t, "mute", a.PutMute(within(t), was))
		must(t, "mute again", b.PutMute(within(t), m))
	}
	must(t, "ban", a.PutBan(within(t), ban))
	check := func(now time.Time, bans, want []room.Ban) {
		t.Helper()
		if all := mustAccess(t, hs[1], now); !slices.Equal(all.Mutes, want) || !slices.Equal(all.Bans, bans) {
			t.Fatalf("MOD-2: muted are %+v and banned %+v; want %+v and %+v", all.Mutes, all.Bans, want, bans)
		}
	}
	check(noon, []room.Ban{ban}, mutes)
	must(t, "lift the ban", b.DropBan(within(t), "chat:a", "u1"))
	check(noon, nil, mutes)
	check(noon.Add(time.Minute), nil, mutes[1:])
	if n, err := a.ForgetAccess(within(t), noon.Add(time.Hour)); err != nil || n != 1 {
		t.Fatalf("forgot %d, %v", n, err)
	}
	check(noon, nil, mutes[1:])
	must(t, "lift", a.DropMute(within(t), "chat:a", "u2"))
	must(t, "lift what is not there", a.DropMute(within(t), "chat:a", "u9"))
	check(noon, nil, mutes[2:])
}
