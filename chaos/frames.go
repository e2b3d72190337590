package chaos

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// Protocol is the language of a message broker.
type Protocol int

const (
	// RESP is what Redis and Valkey speak, version 2 or 3.
	RESP Protocol = iota + 1
	// NATS is the client protocol of NATS.
	NATS
)

// unit is one whole thing that a server said. For a message that was published, subject is what it was published
// under: a channel of Redis, a subject of NATS.
type unit struct {
	size    int // in bytes; 0: it has not all arrived
	subject string
	message bool
	payload int // how many bytes before the end it begins; its end's own two are among them
}

// maxLine bounds a line of a protocol, which no server exceeds.
const maxLine = 1 << 20

var errLine = errors.New("a line without an end")

// next reads the first unit of what a server said.
func (p Protocol) next(b []byte) (unit, error) {
	if p == RESP {
		return nextRESP(b)
	}
	return nextNATS(b)
}

// lineOf is the line at the beginning of b without its end, and how many bytes it takes with it; 0: it has not all arrived.
func lineOf(b []byte) (line []byte, size int, err error) {
	n := bytes.Index(b, []byte("\r\n"))
	if n < 0 {
		if len(b) > maxLine {
			return nil, 0, errLine
		}
		return nil, 0, nil
	}
	return b[:n], n + 2, nil
}

// nextRESP reads one value of RESP3 (RESP2 is a part of it). A message is a push or an array of `message`, channel
// and payload, or `smessage`, or `pmessage` with the pattern before the channel.
func nextRESP(b []byte) (unit, error) {
	size, err := respSize(b, 0)
	if size == 0 || err != nil {
		return unit{}, err
	}
	u := unit{size: size}
	if b[0] != '>' && b[0] != '*' {
		return u, nil
	}
	_, head, _ := lineOf(b) // it has arrived
	kind, rest := bulkOf(b[head:size])
	switch string(kind) {
	case "pmessage":
		_, rest = bulkOf(rest)
	case "message", "smessage":
	default:
		return u, nil
	}
	subject, rest := bulkOf(rest)
	payload, _ := bulkOf(rest)
	u.subject, u.message, u.payload = string(subject), true, len(payload)+2
	return u, nil
}

// bulkOf is the text of the whole bulk string that b begins with, and what follows it; nil: it is none.
func bulkOf(b []byte) (text, rest []byte) {
	line, head, _ := lineOf(b)
	if len(line) < 2 || line[0] != '$' {
		return nil, nil
	}
	n, err := strconv.Atoi(string(line[1:]))
	if err != nil || n < 0 || head+n+2 > len(b) {
		return nil, nil
	}
	return b[head : head+n], b[head+n+2:]
}

const maxDepth = 16

// respSize is the size of the value that b begins with; 0: it has not all arrived.
func respSize(b []byte, depth int) (int, error) {
	line, size, err := lineOf(b)
	if size == 0 || err != nil {
		return 0, err
	}
	if len(line) == 0 || depth > maxDepth {
		return 0, errors.New("RESP: no value of a known type")
	}
	parts := 0 // values that follow
	switch line[0] {
	case '+', '-', ':', '_', '#', ',', '(':
		return size, nil
	case '$', '=', '!':
		n, err := strconv.Atoi(string(line[1:]))
		switch {
		case err != nil:
			return 0, fmt.Errorf("RESP: a string of %q bytes", line[1:])
		case n < 0: // there is none
			return size, nil
		case len(b) < size+n+2:
			return 0, nil
		}
		return size + n + 2, nil
	case '*', '>', '~':
		parts = 1
	case '%', '|':
		parts = 2
	default:
		return 0, fmt.Errorf("RESP: type %q", line[0])
	}
	n, err := strconv.Atoi(string(line[1:]))
	if err != nil {
		return 0, fmt.Errorf("RESP: %q values", line[1:])
	}
	for range parts * max(n, 0) {
		part, err := respSize(b[size:], depth+1)
		if part == 0 || err != nil {
			return 0, err
		}
		size += part
	}
	return size, nil
}

// nextNATS reads one line, and for MSG and HMSG the payload behind it:
//
//	MSG <subject> <sid> [reply-to] <bytes>
//	HMSG <subject> <sid> [reply-to] <bytes of headers> <bytes in all>
func nextNATS(b []byte) (unit, error) {
	line, size, err := lineOf(b)
	if size == 0 || err != nil {
		return unit{}, err
	}
	words := bytes.Fields(line)
	if len(words) < 4 || string(words[0]) != "MSG" && string(words[0]) != "HMSG" {
		return unit{size: size}, nil
	}
	n, err := strconv.Atoi(string(words[len(words)-1]))
	if err != nil || n < 0 {
		return unit{}, fmt.Errorf("NATS: a message of %q bytes", words[len(words)-1])
	}
	if len(b) < size+n+2 {
		return unit{}, nil
	}
	return unit{size: size + n + 2, subject: string(words[1]), message: true, payload: n + 2}, nil
}
