package ysync

import (
	"encoding/hex"
	"strings"
	"testing"
)

// What @hocuspocus/provider 4.8.0 encodes for a document named "a:b", byte for byte, and what it is not to be sent.
func TestEnvelopes(t *testing.T) {
	const name = "03613a62"
	long := hex.EncodeToString(append([]byte{0x81, 0x04}, strings.Repeat("x", 513)...))
	for _, c := range []struct {
		name, hex string
		purpose   Purpose
		kind      Kind
		body      string // of the message, or the token
		bad       error
	}{
		{"step 1", name + "00000100", Speak, Ask, "\x00", nil},
		{"step 2", name + "0001020000", Speak, Answer, "\x00\x00", nil},
		{"a change", name + "0002020000", Speak, Update, "\x00\x00", nil},
		{"awareness", name + "010100", Speak, Awareness, "\x00", nil},
		{"query", name + "03", Speak, Query, "", nil},
		{"a token", name + "020003746f6b05342e382e30", Introduce, 0, "tok", nil},
		{"a token of who names no version", name + "020003746f6b", Introduce, 0, "tok", nil},
		{"no token", name + "020000", Introduce, 0, "", nil},
		{"stateless", name + "05026869", Stateless, 0, "", nil},
		{"close", name + "07", Leave, 0, "", nil},
		{"ping", "09", Ping, 0, "", nil},
		{"pong", "0a", Pong, 0, "", nil},
		{"nothing", "", 0, 0, "", errCut},
		{"half a name", "0361", 0, 0, "", errCut},
		{"no type", name, 0, 0, "", errCut},
		{"a long name", long + "00000100", 0, 0, "", errDocument},
		{"a name that is no text", "01ff07", 0, 0, "", errDocument},
		{"a type of none", name + "04", 0, 0, "", errType},
		{"a status is a server's", name + "0801", 0, 0, "", errType},
		{"authenticated is a server's", name + "020200", 0, 0, "", errType},
		{"a token that is no text", name + "020001ff", 0, 0, "", errText},
		{"half a token", name + "02000374", 0, 0, "", errCut},
		{"a rest", name + "0700", 0, 0, "", errRest},
		{"a rest behind a version", name + "0200017400" + "00", 0, 0, "", errRest},
	} {
		p, err := hex.DecodeString(c.hex)
		if err != nil {
			t.Fatal(err)
		}
		e, err := Open(p)
		body := string(e.Message.Body)
		if e.Purpose == Introduce {
			body = string(e.Token)
		}
		if err != c.bad || e.Purpose != c.purpose || e.Message.Kind != c.kind || body != c.body {
			t.Errorf("%s: %+v, %v; want %+v", c.name, e, err, c)
		}
		if err == nil && e.Purpose < Ping && e.Document != "a:b" {
			t.Errorf("%s: document %q", c.name, e.Document)
		}
	}
	for _, c := range []struct {
		got  []byte
		want string
	}{
		{AppendTo(nil, "a:b", AppendAsk(nil, []byte{0})), name + "00000100"},
		{AppendRefused(nil, "a:b", "no"), name + "0201026e6f"},
		{AppendAuthenticated(nil, "a:b", true), name + "02020a" + hex.EncodeToString([]byte("read-write"))},
		{AppendAuthenticated(nil, "a:b", false), name + "020208" + hex.EncodeToString([]byte("readonly"))},
		{AppendTokenAsked(nil, "a:b"), name + "0200"},
		{AppendStatus(nil, "a:b", true), name + "0801"},
		{AppendStatus(nil, "a:b", false), name + "0800"},
		{AppendClosed(nil, "a:b", "no"), name + "07026e6f"},
		{AppendPing(nil), "09"},
		{AppendPong(nil), "0a"},
	} {
		if hex.EncodeToString(c.got) != c.want {
			t.Errorf("%x, want %s", c.got, c.want)
		}
	}
}

// No bytes make it fail but with an error.
func FuzzEnvelopes(f *testing.F) {
	for _, seed := range []string{"\x03a:b\x00\x00\x01\x00", "\x03a:b\x02\x00\x01t\x01v", "\x09", "\x0a", "\x03a:b\x07", "\x03a:b\x05\x01x"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		e, err := Open(p)
		if err != nil && (e.Document != "" || e.Message.Body != nil || e.Token != nil) {
			t.Fatalf("%v beside %+v", err, e)
		}
		if len(e.Document) > MaxDocument {
			t.Fatalf("a name of %d bytes", len(e.Document))
		}
	})
}
