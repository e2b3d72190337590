package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"roomlog/server/room"
)

// testTickets: what one handle has noted, the other knows (TICK-8).
func testTickets(t *testing.T, f Factory) {
	hs := f.pair(t)
	var stores []room.TicketStore
	for _, s := range hs {
		store, ok := s.(room.TicketStore)
		switch {
		case !ok && f.Single == "":
			t.Fatalf("%T can be shared, and keeps no tickets: each node would take one", s)
		case !ok:
			t.Skipf("%T keeps no tickets, since nobody else takes them: %s", s, f.Single)
		}
		stores = append(stores, store)
	}
	Tickets(t, stores[0], stores[1])
}

// Tickets tests two handles of one [room.TicketStore], which may be the same.
func Tickets(t *testing.T, a, b room.TicketStore) {
	now := time.Now()
	use := func(s room.TicketStore, id, user string, until time.Time, want bool) {
		t.Helper()
		if first, err := s.UseTicket(within(t), id, user, until); err != nil || first != want {
			t.Errorf("use %s: %t, %v, want %t", id, first, err, want)
		}
	}
	try := func(s room.TicketStore, id, want string, tries int) {
		t.Helper()
		kept, n, err := s.TryTicket(within(t), id)
		if err != nil || string(kept) != want || (kept == nil) != (want == "") || n != tries {
			t.Errorf("try %s: %q, %d, %v, want %q, %d", id, kept, n, err, want, tries)
		}
	}
	soon := now.Add(30 * time.Second)
	try(a, "t1", "", 0)
	use(a, "t1", "u1", soon, true)
	use(b, "t1", "u1", soon, false)
	use(b, "t2", "u2", soon, true)
	try(b, "t1", "", 0) // nothing is kept, and nothing counted
	must(t, "keep", b.KeepTicket(within(t), "t1", []byte("one"), now.Add(time.Hour)))
	must(t, "keep what is not there", a.KeepTicket(within(t), "t3", []byte("x"), now.Add(time.Hour)))
	try(a, "t3", "", 0)
	use(a, "t3", "u1", soon, true)
	for i := range 3 {
		try([]room.TicketStore{a, b}[i%2], "t1", "one", i+1)
	}
	must(t, "keep again", a.KeepTicket(within(t), "t1", []byte("two"), now.Add(time.Hour)))
	try(b, "t1", "two", 1)
	use(a, "t1", "u1", soon, false)

	var uses atomic.Int64
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			first, err := []room.TicketStore{a, b}[i%2].UseTicket(within(t), "raced", "u1", soon)
			if err != nil {
				t.Error(err)
			}
			if first {
				uses.Add(1)
			}
		})
	}
	all.Wait()
	if uses.Load() != 1 {
		t.Errorf("%d of 16 used one ticket first", uses.Load())
	}

	// Of a user's old ones the newest are kept; those that could still be used first, and others' are not touched.
	old := now.Add(-time.Hour)
	for i := range room.TicketsKept + 10 {
		id := fmt.Sprintf("old%d", i)
		use(a, id, "u1", old.Add(time.Duration(i)*time.Second), true)
		must(t, "keep", a.KeepTicket(within(t), id, []byte("x"), now.Add(time.Hour)))
	}
	use(a, "t4", "u1", soon, true)
	use(a, "t5", "u1", soon, true)
	for i, want := range []string{"", "", "x", "x"} {
		try(b, []string{"old0", "old9", "old20", fmt.Sprintf("old%d", room.TicketsKept+9)}[i], want, len(want))
	}
	use(b, "t4", "u1", soon, false)
	use(b, "t2", "u2", soon, false)
	use(b, "t3", "u1", soon, false)

	if n, err := a.ForgetTickets(within(t), soon.Add(time.Second)); err != nil || n < 4 {
		t.Errorf("forgot %d, %v", n, err)
	}
	try(b, "t1", "two", 2) // it is kept for an hour
	use(b, "t2", "u2", soon, true)
}
