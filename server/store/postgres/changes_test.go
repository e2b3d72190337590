package postgres

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"roomlog/server/room"
	"roomlog/server/store/postgres/pgtest"
)

// event is a send of another type than a message. n makes its tag.
func event(typ, author string, n int, data string) room.Send {
	s := message(author, n)
	s.Type, s.Data = typ, []byte(data)
	return s
}

// changing is a change as the server makes it, by a moderator.
func changing(typ, author string, n int, target room.Seq, data string) room.Send {
	s := event(typ, author, n, fmt.Sprintf(`{"target":%d,"data":%s}`, target, data))
	s.Change = &room.Change{Target: target, Own: true, Others: true, Data: []byte(data)}
	return s
}

func presentNow(t *testing.T, s *Store) []room.Event {
	t.Helper()
	page, err := s.Read(t.Context(), room.Query{Room: "chat:a", Limit: 100, Present: true})
	must(t, err)
	return page.Events
}

// TestChangesFromSQL: SQL changes what a server stored, and the other way round; the application may change everything.
func TestChangesFromSQL(t *testing.T) { // CHG-10
	dsn := pgtest.DB(t)
	s := open(t, dsn)
	defer s.Close()
	take(t, s, room.KindTerms{Kind: "chat"})
	conn := direct(t, dsn)
	first, second := message("u1", 1), message("u2", 2)
	_, err := s.Append(t.Context(), []room.Send{first, second})
	must(t, err)

	edited := mustFromSQL(t, conn, event("edit", "service:shop", 3, `{"target": 1, "data": {"b": "\ud83d", "a": 1.50}}`))
	mustFromSQL(t, conn, event("edit", "u2", 4, `{"target":"`+strings.ToUpper(second.Tag.String())+`","data":"second"}`))
	for n, who := range []string{"u3", "u2", "u3"} {
		mustFromSQL(t, conn, event("reaction", who, 5+n, `{"target":1,"emoji":"\ud83d\udc4d"}`))
	}
	mustFromSQL(t, conn, event("reaction", "u2", 8, `{"emoji":"👍","remove":true,"target":1}`))
	events := presentNow(t, s)
	if e := events[0]; string(e.Data) != `{"b":"\ud83d","a":1.50}` || e.Edited == nil || e.Edited.Seq != 3 || !e.Edited.At.Equal(edited.at) ||
		!reflect.DeepEqual(e.Reactions, []room.Reaction{{Emoji: "👍", Count: 1, Users: []string{"u3"}}}) {
		t.Errorf("after an edit and reactions from SQL: %s, %+v, %+v", e.Data, e.Edited, e.Reactions)
	}
	if e := events[1]; string(e.Data) != `"second"` || events[3].Target != 2 || string(events[3].Data) != `{"target":"`+strings.ToUpper(second.Tag.String())+`","data":"second"}` {
		t.Errorf("after an edit by the tag: %s; the edit is %+v", e.Data, events[3])
	}

	gone := mustFromSQL(t, conn, event("delete", "service:shop", 9, `{"target":1,"reason":"spam"}`))
	for _, e := range presentNow(t, s)[:3] {
		if dead := e.Seq != 2; dead != (e.Gone != nil) || dead && (string(e.Data) != "null" || *e.Gone != room.Gone{Seq: 9, By: "service:shop", At: gone.at.UTC()} || e.Edited != nil || e.Reactions != nil) {
			t.Errorf("after a delete from SQL event %d is %s, %+v", e.Seq, e.Data, e)
		}
	}
	if a := mustFromSQL(t, conn, first); a.seq != 1 || !a.duplicate { // CHG-7
		t.Errorf("what was deleted is repeated as %+v", a)
	}
	out, err := s.Append(t.Context(), []room.Send{first})
	must(t, err)
	if v := out.Verdicts[0]; !v.Duplicate || v.Seq != 1 || v.Gone == nil || v.Gone.Seq != 9 {
		t.Errorf("what was deleted is repeated at a server as %+v", v)
	}
	other := first
	other.Data = []byte("null") // as is stored now
	_, err = appendFromSQL(t, conn, other)
	refusedAs(t, "another event with the tag of what was deleted", err, "tag_conflict", "RL010")
	for what, m := range map[string]room.Send{
		"a change of what was deleted":   event("edit", "u1", 20, `{"target":1,"data":1}`),
		"a change of what is no message": event("reaction", "u1", 21, `{"target":3,"emoji":"x"}`),
		"a change of what is not there":  event("delete", "u1", 22, `{"target":999}`),
		"the tag of another author":      event("delete", "u1", 23, `{"target":"`+second.Tag.String()+`"}`),
	} {
		_, err := appendFromSQL(t, conn, m)
		refusedAs(t, what, err, "unknown_target", "RL013")
	}
	if h := headNow(t, s); h.Seq != 9 {
		t.Errorf("after refusals the head is %d, want 9", h.Seq)
	}
	noRoom := event("delete", "u1", 24, `{"target":1}`)
	noRoom.Room = "chat:none"
	_, err = appendFromSQL(t, conn, noRoom)
	refusedAs(t, "a change in a room that does not exist", err, "unknown_target", "RL013")
	if r, err := s.Find(t.Context(), "chat:none"); err != nil || r.Exists() {
		t.Errorf("a change that was refused made a room: %+v, %v", r, err)
	}
	_, err = s.Prune(t.Context(), "chat:a", room.Retention{Events: 1}, time.Hour, 100)
	must(t, err)
	if a := mustFromSQL(t, conn, first); a.seq != 1 || !a.duplicate {
		t.Errorf("what was deleted and pruned is repeated as %+v", a)
	}
	_, err = appendFromSQL(t, conn, other)
	refusedAs(t, "another event with the tag of what was pruned", err, "tag_conflict", "RL010")
}

