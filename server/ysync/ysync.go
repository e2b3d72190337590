// Package ysync reads and writes the messages of y-protocols as clients of y-websocket send them: sync, awareness and auth, without any transport
// and without a document; and, in envelopes, as those of Hocuspocus do. Source: the protocol notes of y-protocols 1 (PROTOCOL.md there), lib0's
// encoding, and the sources of @hocuspocus/provider 4.
package ysync

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// Kind is what a message of a client is.
type Kind int

// The messages of a client.
const (
	Ask       Kind = iota // a state vector: what is lacking is asked for (sync step 1)
	Answer                // an update: what a state vector lacks (sync step 2)
	Update                // an update: a change
	Awareness             // see ParseAwareness
	Query                 // the awareness of all is asked for
)

// Message is one of a client. Body is a part of what was parsed.
type Message struct {
	Kind Kind
	Body []byte
}

// The numbers of y-protocols and y-websocket.
const (
	typeSync, typeAwareness, typeAuth, typeQuery = 0, 1, 2, 3
	step1, step2, change                         = 0, 1, 2
	denied                                       = 0
)

// MaxEntries bounds the entries of one awareness message.
const MaxEntries = 10_000

// maxInt is the largest number that JavaScript counts exactly.
const maxInt = 1<<53 - 1

var (
	errCut     = errors.New("the message ends in the middle")
	errNumber  = errors.New("a number is 2^53 or larger")
	errType    = errors.New("the message is of no type that a client sends")
	errRest    = errors.New("something follows the end of the message")
	errEntries = errors.New("the awareness message has too many entries")
	errState   = errors.New("the state of an awareness entry is not JSON")
)

// decoder reads bytes of others; after an error nothing more is read.
type decoder struct {
	buf []byte
	err error
}

func (d *decoder) uint() uint64 {
	n, size := binary.Uvarint(d.buf)
	switch {
	case d.err != nil:
	case size == 0:
		d.err = errCut
	case size < 0 || n > maxInt:
		d.err = errNumber
	default:
		d.buf = d.buf[size:]
		return n
	}
	return 0
}

func (d *decoder) bytes() []byte {
	n := d.uint()
	if d.err == nil && n > uint64(len(d.buf)) {
		d.err = errCut
	}
	if d.err != nil {
		return nil
	}
	out := d.buf[:n]
	d.buf = d.buf[n:]
	return out
}

func (d *decoder) end() error {
	if d.err == nil && len(d.buf) > 0 {
		d.err = errRest
	}
	return d.err
}

// Parse reads a message of a client. What is inside of it is not judged.
func Parse(p []byte) (Message, error) {
	d := decoder{buf: p}
	m, err := d.message(d.uint())
	if err != nil {
		return Message{}, err
	}
	return m, d.end()
}

// message reads what follows the type of a message.
func (d *decoder) message(typ uint64) (m Message, err error) {
	switch {
	case d.err != nil:
	case typ == typeSync:
		switch step := d.uint(); {
		case d.err != nil:
			return m, d.err
		case step == step1:
			m.Kind = Ask
		case step == step2:
			m.Kind = Answer
		case step == change:
			m.Kind = Update
		default:
			return m, errType
		}
		m.Body = d.bytes()
	case typ == typeAwareness:
		m.Kind, m.Body = Awareness, d.bytes()
	case typ == typeQuery:
		m.Kind = Query
	default:
		return m, errType
	}
	return m, d.err
}

// Entry is what one client of a document says of itself; a nil State: it is gone. Of one client the higher clock counts.
type Entry struct {
	Client, Clock uint64
	State         json.RawMessage
}

// ParseAwareness reads the body of an awareness message. States are parts of it.
func ParseAwareness(body []byte) ([]Entry, error) {
	d := decoder{buf: body}
	n := d.uint()
	if n > MaxEntries {
		return nil, errEntries
	}
	var all []Entry
	for range n {
		e := Entry{Client: d.uint(), Clock: d.uint(), State: d.bytes()}
		if d.err != nil {
			return nil, d.err
		}
		if !utf8.Valid(e.State) || !json.Valid(e.State) {
			return nil, errState
		}
		if string(e.State) == "null" {
			e.State = nil
		}
		all = append(all, e)
	}
	return all, d.end()
}

func appendBytes[T []byte | string](dst []byte, b T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// AppendAsk appends the message that asks a client for what a state vector lacks.
func AppendAsk(dst, vector []byte) []byte { return appendBytes(append(dst, typeSync, step1), vector) }

// AppendAnswer appends the message that answers an Ask: with it a client is in sync.
func AppendAnswer(dst, update []byte) []byte {
	return appendBytes(append(dst, typeSync, step2), update)
}

// AppendUpdate appends the message of a change.
func AppendUpdate(dst, update []byte) []byte {
	return appendBytes(append(dst, typeSync, change), update)
}

// AppendAwareness appends an awareness message, which may have no entries.
func AppendAwareness(dst []byte, entries []Entry) []byte {
	body := binary.AppendUvarint(nil, uint64(len(entries)))
	for _, e := range entries {
		body = binary.AppendUvarint(binary.AppendUvarint(body, e.Client), e.Clock)
		if e.State == nil {
			body = appendBytes(body, "null")
		} else {
			body = appendBytes(body, []byte(e.State))
		}
	}
	return appendBytes(append(dst, typeAwareness), body)
}

// AppendDenied appends the auth message that says that something is not permitted, and why.
func AppendDenied(dst []byte, reason string) []byte {
	return appendBytes(append(dst, typeAuth, denied), reason)
}
