package postgres

import (
	"testing"

	"roomlog/server/room"
	"roomlog/server/store/postgres/pgtest"
)

// A marking waits for no append, though one holds the room, and no append for a marking (room.Receipts; RCPT-3).
func TestMarksAndAppendsDoNotWaitForEachOther(t *testing.T) {
	dsn := pgtest.DB(t)
	s := open(t, dsn+"&lock_timeout=300ms") // what waits fails
	defer func() { must(t, s.Close()) }()
	id := room.ID("chat:held")
	send := func(n byte) room.Send {
		return room.Send{Room: id, Author: "u1", Tag: room.Tag{15: n}, Type: "message", Data: []byte(`1`)}
	}
	_, err := s.Append(t.Context(), []room.Send{send(1), send(2)})
	must(t, err)

	held, err := direct(t, dsn).Begin(t.Context())
	must(t, err)
	_, err = held.Exec(t.Context(), `select from roomlog.rooms where name = $1 for update`, string(id))
	must(t, err)
	out, err := s.Mark(t.Context(), []room.Marking{{Room: id, User: "u2", Read: 1}})
	if err != nil || out[0].Read != 1 {
		t.Errorf("while the room is held: %+v, %v", out, err)
	}
	if _, err := s.Append(t.Context(), []room.Send{send(3)}); err == nil {
		t.Error("the room was not held")
	}
	must(t, held.Rollback(t.Context()))

	held, err = direct(t, dsn).Begin(t.Context())
	must(t, err)
	_, err = held.Exec(t.Context(), `select * from roomlog.mark($1, $2, $3, $4, $5)`, []string{string(id)}, []int32{1}, []string{"u3"}, []int64{0}, []int64{2})
	must(t, err)
	if v, err := s.Append(t.Context(), []room.Send{send(4)}); err != nil || v.Verdicts[0].Seq != 3 {
		t.Errorf("while it is marked: %+v, %v", v, err)
	}
	must(t, held.Rollback(t.Context()))
}
