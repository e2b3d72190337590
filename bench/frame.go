package bench

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// maxFrame is far above what a server sends.
const maxFrame = 64 << 20

// cutFrame cuts the first frame off b; ok is false while it is not whole. io.EOF is a close. A server
// sends whole, unmasked text frames (VER-1); anything else is an error.
func cutFrame(b []byte) (payload, rest []byte, ok bool, err error) {
	if len(b) < 2 {
		return nil, b, false, nil
	}
	const text, closing = 0x81, 0x88
	if b[0] != text && b[0] != closing {
		return nil, nil, false, fmt.Errorf("a frame begins with %#x", b[0])
	}
	head, size := 2, uint64(b[1]) // with the mask's bit it is no length that is known here
	switch size {
	case 126:
		head = 4
		if len(b) < head {
			return nil, b, false, nil
		}
		size = uint64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		head = 10
		if len(b) < head {
			return nil, b, false, nil
		}
		size = binary.BigEndian.Uint64(b[2:])
	default:
		if size > 127 {
			return nil, nil, false, errors.New("a frame of the server is masked")
		}
	}
	if size > maxFrame {
		return nil, nil, false, fmt.Errorf("a frame of %d bytes", size)
	}
	end := head + int(size)
	if len(b) < end {
		return nil, b, false, nil
	}
	if b[0] == closing {
		return nil, nil, false, io.EOF
	}
	return b[head:end], b[end:], true, nil
}

// headRoom is what the longest head of a frame takes.
const headRoom = 14

// headed puts a frame's head before the text that b holds behind headRoom bytes, and gives the frame: text,
// masked by zero, which is a mask like any other (RFC 6455 5.3).
func headed(b []byte) []byte {
	n := len(b) - headRoom
	var at int
	switch {
	case n < 126:
		at = headRoom - 6
		b[at+1] = 0x80 | byte(n)
	case n < 1<<16:
		at = headRoom - 8
		b[at+1] = 0x80 | 126
		binary.BigEndian.PutUint16(b[at+2:], uint16(n))
	default:
		at = 0
		b[at+1] = 0x80 | 127
		binary.BigEndian.PutUint64(b[at+2:], uint64(n))
	}
	b[at] = 0x81
	clear(b[headRoom-4 : headRoom])
	return b[at:]
}

// field finds the number behind name, and what follows it.
func field(b []byte, name string) (int64, []byte, error) {
	at := bytes.Index(b, []byte(name))
	if at < 0 {
		return 0, nil, fmt.Errorf("a frame without %s", name)
	}
	return number(b[at+len(name):])
}

// number reads the digits that b begins with, and gives what follows them.
func number(b []byte) (v int64, rest []byte, err error) {
	n := 0
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	if n == 0 || n > 18 {
		return 0, nil, fmt.Errorf("%.20q is not a number", b)
	}
	for _, d := range b[:n] {
		v = 10*v + int64(d-'0')
	}
	return v, b[n:], nil
}
