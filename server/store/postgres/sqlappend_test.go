package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"roomlog/server/room"
	"roomlog/server/store/postgres/pgtest"
)

// take tells a store what kinds take.
func take(t *testing.T, s *Store, kinds ...room.KindTerms) {
	t.Helper()
	for i := range kinds {
		kinds[i].EventBytes, kinds[i].FrameBytes = room.MaxData, 1<<20
	}
	must(t, s.PutKinds(t.Context(), kinds))
}

// answered is what roomlog.append gives.
type answered struct {
	seq       room.Seq
	epoch     string
	position  string
	at        time.Time
	duplicate bool
}

const fromSQL = `select seq, epoch, "position", at, duplicate from roomlog.append($1, $2, $3, $4::pg_catalog.text, $5::pg_catalog.text)`

// querier is a connection or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func appendFromSQL(t *testing.T, conn querier, m room.Send) (a answered, err error) {
	t.Helper()
	err = conn.QueryRow(t.Context(), fromSQL, string(m.Room), m.Type, m.Author, m.Tag.String(), string(m.Data)).
		Scan(&a.seq, &a.epoch, &a.position, &a.at, &a.duplicate)
	return a, err
}

func mustFromSQL(t *testing.T, conn querier, m room.Send) answered {
	t.Helper()
	a, err := appendFromSQL(t, conn, m)
	must(t, err)
	return a
}

// refusedAs fails unless an error has this code, by its text and its state.
func refusedAs(t *testing.T, what string, err error, code, state string) {
	t.Helper()
	var e *pgconn.PgError
	if !errors.As(err, &e) || !strings.HasPrefix(e.Message, code+": ") || e.Code != state {
		t.Errorf("%s: %v, want %s (%s)", what, err, code, state)
	}
}

// TestAppendFromSQL: what SQL and a server append to one room is one log: dense, each tag once, whoever had it first.
func TestAppendFromSQL(t *testing.T) {
	dsn := pgtest.DB(t)
	s := open(t, dsn)
	defer s.Close()
	take(t, s, room.KindTerms{Kind: "chat"})
	conn := direct(t, dsn)

	first := message("u1", 1)
	a := mustFromSQL(t, conn, first)
	if a.seq != 1 || a.duplicate {
		t.Fatalf("the first: %+v", a)
	}
	second, third := message("u1", 2), message("u1", 3)
	out, err := s.Append(t.Context(), []room.Send{first, second})
	must(t, err)
	if v := out.Verdicts[0]; !v.Duplicate || v.Seq != 1 || !v.At.Equal(a.at) {
		t.Errorf("what SQL appended is repeated as %+v, not %+v", v, a)
	}
	head := out.Rooms[0].Head
	b := mustFromSQL(t, conn, second)
	if want := head.Position().String(); b.seq != 2 || !b.duplicate || b.position != want || b.epoch != string(head.Epoch) {
		t.Errorf("what a server appended is repeated as %+v, at %s", b, want)
	}
	other := first
	other.Data = []byte(`{"n":999}`)
	_, err = appendFromSQL(t, conn, other)
	refusedAs(t, "another event with a tag", err, "tag_conflict", "RL010")
	if c := mustFromSQL(t, conn, third); c.seq != 3 || c.duplicate {
		t.Errorf("after a refusal: %+v", c)
	}

	page, err := s.Read(t.Context(), room.Query{Room: first.Room, Limit: 10})
	must(t, err)
	if len(page.Events) != 3 || string(page.Events[0].Data) != string(first.Data) || page.Events[0].Tag != first.Tag {
		t.Errorf("the log has %+v", page.Events)
	}
	if page.Position().String() != mustFromSQL(t, conn, third).position {
		t.Errorf("the position of the last is %s", page.Position())
	}
}

