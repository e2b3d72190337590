package wire

import (
	"bytes"
	"encoding/binary"
)

// Framing is how frames are cut out of a byte stream. Encoded pages are shared between all
// connections of one framing.
type Framing uint8

// The framings.
const (
	WebSocket   Framing = iota // RFC 6455 unmasked text frames
	EventStream                // text/event-stream
	Framings    = 2            // how many there are
)

// AppendPage appends one framed page that holds the given encoded events.
func (f Framing) AppendPage(dst []byte, p Page, events []byte) []byte {
	if f == EventStream {
		dst = append(dst, "id: "...)
		dst = p.position().Append(dst)
		dst = append(dst, "\nevent: page\ndata: "...)
		dst = p.appendSpan(p.appendRoom(append(dst, '{')), events)
		return append(dst, "}\n\n"...)
	}
	return appendText(dst, len(events)+len(p.State)+len(p.Room)+2*len(p.Epoch)+160, func(dst []byte) []byte {
		dst = p.appendSpan(p.appendRoom(append(dst, `{"op":"page",`...)), events)
		return append(dst, '}')
	})
}

// AppendReset appends one framed reset. id is used by EventStream alone: where the stream
// stands after it.
func (f Framing) AppendReset(dst []byte, r Reset, id []byte) []byte {
	if f == EventStream {
		return appendStreamEvent(dst, "reset", id, r.appendFields([]byte{'{'}))
	}
	return AppendText(dst, r.Append(nil))
}

// AppendPing appends what keeps an idle connection open: a ping frame, or a comment.
func (f Framing) AppendPing(dst []byte) []byte {
	if f == EventStream {
		return append(dst, ": ping\n\n"...)
	}
	return AppendText(dst, []byte(`{"op":"ping"}`))
}

// AppendStreamReady appends the first event of an EventStream.
func AppendStreamReady(dst []byte, id, ready []byte) []byte {
	return appendStreamEvent(dst, "ready", id, ready)
}

func appendStreamEvent(dst []byte, name string, id, data []byte) []byte {
	if len(id) > 0 { // a stream without rooms stands nowhere
		dst = append(append(append(dst, "id: "...), id...), '\n')
	}
	dst = append(dst, "event: "...)
	dst = append(dst, name...)
	dst = append(dst, "\ndata: "...)
	dst = append(dst, data...)
	return append(dst, "\n\n"...)
}

// AfterID is what follows the id line of an EventStream page: a stream of several rooms puts an
// id of its own before it.
func AfterID(page []byte) []byte {
	return page[bytes.IndexByte(page, '\n')+1:]
}

// AppendText appends a WebSocket text frame (RFC 6455 section 5.2; a server does not mask).
func AppendText(dst, payload []byte) []byte {
	dst = appendHeader(dst, len(payload))
	return append(dst, payload...)
}

// appendText appends a text frame whose payload is written in place. A guess of its size picks the
// header; where it was wrong the payload is moved.
func appendText(dst []byte, guess int, write func([]byte) []byte) []byte {
	start := len(dst)
	dst = appendHeader(dst, guess)
	head := len(dst) - start
	dst = write(dst)
	size := len(dst) - start - head
	var exact [10]byte
	want := appendHeader(exact[:0], size)
	if len(want) != head {
		payload := append([]byte(nil), dst[start+head:]...)
		return append(append(dst[:start], want...), payload...)
	}
	copy(dst[start:], want)
	return dst
}

const finText = 0x81

func appendHeader(dst []byte, size int) []byte {
	switch {
	case size < 126:
		return append(dst, finText, byte(size))
	case size < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, finText, 126), uint16(size))
	}
	return binary.BigEndian.AppendUint64(append(dst, finText, 127), uint64(size))
}
