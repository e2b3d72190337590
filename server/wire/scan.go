package wire

import (
	"bytes"
	"encoding/json"
)

// scan reads a frame as clients write it: one flat object without spaces, each field once, texts in plain ASCII
// without escapes, numbers in plain digits. It is a fifth of the work of a decoder that takes any JSON, and sends,
// signals and marks are most of what a server reads. Whatever else a frame may be, ok is false and the decoder is asked: what scan
// takes, the decoder takes as the same request. hasRoom: the frame named a room, if only by an empty text.
func scan(frame []byte) (r Request, hasRoom, ok bool) {
	r.Replay = -1
	p := frame
	if len(p) < 2 || p[0] != '{' {
		return r, false, false
	}
	var seen fields
	for p[0] != '}' {
		key, rest, found := scanText(p[1:])
		if !found || len(rest) < 2 || rest[0] != ':' {
			return r, false, false
		}
		f := fieldOf(key)
		if f == 0 || seen&f != 0 {
			return r, false, false
		}
		seen |= f
		if p, ok = r.scanField(f, rest[1:]); !ok || len(p) == 0 || p[0] != ',' && p[0] != '}' {
			return r, false, false
		}
	}
	return r, seen&fieldRoom != 0, len(p) == 1
}

// fields is a set of the fields that scan knows.
type fields uint16

const (
	fieldOp fields = 1 << iota
	fieldID
	fieldToken
	fieldClient
	fieldRoom
	fieldPosition
	fieldLimit
	fieldReplay
	fieldSeen
	fieldN
	fieldTag
	fieldType
	fieldData
	fieldKey
	fieldDelivered
	fieldRead
)

func fieldOf(key []byte) fields {
	switch string(key) {
	case "op":
		return fieldOp
	case "id":
		return fieldID
	case "token":
		return fieldToken
	case "client":
		return fieldClient
	case "room":
		return fieldRoom
	case "position":
		return fieldPosition
	case "limit":
		return fieldLimit
	case "replay":
		return fieldReplay
	case "seen":
		return fieldSeen
	case "n":
		return fieldN
	case "tag":
		return fieldTag
	case "type":
		return fieldType
	case "data":
		return fieldData
	case "key":
		return fieldKey
	case "delivered":
		return fieldDelivered
	case "read":
		return fieldRead
	}
	return 0
}

// scanField reads the value of a field off the front of p and returns what follows it.
func (r *Request) scanField(f fields, p []byte) (rest []byte, ok bool) {
	var text []byte
	var number int64
	switch f {
	case fieldID, fieldLimit, fieldReplay, fieldSeen, fieldN, fieldDelivered, fieldRead:
		number, rest, ok = scanNumber(p)
	case fieldData:
		text, rest, ok = scanValue(p)
	default:
		text, rest, ok = scanText(p)
	}
	switch f {
	case fieldOp:
		r.Op = opOf(text)
		ok = ok && r.Op != ""
	case fieldID:
		r.ID, r.HasID = number, true
	case fieldToken:
		r.Token = string(text)
	case fieldClient:
		r.Client = string(text)
	case fieldRoom:
		r.Room = string(text)
	case fieldPosition:
		r.Position = string(text)
		ok = ok && len(text) > 0 // an empty one keeps its quotes
	case fieldLimit:
		r.Limit = int(number)
	case fieldReplay:
		r.Replay = number
	case fieldSeen:
		r.Seen = number
	case fieldN:
		r.N = number
	case fieldTag:
		r.Tag = string(text)
	case fieldType:
		r.Type = typeOf(text)
	case fieldData:
		r.Data = text
	case fieldKey:
		r.Key = string(text)
	case fieldDelivered:
		r.Delivered = number
	case fieldRead:
		r.Read = number
	}
	return rest, ok
}

// opOf is the op of a text without a copy of it, "" where it is none that a client may send.
func opOf(text []byte) Op {
	for _, op := range []Op{OpSend, OpPong, OpJoin, OpLeave, OpSignal, OpRead, OpPresence, OpHello, OpRefresh, OpPing, OpSync, OpMe} {
		if string(text) == string(op) {
			return op
		}
	}
	return ""
}

// typeOf is a type's text, without a copy of the one that most events have.
func typeOf(text []byte) string {
	if string(text) == "message" {
		return "message"
	}
	return string(text)
}

// scanText reads a text without escapes and of plain ASCII.
func scanText(p []byte) (text, rest []byte, ok bool) {
	if len(p) == 0 || p[0] != '"' {
		return nil, nil, false
	}
	for i := 1; i < len(p); i++ {
		switch c := p[i]; {
		case c == '"':
			return p[1:i], p[i+1:], true
		case c == '\\', c < ' ', c > '~':
			return nil, nil, false
		}
	}
	return nil, nil, false
}

// scanNumber reads an integer that every reader keeps exactly: at most 15 digits, no sign.
func scanNumber(p []byte) (n int64, rest []byte, ok bool) {
	i := 0
	for i < len(p) && p[i] >= '0' && p[i] <= '9' {
		n = n*10 + int64(p[i]-'0')
		i++
	}
	return n, p[i:], i > 0 && i <= 15 && (i == 1 || p[0] != '0')
}

// scanValue reads an object or a list: to the bracket that closes it, and whether that is JSON.
func scanValue(p []byte) (value, rest []byte, ok bool) {
	if len(p) == 0 || p[0] != '{' && p[0] != '[' {
		return nil, nil, false
	}
	depth := 0
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case '"':
			if i = closingQuote(p, i); i < 0 {
				return nil, nil, false
			}
		case '{', '[':
			if depth++; depth > keptDepth {
				return nil, nil, false
			}
		case '}', ']':
			if depth--; depth == 0 {
				return p[:i+1], p[i+1:], json.Valid(p[:i+1])
			}
		}
	}
	return nil, nil, false
}

// closingQuote is where the text that begins at i ends; -1: it does not.
func closingQuote(p []byte, i int) int {
	for i++; i < len(p); i++ {
		n := bytes.IndexByte(p[i:], '"')
		if n < 0 {
			return -1
		}
		i += n
		slashes := 0
		for p[i-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return i
		}
	}
	return -1
}
