package app

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"roomlog/server/room"
	"roomlog/server/yjs"
)

// pad is a server with a document, and what its one client has of it.
type pad struct {
	*town
	tag   int
	local []byte // the client's copy
	id    string // of which document it is
}

type padDoc struct {
	Epoch, ID      string
	Seq            int64
	Vector, Update []byte
}

func (p *pad) read() (d padDoc) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), "GET", p.app.About().URL+"/v1/rooms/pad:a/docs/main", nil)
	must(p.t, err)
	r.Header.Set("Authorization", "Bearer "+p.site.token)
	r.Header.Set("Accept", "application/json")
	resp, err := http.DefaultClient.Do(r)
	must(p.t, err)
	defer resp.Body.Close()
	must(p.t, json.NewDecoder(resp.Body).Decode(&d))
	return d
}

// write adds a unit of the client to its copy, and sends it if it is to be told.
func (p *pad) write(clock byte, tell bool) {
	p.t.Helper()
	update := []byte{1, 1, 1, clock, 0x84, 1, clock - 1, 1, 'x', 0}
	if clock == 0 {
		update = []byte{1, 1, 1, 0, 0x04, 1, 1, 't', 1, 'x', 0}
	}
	all, err := yjs.Merge(p.local, update)
	must(p.t, err)
	if p.local = all; tell {
		p.push(update)
	}
}

func (p *pad) push(update []byte) {
	p.t.Helper()
	p.tag++
	if status := p.post(update); status != 201 {
		p.t.Fatalf("DOC-1: status %d", status)
	}
}

func (p *pad) post(update []byte) int {
	p.t.Helper()
	of := ""
	if p.id != "" {
		of = fmt.Sprintf(`"id":%q,`, p.id)
	}
	body := fmt.Sprintf(`{"tag":%q,"type":"doc","data":{%s"update":%q}}`, tagNumber(p.tag), of, base64.StdEncoding.EncodeToString(update))
	return ask(p.t, "POST", p.app.About().URL+"/v1/rooms/pad:a/events", p.site.token, body, nil)
}

// DOC-5, DOC-9, DOC-13, I11, I16: a document outlives its events; a database that is taken back to a backup gets what it lost from who has it, under the
// same id and once; a room that is made again has another document.
func TestDocsOutliveTheirEventsAndARestore(t *testing.T) {
	p := &pad{town: &town{t: t, cfg: Config{
		Dev: true, Listen: "127.0.0.1:0", Data: t.TempDir(), RetentionEvery: 20 * time.Millisecond, Kinds: Kinds{"pad": {Retention: RetentionConfig{Events: 1}}},
	}}, local: []byte{0, 0}}
	file := filepath.Join(p.cfg.Data, "roomlog.db")
	p.start()
	defer http.DefaultClient.CloseIdleConnections()
	for clock := range byte(3) {
		p.write(clock, true)
	}
	if status := ask(t, "POST", p.app.About().URL+"/v1/rooms/pad:a/events", p.site.token, `{"tag":"`+tagNumber(99)+`","type":"message","data":1}`, nil); status != 201 {
		t.Fatal(status) // the one that is kept: updates do not count (DOC-12)
	}
	var at struct{ Floor, Head int64 }
	for deadline := time.Now().Add(patience); at.Floor != 4 || at.Head != 4; time.Sleep(5 * time.Millisecond) {
		if ask(t, "GET", p.app.About().URL+"/v1/rooms/pad:a", p.site.token, "", &at); time.Now().After(deadline) {
			t.Fatalf("RET-1: the room has %+v", at)
		}
	}
	before := p.read()
	if !bytes.Equal(before.Vector, []byte{1, 1, 3}) || before.Seq != 4 {
		t.Fatalf("DOC-5: when its events are pruned the document is %+v", before)
	}
	p.id = before.ID
	p.stop()
	backup, err := os.ReadFile(file)
	must(t, err)
	p.start()
	p.write(3, true)
	p.write(4, true)
	p.write(5, false)
	if lost := p.read(); lost.ID != before.ID || !bytes.Equal(lost.Vector, []byte{1, 1, 5}) {
		t.Fatalf("DOC-9: %+v", lost)
	}
	p.stop()
	must(t, os.WriteFile(file, backup, 0o600))
	for _, side := range []string{"-wal", "-shm"} {
		if err := os.Remove(file + side); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	p.start()
	restored := p.read()
	if restored.Epoch == before.Epoch || restored.ID != before.ID || !bytes.Equal(restored.Vector, []byte{1, 1, 3}) {
		t.Fatalf("DOC-9: restored is %+v, before %+v", restored, before)
	}
	lacks, err := yjs.Diff(p.local, restored.Vector)
	must(t, err)
	p.push(lacks)
	whole := p.read()
	if has, err := yjs.Contains(p.local, whole.Update); err != nil || !has || !bytes.Equal(whole.Vector, []byte{1, 1, 6}) || whole.ID != before.ID {
		t.Fatalf("DOC-9: after the client has pushed the document is %+v: %v", whole, err)
	}
	if status := ask(t, "DELETE", p.app.About().URL+"/v1/rooms/pad:a", p.site.token, "", nil); status != 200 {
		t.Fatal(status)
	}
	if none := p.read(); none.ID != "" || !bytes.Equal(none.Vector, []byte{0}) {
		t.Fatalf("DOC-9: of a deleted room there is %+v", none)
	}
	if status := p.post(lacks); status != 409 { // its tag is that of the last, which was acked
		t.Fatalf("DOC-13: the last that the old room took, sent again: status %d", status)
	}
	p.id = ""
	p.push([]byte{1, 1, 2, 0, 0x04, 1, 1, 't', 1, 'y', 0})
	if anew := p.read(); anew.ID == before.ID || anew.ID == "" || !bytes.Equal(anew.Vector, []byte{1, 2, 1}) {
		t.Fatalf("DOC-9: made again it is %+v", anew)
	}
	must(t, p.app.Stop(context.Background()))
}

// What is wrong with a policy of documents is told by its place in the file.
func TestDocPolicies(t *testing.T) {
	for _, c := range []struct {
		docs  DocsConfig
		wrong string
	}{
		{DocsConfig{}, ""},
		{DocsConfig{Allow: "off", Bytes: room.DocBytes, Count: room.MostDocCount}, ""},
		{DocsConfig{Allow: "maybe"}, "kinds.k.docs.allow"},
		{DocsConfig{Bytes: -1}, "kinds.k.docs.bytes"},
		{DocsConfig{Bytes: room.DocBytes + 1}, "kinds.k.docs.bytes"},
		{DocsConfig{Count: -1}, "kinds.k.docs.count"},
		{DocsConfig{Count: room.MostDocCount + 1}, "kinds.k.docs.count"},
	} {
		err := Kinds{"k": {Docs: c.docs}}.validate()
		if c.wrong == "" && err != nil || c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)) {
			t.Errorf("%+v: %v, want %q", c.docs, err, c.wrong)
		}
	}
	if p := (DocsConfig{Allow: "off"}).policy(); !p.Off {
		t.Errorf("DOC-8: %+v", p)
	}
}
