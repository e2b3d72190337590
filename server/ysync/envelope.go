package ysync

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"
)

// Purpose is what a message of a client of Hocuspocus is for.
type Purpose int

// What such a client sends.
const (
	Speak     Purpose = iota // a message of y-protocols about the document
	Introduce                // a token for the document
	Leave                    // the document is closed
	Stateless                // a text that is the application's own
	Ping                     // of the connection, as is Pong: they name no document
	Pong
)

// Envelope is a message of a client of Hocuspocus. Its parts but Document are parts of what was parsed.
type Envelope struct {
	Document string // as the client names it
	Purpose  Purpose
	Message  Message // to Speak
	Token    []byte  // to Introduce
}

// The numbers of Hocuspocus beside those of y-protocols.
const (
	typeStateless, typeClose, typeStatus, typePing, typePong = 5, 7, 8, 9, 10
	token, refused, authenticated                            = 0, 1, 2
)

// MaxDocument bounds the name of a document, in bytes.
const MaxDocument = 512

var (
	errDocument = errors.New("the name of a document is at most 512 bytes of UTF-8")
	errText     = errors.New("a text is not UTF-8")
)

func (d *decoder) text() []byte {
	b := d.bytes()
	if d.err == nil && !utf8.Valid(b) {
		d.err = errText
	}
	return b
}

// Open reads a message of a client of Hocuspocus. What is inside of it is not judged.
func Open(p []byte) (Envelope, error) {
	if len(p) == 1 && p[0] == typePing {
		return Envelope{Purpose: Ping}, nil
	}
	if len(p) == 1 && p[0] == typePong {
		return Envelope{Purpose: Pong}, nil
	}
	d := decoder{buf: p}
	name := d.text()
	if len(name) > MaxDocument || d.err == errText {
		return Envelope{}, errDocument
	}
	e := Envelope{Document: string(name)}
	switch typ := d.uint(); {
	case d.err != nil:
	case typ == typeAuth:
		if d.uint() != token && d.err == nil {
			return Envelope{}, errType
		}
		e.Purpose, e.Token = Introduce, d.text()
		if len(d.buf) > 0 {
			d.text() // the version of the client
		}
	case typ == typeStateless:
		e.Purpose = Stateless
		d.text()
	case typ == typeClose:
		e.Purpose = Leave
	default:
		var err error
		if e.Message, err = d.message(typ); err != nil {
			return Envelope{}, err
		}
	}
	if err := d.end(); err != nil {
		return Envelope{}, err
	}
	return e, nil
}

// AppendTo appends a message of y-protocols about sync or awareness as one to a client of Hocuspocus.
func AppendTo(dst []byte, document string, message []byte) []byte {
	return append(appendBytes(dst, document), message...)
}

// AppendRefused appends the message that refuses a token, or what it allowed so far, and why.
func AppendRefused(dst []byte, document, why string) []byte {
	return appendBytes(append(appendBytes(dst, document), typeAuth, refused), why)
}

// AppendAuthenticated appends the message that takes a token, for who may write or read alone.
func AppendAuthenticated(dst []byte, document string, writes bool) []byte {
	scope := "readonly"
	if writes {
		scope = "read-write"
	}
	return appendBytes(append(appendBytes(dst, document), typeAuth, authenticated), scope)
}

// AppendTokenAsked appends the message that asks a client for its token.
func AppendTokenAsked(dst []byte, document string) []byte {
	return append(appendBytes(dst, document), typeAuth, token)
}

// AppendStatus appends the answer to a change, or to an answer: whether it is stored.
func AppendStatus(dst []byte, document string, stored bool) []byte {
	dst = binary.AppendUvarint(appendBytes(dst, document), typeStatus)
	if stored {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// AppendClosed appends the message that a document is closed, and why.
func AppendClosed(dst []byte, document, why string) []byte {
	return appendBytes(append(appendBytes(dst, document), typeClose), why)
}

// AppendPing and AppendPong append what keeps a connection.
func AppendPing(dst []byte) []byte { return append(dst, typePing) }

// AppendPong answers a ping.
func AppendPong(dst []byte) []byte { return append(dst, typePong) }
