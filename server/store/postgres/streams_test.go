package postgres

import (
	"testing"
	"time"

	"roomlog/server/room"
	"roomlog/server/store/postgres/pgtest"
)

// PART-8: a message that somebody is about to delete is opened when that is decided: what is deleted streams no more.
func TestAStreamIsNotOpenedBesideItsDeletion(t *testing.T) {
	dsn := pgtest.DB(t)
	s := open(t, dsn)
	defer func() { must(t, s.Close()) }()
	must(t, s.PutKinds(t.Context(), []room.KindTerms{{EventBytes: 1 << 16, FrameBytes: 1 << 20}}))
	m := message("u1", 1)
	must(t, s.BeginStream(t.Context(), room.Stream{Room: m.Room, Author: m.Author, Tag: m.Tag}, time.Minute))
	_, err := s.Append(t.Context(), []room.Send{m})
	must(t, err)
	app := direct(t, dsn)
	_, err = app.Exec(t.Context(), "begin")
	must(t, err)
	_, err = app.Exec(t.Context(), `select roomlog.append($1, 'delete', 'mod', gen_random_uuid(), '{"target":1}'::text)`, string(m.Room))
	must(t, err)
	type outcome struct {
		found bool
		err   error
	}
	opened := make(chan outcome, 1)
	go func() {
		_, found, err := s.BindStream(t.Context(), m.Room, m.Author, m.Tag, time.Minute)
		opened <- outcome{found, err}
	}()
	for waits := false; !waits && len(opened) == 0; {
		must(t, app.QueryRow(t.Context(), "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')").Scan(&waits))
	}
	_, err = app.Exec(t.Context(), "commit")
	must(t, err)
	if o := <-opened; o.err != nil || o.found {
		t.Errorf("PART-8: it is opened: %+v", o)
	}
	if list, err := s.FindStreams(t.Context(), []room.ID{m.Room}, 0); err != nil || len(list) > 0 {
		t.Errorf("PART-8: open are %+v, %v", list, err)
	}
}