// TestMembersFromSQL: members and mentions from SQL are those of a server.
func TestMembersFromSQL(t *testing.T) { // CHG-10
	dsn := pgtest.DB(t)
	s := open(t, dsn)
	defer s.Close()
	take(t, s, room.KindTerms{Kind: "chat"})
	conn := direct(t, dsn)
	a := mustFromSQL(t, conn, event("member", "service:shop", 1, `{"user":"ü\u0032","role":"owner"}`))
	mustFromSQL(t, conn, event("member", "service:shop", 2, `{"user":"u3","role":"guest"}`))
	mustFromSQL(t, conn, event("member", "service:shop", 3, `{"user":"u3","role":null}`))
	m, found, err := s.Member(t.Context(), "chat:a", "ü2")
	must(t, err)
	if want := (room.Member{Room: "chat:a", User: "ü2", Role: "owner", Since: 1, At: a.at.UTC()}); !found || m != want {
		t.Errorf("the member is %+v, want %+v", m, want)
	}
	if _, found, err := s.Member(t.Context(), "chat:a", "u3"); err != nil || found {
		t.Errorf("one whose membership ended: %t, %v", found, err)
	}
	mustFromSQL(t, conn, event("message", "u1", 4, `{"text":"\ud83d","mentions":["u1","u2","u1"]}`))
	mustFromSQL(t, conn, event("message", "u1", 5, `{"text":"\"mentions\":[1]"}`))
	mustFromSQL(t, conn, event("message", "u1", 6, `{"mentions":null}`))
	mustFromSQL(t, conn, event("message", "u1", 7, `["mentions"]`))
	if got := bySeq(t, dsn, "select seq, ordinal from roomlog.mentions where who = 'u1'"); !reflect.DeepEqual(got, map[room.Seq]int64{4: 1}) {
		t.Errorf("mentions of u1: %v", got)
	}
	if got := bySeq(t, dsn, "select seq, count(*) from roomlog.mentions group by 1"); !reflect.DeepEqual(got, map[room.Seq]int64{4: 2}) {
		t.Errorf("mentions: %v", got)
	}
}

// TestMisformedChangesFromSQL: data of another form is refused, and nothing of it is stored.
func TestMisformedChangesFromSQL(t *testing.T) { // CHG-1
	dsn := pgtest.DB(t)
	s := open(t, dsn)
	defer s.Close()
	take(t, s, room.KindTerms{Kind: "chat"})
	conn := direct(t, dsn)
	mustFromSQL(t, conn, message("u1", 1))
	users := strings.Repeat(`"u1",`, 51)
	for i, m := range [][2]string{
		{"edit", `1`},
		{"edit", `[]`},
		{"edit", `{"target":1}`},
		{"edit", `{"data":1}`},
		{"edit", `{"target":1,"data":{"mentions":"u1"}}`},
		{"edit", `{"target":0,"data":1}`},
		{"edit", `{"target":-1,"data":1}`},
		{"edit", `{"target":1.0,"data":1}`},
		{"edit", `{"target":9007199254740992,"data":1}`},
		{"edit", `{"target":null,"data":1}`},
		{"edit", `{"target":true,"data":1}`},
		{"edit", `{"target":"1","data":1}`},
		{"edit", `{"target":"00000000-0000-0000-0000-000000000000","data":1}`},
		{"edit", `{"Target":1,"data":1}`},
		{"delete", `{"target":1,"reason":1}`},
		{"reaction", `{"target":1}`},
		{"reaction", `{"target":1,"emoji":""}`},
		{"reaction", `{"target":1,"emoji":1}`},
		{"reaction", `{"target":1,"emoji":"a\u0001"}`},
		{"reaction", `{"target":1,"emoji":"a\ud83d"}`},
		{"reaction", `{"target":1,"emoji":"` + strings.Repeat("é", 33) + `"}`},
		{"reaction", `{"target":1,"emoji":"x","remove":1}`},
		{"member", `{"role":"member"}`},
		{"member", `{"user":"u2"}`},
		{"member", `{"user":"..","role":"member"}`},
		{"member", `{"user":"","role":"member"}`},
		{"member", `{"user":"u2","role":""}`},
		{"member", `{"user":"u2","role":"Member"}`},
		{"message", `{"mentions":"u1"}`},
		{"message", `{"mentions":[1]}`},
		{"message", `{"mentions":[null]}`},
		{"message", `{"mentions":["."]}`},
		{"message", `{"mentions":["` + strings.Repeat("x", 129) + `"]}`},
		{"message", `{"mentions":[` + users[:len(users)-1] + `]}`},
	} {
		_, err := appendFromSQL(t, conn, event(m[0], "u1", 10+i, m[1]))
		refusedAs(t, m[0]+" "+m[1], err, "bad_data", "RL008")
	}
	if h := headNow(t, s); h.Seq != 1 {
		t.Errorf("after refusals the head is %d, want 1", h.Seq)
	}
}

