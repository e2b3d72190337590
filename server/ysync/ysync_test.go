package ysync

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"testing"
)

// What y-protocols 1.0.7 and y-websocket 3.1.0 encode, byte for byte.
func TestMessages(t *testing.T) {
	parsed := []struct {
		name, hex string
		want      Message
		bad       error
	}{
		{"step 1 of an empty document", "00000100", Message{Ask, []byte{0}}, nil},
		{"step 2 of an empty document", "0001020000", Message{Answer, []byte{0, 0}}, nil},
		{"a change", "0002020000", Message{Update, []byte{0, 0}}, nil},
		{"awareness", "010100", Message{Awareness, []byte{0}}, nil},
		{"query", "03", Message{Kind: Query}, nil},
		{"nothing", "", Message{}, errCut},
		{"auth is a server's", "020000", Message{}, errType},
		{"another type", "09", Message{}, errType},
		{"another step", "000300", Message{}, errType},
		{"no step", "00", Message{}, errCut},
		{"a body that is not there", "000205aa", Message{}, errCut},
		{"a length of 2^63", "0002ffffffffffffffff7f", Message{}, errNumber},
		{"a length without end", "0002ffffffffffffffffffffff", Message{}, errNumber},
		{"a rest", "0300", Message{}, errRest},
	}
	for _, c := range parsed {
		p, err := hex.DecodeString(c.hex)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Parse(p)
		if err != c.bad || err == nil && (got.Kind != c.want.Kind || !bytes.Equal(got.Body, c.want.Body)) {
			t.Errorf("%s: %v, %v; want %v, %v", c.name, got, err, c.want, c.bad)
		}
	}
	for _, c := range []struct {
		got  []byte
		want string
	}{
		{AppendAsk(nil, []byte{0}), "00000100"},
		{AppendAnswer(nil, []byte{0, 0}), "0001020000"},
		{AppendUpdate(nil, []byte{0, 0}), "0002020000"},
		{AppendAwareness(nil, nil), "010100"},
		{AppendAwareness(nil, []Entry{{300, 2, []byte(`{}`)}, {1, 1, nil}}), "010e02ac0202027b7d0101046e756c6c"},
		{AppendDenied(nil, "no"), "0200026e6f"},
	} {
		if hex.EncodeToString(c.got) != c.want {
			t.Errorf("%x, want %s", c.got, c.want)
		}
	}
}

func TestAwareness(t *testing.T) {
	body := []byte("\x02\xac\x02\x02\x02{}\x01\x01\x04null")
	got, err := ParseAwareness(body)
	if want := []Entry{{300, 2, []byte(`{}`)}, {1, 1, nil}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%v, %v, want %v", got, err, want)
	}
	for _, c := range []struct {
		body string
		bad  error
	}{
		{"", errCut}, {"\x01\x01\x01", errCut}, {"\x01\x01\x01\x01x", errState}, {"\x01\x01\x01\x03\"\xff\"", errState}, {"\x00\x00", errRest}, {"\xff\xff\x7f", errEntries},
	} {
		if _, err := ParseAwareness([]byte(c.body)); err != c.bad {
			t.Errorf("%q: %v, want %v", c.body, err, c.bad)
		}
	}
}

// No bytes make it fail but with an error; what it took says the same when it is written again.
func FuzzMessages(f *testing.F) {
	for _, seed := range []string{"\x00\x00\x01\x00", "\x00\x02\x02\x00\x00", "\x01\x0e\x02\xac\x02\x02\x02{}\x01\x01\x04null", "\x03", "\x02\x00\x02no"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		m, err := Parse(p)
		if err != nil {
			return
		}
		again := m
		switch m.Kind {
		case Ask:
			again, err = Parse(AppendAsk(nil, m.Body))
		case Answer:
			again, err = Parse(AppendAnswer(nil, m.Body))
		case Update:
			again, err = Parse(AppendUpdate(nil, m.Body))
		case Awareness:
			entries, bad := ParseAwareness(m.Body)
			if bad != nil {
				return
			}
			got, _ := Parse(AppendAwareness(nil, entries))
			same, bad := ParseAwareness(got.Body)
			if bad != nil || len(same) != len(entries) || len(same) > 0 && !reflect.DeepEqual(same, entries) {
				t.Fatalf("%v became %v (%v)", entries, same, bad)
			}
		}
		if err != nil || again.Kind != m.Kind || !bytes.Equal(again.Body, m.Body) {
			t.Fatalf("%v became %v (%v)", m, again, err)
		}
	})
}
