package room

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

// wantCode fails unless err is a *Error with the code, or nil where code is empty.
func wantCode(t *testing.T, what string, err error, code Code) {
	t.Helper()
	var e *Error
	switch {
	case code == "" && err != nil:
		t.Errorf("%q is refused: %v", what, err)
	case code != "" && (!errors.As(err, &e) || e.Code != code || e.Title == "" || e.Field == ""):
		t.Errorf("%q is answered with %v, not with %s and its field", what, err, code)
	}
}

// ROOM-1, ROOM-2
func TestParseID(t *testing.T) {
	for _, s := range []string{"a:b", "chat:general", "a_-9:A", "chat:a:b.c@d_e-f", "chat:" + strings.Repeat("x", 195), strings.Repeat("k", 32) + ":1"} {
		id, err := ParseID(s)
		if wantCode(t, s, err, ""); string(id) != s {
			t.Errorf("ROOM-2: %q became %q", s, id)
		}
	}
	for _, s := range []string{
		"", "a:", ":b", "ab", "abc", "Chat:a", "9chat:a", "_a:b", "chat:_a", "chat::a", "chat:.a", "chat:@a", "chat:-a", "chat:a b", "chat:a/b",
		"chat:ä", "chat:a\x00", "chat:a\n", "chat:a\u202e", "chat:*", "chat:a>", "ch at:a", "chat:a\xff", "ch.at:a",
		strings.Repeat("k", 33) + ":1", "chat:" + strings.Repeat("x", 196),
	} {
		_, err := ParseID(s)
		wantCode(t, s, err, CodeBadRoom)
	}
	if kind := ID("chat:a:b").Kind(); kind != "chat" {
		t.Errorf("the kind of chat:a:b is %q", kind)
	}
}

// POS-1, POS-2
func TestParsePosition(t *testing.T) {
	for s, want := range map[string]Position{
		"0": {}, "412": {Seq: 412}, "9007199254740991": {Seq: MaxSeq}, "k3f9:0": {Epoch: "k3f9"},
		"k3f9:412": {Epoch: "k3f9", Seq: 412}, "k3f9:412:6f1c0a2b": {Epoch: "k3f9", Seq: 412, Mark: 0x6f1c0a2b},
		"A_-9:1:00000001": {Epoch: "A_-9", Seq: 1, Mark: 1},
	} {
		p, err := ParsePosition(s)
		if wantCode(t, s, err, ""); p != want || p.String() != s {
			t.Errorf("%q is read as %+v and written as %q", s, p, p)
		}
	}
	for _, s := range []string{
		"", "-1", "+1", " 1", "1 ", "01", "00", "1e3", "0x1", "1.0", "9007199254740992", "18446744073709551616", "99999999999999999999999",
		":1", "k:", "k:-1", "k:01", "k:1:", "k:1:6f1c0a2", "k:1:6f1c0a2b0", "k:1:6F1C0A2B", "k:1:00000000", "k:1:6f1c0a2g", "k:1:+f1c0a2b",
		"k:0:6f1c0a2b", "k:1:6f1c0a2b:x", "k.:1", "k\x00:1", "ä:1", strings.Repeat("k", 33) + ":1",
	} {
		_, err := ParsePosition(s)
		wantCode(t, s, err, CodeBadPosition)
	}
}

// TAG-1
func TestParseTag(t *testing.T) {
	const canonical = "0192f0c1-7d1a-7b8e-9a53-0f2b6a4c1d2e"
	for _, s := range []string{canonical, strings.ToUpper(canonical), "00000000-0000-0000-0000-000000000001"} {
		tag, err := ParseTag(s)
		if wantCode(t, s, err, ""); tag.String() != strings.ToLower(s) {
			t.Errorf("%q is given back as %q", s, tag)
		}
	}
	for _, s := range []string{
		"", "00000000-0000-0000-0000-000000000000", canonical[:35], canonical + "0", "{" + canonical + "}", strings.ReplaceAll(canonical, "-", ""),
		"0192f0c17-d1a-7b8e-9a53-0f2b6a4c1d2e", "0192f0c1-7d1a-7b8e-9a53-0f2b6a4c1d2g", "urn:uuid:" + canonical[9:],
	} {
		_, err := ParseTag(s)
		wantCode(t, s, err, CodeBadTag)
	}
}

// DATA-4
func TestCheckType(t *testing.T) {
	for _, s := range []string{"a", "message", "x_.-9", strings.Repeat("t", 32)} {
		wantCode(t, s, CheckType(s), "")
	}
	for _, s := range []string{"", "Message", "9a", ".a", "a b", "ä", "a\x00", strings.Repeat("t", 33)} {
		wantCode(t, s, CheckType(s), CodeBadType)
	}
}

