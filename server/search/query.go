package search

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"roomlog/server/room"
)

const (
	maxQuery   = 256 // bytes
	maxPhrases = 16
	// leastPrefix is how many letters of a word stand for all words that begin with them; one alone would for too many.
	leastPrefix = 2
)

// Query is what is looked for: every phrase, and the last word as a prefix where Prefix is set.
type Query struct {
	Phrases [][]string
	Prefix  bool
}

// Parse reads a query: words, and phrases in double quotes; what stands together is a phrase as well. The last word, if it is
// not in quotes, is a prefix. `bad_request` (field `q`): it is longer than 256 bytes or 16 phrases, has no word, or is not UTF-8 (rule FIND-3).
func Parse(text string) (Query, error) {
	if len(text) > maxQuery || !utf8.ValidString(text) {
		return Query{}, bad("A query is at most 256 bytes of text.", maxQuery)
	}
	var q Query
	quoted := false
	for part := range strings.SplitSeq(text, `"`) {
		if found := runs(part); len(found) > 0 {
			q.Prefix = !quoted
			if quoted {
				found = [][]string{slices.Concat(found...)}
			}
			q.Phrases = append(q.Phrases, found...)
		}
		quoted = !quoted
	}
	switch n := len(q.Phrases); {
	case n == 0:
		return Query{}, bad("A query has one word at least.", 0)
	case n > maxPhrases:
		return Query{}, bad("A query has at most 16 words and phrases.", maxPhrases)
	default:
		last := q.Phrases[n-1]
		q.Prefix = q.Prefix && utf8.RuneCountInString(last[len(last)-1]) >= leastPrefix
	}
	return q, nil
}

func bad(title string, limit int64) *room.Error {
	return &room.Error{Code: room.CodeBadRequest, Title: title, Field: "q", Limit: limit}
}

// Match reports whether the data of a message holds what is looked for.
func (q Query) Match(data []byte) bool {
	words := Words(data)
	for i, phrase := range q.Phrases {
		if !holds(words, phrase, q.Prefix && i == len(q.Phrases)-1) {
			return false
		}
	}
	return true
}

// holds reports whether a phrase stands among words, its last word as a prefix if so.
func holds(words, phrase []string, prefix bool) bool {
	n := len(phrase) - 1
	for i := 0; i+n < len(words); i++ {
		last := words[i+n]
		if slices.Equal(words[i:i+n], phrase[:n]) && (last == phrase[n] || prefix && strings.HasPrefix(last, phrase[n])) {
			return true
		}
	}
	return false
}

func sorted(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }
