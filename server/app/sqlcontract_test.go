package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"roomlog/server/store/postgres/pgtest"
)

// sharedStore is a server on a database that the test appends to as well.
type sharedStore struct {
	t   *testing.T
	app *App
	cfg Config
	url string
	dsn string

	tokens map[string]string
}

func beginShared(t *testing.T, kinds Kinds, change ...func(*Config)) *sharedStore {
	t.Helper()
	postgres, err := pgtest.Start(t.Context(), pgtest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := postgres.Close(); err != nil {
			t.Error(err)
		}
	})
	cfg := Config{Dev: true, Listen: "127.0.0.1:0", Data: t.TempDir(), Store: postgres.DSN(""), Kinds: kinds, Version: "test"}
	for _, f := range change {
		f(&cfg)
	}
	a, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := a.Stop(context.Background()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	return &sharedStore{t: t, app: a, cfg: cfg, url: a.About().URL, dsn: postgres.DSN(""), tokens: make(map[string]string)}
}

func (s *sharedStore) token(user string) string {
	s.t.Helper()
	if s.tokens[user] == "" {
		var made struct{ Token string }
		ask(s.t, "GET", s.url+"/v1/dev/token?user="+user, "", "", &made)
		s.tokens[user] = made.Token
	}
	return s.tokens[user]
}

func (s *sharedStore) connect() *pgx.Conn {
	s.t.Helper()
	conn, err := pgx.Connect(s.t.Context(), s.dsn)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// sent is an event as it is given to any face; no data is data that is absent.
type sent struct{ room, typ, author, tag, data string }

// verdict is what any face says of it: where it is stored, or the code that refuses it.
type verdict struct {
	Seq       int64
	Epoch, At string
	Duplicate bool
	Code      string
}

// face is a way to append. Events that follow each other and have one room and author may go together.
type face func(t *testing.T, events []sent) []verdict

func (e sent) body() string {
	body := fmt.Sprintf(`{"tag":%q,"type":%q`, e.tag, e.typ)
	if e.data != "" {
		body += `,"data":` + e.data
	}
	return body + "}"
}

// byRequest sends each event by a request of its own.
func (s *sharedStore) byRequest(t *testing.T, events []sent) []verdict {
	out := make([]verdict, len(events))
	for i, e := range events {
		ask(t, "POST", s.url+"/v1/rooms/"+e.room+"/events", s.token(e.author), e.body(), &out[i])
	}
	return out
}

// together sends the events by as few requests as there can be.
func (s *sharedStore) together(t *testing.T, events []sent) (out []verdict) {
	for len(events) > 0 {
		n := 1
		for n < len(events) && events[n].room == events[0].room && events[n].author == events[0].author {
			n++
		}
		var bodies []string
		for _, e := range events[:n] {
			bodies = append(bodies, e.body())
		}
		var answer struct {
			Code    string
			Results []verdict
		}
		ask(t, "POST", s.url+"/v1/rooms/"+events[0].room+"/events", s.token(events[0].author), `{"events":[`+strings.Join(bodies, ",")+`]}`, &answer)
		if answer.Code != "" { // of the request: of each event, then
			answer.Results = make([]verdict, n)
			for i := range answer.Results {
				answer.Results[i].Code = answer.Code
			}
		}
		if len(answer.Results) != n {
			t.Fatalf("BATCH-1: %d results for %d events", len(answer.Results), n)
		}
		out, events = append(out, answer.Results...), events[n:]
	}
	return out
}

// bySQL appends all events in one transaction, each behind a savepoint.
func (s *sharedStore) bySQL(t *testing.T, events []sent) []verdict {
	tx, err := s.connect().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	out := make([]verdict, len(events))
	for i, e := range events {
		out[i] = appendBySQL(t, tx, e)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	return out
}

func appendBySQL(t *testing.T, tx pgx.Tx, e sent) (v verdict) {
	t.Helper()
	var data *string
	if e.data != "" {
		data = &e.data
	}
	point, err := tx.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var at time.Time
	err = point.QueryRow(t.Context(), `select seq, epoch, at, duplicate from roomlog.append($1, $2, $3, $4::text, $5::text)`, e.room, e.typ, e.author, e.tag, data).
		Scan(&v.Seq, &v.Epoch, &at, &v.Duplicate)
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused) && strings.HasPrefix(refused.Code, "RL"): // SQL-2
		v.Code, _, _ = strings.Cut(refused.Message, ":")
		err = point.Rollback(t.Context())
	case err == nil:
		v.At = at.UTC().Format("2006-01-02T15:04:05.000000Z")
		err = point.Commit(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// log reads the data of a room's events as they stand in the answer.
func (s *sharedStore) log(t *testing.T, id string) (data []string, events []verdict) {
	t.Helper()
	var page struct {
		Head   int64
		Epoch  string
		Events []struct {
			verdict
			Data json.RawMessage
		}
	}
	ask(t, "GET", s.url+"/v1/rooms/"+id+"/events?limit=500", s.token("u1"), "", &page)
	for i, e := range page.Events {
		if e.Seq != int64(i+1) {
			t.Fatalf("ROOM-5: seq %d is event %d", e.Seq, i+1)
		}
		e.Epoch = page.Epoch
		data, events = append(data, string(e.Data)), append(events, e.verdict)
	}
	if int(page.Head) != len(data) {
		t.Fatalf("the head is %d, and there are %d events", page.Head, len(data))
	}
	return data, events
}

func tagNumber(n int) string { return fmt.Sprintf("0a000000-0000-4000-8000-%012d", n) }

// contract is what every face does with the same events: the seq of what is stored or repeated, else the code. Rooms end in
// the name of the face.
var contract = []struct {
	what string
	sent
	seq       int64
	duplicate bool
	code      string
	stored    string // data, where it is not what was sent
}{
	{what: "new", sent: sent{data: " { \"b\" : 1, \"a\" : [ 1.0 ,\n2e5\t] , \"s\": \" x\\t\\\\\\\" [{\\u0041} \\\\\" } ", tag: tagNumber(1)}, seq: 1,
		stored: `{"b":1,"a":[1.0,2e5],"s":" x\t\\\" [{\u0041} \\"}`},
	{what: "repeat with other white space", sent: sent{data: `{"b":1,"a":[1.0, 2e5],"s":" x\t\\\" [{\u0041} \\"}`, tag: tagNumber(1)}, seq: 1, duplicate: true},
	{what: "the same in other digits", sent: sent{data: `{"b":1,"a":[1,2e5],"s":" x\t\\\" [{\u0041} \\"}`, tag: tagNumber(1)}, code: "tag_conflict"},
	{what: "the same in another order", sent: sent{data: `{"a":[1.0,2e5],"b":1,"s":" x\t\\\" [{\u0041} \\"}`, tag: tagNumber(1)}, code: "tag_conflict"},
	{what: "the same in another type", sent: sent{data: `{"b":1,"a":[1.0,2e5],"s":" x\t\\\" [{\u0041} \\"}`, tag: tagNumber(1), typ: "other"}, code: "tag_conflict"},
	{what: "the tag of another author", sent: sent{author: "u2", data: `2`, tag: tagNumber(1)}, seq: 2},
	{what: "a new tag in capitals", sent: sent{data: `"NUL is \\u0000 here"`, tag: "0A000000-0000-4000-8000-00000000000C"}, seq: 3},
	{what: "its repeat in small letters", sent: sent{data: `"NUL is \\u0000 here"`, tag: "0a000000-0000-4000-8000-00000000000c"}, seq: 3, duplicate: true},
	{what: "no tag", sent: sent{data: `1`, tag: "-"}, code: "bad_tag"},
	{what: "the nil tag", sent: sent{data: `1`, tag: "00000000-0000-0000-0000-000000000000"}, code: "bad_tag"},
	{what: "a tag that Postgres would take", sent: sent{data: `1`, tag: "{0a000000-0000-4000-8000-000000000001}"}, code: "bad_tag"},
	{what: "a type in capitals", sent: sent{data: `1`, typ: "Message"}, code: "bad_type"},
	{what: "a type too long", sent: sent{data: `1`, typ: strings.Repeat("t", 33)}, code: "bad_type"},
	{what: "a type of 32", sent: sent{data: `1`, typ: strings.Repeat("t", 32), tag: tagNumber(4)}, seq: 4},
	{what: "a type of a later version", sent: sent{data: `{"key":"x","op":"set"}`, typ: "state", tag: tagNumber(5)}, seq: 5},
	{what: "no data", sent: sent{}, code: "bad_data"},
	{what: "NUL", sent: sent{data: `"a\u0000"`}, code: "bad_data"},
	{what: "NUL behind a backslash", sent: sent{data: `["\\\u0000"]`}, code: "bad_data"},
	{what: "NUL in a key", sent: sent{data: `{"\u0000":1}`}, code: "bad_data"},
	{what: "a string of brackets", sent: sent{data: `"` + strings.Repeat("[", 200) + `\""`, tag: tagNumber(6)}, seq: 6},
	{what: "128 deep", sent: sent{data: strings.Repeat("[", 128) + strings.Repeat("]", 128), tag: tagNumber(7)}, seq: 7},
	{what: "wide, not deep", sent: sent{data: "[" + strings.Repeat("[],", 200) + "[]]", tag: tagNumber(8)}, seq: 8},
	{what: "129 deep", sent: sent{data: strings.Repeat(`{"a":[`, 64) + "[]" + strings.Repeat("]}", 64)}, code: "bad_data"},
	{what: "100,000 deep", sent: sent{data: strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)}, code: "bad_data"},
	{what: "as large as may be", sent: sent{data: ` "` + strings.Repeat("x", 65534) + `" `, tag: tagNumber(9)}, seq: 9, stored: `"` + strings.Repeat("x", 65534) + `"`},
	{what: "one byte larger", sent: sent{data: `"` + strings.Repeat("x", 65535) + `"`}, code: "message_too_large"},
	{what: "too large in bytes", sent: sent{data: `"` + strings.Repeat("é", 32768) + `"`}, code: "message_too_large"},
	{what: "small, with much white space", sent: sent{data: "[" + strings.Repeat(" \n", 50_000) + "]", tag: tagNumber(10)}, seq: 10, stored: "[]"},
	{what: "null", sent: sent{data: `null`, tag: tagNumber(11)}, seq: 11},
	{what: "one key twice", sent: sent{data: `{"a":1,"a":2,"":3}`, tag: tagNumber(12)}, seq: 12},
	{what: "numbers that nobody keeps", sent: sent{data: `[-0,1E400,0.10000000000000000000000000001,12345678901234567890]`, tag: tagNumber(13)}, seq: 13},
	{what: "half a character", sent: sent{data: `"\ud800 \uDC00 \/ 😀 ` + "\u2028 \u0085 \u00a0\u3000 \x7f" + `"`, tag: tagNumber(14)}, seq: 14},
	{what: "no room", sent: sent{room: "chat:", data: `1`}, code: "bad_room"},
	{what: "a room of no kind", sent: sent{room: "news:a", data: `1`}, code: "unknown_room"},
	{what: "a type that is not taken", sent: sent{room: "poll:", data: `1`, tag: tagNumber(20)}, code: "bad_type"},
	{what: "bad data of a type that is not taken", sent: sent{room: "poll:", data: `"\u0000"`, tag: tagNumber(20)}, code: "bad_data"},
	{what: "a type that is taken", sent: sent{room: "poll:", typ: "vote", data: `1`, tag: tagNumber(20)}, seq: 1},
	{what: "the first room of a user", sent: sent{room: "one:", data: `1`, author: "u3-", tag: tagNumber(20)}, seq: 1},
	{what: "a map", sent: sent{room: "board:", typ: "state", tag: tagNumber(30), data: `{ "a\"é\u00e9\\\\ /":{"x":[1.0, "\\u0041"]},"\u0062":"\ud800 \\n\n","c":null,"d":false}`}, seq: 1},
	{what: "another value", sent: sent{room: "board:", typ: "state", tag: tagNumber(31), data: `{"b":2,"d":null,"e":"{[\"[","f":` + strings.Repeat("[", 32) + `"[[{"` + strings.Repeat("]", 32) + `}`}, seq: 2},
	{what: "a map that was set", sent: sent{room: "board:", typ: "state", tag: tagNumber(30), data: `{"b":1}`}, code: "tag_conflict"},
	{what: "no map", sent: sent{room: "board:", typ: "state", data: `[1]`}, code: "bad_data"},
	{what: "an empty map", sent: sent{room: "board:", typ: "state", data: `{}`}, code: "bad_data"},
	{what: "a key twice", sent: sent{room: "board:", typ: "state", data: `{"a":1,"\u0061":2}`}, code: "bad_data"},
	{what: "an empty key", sent: sent{room: "board:", typ: "state", data: `{"":2}`}, code: "bad_data"},
	{what: "a control in a key", sent: sent{room: "board:", typ: "state", data: `{"a\n":2}`}, code: "bad_data"},
	{what: "another", sent: sent{room: "board:", typ: "state", data: `{"a\u0085":2}`}, code: "bad_data"},
	{what: "half a character in a key", sent: sent{room: "board:", typ: "state", data: `{"\ud800":2}`}, code: "bad_data"},
	{what: "a long key", sent: sent{room: "board:", typ: "state", data: `{"` + strings.Repeat("é", 65) + `":2}`}, code: "bad_data"},
	{what: "a deep value", sent: sent{room: "board:", typ: "state", data: `{"a":` + strings.Repeat("[", 33) + strings.Repeat("]", 33) + `}`}, code: "bad_data"},
	{what: "65 keys", sent: sent{room: "board:", typ: "state", data: `{` + keysUpTo(65) + `}`}, code: "bad_data"},
	{what: "more keys than a map has", sent: sent{room: "board:", typ: "state", data: `{"g":1,"h":1,"i":1,"j":1}`}, code: "limit_exceeded"},
	{what: "the second", sent: sent{room: "one:x", data: `1`, author: "u3-", tag: tagNumber(20)}, code: "limit_exceeded"},
}

func keysUpTo(n int) string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf(`"k%d":1`, i)
	}
	return strings.Join(keys, ",")
}

