package transport

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"roomlog/server/docs"
	"roomlog/server/room"
	"roomlog/server/ysync"
)

// racedDocs is a store of documents in which something happens behind one read: what was read is judged, and then no longer so.
type racedDocs struct {
	room.DocStore
	behind atomic.Pointer[func()]
}

func (s *racedDocs) Docs(ctx context.Context, q room.DocQuery) (room.Docs, error) {
	out, err := s.DocStore.Docs(ctx, q)
	if do := s.behind.Swap(nil); do != nil {
		(*do)()
	}
	return out, err
}

// raced is a server whose rooms begin anew in the store, as by another node, and its store of documents.
type raced struct {
	*fixture
	docs *racedDocs
}

func startRaced(t *testing.T) *raced {
	f := &raced{docs: &racedDocs{}}
	o := withDocs()
	kinds := o.server
	o.server = func(c *Config) {
		kinds(c)
		f.docs.DocStore = c.Access.(room.DocStore)
		c.Docs = docs.New(docs.Config{Store: f.docs})
	}
	f.fixture = start(t, o)
	return f
}

// anew deletes a room, and has somebody begin its document anew, with a text.
func (f *raced) anew(id room.ID, text string) {
	f.t.Helper()
	if _, deleted, err := f.store.Delete(f.t.Context(), id); err != nil || !deleted {
		f.t.Errorf("delete %s: %v", id, err)
	}
	f.begin(id, text)
}

// begin stores an update in the log, as another node does.
func (f *raced) begin(id room.ID, text string) {
	f.t.Helper()
	change := &room.DocChange{Name: room.DefaultDoc, Update: written(99, text)}
	out, err := f.store.Append(f.t.Context(), []room.Send{{Room: id, Author: "u9", Tag: newTag(), Type: room.TypeDoc, Data: change.Data(), Doc: change}})
	if err != nil || out.Verdicts[0].Refused != nil {
		f.t.Errorf("begin %s: %+v, %v", id, out, err)
	}
}

// armed has a room begin anew between the next judgement of an update and its append.
func (f *raced) armed(id room.ID) {
	do := func() { f.anew(id, "new") }
	f.docs.behind.Store(&do)
}

// idOf is the document that the room has.
func (f *raced) idOf(id string) string {
	f.t.Helper()
	of, _ := f.request("GET", "/v1/rooms/"+id+"/docs/main", f.token("u1"), "", "Accept: application/json").body["id"].(string)
	return of
}

// wantNew says that the log has what began the room anew, and nothing else.
func (f *raced) wantNew(what string, id room.ID) {
	f.t.Helper()
	if f.docs.behind.Load() != nil {
		f.t.Fatalf("%s: the room never began anew, this proves nothing", what)
	}
	p, err := f.store.Read(f.t.Context(), room.Query{Room: id, Limit: 100})
	must(f.t, err)
	if len(p.Events) != 1 || string(p.Events[0].DocOf().Update) != string(written(99, "new")) {
		f.t.Errorf("DOC-13: %s: the room that began anew has %d events: %v", what, len(p.Events), p.Events)
	}
}

// docDataOf is the data of a send that says of which document it is.
func docDataOf(of string, update []byte) string {
	return fmt.Sprintf(`{"doc":"main","id":%q,"update":%q}`, of, base64.StdEncoding.EncodeToString(update))
}

