package transport

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"roomlog/server/docs"
	"roomlog/server/room"
	"roomlog/server/transport/auth"
)

// withDocs is a server with documents; in rooms of the kind off there are none, in those of the kind small one of 64 bytes.
func withDocs() options {
	return options{server: func(c *Config) {
		c.Docs = docs.New(docs.Config{Store: c.Access.(room.DocStore)})
		c.Kinds = room.NewKinds(map[string]room.Policy{
			"pad": {}, "off": {Docs: room.DocPolicy{Off: true}}, "small": {Docs: room.DocPolicy{Bytes: 64, Count: 1}},
		})
	}}
}

// written is the update of a client that writes a text into an empty document, as Yjs encodes it (package yjs has the format).
func written(client byte, text string) []byte {
	out := binary.AppendUvarint([]byte{1, 1, client, 0, 0x04, 1, 1, 't'}, uint64(len(text)))
	return append(append(out, text...), 0)
}

func docData(name string, update []byte) string {
	return fmt.Sprintf(`{"doc":%q,"update":%q}`, name, base64.StdEncoding.EncodeToString(update))
}

// DOC-1, DOC-3, DOC-4 over a WebSocket and by POST of events: acked, live, repeated, known, refused.
func TestDocEvents(t *testing.T) {
	f := start(t, withDocs())
	p, reader := f.login("u1"), f.login("u2")
	reader.sendf(`{"op":"join","id":1,"room":"pad:a"}`)
	reader.expect("joined")
	send := func(n, tag int, data string) map[string]any {
		t.Helper()
		p.sendf(`{"op":"send","id":%d,"n":%d,"room":"pad:a","tag":%q,"type":"doc","data":%s}`, n, n, tagOf(tag), data)
		return p.object()
	}
	wantAck := func(ack map[string]any, seq float64, duplicate, known bool) {
		t.Helper()
		if ack["op"] != "ack" || ack["seq"] != seq || ack["duplicate"] != duplicate || (ack["known"] == true) != known {
			t.Fatalf("DOC-4: %v, want seq %v, duplicate %v, known %v", ack, seq, duplicate, known)
		}
	}
	wantPage := func(seq float64, update []byte) {
		t.Helper()
		events := asList(reader.expect("page")["events"])
		e := events[0].(map[string]any)
		data := e["data"].(map[string]any)
		if len(events) != 1 || e["seq"] != seq || e["type"] != "doc" || data["doc"] != "main" || data["update"] != base64.StdEncoding.EncodeToString(update) {
			t.Fatalf("DOC-1: %v, want seq %v of %x", events, seq, update)
		}
	}
	ab, both := written(1, "ab"), append([]byte{2}, append(written(2, "z")[1:len(written(2, "z"))-1], written(1, "ab")[1:]...)...)
	wantAck(send(1, 1, docData("main", ab)), 1, false, false)
	wantPage(1, ab)
	wantAck(send(2, 2, docData("main", ab)), 1, false, true)
	wantAck(send(3, 3, docData("main", both)), 2, false, false)
	wantPage(2, written(2, "z"))                               // what was missing
	wantAck(send(4, 3, docData("main", both)), 2, true, false) // its tag, and what was sent with it
	if e := send(5, 3, docData("main", ab)); e["code"] != "tag_conflict" {
		t.Fatalf("TAG-4: %v", e)
	}
	for i, c := range []struct{ data, code, field string }{
		{docData("main", []byte{1}), "bad_update", "data/update"},
		{docData("main", append(written(1, "x"), 0)), "bad_update", "data/update"},
		{`{"doc":"main"}`, "bad_data", "data"},
		{`["main"]`, "bad_data", "data"},
		{`{"Update":"AAA="}`, "bad_data", "data"},
		{`{"DOC":"a","update":"AAA="}`, "bad_data", "data"},
		{`{"update":"AAA=","update":"AAA="}`, "bad_data", "data"},
		{`{"doc":"a","doc":"a","update":"AAA="}`, "bad_data", "data"},
		{`{"doc":null,"update":"AAA="}`, "bad_data", "data"},
		{`{"update":"AAA=","more":1}`, "bad_data", "data"},
		{`{"doc":"` + strings.Repeat("x", 65) + `","update":"AAA="}`, "bad_data", "data/doc"},
		{`{"doc":"\u0001","update":"AAA="}`, "bad_data", "data/doc"},
		{`{"update":"AA"}`, "bad_data", "data/update"},
		{`{"update":""}`, "bad_data", "data/update"},
	} {
		if e := send(6+i, 10+i, c.data); e["code"] != c.code || e["field"] != c.field || e["retryable"] != false {
			t.Errorf("DOC-3: %s: %v, want %s of %s", c.data, e, c.code, c.field)
		}
	}
	wantAck(send(20, 30, docData("main", written(3, "c"))), 3, false, false)
	wantPage(3, written(3, "c"))

	token := f.token("u1")
	post := func(room string, tag int, update []byte) answer {
		return f.request("POST", "/v1/rooms/"+room+"/events", token, fmt.Sprintf(`{"tag":%q,"type":"doc","data":%s}`, tagOf(tag), docData("main", update)))
	}
	if a := post("pad:a", 21, ab); a.status != 200 || a.body["known"] != true || a.body["seq"] != 3.0 || a.body["duplicate"] != nil {
		t.Errorf("DOC-4: %d %s", a.status, a.text)
	}
	if a := post("off:a", 22, ab); a.code() != "bad_type" {
		t.Errorf("DOC-8: %d %s", a.status, a.text)
	}
	if a := post("small:a", 23, written(1, strings.Repeat("x", 64))); a.code() != "limit_exceeded" || a.body["field"] != "bytes" || a.body["limit"] != 64.0 {
		t.Errorf("DOC-8: %d %s", a.status, a.text)
	}
	if a := post("small:a", 24, ab); a.status != 201 {
		t.Errorf("DOC-8: %d %s", a.status, a.text)
	}
	page := f.request("GET", "/v1/rooms/pad:a/events?after=0", token, "")
	if n := len(asList(page.body["events"])); n != 3 {
		t.Errorf("DOC-4: the log has %d events: %s", n, page.text)
	}
}

