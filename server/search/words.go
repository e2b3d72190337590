// Package search finds messages by their words: it says what a word is, reads queries, and keeps the index of a store behind the
// log of each room. Both stores index the same words, so that a query finds the same on either.
package search

import (
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"roomlog/server/room"
)

const (
	// maxText is how many bytes of a message are indexed.
	maxText = 8 << 10
	// maxWord is how many characters of a word count.
	maxWord = 64
)

// alone are the scripts that are written without spaces: each of their letters is a word, and a query of several is a phrase.
var alone = []*unicode.RangeTable{unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar}

// runs gives the words of a text, those that stand together without anything between in one run (rule FIND-3).
func runs(text string) (all [][]string) {
	var run []string
	var word strings.Builder
	letters := 0
	end := func() {
		if letters > 0 {
			run = append(run, word.String())
			word.Reset()
			letters = 0
		}
	}
	for _, c := range norm.NFKC.String(text) {
		switch {
		case unicode.IsOneOf(alone, c) && unicode.IsLetter(c):
			end()
			run = append(run, string(c))
		case unicode.IsLetter(c), unicode.IsNumber(c), unicode.IsMark(c) && letters > 0:
			if letters++; letters <= maxWord {
				word.WriteRune(unicode.ToLower(c))
			}
		case unicode.IsMark(c): // on nothing, or on a letter that is a word by itself
		default:
			end()
			if len(run) > 0 {
				all, run = append(all, run), nil
			}
		}
	}
	if end(); len(run) > 0 {
		all = append(all, run)
	}
	return all
}

// words are the words of a text in their order; never nil.
func words(text string) []string {
	all := []string{}
	for _, run := range runs(text) {
		all = append(all, run...)
	}
	return all
}

// Words are the words of a message's data, of at most 8 KiB of its text: `text` where it is an object that has one, else every string
// in it that is no name of a field (rule FIND-2). Data is valid JSON.
func Words(data []byte) []string { return words(textOf(data)) }

func textOf(data []byte) string {
	var message struct {
		Text *string `json:"text"`
	}
	if json.Unmarshal(data, &message) == nil && message.Text != nil {
		return cut(*message.Text)
	}
	var value any
	if json.Unmarshal(data, &value) != nil {
		return ""
	}
	var all strings.Builder
	gather(&all, value)
	return cut(all.String())
}

// gather writes every string of a value, of fields in the order of their names.
func gather(into *strings.Builder, value any) {
	if into.Len() > maxText {
		return
	}
	switch v := value.(type) {
	case string:
		into.WriteString(v)
		into.WriteByte('\n')
	case []any:
		for _, one := range v {
			gather(into, one)
		}
	case map[string]any:
		for _, name := range sorted(v) {
			gather(into, v[name])
		}
	}
}

// cut is the beginning of a text, of whole characters.
func cut(text string) string {
	if len(text) <= maxText {
		return text
	}
	end := maxText
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

// entry is what a message says to the index; a message that is gone leaves it.
func entry(e room.Event) room.IndexEntry {
	if e.Gone != nil {
		return room.IndexEntry{Seq: e.Seq}
	}
	return room.IndexEntry{Seq: e.Seq, At: e.At, Words: Words(e.Data)}
}
