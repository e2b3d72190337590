package main

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
)

// mostHead bounds what a connection may make the server hold before it is upgraded.
const mostHead = 8 << 10

// consume acts on every whole frame in data, after the handshake, and gives back what is not whole.
func (s *server) consume(c *conn, data []byte) (rest []byte, err error) {
	if !c.upgraded {
		head, rest, whole := bytes.Cut(data, []byte("\r\n\r\n"))
		if !whole {
			if len(data) > mostHead {
				return nil, errors.New("no end of the request")
			}
			return data, nil
		}
		answer, err := accepted(head)
		if err != nil {
			return nil, err
		}
		c.upgraded = true
		s.write(c, answer)
		data = rest
	}
	for {
		text, rest, whole, err := cutFrame(data)
		if err != nil || !whole {
			return data, err
		}
		if err := s.message(c, text); err != nil {
			return nil, err
		}
		data = rest
	}
}

// accepted answers the opening handshake (RFC 6455, 4.2.2).
func accepted(head []byte) ([]byte, error) {
	for line := range bytes.Lines(head) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		if !bytes.EqualFold(name, []byte("Sec-WebSocket-Key")) {
			continue
		}
		sum := sha1.Sum(append(bytes.Clone(bytes.TrimSpace(value)), "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"...))
		answer := []byte("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ")
		answer = base64.StdEncoding.AppendEncode(answer, sum[:])
		return append(answer, "\r\n\r\n"...), nil
	}
	return nil, errors.New("no WebSocket handshake")
}

// cutFrame cuts the first frame off b and unmasks it in place. Only whole masked text frames are known.
func cutFrame(b []byte) (text, rest []byte, whole bool, err error) {
	if len(b) < 2 {
		return nil, b, false, nil
	}
	if b[0] != 0x81 || b[1]&0x80 == 0 {
		return nil, nil, false, errors.New("no masked text frame") // a close too: the connection is dropped
	}
	at, size := 2, int(b[1]&0x7f)
	switch size {
	case 126:
		if len(b) < 4 {
			return nil, b, false, nil
		}
		at, size = 4, int(binary.BigEndian.Uint16(b[2:]))
	case 127:
		return nil, nil, false, errors.New("a frame of more than 64 KiB")
	}
	end := at + 4 + size
	if len(b) < end {
		return nil, b, false, nil
	}
	mask, text := b[at:at+4], b[at+4:end]
	if binary.BigEndian.Uint32(mask) != 0 {
		for i := range text {
			text[i] ^= mask[i%4]
		}
	}
	return text, b[end:], true, nil
}

// appendFrame appends an unmasked text frame.
func appendFrame(b, text []byte) []byte {
	switch n := len(text); {
	case n < 126:
		b = append(b, 0x81, byte(n))
	default: // cutFrame takes nothing longer
		b = binary.BigEndian.AppendUint16(append(b, 0x81, 126), uint16(n))
	}
	return append(b, text...)
}