// DOC-6, DOC-7, DOC-9: a document as bytes and as JSON, and an update that is larger than a frame, given to everybody.
func TestDocOverHTTP(t *testing.T) {
	f := start(t, withDocs())
	token := f.token("u1")
	const path = "/v1/rooms/pad:a/docs/my%2Fnotes"
	post := func(path, token string, update []byte, header ...string) answer {
		t.Helper()
		return f.request("POST", path, token, string(update), append([]string{"Content-Type: application/octet-stream"}, header...)...)
	}
	if a := f.request("GET", path, token, ""); a.status != 200 || a.text != "\x00\x00" || a.header.Get("ETag") != `"0"` || a.header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("DOC-6: no document: %d %q %v", a.status, a.text, a.header)
	}
	ab := written(1, "ab")
	first := post(path, token, ab, "Idempotency-Key: "+tagOf(1))
	if first.status != 201 || first.body["seq"] != 1.0 || first.body["doc"] != "my/notes" || first.body["tag"] != tagOf(1) {
		t.Fatalf("DOC-7: %d %s", first.status, first.text)
	}
	if a := post(path, token, ab, "Idempotency-Key: "+tagOf(1)); a.status != 200 || a.body["duplicate"] != true || a.body["seq"] != 1.0 {
		t.Errorf("DOC-7: a repeat: %d %s", a.status, a.text)
	}
	if a := post(path, token, ab); a.status != 200 || a.body["known"] != true {
		t.Errorf("DOC-7: %d %s", a.status, a.text)
	}

	p := f.login("u2")
	p.sendf(`{"op":"join","id":1,"room":"pad:a","position":"1"}`)
	p.expect("joined")
	large := written(2, strings.Repeat("x", 3<<20))
	if a := post(path, token, large); a.status != 201 || a.body["seq"] != 2.0 {
		t.Fatalf("DOC-7: a large one: %d %.200s", a.status, a.text)
	}
	live := asList(p.expect("page")["events"])[0].(map[string]any)["data"].(map[string]any)
	if got, _ := base64.StdEncoding.DecodeString(live["update"].(string)); !bytes.Equal(got, large) {
		t.Errorf("DOC-2: %d bytes came live, of %d", len(got), len(large))
	}
	polled := f.request("GET", "/v1/rooms/pad:a/events?after=1", token, "")
	if len(polled.text) < 4<<20 || len(asList(polled.body["events"])) != 1 {
		t.Errorf("DOC-2: %d bytes were polled", len(polled.text))
	}

	whole := f.request("GET", path, token, "")
	tag := whole.header.Get("ETag")
	if len(whole.text) < 3<<20 || tag == "" {
		t.Errorf("DOC-6: %d bytes, %s", len(whole.text), tag)
	}
	// As it was given, as a proxy that compresses makes it, one of several, or any.
	for _, given := range []string{tag, "W/" + tag, `"x", ` + tag, "*"} {
		if a := f.request("GET", path, token, "", "If-None-Match: "+given); a.status != 304 || a.text != "" {
			t.Errorf("DOC-6: %s: %d %.100s", given, a.status, a.text)
		}
	}
	if a := f.request("GET", "/v1/rooms/pad:a/docs/none", token, "", "If-None-Match: *"); a.status != 200 {
		t.Errorf("DOC-6: a document that does not exist: %d", a.status)
	}
	sv := base64.RawURLEncoding.EncodeToString(append([]byte{1, 2}, binary.AppendUvarint(nil, 3<<20)...)) // all of the large one
	as := f.request("GET", path+"?sv="+sv, token, "", "Accept: application/json")
	if as.body["update"] != base64.StdEncoding.EncodeToString(ab) || as.body["seq"] != 2.0 || as.body["id"] == nil || !strings.HasPrefix(as.body["id"].(string), "1-") ||
		as.body["position"] == nil || as.body["vector"] == nil {
		t.Errorf("DOC-6: %.300s", as.text)
	}

	reading := f.token("u3", auth.Grant{Rooms: "pad:*", Can: []auth.Action{auth.Read}})
	if a := f.request("GET", path, reading, ""); a.status != 200 {
		t.Errorf("DOC-6: %d %.100s", a.status, a.text)
	}
	for what, c := range map[string]struct {
		a    answer
		code room.Code
	}{
		"who may only read writes":   {post(path, reading, ab), room.CodeForbidden},
		"who may not read reads":     {f.request("GET", "/v1/rooms/small:b/docs/main", reading, ""), room.CodeUnknownRoom},
		"JSON":                       {f.request("POST", path, token, `{}`), room.CodeUnsupportedMediaType},
		"more than 8 MiB":            {post(path, token, make([]byte, 8<<20+1)), room.CodeMessageTooLarge},
		"no update":                  {post(path, token, []byte("hello")), room.CodeBadUpdate},
		"nothing":                    {post(path, token, nil), room.CodeBadData},
		"a long name":                {post("/v1/rooms/pad:a/docs/"+strings.Repeat("x", 65), token, ab), room.CodeBadRequest},
		"a state vector in pieces":   {f.request("GET", path+"?sv=AQ", token, ""), room.CodeBadRequest},
		"a state vector that is no":  {f.request("GET", path+"?sv=*", token, ""), room.CodeBadRequest},
		"two state vectors":          {f.request("GET", path+"?sv=AA&sv=AA", token, ""), room.CodeBadRequest},
		"a key that is no tag":       {post(path, token, ab, "Idempotency-Key: x"), room.CodeBadTag},
		"a kind without documents":   {post("/v1/rooms/off:a/docs/main", token, ab), room.CodeBadType},
		"one document more than may": {post("/v1/rooms/small:a/docs/b", token, written(1, "b")), ""},
	} {
		if c.code == "" {
			if a := post("/v1/rooms/small:a/docs/c", token, written(1, "b")); a.code() != string(room.CodeLimitExceeded) || a.body["field"] != "count" {
				t.Errorf("DOC-8: %s: %d %s", what, a.status, a.text)
			}
		} else if c.a.code() != string(c.code) {
			t.Errorf("DOC-7: %s: %d %.200s, want %s", what, c.a.status, c.a.text, c.code)
		}
	}
}