// DOC-13, DOC-9: over a WebSocket and HTTP an update says of which document it is; nothing of an old one is in a room that began anew, not even
// where that happens between the judgement of the update and its append.
func TestDocNamed(t *testing.T) {
	f := startRaced(t)
	token := f.token("u1")
	p := f.login("u1")
	n := map[string]int{}
	send := func(id string, tag int, data string) map[string]any {
		t.Helper()
		n[id]++
		p.sendf(`{"op":"send","id":%d,"n":%d,"room":%q,"tag":%q,"type":"doc","data":%s}`, tag, n[id], id, tagOf(tag), data)
		return p.object()
	}
	wantError := func(what string, e map[string]any, code, field string) {
		t.Helper()
		if e["code"] != code || e["field"] != field || e["retryable"] != false {
			t.Fatalf("DOC-13: %s: %v, want %s of %s", what, e, code, field)
		}
	}
	wantError("of a room that there is not", send("pad:a", 1, docDataOf("1-00000001", written(1, "a"))), "doc_replaced", "data/id")
	if r, err := f.store.Find(t.Context(), "pad:a"); err != nil || r.Exists() {
		t.Fatalf("DOC-13: it has made the room: %+v, %v", r, err)
	}
	if a := send("pad:a", 2, docData("main", written(1, "a"))); a["op"] != "ack" || a["seq"] != 1.0 {
		t.Fatalf("DOC-13: the first names none: %v", a)
	}
	of := f.idOf("pad:a")
	first := send("pad:a", 3, docDataOf(of, written(2, "b")))
	if first["op"] != "ack" || first["seq"] != 2.0 {
		t.Fatalf("DOC-13: %v", first)
	}
	// The event has no id, and the tag is that of the event.
	if e := f.request("GET", "/v1/rooms/pad:a/events?after=1", token, ""); !strings.Contains(e.text, docData("main", written(2, "b"))) || strings.Contains(e.text, `"id"`) {
		t.Fatalf("DOC-13: %s", e.text)
	}
	if a := send("pad:a", 3, docData("main", written(2, "b"))); a["duplicate"] != true || a["seq"] != 2.0 {
		t.Fatalf("DOC-13: the same without an id: %v", a)
	}
	if a := send("pad:a", 3, docDataOf("other", written(2, "b"))); a["duplicate"] != true {
		t.Fatalf("DOC-13: a repeat of what the room has: %v", a)
	}
	wantError("known, of another", send("pad:a", 4, docDataOf("other", written(2, "b"))), "doc_replaced", "data/id")
	wantError("an id that is none", send("pad:a", 5, docDataOf("", written(2, "b"))), "bad_data", "data/id")
	wantError("a long id", send("pad:a", 6, docDataOf(strings.Repeat("x", 65), written(2, "b"))), "bad_data", "data/id")
	wantError("a number", send("pad:a", 7, `{"id":7,"update":"AAA="}`), "bad_data", "data")
	wantError("twice", send("pad:a", 8, `{"id":"x","id":"x","update":"AAA="}`), "bad_data", "data")

	f.armed("pad:a")
	wantError("raced", send("pad:a", 10, docDataOf(of, written(3, "c"))), "doc_replaced", "data/id")
	f.wantNew("a frame", "pad:a")
	wantError("what the old room has acked", send("pad:a", 3, docDataOf(of, written(2, "b"))), "doc_replaced", "data/id")
	f.wantNew("a repeat", "pad:a")
	if a := f.request("POST", "/v1/rooms/pad:a/events", token, fmt.Sprintf(`{"tag":%q,"type":"doc","data":%s}`, tagOf(3), docDataOf(of, written(2, "b")))); a.status != 409 || a.code() != "doc_replaced" {
		t.Fatalf("DOC-13: a repeat by HTTP: %d %s", a.status, a.text)
	}
	if a := send("pad:a", 11, docDataOf(f.idOf("pad:a"), written(3, "c"))); a["op"] != "ack" {
		t.Fatalf("DOC-13: of the new one: %v", a)
	}

	f.begin("pad:b", "old")
	of = f.idOf("pad:b")
	postOf := func(query string, update []byte) answer {
		t.Helper()
		return f.request("POST", "/v1/rooms/pad:b/docs/main"+query, token, string(update), "Content-Type: application/octet-stream")
	}
	post := func(query string) answer { return postOf(query, written(4, "d")) }
	if a := post("?id=" + strings.Repeat("x", 65)); a.status != 400 || a.body["field"] != "id" {
		t.Errorf("DOC-7: %d %s", a.status, a.text)
	}
	f.armed("pad:b")
	if a := post("?id=" + of); a.status != 409 || a.code() != "doc_replaced" || a.body["retryable"] != false {
		t.Errorf("DOC-13: %d %s", a.status, a.text)
	}
	f.wantNew("a request", "pad:b")
	// Who names none is judged by what there is when it is stored, and what is left out of it is in there.
	if a := postOf("", written(99, "new")); a.body["known"] != true { // it is known what there is, so that one read judges the next
		t.Fatalf("DOC-4: %d %s", a.status, a.text)
	}
	f.armed("pad:b")
	if a := post(""); a.status != 503 || a.code() != "unavailable" {
		t.Errorf("DOC-13: %d %s", a.status, a.text)
	}
	f.wantNew("a request that names none", "pad:b")
	if a := post("?id="); a.status != 201 {
		t.Errorf("DOC-13: %d %s", a.status, a.text)
	}
}