// TestFieldIsTheServers: of any object SQL finds the same member as the server, as it is written.
func TestFieldIsTheServers(t *testing.T) {
	dsn := pgtest.DB(t)
	must(t, open(t, dsn).Close())
	conn := direct(t, dsn)
	rng := rand.New(rand.NewPCG(seedOf(t), 2))
	found := 0
	for range 2000 {
		before := []string{`1`, `"\\"`, `"\ud83d"`, `{"data":2}`, `"\\\"data\":"`}[rng.IntN(5)]
		text := fmt.Sprintf(`{"a":%s,"data":%s,"b\\":%s}`, before, randomText(rng, 3), before)
		data, refused := room.CompactData([]byte(text), room.MaxData)
		if refused != nil {
			continue
		}
		var want map[string]json.RawMessage
		must(t, json.Unmarshal(data, &want))
		var got *string
		must(t, conn.QueryRow(t.Context(), "select roomlog.field($1, 'data')", string(data)).Scan(&got))
		if got == nil || *got != string(want["data"]) {
			t.Fatalf("of %s the data is %v, want %s", data, got, want["data"])
		}
		found++
	}
	if found < 200 {
		t.Errorf("only %d of 2000 texts were JSON", found)
	}
}

// TestDeleteUnderWay: what waits for the room while a delete is not committed sees it once it is: an edit finds no message any
// more, a repeat is told of the delete.
func TestDeleteUnderWay(t *testing.T) { // CHG-3, CHG-7
	dsn := pgtest.DB(t)
	s := open(t, dsn)
	defer s.Close()
	take(t, s, room.KindTerms{Kind: "chat"})
	first, edit := message("u1", 1), changing("edit", "u1", 2, 1, `"new"`)
	_, err := s.Append(t.Context(), []room.Send{first})
	must(t, err)
	for _, commit := range []bool{false, true} {
		tx, err := direct(t, dsn).Begin(t.Context())
		must(t, err)
		mustFromSQL(t, tx, event("delete", "u9", 9, `{"target":1}`))
		var waiting sync.WaitGroup
		var v []room.Verdict
		waiting.Go(func() {
			out, err := s.Append(t.Context(), []room.Send{edit, changing("edit", "u1", 3, 1, `"newer"`), first})
			if err != nil {
				t.Error(err)
			}
			v = out.Verdicts
		})
		waitsFor(t, dsn)
		if !commit {
			must(t, tx.Rollback(t.Context()))
			waiting.Wait()
			if v[0].Seq != 2 || v[0].Target != 1 || v[1].Seq != 3 || v[1].Target != 1 || !v[2].Duplicate || v[2].Gone != nil {
				t.Errorf("after a rollback: %+v", v)
			}
			continue
		}
		must(t, tx.Commit(t.Context()))
		waiting.Wait()
		if v[1].Refused == nil || v[1].Refused.Code != room.CodeUnknownTarget {
			t.Errorf("an edit after the delete is answered with %+v", v[1])
		}
		for i, want := range map[int]room.Verdict{0: {Seq: 2, Target: 1}, 2: {Seq: 1}} {
			if v := v[i]; !v.Duplicate || v.Seq != want.Seq || v.Target != want.Target || v.Gone == nil || v.Gone.Seq != 4 || v.Gone.By != "u9" {
				t.Errorf("what was deleted is repeated as %+v, %+v", v, v.Gone)
			}
		}
	}
}

// waitsFor returns once a backend of the database waits for a lock.
func waitsFor(t *testing.T, dsn string) {
	t.Helper()
	conn := direct(t, dsn)
	for waits := false; !waits; {
		must(t, conn.QueryRow(t.Context(), "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')").Scan(&waits))
	}
}

