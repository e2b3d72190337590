package storetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"roomlog/server/room"
)

// testSeen: what is newer counts, whichever handle put it, and users are told apart byte by byte (PRES-16).
func testSeen(t *testing.T, f Factory) {
	var stores []room.SeenStore
	for _, s := range f.pair(t) {
		store, ok := s.(room.SeenStore)
		if !ok {
			t.Fatalf("%T does not keep when users were there", s)
		}
		stores = append(stores, store)
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	seen := func(user string, at, until time.Duration) room.LastSeen {
		return room.LastSeen{User: user, At: now.Add(at), Until: now.Add(until)}
	}
	put := func(s room.SeenStore, list ...room.LastSeen) {
		t.Helper()
		must(t, "put", s.PutSeen(within(t), list))
	}
	is := func(users []string, want ...room.LastSeen) {
		t.Helper()
		for _, s := range stores {
			got, err := s.LastSeen(within(t), users)
			must(t, "last seen", err)
			slices.SortFunc(got, func(a, b room.LastSeen) int { return strings.Compare(a.User, b.User) })
			if !slices.Equal(got, want) {
				t.Errorf("%v: %v, want %v", users, got, want)
			}
		}
	}
	a, b := stores[0], stores[len(stores)-1]
	is([]string{"u1"})
	is(nil)
	put(a)
	put(a, seen("u2", 0, time.Minute), seen("u1", 0, 0), seen("U1", time.Second, 0), seen("ü \"1'", 0, 0))
	all := []string{"u1", "u2", "U1", "ü \"1'", "u9"}
	is(all, seen("U1", time.Second, 0), seen("u1", 0, 0), seen("u2", 0, time.Minute), seen("ü \"1'", 0, 0))
	put(b, seen("u2", time.Second, time.Second), seen("u1", -time.Second, time.Hour))
	is([]string{"u2", "u1"}, seen("u1", 0, 0), seen("u2", time.Second, time.Second))
	put(a, seen("u2", 0, time.Hour))
	is([]string{"u2"}, seen("u2", time.Second, time.Second))
}
