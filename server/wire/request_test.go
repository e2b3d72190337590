package wire

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"roomlog/server/room"
)

func TestParseRequestReadsWhatAFrameSays(t *testing.T) {
	r, err := ParseRequest([]byte(`{"op":"send","id":7,"n":3,"room":"chat:a","tag":"T","type":"message","data":{"a":[1, 2]},"later":true}`)) // VER-3
	if err != nil {
		t.Fatal(err)
	}
	if r.Op != OpSend || r.ID != 7 || !r.HasID || r.N != 3 || r.Room != "chat:a" || r.Tag != "T" || r.Type != "message" || string(r.Data) != `{"a":[1, 2]}` {
		t.Errorf("read %+v", r)
	}
	if r, err = ParseRequest([]byte(`{"op":"join","room":"chat:a","position":"e:4:00000001","limit":9,"replay":0,"seen":7}`)); err != nil || r.Position != "e:4:00000001" || r.Limit != 9 || r.Seen != 7 || r.Replay != 0 || r.HasID {
		t.Errorf("read %+v, %v", r, err)
	}
	if r, err = ParseRequest([]byte(`{"op":"join","room":"chat:a","position":0}`)); err != nil || r.Position != "0" || r.Replay != -1 {
		t.Errorf("a bare number as position: %+v, %v", r, err)
	}
	if r, err = ParseRequest([]byte(`{"op":"join","room":"chat:a","position":null}`)); err != nil || r.Position != "" {
		t.Errorf("null as position: %+v, %v", r, err)
	}
	r, err = ParseRequest([]byte(`{"op":"join","room":"chat:a","position":""}`))
	if _, bad := room.ParsePosition(r.Position); err != nil || r.Position == "" || bad == nil { // POS-1: it was named, and is none
		t.Errorf("empty text as position: %+v, %v", r, err)
	}
}

func TestParseRequestRefuses(t *testing.T) {
	for _, c := range []struct {
		name, frame string
		code        room.Code
		field       string
		id          bool
	}{
		{"ERR-7 empty", ``, room.CodeBadRequest, "", false},
		{"ERR-7 blank", " \n", room.CodeBadRequest, "", false},
		{"ERR-7 not JSON", `{"op":`, room.CodeBadRequest, "", false},
		{"ERR-7 array", `[]`, room.CodeBadRequest, "", false},
		{"ERR-7 number", `1`, room.CodeBadRequest, "", false},
		{"ERR-7 null", `null`, room.CodeBadRequest, "op", false},
		{"ERR-7 two objects", `{"op":"ping"}{"op":"ping"}`, room.CodeBadRequest, "", false},
		{"ERR-7 wrong type", `{"op":"join","id":1,"room":5}`, room.CodeBadRequest, "room", true},
		{"ERR-7 depth", `{"op":"ping","x":` + strings.Repeat("[", 20000) + `}`, room.CodeBadRequest, "", false},
		{"ERR-8 unknown op", `{"op":"welcome","id":1}`, room.CodeUnknownOp, "op", true},
		{"ERR-7 no op", `{"id":1}`, room.CodeBadRequest, "op", true},
		{"ERR-2 negative id", `{"op":"ping","id":-1}`, room.CodeBadRequest, "id", false},
		{"ERR-2 huge id", `{"op":"ping","id":9007199254740992}`, room.CodeBadRequest, "id", false},
		{"ERR-2 id and another field are text", `{"op":"join","room":5,"id":"1"}`, room.CodeBadRequest, "room", false},
		{"ERR-2 id is text", `{"op":"ping","id":"1"}`, room.CodeBadRequest, "id", false},
		{"join without room", `{"op":"join","id":1}`, room.CodeBadRequest, "room", true},
		{"join with negative limit", `{"op":"join","id":1,"room":"chat:a","limit":-1}`, room.CodeBadRequest, "limit", true},
		{"join with negative replay", `{"op":"join","id":1,"room":"chat:a","replay":-2}`, room.CodeBadRequest, "replay", true},
		{"NODE-4 join with negative seen", `{"op":"join","id":1,"room":"chat:a","seen":-2}`, room.CodeBadRequest, "seen", true},
		{"join with seen beyond all seqs", `{"op":"join","id":1,"room":"chat:a","seen":9007199254740992}`, room.CodeBadRequest, "seen", true},
		{"join with replay -1", `{"op":"join","id":1,"room":"chat:a","replay":-1}`, room.CodeBadRequest, "replay", true},
		{"ROOM-1 join with an empty room", `{"op":"join","id":1,"room":""}`, room.CodeBadRoom, "room", true},
		{"ROOM-1 send with an empty room", `{"op":"send","id":1,"n":1,"room":""}`, room.CodeBadRoom, "room", true},
		{"join with null as room", `{"op":"join","id":1,"room":null}`, room.CodeBadRequest, "room", true},
		{"leave without room", `{"op":"leave","id":1}`, room.CodeBadRequest, "room", true},
		{"SEND-2 without n", `{"op":"send","id":1,"room":"chat:a"}`, room.CodeBadRequest, "n", true},
		{"SEND-2 n is 0", `{"op":"send","id":1,"room":"chat:a","n":0}`, room.CodeBadRequest, "n", true},
		{"send without room", `{"op":"send","id":1,"n":1}`, room.CodeBadRequest, "room", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := ParseRequest([]byte(c.frame))
			var e *room.Error
			if !errors.As(err, &e) {
				t.Fatalf("refused with %v", err)
			}
			if e.Code != c.code || e.Field != c.field || r.HasID != c.id {
				t.Errorf("got %s of field %q, id known %v; want %s of %q, %v", e.Code, e.Field, r.HasID, c.code, c.field, c.id)
			}
		})
	}
}

