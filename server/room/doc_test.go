package room

import (
	"strings"
	"testing"
)

// DOC-13: the id is taken off what was sent, and the event is what it would be without one.
func TestCutDocID(t *testing.T) {
	long := strings.Repeat("x", MaxDocName)
	for _, c := range []struct{ sent, rest, id string }{
		{`{"doc":"main","update":"AAA="}`, `{"doc":"main","update":"AAA="}`, ""},
		{`{"doc":"main","id":"7-6f1c0a2b","update":"AAA="}`, `{"doc":"main","update":"AAA="}`, "7-6f1c0a2b"},
		{`{"update":"AAA=","id":"7"}`, `{"update":"AAA="}`, "7"},
		{`{"\u0069d":"7","update":"AAA="}`, `{"update":"AAA="}`, "7"},
		{`{"id":"` + long + `"}`, `{}`, long},
		{`{"doc":"\"id\"","update":"AAA="}`, `{"doc":"\"id\"","update":"AAA="}`, ""},
		{`{"id":7,"update":"AAA="}`, `{"id":7,"update":"AAA="}`, ""}, // for ParseDoc to refuse, as what follows
		{`{"id":"7","id":"7","update":"AAA="}`, `{"id":"7","id":"7","update":"AAA="}`, ""},
		{`["id"]`, `["id"]`, ""},
	} {
		rest, id, err := CutDocID([]byte(c.sent))
		if string(rest) != c.rest || id != c.id || err != nil {
			t.Errorf("DOC-13: %s: %s, %q, %v", c.sent, rest, id, err)
		}
	}
	for _, bad := range []string{"", long + "x", "\u0001"} {
		data := `{"id":"` + strings.ReplaceAll(bad, "\u0001", `\u0001`) + `","update":"AAA="}`
		if _, _, err := CutDocID([]byte(data)); err == nil || err.Code != CodeBadData || err.Field != "data/id" {
			t.Errorf("DOC-13: %s: %v", data, err)
		}
	}
	if _, err := ParseDoc([]byte(`{"id":"7","update":"AAA="}`)); err == nil || err.Code != CodeBadData {
		t.Errorf("DOC-1: an event has no id: %v", err)
	}
	of := DocChange{ID: DocID(7, 0x6f1c0a2b)}
	if seq, mark := of.First(); seq != 7 || mark != 0x6f1c0a2b {
		t.Errorf("DOC-13: %s is of %d, %v", of.ID, seq, mark)
	}
	for _, none := range []string{"", "7", "7-", "-6f1c0a2b", "07-6f1c0a2b", "7-6F1C0A2B", "7-00000000", "7-6f1c0a2b-1"} {
		if seq, mark := (&DocChange{ID: none}).First(); seq != 0 || mark != 0 {
			t.Errorf("DOC-13: %q is of %d, %v", none, seq, mark)
		}
	}
}

// DOC-13, HOOK-6: what is put in place of a send is of the document that its author named, unless it is of another name.
func TestMeanKeepsTheDocument(t *testing.T) {
	s := Send{Type: TypeDoc, Data: []byte(`{"update":"AAA="}`), Doc: &DocChange{ID: "7", Named: true}}
	for range 2 {
		if err := s.Mean(); err != nil || s.Doc.ID != "7" || !s.Doc.Named || s.Doc.Name != DefaultDoc {
			t.Fatalf("DOC-13: %+v, %v", s.Doc, err)
		}
	}
	s.Data = []byte(`{"doc":"notes","update":"AAA="}`)
	if err := s.Mean(); err != nil || s.Doc.ID != "" || s.Doc.Named {
		t.Fatalf("DOC-13: of another name: %+v, %v", s.Doc, err)
	}
}
