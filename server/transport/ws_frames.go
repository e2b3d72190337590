package transport

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// violation is why a peer's bytes end the connection: a close code of RFC 6455 and a few words.
type violation struct {
	code   uint16
	reason string
}

func (v *violation) Error() string { return v.reason }

// listener takes what a frameReader finds. The payload is good during the call only. An error stops
// the reading, and what follows it is ignored.
type listener interface {
	message(text []byte) error
	// control takes a ping, a pong or a close; and as a continuation a fragment that holds nothing and ends
	// nothing.
	control(op ws.OpCode, payload []byte) error
}

// frameReader cuts a client's frames out of its bytes (RFC 6455 section 5), however these are split.
// It holds bytes only while a frame or a message is not whole, and never more than were sent: a
// length that a peer announces makes nothing grow.
type frameReader struct {
	max     int    // the most bytes of one message
	binary  bool   // messages are bytes; else text
	rest    []byte // of a frame that is not whole
	msg     []byte // payload of the fragments so far
	open    bool   // a message in fragments has begun
	checked int    // how much of msg is known to be UTF-8
}

// feed takes what was read; p is changed.
func (f *frameReader) feed(p []byte, l listener) error {
	joined := len(f.rest) > 0
	if joined {
		f.rest = append(f.rest, p...)
		p = f.rest
	}
	left, err := f.cut(p, l)
	switch {
	case err != nil || len(left) == 0:
		f.rest = nil
	case !joined || len(left) != len(p):
		f.rest = append([]byte(nil), left...)
	}
	return err
}

// cut handles the whole frames at the front of p and returns what is left.
func (f *frameReader) cut(p []byte, l listener) ([]byte, error) {
	for {
		h, size, err := f.header(p)
		if err != nil {
			return nil, err
		}
		if size == 0 || int64(len(p)-size) < h.Length {
			return p, nil
		}
		end := size + int(h.Length)
		payload := p[size:end]
		ws.Cipher(payload, h.Mask, 0)
		if h.OpCode.IsControl() {
			err = l.control(h.OpCode, payload)
		} else {
			err = f.data(h, payload, l)
		}
		if err != nil {
			return nil, err
		}
		p = p[end:]
	}
}

// header reads a frame's header and judges it as soon as enough of it is there; size 0: it is not whole.
func (f *frameReader) header(p []byte) (h ws.Header, size int, err error) {
	if len(p) < 2 {
		return h, 0, nil
	}
	h.Fin, h.Rsv, h.OpCode, h.Masked = p[0]&0x80 != 0, p[0]>>4&7, ws.OpCode(p[0]&0x0f), p[1]&0x80 != 0
	h.Length = int64(p[1] & 0x7f)
	if err := f.checkHeader(h); err != nil {
		return h, 0, err
	}
	size = 2
	switch h.Length {
	case 126:
		size += 2
		if len(p) < size {
			return h, 0, nil
		}
		h.Length = int64(binary.BigEndian.Uint16(p[2:]))
	case 127:
		size += 8
		if len(p) < size {
			return h, 0, nil
		}
		n := binary.BigEndian.Uint64(p[2:])
		if n>>63 != 0 {
			return h, 0, protocolError("a length has its highest bit set")
		}
		h.Length = int64(n)
	}
	if h.OpCode.IsData() && h.Length > int64(f.max-len(f.msg)) {
		return h, 0, &violation{closeTooLarge, "message_too_large"}
	}
	if len(p) < size+4 {
		return h, 0, nil
	}
	copy(h.Mask[:], p[size:])
	return h, size + 4, nil
}

func (f *frameReader) checkHeader(h ws.Header) error {
	switch {
	case h.Rsv != 0:
		return protocolError("a reserved bit is set and no extension was agreed on")
	case h.OpCode.IsReserved():
		return protocolError("a reserved opcode")
	case !h.Masked:
		return protocolError("a client's frames have to be masked")
	case h.OpCode.IsControl() && !h.Fin:
		return protocolError("a control frame in fragments")
	case h.OpCode.IsControl() && h.Length > ws.MaxControlFramePayloadSize:
		return protocolError("a control frame of more than 125 bytes")
	case h.OpCode == ws.OpContinuation && !f.open:
		return protocolError("a continuation of nothing")
	case h.OpCode == ws.OpText && f.open, h.OpCode == ws.OpBinary && f.open:
		return protocolError("a new message inside one in fragments")
	case h.OpCode == ws.OpBinary && !f.binary:
		return &violation{closeUnsupportedData, "messages are text"}
	case h.OpCode == ws.OpText && f.binary:
		return &violation{closeUnsupportedData, "messages are binary"}
	}
	return nil
}

func protocolError(reason string) error { return &violation{closeProtocolError, reason} }

// data takes the payload of a text, binary or continuation frame.
func (f *frameReader) data(h ws.Header, payload []byte, l listener) error {
	if h.Fin && !f.open {
		if !f.binary && !utf8.Valid(payload) {
			return invalidText()
		}
		return l.message(payload)
	}
	if f.open = !h.Fin; f.open && len(payload) == 0 { // no limit of size would ever end these
		if err := l.control(ws.OpContinuation, nil); err != nil {
			return err
		}
	}
	f.msg = append(f.msg, payload...)
	if !f.binary {
		good, ok := validUpTo(f.msg[f.checked:])
		f.checked += good
		if !ok || h.Fin && f.checked < len(f.msg) {
			return invalidText()
		}
	}
	if !h.Fin {
		return nil
	}
	msg := f.msg
	f.msg, f.checked = nil, 0
	return l.message(msg)
}

func invalidText() error { return &violation{closeInvalidText, "the text is not UTF-8"} }

// validUpTo says how much of p is whole UTF-8, and whether the rest may still become it.
func validUpTo(p []byte) (n int, ok bool) {
	n = len(p)
	for back := 1; back < utf8.UTFMax && back <= len(p); back++ {
		if c := p[len(p)-back]; utf8.RuneStart(c) {
			if !utf8.FullRune(p[len(p)-back:]) {
				n = len(p) - back
			}
			break
		}
	}
	return n, utf8.Valid(p[:n])
}

// checkClose reads the payload of a close frame: the code to answer with, or what is wrong with it.
func checkClose(payload []byte) (uint16, error) {
	if len(payload) == 0 {
		return closeNormal, nil
	}
	if len(payload) == 1 {
		return 0, protocolError("a close code of one byte")
	}
	code := binary.BigEndian.Uint16(payload)
	known := code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006
	if !known && (code < 3000 || code > 4999) {
		return 0, protocolError("a close code that no one may send")
	}
	if !utf8.Valid(payload[2:]) {
		return 0, invalidText()
	}
	return code, nil
}

// appendControl appends a control frame as a server sends it: unmasked. payload is at most 125 bytes.
func appendControl(dst []byte, op ws.OpCode, payload []byte) []byte {
	dst = append(dst, 0x80|byte(op), byte(len(payload)))
	return append(dst, payload...)
}

// appendClose appends a close frame.
func appendClose(dst []byte, code uint16, reason string) []byte {
	payload := binary.BigEndian.AppendUint16(make([]byte, 0, ws.MaxControlFramePayloadSize), code)
	payload = append(payload, reason[:min(len(reason), ws.MaxControlFramePayloadSize-2)]...)
	return appendControl(dst, ws.OpClose, payload)
}
