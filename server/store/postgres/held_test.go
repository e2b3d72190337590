package postgres

import (
	"testing"
	"time"

	"roomlog/server/room"
	"roomlog/server/store/postgres/pgtest"
)

// TestHeldRoom: a batch does not wait for a room that another transaction holds, and nothing of that room is
// judged: neither its sends, nor repeats among them, nor what follows them in the batch.
func TestHeldRoom(t *testing.T) {
	dsn := pgtest.DB(t)
	s := open(t, dsn)
	defer s.Close()
	of := func(id room.ID, n int) room.Send {
		m := message("u1", n)
		m.Room = id
		return m
	}
	first, third, free, fresh := message("u1", 1), message("u1", 3), of("chat:free", 4), of("chat:new", 5)
	stored, err := s.Append(t.Context(), []room.Send{first, of("chat:free", 2)})
	must(t, err)
	release := hold(t, dsn)

	repeat := first
	repeat.Repeat = true
	batch := []room.Send{third, free, third, repeat, fresh, first, free}
	for i, before := range []room.Seq{1, 2} { // and again, now that the new room is there
		out, err := s.AppendWithin(t.Context(), batch, 0)
		must(t, err)
		for j, v := range out.Verdicts {
			if held := batch[j].Room == first.Room; v.Held != held || held != (v.Seq == 0) {
				t.Errorf("round %d, send %d to %s: %+v", i, j, batch[j].Room, v)
			}
		}
		if len(out.Rooms) != 2 || out.Rooms[0].Head.Room != free.Room || out.Rooms[0].Before != before || out.Rooms[0].Head.Seq != 2 || out.Rooms[1].Head.Seq != 1 {
			t.Errorf("round %d, the rooms of the batch: %+v", i, out.Rooms)
		}
	}
	out, err := s.AppendWithin(t.Context(), batch, time.Millisecond)
	must(t, err)
	for i, v := range out.Verdicts {
		if !v.Held {
			t.Errorf("after a wait that was too short, send %d: %+v", i, v)
		}
	}

	release()
	out, err = s.AppendWithin(t.Context(), batch, 0)
	must(t, err)
	for i, want := range []room.Seq{2, 2, 2, 1, 1, 1, 2} {
		if v := out.Verdicts[i]; v.Seq != want || v.Held || v.Duplicate != (i != 0) {
			t.Errorf("after the room is free, send %d: %+v, not seq %d", i, v, want)
		}
	}
	if out.Verdicts[3].Mark != stored.Verdicts[0].Mark {
		t.Errorf("a repeat is answered with mark %s, not %s", out.Verdicts[3].Mark, stored.Verdicts[0].Mark)
	}
}

// TestHeldCreation: a batch does not wait for a room that another transaction is making, nor for one that its author
// would make while another transaction makes a room of theirs; the rooms that others make are made.
func TestHeldCreation(t *testing.T) {
	dsn := pgtest.DB(t)
	s := open(t, dsn)
	defer s.Close()
	of := func(id room.ID, author string, n int) room.Send {
		m := message(author, n)
		m.Room = id
		return m
	}
	release := making(t, dsn, "chat:made", "u1")

	batch := []room.Send{of("chat:made", "u2", 1), of("chat:mine", "u1", 2), of("chat:other", "u2", 3), of("news:mine", "u1", 4)}
	out, err := s.AppendWithin(t.Context(), batch, 0)
	must(t, err)
	for i, held := range []bool{true, true, false, false} {
		if v := out.Verdicts[i]; v.Held != held || held != (v.Seq == 0) {
			t.Errorf("while a room is made, send %d to %s: %+v", i, batch[i].Room, v)
		}
	}
	if list, _, err := s.List(t.Context(), "", "", 10); err != nil || len(list) != 2 {
		t.Errorf("while a room is made there are %+v, %v", list, err)
	}
	out, err = s.AppendWithin(t.Context(), batch[:2], time.Millisecond)
	must(t, err)
	for i, v := range out.Verdicts {
		if !v.Held {
			t.Errorf("after a wait that was too short, send %d: %+v", i, v)
		}
	}

	release()
	out, err = s.AppendWithin(t.Context(), batch, 0)
	must(t, err)
	for i, want := range []room.Seq{2, 1, 1, 1} {
		if v := out.Verdicts[i]; v.Seq != want || v.Held || v.Duplicate != (i > 1) {
			t.Errorf("after the room is made, send %d: %+v, not seq %d", i, v, want)
		}
	}
}

// making makes a room by an append whose transaction stays open until release.
func making(t *testing.T, dsn string, id room.ID, author string) (release func()) {
	t.Helper()
	tx, err := direct(t, dsn).Begin(t.Context())
	if err == nil {
		m := message(author, 0)
		m.Room = id
		l := lay([]room.Send{m})
		_, err = tx.Exec(t.Context(), appendSQL, l.arguments(true, new(int32))...)
	}
	must(t, err)
	return func() { must(t, tx.Commit(t.Context())) }
}