// DATA-3, SEND-1: data that nests deeper than a JSON parser goes is refused as the data that it is, and the
// rest of its frame is read.
func TestDataOfHostileDepth(t *testing.T) {
	deep := strings.Repeat(`[{"a":`, 10_000) + `"]}"` + strings.Repeat(`}]`, 10_000)
	r, err := ParseRequest([]byte(`{"op":"send","data":` + deep + `,"id":7,"n":1,"room":"chat:a","tag":"t","type":"message"}`))
	if err != nil || !r.HasID || r.ID != 7 || r.N != 1 || r.Type != "message" {
		t.Fatalf("%+v, %v", r.ID, err)
	}
	if _, err := room.CompactData(r.Data, room.MaxData); room.AsError(err).Code != room.CodeBadData {
		t.Errorf("WebSocket: %v", err)
	}
	one := `{"tag":"T","type":"message","data":` + deep + `}`
	for _, body := range []string{one, `{"events":[` + one + `]}`} {
		posts, _, err := ParsePost([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := room.CompactData(posts[0].Data, room.MaxData); room.AsError(err).Code != room.CodeBadData {
			t.Errorf("HTTP: %v", err)
		}
	}
}

func TestParsePost(t *testing.T) {
	posts, several, err := ParsePost([]byte(`{"tag":"T","type":"message","data": null ,"more":1}`))
	if err != nil || several || len(posts) != 1 || posts[0].Tag != "T" || posts[0].Type != "message" || string(posts[0].Data) != "null" {
		t.Errorf("read %+v, %v", posts, err)
	}
	for _, body := range []string{``, `[]`, `"x"`, `{"tag":1}`, `{} {}`, `{"events":1}`, `{"events":[]}`, `{"events":[` + strings.Repeat("{},", MaxPosts) + `{}]}`} {
		if _, _, err := ParsePost([]byte(body)); room.AsError(err).Code != room.CodeBadRequest {
			t.Errorf("%q: %v", body, err)
		}
	}
}

func TestParsePosts(t *testing.T) { // BATCH-1, BATCH-2
	posts, several, err := ParsePost([]byte(`{"events":[ {"tag":"A","type":"a","data": {"b": 1, "a":2} }, 7, {"tag":1}, null, [], {}, {"tag":"B"}]}`))
	if err != nil || !several || len(posts) != 7 {
		t.Fatalf("read %+v, %v", posts, err)
	}
	for i, p := range posts {
		if bad := i >= 1 && i <= 4; bad != (p.Err != nil) || bad && room.AsError(p.Err).Code != room.CodeBadRequest {
			t.Errorf("event %d: %+v", i, p)
		}
	}
	if p := posts[0]; p.Tag != "A" || p.Type != "a" || string(p.Data) != `{"b": 1, "a":2}` || posts[6].Tag != "B" {
		t.Errorf("read %+v", posts)
	}
}

func TestStreamIDNamesEveryRoom(t *testing.T) { // SSE-4, SSE-5
	a, b := room.ID("chat:a"), room.ID("chat:b@x")
	pa, pb := room.Position{Epoch: "e", Seq: 4, Mark: 9}, room.Position{Epoch: "f_-", Seq: 0}
	if id := string(AppendStreamID(nil, []NamedPosition{{a, pa}})); id != "e:4:00000009" {
		t.Errorf("one room: %s", id)
	}
	id := string(AppendStreamID(nil, []NamedPosition{{a, pa}, {b, pb}}))
	if id != "chat:a=e:4:00000009,chat:b@x=f_-:0" {
		t.Errorf("two rooms: %s", id)
	}
	got, err := ParseStreamID(id, []room.ID{a, b})
	if err != nil || got[a] != pa || got[b] != pb {
		t.Errorf("read back %v, %v", got, err)
	}
	got, err = ParseStreamID("e:4:00000009", []room.ID{a})
	if err != nil || got[a] != pa {
		t.Errorf("read back %v, %v", got, err)
	}
	for _, bad := range []string{"abc", "-1", "1e3", "18446744073709551616", "chat:a=", "chat:a=x", "=1", "foo=1", ",", "chat:a=1,", "e:1"} { // SSE-6
		rooms := []room.ID{a, b}
		if _, err := ParseStreamID(bad, rooms); room.AsError(err).Code != room.CodeBadPosition {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzParseRequest(f *testing.F) {
	for _, s := range []string{`{"op":"ping"}`, `{"op":"send","id":1,"n":1,"room":"chat:a","tag":"t","data":{}}`, `{"op":"join","room":"chat:a","position":0}`, `[`, `{"op":"hello","token":1}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		r, err := ParseRequest(frame)
		if err != nil {
			if e := room.AsError(err); e.Code != room.CodeBadRequest && e.Code != room.CodeUnknownOp && e.Code != room.CodeBadRoom {
				t.Fatalf("%q: %v", frame, err)
			}
			return
		}
		switch {
		case r.Op == OpSend && (r.N < 1 || r.Room == ""), r.Op == OpJoin && r.Room == "", r.ID < 0 || r.ID > room.MaxSeq:
			t.Fatalf("%q was taken as %+v", frame, r)
		}
	})
}

func FuzzParseStreamID(f *testing.F) {
	f.Add("e:4:00000009")
	f.Add("chat:a=e:4:00000009,chat:b=0")
	rooms := []room.ID{"chat:a", "chat:b"}
	f.Fuzz(func(t *testing.T, id string) {
		at, err := ParseStreamID(id, rooms)
		if err != nil {
			return
		}
		named := make([]NamedPosition, 0, 2)
		for _, r := range rooms {
			named = append(named, NamedPosition{r, at[r]})
		}
		again, err := ParseStreamID(string(AppendStreamID(nil, named)), rooms)
		if err != nil || again[rooms[0]] != at[rooms[0]] || again[rooms[1]] != at[rooms[1]] {
			t.Fatalf("%q came back as %v, %v", id, again, err)
		}
	})
}

// frames that clients of ours write, and near misses of them.
var scanned = []string{
	`{"op":"send","id":2,"n":1,"room":"chat:a","tag":"6f1c0000-0000-7000-8000-000000000001","type":"message","data":{"text":"a \"b\" \\","n":[1,{}]}}`,
	`{"op":"join","id":1,"room":"chat:a","position":"k3f9:400:6f1c0a2b","limit":100,"replay":5000}`,
	`{"op":"hello","token":"a.b.c","client":"web/1.2","version":1}`, `{"op":"pong"}`, `{"op":"leave","id":3,"room":""}`,
	`{"op":"join","id":1,"room":"chat:a","seen":412}`,
	`{"op":"signal","room":"chat:a","type":"cursor","key":"pen","data":[10,20]}`, `{"op":"read","room":"chat:a","read":412,"delivered":412}`,
	`{"op":"join","room":"chat:a","position":""}`, `{"op":"join","room":"chat:a","replay":-1}`, `{"OP":"ping"}`, `{"op":"ping","op":"pong"}`,
	`{"op":"send","n":01,"room":"chat:a","data":{}}`, `{"op":"send","n":1e3,"room":"chat:a","data":{}}`, `{"op":"send","n":1,"room":"chat:a","data":{]}}`,
	`{"op":"send","n":9007199254740993,"room":"chat:a","data":[]}`, `{"op":"ping"} `, `{"op":"ping"},`, `{"op":"ping",}`, `{}`, `{"data":{"a":"\\"}}`, `{"op":"p\u0069ng"}`,
	`{"op":"send","n":1,"room":"chat:é","data":{"é":"\ud800"}}`, `{"op":"ping","id":null}`, `{"op":"ping","limit":2147483648}`,
}

// FuzzScan: what the scanner takes, the decoder of any JSON takes as the same request, or refuses alike.
func FuzzScan(f *testing.F) {
	for _, s := range scanned {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		got, hasRoom, ok := scan(frame)
		if !ok {
			return
		}
		want, wantErr := decode(frame)
		if err := got.check(hasRoom); !reflect.DeepEqual(room.AsError(err), room.AsError(wantErr)) || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q is scanned as %+v, %v and decoded as %+v, %v", frame, got, err, want, wantErr)
		}
	})
}

// TestScanTakesWhatClientsWrite: the frames that are read all day do not go to the decoder.
func TestScanTakesWhatClientsWrite(t *testing.T) {
	for i, want := range []bool{true, true, false, true, true, true, true, true} { // a version is not among what scan knows
		if _, _, ok := scan([]byte(scanned[i])); ok != want {
			t.Errorf("%s: scanned is %t", scanned[i], ok)
		}
	}
}

func BenchmarkParseRequest(b *testing.B) {
	for what, frame := range map[string]string{"send": scanned[0], "signal": scanned[6]} {
		for name, parse := range map[string]func([]byte) (Request, error){"frame": ParseRequest, "any": decode} {
			b.Run(what+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := parse([]byte(frame)); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
