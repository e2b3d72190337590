package room

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"unicode/utf8"
)

// Tag is the UUID (any version) that a sender makes once per send; a retry with it returns
// the first result.
type Tag [16]byte

// ParseTag reads a UUID in its 36-character form, either case; anything else, and the nil UUID,
// is `bad_tag` (rule TAG-1). The wire form is lower case.
func ParseTag(s string) (Tag, error) {
	var t Tag
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return Tag{}, badTag()
	}
	plain := make([]byte, 0, 32)
	for _, part := range []string{s[:8], s[9:13], s[14:18], s[19:23], s[24:]} {
		plain = append(plain, part...)
	}
	if _, err := hex.Decode(t[:], plain); err != nil || t == (Tag{}) {
		return Tag{}, badTag()
	}
	return t, nil
}

func badTag() *Error {
	return &Error{Code: CodeBadTag, Title: "A tag is a UUID made once per send, such as 0192f0c1-7d1a-7b8e-9a53-0f2b6a4c1d2e.", Field: "tag"}
}

// String is the tag in lower case with hyphens.
func (t Tag) String() string { return string(t.Append(nil)) }

// Append appends the wire form of t to dst.
func (t Tag) Append(dst []byte) []byte {
	for i, n := range [...]int{0, 4, 6, 8, 10} {
		if i > 0 {
			dst = append(dst, '-')
		}
		end := 16
		if i < 4 {
			end = [...]int{4, 6, 8, 10}[i]
		}
		dst = hex.AppendEncode(dst, t[n:end])
	}
	return dst
}

const (
	maxTypeLen = 32
	// MaxData is the default limit of an event's data, in bytes of compacted JSON text.
	MaxData = 64 << 10
	// maxDepth bounds the nesting of data, so that no reader's stack is at a sender's mercy.
	maxDepth = 128
)

// CheckType checks the grammar of an event type, `[a-z][a-z0-9_.-]{0,31}`; else `bad_type`.
func CheckType(s string) error {
	ok := s != "" && len(s) <= maxTypeLen && isLower(s[0])
	for i := 1; ok && i < len(s); i++ {
		c := s[i]
		ok = isLower(c) || isDigit(c) || c == '_' || c == '.' || c == '-'
	}
	if !ok {
		return &Error{Code: CodeBadType, Title: "A type is 1 to 32 of a-z, 0-9, _ . -, beginning with a letter, such as message.", Field: "type", Limit: maxTypeLen}
	}
	return nil
}

// CompactData checks that raw is one JSON value of at most limit bytes once compacted, and returns
// it compacted; numbers, key order and escapes stay as they were received. It refuses (`bad_data`)
// what is not valid UTF-8 or JSON, nests deeper than 128, or holds the character \u0000, which some
// databases cannot keep; what is too large is `message_too_large`. raw is not changed or kept.
func CompactData(raw []byte, limit int) ([]byte, error) {
	if len(raw) == 0 {
		return nil, badData("Data is needed: any JSON value.")
	}
	if !utf8.Valid(raw) {
		return nil, badData("The data is not valid UTF-8.")
	}
	if depth(raw) > maxDepth {
		return nil, badData("The data nests deeper than 128 levels.")
	}
	var out bytes.Buffer
	out.Grow(min(len(raw), limit+1))
	if err := json.Compact(&out, raw); err != nil {
		return nil, badData("The data is not valid JSON.")
	}
	if out.Len() > limit {
		return nil, &Error{Code: CodeMessageTooLarge, Title: "The data is larger than it may be.", Field: "data", Limit: int64(limit)}
	}
	if hasNUL(out.Bytes()) {
		return nil, badData(`The data holds the character \u0000, which cannot be stored.`)
	}
	return out.Bytes(), nil
}

func badData(title string) *Error { return &Error{Code: CodeBadData, Title: title, Field: "data"} }

// hasNUL finds the escape \u0000 in valid JSON text; an escaped backslash before u0000 is not one.
func hasNUL(text []byte) bool {
	for i := 0; i+5 < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		if text[i+1] == 'u' && string(text[i+2:i+6]) == "0000" {
			return true
		}
		i++ // the escaped character is not the start of another escape
	}
	return false
}

// depth is the deepest nesting of arrays and objects in text, strings aside. It needs no valid
// JSON, and runs before the parser does so that the parser is never given a hostile depth.
func depth(text []byte) int {
	deepest, now, inString := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '[' || c == '{':
			now++
			deepest = max(deepest, now)
		case c == ']' || c == '}':
			now--
		}
	}
	return deepest
}