// TestAppendFromSQLRollsBack: until the caller's transaction ends nobody sees the event or a poke of it, and nobody ever
// does if it rolls back; a savepoint is enough to go on after a refusal.
func TestAppendFromSQLRollsBack(t *testing.T) {
	dsn := pgtest.DB(t)
	s := open(t, dsn)
	defer s.Close()
	take(t, s, room.KindTerms{Kind: "chat"})
	_, since, _ := asked(t, s, "")
	tx, err := direct(t, dsn).Begin(t.Context())
	must(t, err)
	for n := range 3 {
		mustFromSQL(t, tx, message("u1", n))
	}
	if topics, _, _ := asked(t, s, since); len(topics) > 0 {
		t.Errorf("before it is committed there are pokes of %q", topics)
	}
	must(t, tx.Rollback(t.Context()))
	if h := headNow(t, s); h.Seq != 0 {
		t.Errorf("after a rollback the head is %d", h.Seq)
	}
	if topics, _, _ := asked(t, s, since); len(topics) > 0 {
		t.Errorf("after a rollback there are pokes of %q", topics)
	}

	conn := direct(t, dsn)
	tx, err = conn.Begin(t.Context())
	must(t, err)
	m := message("u1", 1)
	mustFromSQL(t, tx, m)
	point, err := tx.Begin(t.Context()) // a savepoint
	must(t, err)
	bad := m
	bad.Type = "other"
	_, err = appendFromSQL(t, point, bad)
	refusedAs(t, "a tag of another event", err, "tag_conflict", "RL010")
	must(t, point.Rollback(t.Context()))
	if a := mustFromSQL(t, tx, message("u1", 2)); a.seq != 2 {
		t.Errorf("after a savepoint: %+v", a)
	}
	var pokes int
	must(t, tx.QueryRow(t.Context(), "select count(*) from roomlog.pokes").Scan(&pokes))
	must(t, tx.Commit(t.Context()))
	if topics, _, _ := asked(t, s, since); len(topics) != 1 || topics[0] != "room:chat:a" || pokes != 1 {
		t.Errorf("pokes of %q, %d rows for one room", topics, pokes)
	}
	if h := headNow(t, s); h.Seq != 2 {
		t.Errorf("the head is %d, want 2", h.Seq)
	}
}

// TestAppendFromSQLJudges holds what does not depend on a server: isolation, rights, bans, what kinds say.
func TestAppendFromSQLJudges(t *testing.T) { // SQL-4
	dsn := pgtest.DB(t)
	s := open(t, dsn)
	defer s.Close()
	conn := direct(t, dsn)
	m := message("u1", 1)
	_, err := appendFromSQL(t, conn, m)
	refusedAs(t, "before a server has said what there is", err, "unknown_room", "RL003")
	take(t, s, room.KindTerms{Kind: "chat", RoomsPerUser: 1}, room.KindTerms{Kind: "poll", Types: []string{"vote"}},
		room.KindTerms{Kind: "form", Closed: "Forms are checked."})

	in := func(r room.ID, typ, author string) room.Send {
		m := message(author, 1)
		m.Room, m.Type = r, typ
		return m
	}
	must(t, s.PutBan(t.Context(), room.Ban{Room: "chat:a", User: "banned", By: "x", At: time.Now()}))
	must(t, s.PutBan(t.Context(), room.Ban{User: "blocked", By: "x", At: time.Now()}))
	must(t, s.PutBan(t.Context(), room.Ban{User: "was-blocked", Until: time.Now().Add(-time.Second), By: "x", At: time.Now()}))
	mustFromSQL(t, conn, in("chat:a", "message", "was-blocked"))
	mustFromSQL(t, conn, in("chat:a", "message", "service:shop"))
	mustFromSQL(t, conn, in("chat:b", "message", "banned"))
	mustFromSQL(t, conn, in("poll:a", "vote", strings.Repeat("é", 64)))
	for what, refused := range map[string]struct {
		m           room.Send
		code, state string
	}{
		"a kind that there is not":  {in("news:a", "message", "u1"), "unknown_room", "RL003"},
		"a kind of nothing":         {in("chat", "message", "u1"), "bad_room", "RL002"},
		"a kind that is closed":     {in("form:a", "message", "u1"), "forbidden", "RL004"},
		"a type that is not taken":  {in("poll:a", "message", "u1"), "bad_type", "RL007"},
		"DOC-10: an update":         {in("chat:a", "doc", "u1"), "forbidden", "RL004"},
		"a banned author":           {in("chat:a", "message", "banned"), "unknown_room", "RL003"},
		"a blocked author":          {in("poll:a", "vote", "blocked"), "revoked", "RL005"},
		"one room too many":         {in("chat:c", "message", "banned"), "limit_exceeded", "RL011"},
		"no author":                 {in("chat:a", "message", ""), "bad_request", "RL001"},
		"an author too long":        {in("chat:a", "message", strings.Repeat("é", 64)+"x"), "bad_request", "RL001"},
		"a control character":       {in("chat:a", "message", "a\u0085b"), "bad_request", "RL001"},
		"a replacement character":   {in("chat:a", "message", "a\uFFFDb"), "bad_request", "RL001"},
		"an author that is a step":  {in("chat:a", "message", ".."), "bad_request", "RL001"},
		"a room that has an ending": {in("chat:a\n", "message", "u1"), "bad_room", "RL002"},
	} {
		_, err := appendFromSQL(t, conn, refused.m)
		refusedAs(t, what, err, refused.code, refused.state)
	}
	for _, level := range []pgx.TxIsoLevel{pgx.RepeatableRead, pgx.Serializable} {
		tx, err := conn.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: level})
		must(t, err)
		_, err = appendFromSQL(t, tx, m)
		refusedAs(t, string(level), err, "bad_request", "RL001")
		must(t, tx.Rollback(t.Context()))
	}
	for range 2 { // in dev every kind is there
		take(t, s, room.KindTerms{}, room.KindTerms{Kind: "form", Closed: "Forms are checked."})
	}
	mustFromSQL(t, conn, in("news:a", "message", "u1"))
	_, err = appendFromSQL(t, conn, in("form:a", "message", "u1"))
	refusedAs(t, "a kind with terms of its own", err, "forbidden", "RL004")
}

// TestAppendRole: whoever is granted the role can append, whatever their settings, and do nothing else; nobody else can.
func TestAppendRole(t *testing.T) {
	dsn := pgtest.DB(t)
	s := open(t, dsn)
	defer s.Close()
	take(t, s, room.KindTerms{Kind: "chat"})
	admin := direct(t, dsn)
	user := fmt.Sprintf("shop_%d", time.Now().UnixNano())
	do := func(conn *pgx.Conn, sql string) {
		t.Helper()
		_, err := conn.Exec(t.Context(), sql)
		must(t, err)
	}
	do(admin, "create role "+user)
	t.Cleanup(func() { // the role is the whole server's
		conn, err := pgx.Connect(context.Background(), dsn)
		must(t, err)
		defer conn.Close(context.Background())
		_, err = conn.Exec(context.Background(), "drop owned by "+user+" cascade; drop role "+user)
		must(t, err)
	})
	conn := direct(t, dsn)
	do(conn, "set role "+user)
	m := message("u1", 1)
	if _, err := appendFromSQL(t, conn, m); err == nil || !strings.Contains(err.Error(), notPermitted) {
		t.Errorf("without the role: %v", err)
	}
	do(admin, "grant roomlog_append to "+user)
	// A schema of its own that is found first, and texts read in the old way.
	do(admin, "create schema "+user+" authorization "+user)
	do(conn, fmt.Sprintf(`create function %[1]s.clock_timestamp() returns timestamptz language sql as 'select timestamptz ''2000-01-01''';
		create function %[1]s.octet_length(text) returns integer language sql as 'select 1';
		set search_path = %[1]s, pg_catalog; set standard_conforming_strings = off; set backslash_quote = on`, user))
	a := mustFromSQL(t, conn, m)
	if a.seq != 1 || time.Since(a.at) > time.Hour {
		t.Errorf("with the role: %+v", a)
	}
	if b := mustFromSQL(t, conn, m); !b.duplicate || b.position != a.position {
		t.Errorf("a repeat with the role: %+v", b)
	}
	for _, table := range []string{"events", "rooms", "pokes", "kinds", "bans", "meta"} {
		if _, err := conn.Exec(t.Context(), "select * from roomlog."+table); err == nil || !strings.Contains(err.Error(), notPermitted) {
			t.Errorf("reading %s with the role: %v", table, err)
		}
	}
	if _, err := conn.Exec(t.Context(), appendSQL, lay([]room.Send{m}).arguments(false, nil)...); err == nil || !strings.Contains(err.Error(), notPermitted) {
		t.Errorf("the batched append with the role: %v", err)
	}
	// Whatever types the arguments have, and text stands for a literal without one; and whatever their names mean here.
	do(conn, "create domain "+user+".text as integer")
	const tag = "'0192f0c1-7d1a-7b8e-9a53-0f2b6a4c1d2e'"
	for i, args := range []string{
		tag + `, '{"a": 1}'`, tag + `::pg_catalog.text, '{"a":1}'::pg_catalog.text`, tag + `::uuid, '{ "a":1}'`, tag + `, '{"a":1}'::json`,
		tag + `::uuid, pg_catalog.json_build_object('a', 1)`, tag + `, pg_catalog.jsonb_build_object('a', 1)::pg_catalog.text`,
		`data => '{"a":1}', tag => ` + tag,
	} {
		sql := "select seq, duplicate from roomlog.append('chat:a', 'message', 'u1', " + args + ")"
		var seq room.Seq
		var duplicate bool
		if err := conn.QueryRow(t.Context(), sql).Scan(&seq, &duplicate); err != nil || seq != 2 || duplicate != (i > 0) {
			t.Errorf("%s: seq %d, duplicate %v, %v", sql, seq, duplicate, err)
		}
	}
}