// DOC-2, DOC-3, DOC-6: what is wrong with a body or a state vector is said of that, in words that fit a request of bytes.
func TestDocRefusals(t *testing.T) {
	f := start(t, withDocs())
	token := f.token("u1")
	const path = "/v1/rooms/pad:a/docs/main"
	post := func(update []byte) answer {
		return f.request("POST", path, token, string(update), "Content-Type: application/octet-stream")
	}
	for what, c := range map[string]struct {
		a           answer
		code, field string
		title       string
		limit       any
	}{
		"nothing":                  {post(nil), "bad_data", "data/update", "The body is empty: it has to be an update.", nil},
		"more than 8 MiB":          {post(make([]byte, 8<<20+1)), "message_too_large", "data/update", "The update is larger than one may be.", 8388608.0},
		"a vector that is cut":     {f.request("GET", path+"?sv=AQ", token, ""), "bad_request", "sv", "This is no state vector of Yjs.", nil},
		"a vector in another base": {f.request("GET", path+"?sv=*", token, ""), "bad_request", "sv", "A state vector is in base64url.", nil},
	} {
		if c.a.code() != c.code || c.a.body["field"] != c.field || c.a.body["title"] != c.title || c.a.body["limit"] != c.limit {
			t.Errorf("DOC-7: %s: %d %.300s", what, c.a.status, c.a.text)
		}
	}
}