// sameMaps: the maps that the faces made are one (STATE-16), and if_seq is judged in SQL as over HTTP (STATE-3).
func (s *sharedStore) sameMaps(t *testing.T) {
	t.Helper()
	type entry struct {
		Value  json.RawMessage
		Seq    int64
		Author string
	}
	maps := make([]map[string]entry, 3)
	for i, name := range []string{"request", "together", "sql"} {
		var answer struct{ State map[string]entry }
		ask(t, "GET", s.url+"/v1/rooms/board:"+name+"/state", s.token("u1"), "", &answer)
		maps[i] = answer.State
	}
	want := map[string]string{
		`a"éé\\ /`: `{"x":[1.0,"\\u0041"]}@1`, "b": "2@2", "e": `"{[\"["@2`, "f": strings.Repeat("[", 32) + `"[[{"` + strings.Repeat("]", 32) + "@2",
	}
	for i, m := range maps {
		got := make(map[string]string)
		for key, e := range m {
			got[key] = fmt.Sprintf("%s@%d", e.Value, e.Seq)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("STATE-16: map %d is %v, want %v", i, got, want)
		}
	}
	conn := s.connect()
	for _, c := range []struct {
		typ   string
		ifSeq int64
		code  string
	}{{"state", 1, "conflict"}, {"state", 0, "conflict"}, {"state", -1, "bad_request"}, {"message", 1, "bad_request"}, {"state", 2, ""}} {
		var seq int64
		err := conn.QueryRow(t.Context(), `select seq from roomlog.append('board:sql', $1, 'u2', gen_random_uuid(), '{"b":3}', $2)`, c.typ, c.ifSeq).Scan(&seq)
		var refused *pgconn.PgError
		if errors.As(err, &refused); c.code == "" && (err != nil || seq != 3) || c.code != "" && (refused == nil || !strings.HasPrefix(refused.Message, c.code+":")) {
			t.Errorf("STATE-16: if_seq %d of a %s: %d, %v; want %q", c.ifSeq, c.typ, seq, err, c.code)
		}
	}
}