// DOC-13, YWS-4, YWS-9, HOC-5, HOC-7: what clients of others change is stored in the document that they were given, or in none.
func TestDocNamedByServer(t *testing.T) {
	f := startRaced(t)
	// Given a document, and a change under way as the room begins anew.
	f.begin("pad:a", "old")
	y := f.yjs("pad:a", f.token("u1"))
	y.say(ysync.AppendAsk(nil, []byte{0}))
	y.hears("YWS-3", ysync.AppendAnswer(nil, written(99, "old")))
	f.armed("pad:a")
	y.say(ysync.AppendUpdate(nil, written(1, "a")))
	y.ended("YWS-9: raced", closeGoingAway, "reset")
	f.wantNew("y-websocket", "pad:a")

	f.begin("pad:b", "old")
	h := f.hocus()
	h.opens("pad:b", f.token("u1"), true)
	h.syncs("pad:b", written(99, "old"))
	f.armed("pad:b")
	h.changes("pad:b", written(1, "a"))
	for _, m := range h.ended("HOC-7: raced", closeGoingAway, "reset") {
		if m == string(ysync.AppendStatus(nil, "pad:b", true)) || m == string(ysync.AppendStatus(nil, "pad:b", false)) {
			t.Errorf("HOC-5: it was told that its change was counted: %q", m)
		}
	}
	f.wantNew("Hocuspocus", "pad:b")

	// Begun by the client itself, whether it had asked or not; begun by somebody else, whose change it was given.
	for i, begins := range []func(y *yjsPeer, id room.ID){
		func(y *yjsPeer, _ room.ID) { y.say(ysync.AppendUpdate(nil, written(99, "old"))) },
		func(y *yjsPeer, _ room.ID) {
			y.say(ysync.AppendAsk(nil, []byte{0}))
			y.hears("YWS-3", ysync.AppendAnswer(nil, []byte{0, 0}))
			y.say(ysync.AppendUpdate(nil, written(99, "old")))
		},
		func(y *yjsPeer, id room.ID) {
			y.say(ysync.AppendAsk(nil, []byte{0}))
			y.hears("YWS-3", ysync.AppendAnswer(nil, []byte{0, 0}))
			if a := f.request("POST", "/v1/rooms/"+string(id)+"/docs/main", f.token("u2"), string(written(99, "old")), "Content-Type: application/octet-stream"); a.status != 201 {
				t.Fatalf("%d %s", a.status, a.text)
			}
		},
	} {
		id := room.ID(fmt.Sprintf("pad:begun%d", i))
		y := f.yjs(string(id), f.token("u1"))
		begins(y, id)
		y.hears("YWS-3: what began it", ysync.AppendUpdate(nil, written(99, "old")))
		f.anew(id, "new")
		y.say(ysync.AppendUpdate(nil, written(1, "a")))
		y.ended("YWS-9: it was begun in another room", closeGoingAway, "reset")
		f.wantNew(fmt.Sprintf("begun %d", i), id)
	}

	// Who asks again is not given another document, which it would answer with all of its own.
	f.begin("pad:c", "old")
	y = f.yjs("pad:c", f.token("u1"))
	y.say(ysync.AppendAsk(nil, []byte{0}))
	y.hears("YWS-3", ysync.AppendAnswer(nil, written(99, "old")))
	f.anew("pad:c", "new")
	y.say(ysync.AppendAsk(nil, []byte{0}))
	for _, m := range y.ended("YWS-9: asked again", closeGoingAway, "reset") {
		if strings.Contains(m, "new") {
			t.Errorf("YWS-4: it was given the new one: %q", m)
		}
	}
	f.wantNew("asked again", "pad:c")
}