// TestDeleteBesideEdits: two nodes edit and repeat a message while a third deletes it; nothing that any of them wrote is left, and
// whoever was answered after the delete knows of it.
func TestDeleteBesideEdits(t *testing.T) { // CHG-7
	dsn := pgtest.DB(t)
	nodes := []*Store{open(t, dsn), open(t, dsn), open(t, dsn)}
	for _, s := range nodes {
		defer s.Close()
	}
	for round := range 5 {
		first := message("u1", 1000*(round+1))
		first.Room = room.ID(fmt.Sprint("chat:", round))
		first.Data = []byte(`"canary"`)
		_, err := nodes[0].Append(t.Context(), []room.Send{first})
		must(t, err)
		var writers sync.WaitGroup
		for w, s := range nodes[:2] {
			writers.Go(func() {
				for n, deleted := 0, false; !deleted; n++ {
					e := changing("edit", "u1", 1000*(round+1)+1+2*n+w, 1, `"canary"`)
					e.Room = first.Room
					out, err := s.Append(t.Context(), []room.Send{e, first})
					if err != nil {
						t.Error(err)
						return
					}
					edit, repeat := out.Verdicts[0], out.Verdicts[1]
					deleted = edit.Refused != nil
					if !repeat.Duplicate || repeat.Seq != 1 || deleted != (repeat.Gone != nil) || deleted && edit.Refused.Code != room.CodeUnknownTarget {
						t.Errorf("round %d: an edit is answered with %+v, a repeat with %+v", round, edit, repeat)
						return
					}
				}
			})
		}
		d := changing("delete", "u2", 1000*(round+1)+999, 1, "0")
		d.Room = first.Room
		out, err := nodes[2].Append(t.Context(), []room.Send{d})
		must(t, err)
		if out.Verdicts[0].Refused != nil {
			t.Fatal(out.Verdicts[0].Refused)
		}
		writers.Wait()
	}
	conn := direct(t, dsn)
	var left, edits, unredacted int
	must(t, conn.QueryRow(t.Context(), `select (select count(*) from roomlog.events where type in ('message', 'edit') and (data <> 'null' or gone is null)),
		(select count(*) from roomlog.edits), (select count(*) from roomlog.events e where e.gone is not null
		and not exists (select from roomlog.redactions d where d.room = e.room and d.seq = e.seq))`).Scan(&left, &edits, &unredacted))
	if left != 0 || edits != 0 || unredacted != 0 {
		t.Errorf("%d events and %d edits are left, %d have no sum", left, edits, unredacted)
	}
}

// TestEventsFromBefore: events of the schema before have no ordinal and may be changed like any other; a node of before goes on
// appending, and what it appends is counted.
func TestEventsFromBefore(t *testing.T) {
	dsn := pgtest.DB(t)
	behind(t, dsn, 10)
	s := open(t, dsn)
	defer s.Close()
	send := func(n int) room.Send {
		m := message("u1", n)
		m.Room = "chat:old"
		return m
	}
	_, err := s.Append(t.Context(), []room.Send{send(2)})
	must(t, err)
	args := lay([]room.Send{send(3), send(4)}).arguments(false, nil)
	var heads []int64
	must(t, direct(t, dsn).QueryRow(t.Context(), `select heads from roomlog.append($1::text[], $2::integer[], $3::integer[], $4::integer[], $5::text[], $6::uuid[],
		$7::text[], $8::text[], $9::boolean[], $10::integer[], $11::bytea[], $12::boolean, $13::integer)`, args[:13]...).Scan(&heads))
	got := bySeq(t, dsn, "select seq, ordinal from roomlog.events")
	if want := map[room.Seq]int64{1: 0, 2: 1, 3: 2, 4: 3}; !reflect.DeepEqual(got, want) || !reflect.DeepEqual(heads, []int64{2}) {
		t.Errorf("ordinals %v, want %v; the head was %d", got, want, heads)
	}
	e, r, d := changing("edit", "u", 5, 1, `"new"`), changing("reaction", "u", 6, 1, "0"), changing("delete", "u", 7, 1, "0")
	r.Change.Emoji = "x"
	for i, m := range []room.Send{e, r, d} {
		m.Room = "chat:old"
		out, err := s.Append(t.Context(), []room.Send{m})
		must(t, err)
		if v := out.Verdicts[0]; v.Seq != room.Seq(5+i) || v.Target != 1 {
			t.Errorf("a change of an event from before: %+v", v)
		}
	}
	page, err := s.Read(t.Context(), room.Query{Room: "chat:old", Limit: 1})
	must(t, err)
	if old := page.Events[0]; old.Gone == nil || old.Gone.Seq != 7 || time.Since(old.Gone.At) > time.Hour || string(old.Data) != "null" {
		t.Errorf("the event from before that was deleted is %+v", old)
	}
}