// TestContractOfAppends: whatever way an event comes in, it is judged alike, stored alike, and known again by the others.
// It holds BATCH-1 to BATCH-3, SQL-1 and SQL-2 against the same cases.
func TestContractOfAppends(t *testing.T) {
	s := beginShared(t, Kinds{"chat": {}, "poll": {Types: map[string]string{"vote": ""}}, "one": {RoomsPerUser: 1}, "board": {State: StateConfig{Keys: 7}}})
	faces := map[string]face{"request": s.byRequest, "together": s.together, "sql": s.bySQL}
	of := func(name string) []sent {
		events := make([]sent, len(contract))
		for i, c := range contract {
			e := c.sent
			orString(&e.author, "u1")
			orString(&e.typ, "message")
			orString(&e.tag, tagNumber(100+i))
			switch {
			case e.room == "" || e.room == "poll:" || e.room == "board:" || strings.HasPrefix(e.room, "one:"):
				orString(&e.room, "chat:")
				e.room += name
			}
			if e.author == "u3-" {
				e.author += name
			}
			if e.tag == "-" {
				e.tag = ""
			}
			events[i] = e
		}
		return events
	}
	stored := make(map[string][]verdict)
	var logs [][]string
	for _, name := range []string{"request", "together", "sql"} {
		events := of(name)
		verdicts := faces[name](t, events)
		for i, c := range contract {
			v := verdicts[i]
			if v.Seq != c.seq || v.Code != c.code || v.Duplicate != c.duplicate || (c.code == "") != (v.Epoch != "" && v.At != "") {
				t.Errorf("%s, %s: %+v, want seq %d, duplicate %v, code %q", name, c.what, v, c.seq, c.duplicate, c.code)
			}
		}
		stored[name] = verdicts
		data, log := s.log(t, "chat:"+name)
		logs = append(logs, data)
		for i, c := range contract {
			if c.room != "" || c.code != "" || c.seq > int64(len(data)) || verdicts[i].Seq != c.seq {
				continue
			}
			want := c.stored
			if want == "" {
				want = strings.TrimSpace(c.data)
			}
			if !c.duplicate && data[c.seq-1] != want {
				t.Errorf("%s, %s: stored as %.200s, want %.200s", name, c.what, data[c.seq-1], want)
			}
			if e := log[c.seq-1]; e.At != verdicts[i].At || e.Epoch != verdicts[i].Epoch {
				t.Errorf("%s, %s: answered with %+v, and read is %+v", name, c.what, verdicts[i], e)
			}
		}
	}
	for _, data := range logs[1:] {
		if !slices.Equal(data, logs[0]) {
			t.Error("the logs differ")
		}
	}

	// The other way round: what one face stored, the others repeat, and nothing grows.
	for name, verdicts := range stored {
		for other, appends := range faces {
			for i, v := range appends(t, of(name)) {
				want := verdicts[i]
				want.Duplicate = want.Code == ""
				if v != want {
					t.Errorf("what %s answered with %+v, %s repeats as %+v: %s", name, verdicts[i], other, v, contract[i].what)
				}
			}
		}
		if data, _ := s.log(t, "chat:"+name); len(data) != len(logs[0]) {
			t.Errorf("repeats made chat:%s grow to %d", name, len(data))
		}
	}

	s.sameMaps(t)

	// What no request can carry.
	tx, err := s.connect().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range []string{" ", "{", "1 2", `{"a":1}}`, `"a`, `"\x"`, "'a'", "[1,]", "01", "tru", "\"a\tb\"", "\x01", "[1]\x02", "nul l"} {
		if v := appendBySQL(t, tx, sent{"chat:sql", "message", "u1", tagNumber(500), data}); v.Code != "bad_data" {
			t.Errorf("%q: %+v, want bad_data", data, v)
		}
	}
	if v := appendBySQL(t, tx, sent{"chat:sql", "message", "u1", tagNumber(500), "[" + strings.Repeat(" ", 1<<20) + "]"}); v.Code != "message_too_large" {
		t.Errorf("larger than a request: %+v", v)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
}
