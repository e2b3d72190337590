package search

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"roomlog/server/room"
)

// FIND-2, FIND-3: what a message says, and what of it are words.
func TestWords(t *testing.T) {
	for _, c := range []struct {
		data string
		want []string
	}{
		{`{"text":"Hello, World"}`, []string{"hello", "world"}},
		{`{"text":"foo-bar_baz 3.14"}`, []string{"foo", "bar", "baz", "3", "14"}},
		{`{"text":"ÜBER Straße"}`, []string{"über", "straße"}},
		{`{"text":"U\u0308ber ﬁn"}`, []string{"über", "fin"}}, // NFKC
		{`{"text":"東京 タワー abc漢"}`, []string{"東", "京", "タ", "ワ", "ー", "abc", "漢"}},
		{`{"text":"हिन्दी"}`, []string{"हिन्दी"}},
		{`{"text":"👍 — !"}`, []string{}},
		{`{"text":"said","html":"unsaid"}`, []string{"said"}},
		{`{"text":1,"b":"second","a":["first",{"c":"third"}],"n":null}`, []string{"first", "third", "second"}},
		{`"alone"`, []string{"alone"}},
		{`null`, []string{}},
		{`{"name":{"key":7}}`, []string{}},
	} {
		if got := Words([]byte(c.data)); !slices.Equal(got, c.want) || got == nil {
			t.Errorf("FIND-2: the words of %s are %q, not %q", c.data, got, c.want)
		}
	}
	if got := Words([]byte(`{"text":"` + strings.Repeat("x ", 8<<10) + `end"}`)); len(got) != 4<<10 {
		t.Errorf("FIND-2: %d words of a long text, not those of its first 8 KiB", len(got))
	}
	if got := Words([]byte(`{"text":"` + strings.Repeat("y", 100) + `"}`)); !slices.Equal(got, []string{strings.Repeat("y", 64)}) {
		t.Errorf("FIND-3: a long word is %q", got)
	}
	for _, w := range Words([]byte(`{"text":"a'b\\c:d|e&f!(g)*\u0001h <-> \"i\" OR AND"}`)) {
		if strings.ContainsAny(w, "'\"\\:|&!()*<> \x00\x01") {
			t.Errorf("FIND-3: %q is a word: a store would read it as a query", w)
		}
	}
}

// FIND-3: how a query is read.
func TestParse(t *testing.T) {
	for _, c := range []struct {
		text   string
		want   []string // phrases
		prefix bool
	}{
		{"hello", []string{"hello"}, true},
		{"Hello wor", []string{"hello", "wor"}, true},
		{`"hello world"`, []string{"hello world"}, false},
		{`a "b c" d`, []string{"a", "b c", "d"}, false}, // one character
		{`a "b c" de`, []string{"a", "b c", "de"}, true},
		{`"not closed`, []string{"not closed"}, false},
		{"東京", []string{"東 京"}, false},
		{"foo-bar", []string{"foo", "bar"}, true},
		{`de "b"`, []string{"de", "b"}, false},
	} {
		q, err := Parse(c.text)
		var got []string
		for _, phrase := range q.Phrases {
			got = append(got, strings.Join(phrase, " "))
		}
		if err != nil || !slices.Equal(got, c.want) || q.Prefix != c.prefix {
			t.Errorf("FIND-3: %q is read as %q, prefix %t, %v; want %q, %t", c.text, got, q.Prefix, err, c.want, c.prefix)
		}
	}
	for _, text := range []string{"", "  ", `""`, "!?", strings.Repeat("a", 257), strings.Repeat("a ", 17), "\xff"} {
		_, err := Parse(text)
		var e *room.Error
		if !errors.As(err, &e) || e.Code != room.CodeBadRequest || e.Field != "q" {
			t.Errorf("FIND-3: %q is answered by %v", text, err)
		}
	}
}

// FIND-5: whether a message, as it is now, holds what is looked for.
func TestMatch(t *testing.T) {
	data := []byte(`{"text":"The red fox and the foxes"}`)
	for text, want := range map[string]bool{
		"fox": true, "fo": true, `"fo"`: false, `"red fox"`: true, "red fox": true, "fox red": true, `"fox red"`: false,
		"blue": false, "the foxe": true, `"foxes"`: true, "foxes x": false,
	} {
		q, err := Parse(text)
		if err != nil || q.Match(data) != want {
			t.Errorf("FIND-3: %q is found by %q: %t, %v; want %t", data, text, !want, err, want)
		}
	}
}