// DATA-1, DATA-2, DATA-3
func TestCompactData(t *testing.T) {
	for raw, want := range map[string]string{
		"1":                                   "1",
		" { \"b\" : 1e400 ,\n\t\"b\":-0.0 } ": `{"b":1e400,"b":-0.0}`,
		`"\u00e9\/ \\u0000 <&>"`:              `"\u00e9\/ \\u0000 <&>"`,
		"\"\u2028 \ud7ff\"":                   "\"\u2028 \ud7ff\"",
		`"\ud800"`:                            `"\ud800"`,
		`"[[[{"`:                              `"[[[{"`,
		strings.Repeat("[", 128) + strings.Repeat("]", 128): strings.Repeat("[", 128) + strings.Repeat("]", 128),
	} {
		got, err := CompactData([]byte(raw), MaxData)
		if wantCode(t, raw, err, ""); string(got) != want {
			t.Errorf("DATA-1: %q became %q", raw, got)
		}
	}
	for _, raw := range []string{
		"", " ", "{", "1 2", "nul", "\"\xff\"", "01",
		`"\u0000"`, `{"\u0000":1}`, `"\\\u0000"`, "\"\x00\"",
		strings.Repeat("[", 129) + strings.Repeat("]", 129), strings.Repeat("[", 1<<20),
	} {
		_, err := CompactData([]byte(raw), MaxData)
		wantCode(t, raw[:min(len(raw), 40)], err, CodeBadData)
	}
	_, err := CompactData([]byte(`"`+strings.Repeat("x", 99)+`"`), 100)
	wantCode(t, "101 bytes", err, CodeMessageTooLarge)
	if _, err := CompactData([]byte(`"`+strings.Repeat("x", 98)+`"`), 100); err != nil {
		t.Errorf("DATA-2: data of exactly the limit: %v", err)
	}
	raw := []byte("[ 1 ]")
	if out, err := CompactData(raw, 10); err != nil || string(raw) != "[ 1 ]" {
		t.Errorf("the data given was changed to %q (%q, %v)", raw, out, err)
	}
}

// TestSpan holds the arithmetic of a query to what its words say: a page lies within the log, is as long as it may
// be, and lies on the side of Seq that its anchor names (POLL-4, POLL-5, JOIN-3).
func TestSpan(t *testing.T) {
	for range 20_000 {
		floor := 1 + rand.Int64N(20)
		head := floor - 1 + rand.Int64N(20)
		q := Query{Anchor: Anchor(rand.IntN(4)), Seq: rand.Int64N(60), Limit: 1 + rand.IntN(25)}
		prev, last, center := q.Span(floor, head)
		n := min(int64(q.Limit), head-floor+1)
		ok := floor-1 <= prev && prev <= last && last <= head && last-prev <= n
		switch q.Anchor {
		case After:
			ok = ok && (prev == q.Seq || q.Seq < floor-1 && prev == floor-1 || q.Seq > head && prev == head) &&
				(last-prev == n || last == head) && center <= prev
		case Before:
			ok = ok && (last == q.Seq-1 || q.Seq > head && last == head || q.Seq < floor && last == floor-1) &&
				(last-prev == n || prev == floor-1) && center > last
		case Around:
			ok = ok && last-prev == n && (q.Seq < floor || q.Seq > head || prev < q.Seq && q.Seq <= last) && center == q.Seq
		case Latest:
			ok = ok && last == head && last-prev == n && center > last
		}
		if !ok {
			t.Fatalf("%+v over %d..%d covers (%d, %d] around %d", q, floor, head, prev, last, center)
		}
	}
}

func TestPagePosition(t *testing.T) {
	p := Page{Head: Head{Epoch: "k"}, Prev: 4, PrevMark: 7}
	if got := p.Position(); got != (Position{"k", 4, 7}) || p.Seq() != 4 {
		t.Errorf("an empty page ends at %v", got)
	}
	p.Events = []Event{{Seq: 5, Mark: 8}, {Seq: 6, Mark: 9}}
	if got := p.Position(); got != (Position{"k", 6, 9}) || p.Seq() != 6 {
		t.Errorf("a page of two ends at %v", got)
	}
}

func TestAsError(t *testing.T) {
	cause := errors.New("a secret of the database")
	if e := AsError(cause); e.Code != CodeInternal || strings.Contains(e.Title, "secret") || !errors.Is(e, cause) {
		t.Errorf("an unexpected error becomes %+v", e)
	}
	for _, c := range Codes() {
		if AsError(&Error{Code: c}).Retryable() != c.Retryable() {
			t.Errorf("%s is not as retryable as its error", c)
		}
	}
}
