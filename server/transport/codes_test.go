package transport

import (
	"encoding/json"
	"testing"

	"roomlog/server/room"
	"roomlog/spec"
)

// The table of meanings says what spec/errors.json says.
func TestMeaningsAreThoseOfTheSpec(t *testing.T) { // ERR-1, HTTP-5, CLOSE-1
	var file struct {
		Codes []struct {
			Code   room.Code
			Status int
			Close  uint16
		}
	}
	must(t, json.Unmarshal(spec.Errors, &file))
	for _, c := range file.Codes {
		if m, ok := meanings[c.Code]; !ok || m.status != c.Status || m.close != c.Close {
			t.Errorf("%s: status %d, close %d; the spec says %d, %d", c.Code, m.status, m.close, c.Status, c.Close)
		}
	}
	if len(file.Codes) != len(meanings) || len(meanings) != len(room.Codes()) {
		t.Errorf("%d codes in the spec, %d meanings, %d in package room", len(file.Codes), len(meanings), len(room.Codes()))
	}
	for _, code := range room.Codes() {
		if c := closeOf(&room.Error{Code: code}); c == 0 {
			t.Errorf("%s cannot end a connection", code)
		}
	}
}

func TestErrorPageOfTheSpec(t *testing.T) { // ERR-5
	page, err := newErrorPage(spec.Errors, Look{}, false)
	must(t, err)
	var file struct {
		ClientCodes []struct{ Code room.Code } `json:"client_codes"`
	}
	must(t, json.Unmarshal(spec.Errors, &file))
	codes := room.Codes()
	for _, c := range file.ClientCodes {
		codes = append(codes, c.Code)
	}
	for _, code := range codes {
		if !containsAll(string(page.body), `id="`+string(code)+`"`) {
			t.Errorf("%s is not on the page", code)
		}
	}
	if _, err := newErrorPage([]byte("{"), Look{}, false); err == nil {
		t.Error("a page was made of nothing")
	}
}
