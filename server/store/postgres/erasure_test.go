package postgres

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"roomlog/server/room"
	"roomlog/server/store/postgres/pgtest"
)

// ERASE-5: an erase event is not appended from SQL either.
func TestNoEraseFromSQL(t *testing.T) {
	dsn := pgtest.DB(t)
	s := open(t, dsn)
	defer func() { must(t, s.Close()) }()
	must(t, s.PutKinds(t.Context(), []room.KindTerms{{EventBytes: 1 << 16, FrameBytes: 1 << 20}}))
	for typ, code := range map[string]string{"erase": "RL004", "erased": ""} {
		_, err := direct(t, dsn).Exec(t.Context(), `select roomlog.append('chat:a', $1, 'u1', gen_random_uuid(), '{"user":"u2"}'::text)`, typ)
		var e *pgconn.PgError
		if got := errors.As(err, &e); code == "" && err != nil || code != "" && (!got || e.Code != code) {
			t.Errorf("ERASE-5: an event of the type %s is answered by %v", typ, err)
		}
	}
}

// CHG-6: a 21st emoji is refused from SQL in the words of the server.
func TestTooManyEmojiFromSQL(t *testing.T) {
	dsn := pgtest.DB(t)
	s := open(t, dsn)
	defer func() { must(t, s.Close()) }()
	take(t, s, room.KindTerms{Kind: "chat"})
	_, err := s.Append(t.Context(), []room.Send{message("u1", 1)})
	must(t, err)
	conn := direct(t, dsn)
	for n := range room.MaxEmojiKinds {
		mustFromSQL(t, conn, event("reaction", "u2", 2+n, fmt.Sprintf(`{"target":1,"emoji":"e%d"}`, n)))
	}
	_, err = appendFromSQL(t, conn, event("reaction", "u2", 99, `{"target":1,"emoji":"one more"}`))
	var e *pgconn.PgError
	if want := "limit_exceeded: " + room.TooManyEmoji().Title; !errors.As(err, &e) || e.Code != "RL011" || e.Message != want || e.ColumnName != "data" {
		t.Errorf("CHG-6: one emoji more is refused by %v, field %q; want %q", err, e.ColumnName, want)
	}
}

// ERASE-2: a node from before erasures went in parts has all of a room erased at once, also where another has begun with it.
func TestEraseByAnOlderNode(t *testing.T) {
	dsn := pgtest.DB(t)
	s := open(t, dsn)
	defer func() { must(t, s.Close()) }()
	var batch []room.Send
	for n := range 2500 {
		batch = append(batch, message("u1", n+1))
	}
	_, err := s.Append(t.Context(), batch)
	must(t, err)
	tag := room.Tag{7}
	part, err := s.EraseIn(t.Context(), room.Erasure{User: "u1", By: "admin"}, "chat:a", tag, []byte(`{"user":"u1"}`))
	must(t, err)
	var stored, events int64
	must(t, direct(t, dsn).QueryRow(t.Context(), `select stored, events from roomlog.erase('chat:a', 'u1', 'admin', $1, '{"user":"u1"}')`, tag.String()).Scan(&stored, &events))
	if !part.More || stored != 2501 || events != 2500-part.Events {
		t.Errorf("ERASE-2: after %+v the erase event is %d, with %d events", part, stored, events)
	}
	page, err := s.Read(t.Context(), room.Query{Room: "chat:a", Limit: 3000})
	must(t, err)
	for _, e := range page.Events[:2500] {
		if e.Gone == nil || e.Gone.Seq != 2501 || string(e.Data) != "null" {
			t.Fatalf("ERASE-2: event %d is %s, gone by %+v", e.Seq, e.Data, e.Gone)
		}
	}
}

// MOD-1: who is muted appends nothing from SQL.
func TestMutedFromSQL(t *testing.T) {
	dsn := pgtest.DB(t)
	s := open(t, dsn)
	defer func() { must(t, s.Close()) }()
	must(t, s.PutKinds(t.Context(), []room.KindTerms{{EventBytes: 1 << 16, FrameBytes: 1 << 20}}))
	must(t, s.PutMute(t.Context(), room.Ban{Room: "chat:a", User: "u1", By: "mod", At: time.Now()}))
	for id, code := range map[string]string{"chat:a": "RL004", "chat:b": ""} {
		_, err := direct(t, dsn).Exec(t.Context(), `select roomlog.append($1, 'message', 'u1', gen_random_uuid(), '1'::text)`, id)
		var e *pgconn.PgError
		if got := errors.As(err, &e); code == "" && err != nil || code != "" && (!got || e.Code != code) {
			t.Errorf("MOD-1: an append to %s is answered by %v", id, err)
		}
	}
}
