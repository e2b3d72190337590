package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// client is a WebSocket client that costs little: it reads large pieces and looks only at the fields
// it checks, so that the load leaves the processor to the server. One goroutine uses it at a time.
type client struct {
	conn net.Conn
	buf  []byte // received, not yet looked at
	seq  int64  // of the room it has joined
	got  int64  // events received
}

// patience bounds each step of opening a connection.
const patience = 20 * time.Second

func dial(ctx context.Context, addr string) (*client, error) {
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn}
	if err := c.upgrade(addr); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

func (c *client) upgrade(addr string) error {
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	var key [16]byte
	rand.Read(key[:])
	if _, err := fmt.Fprintf(c.conn, "GET /v1/ws HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n", addr, base64.StdEncoding.EncodeToString(key[:])); err != nil {
		return err
	}
	r := bufio.NewReaderSize(c.conn, 1024)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("upgrade: status %d", resp.StatusCode)
	}
	rest, err := r.Peek(r.Buffered())
	c.buf = append(c.buf, rest...)
	return err
}

// enter says hello and, unless room is empty, joins it; it returns once that is answered.
func (c *client) enter(token, room string) error {
	if err := c.send(`{"op":"hello","token":"` + token + `"}`); err != nil {
		return err
	}
	want := []byte(`{"op":"welcome"`)
	if room != "" {
		want = []byte(`{"op":"joined"`)
		if err := c.send(`{"op":"join","id":1,"room":"` + room + `"}`); err != nil {
			return err
		}
	}
	scratch := make([]byte, 4096)
	for entered := false; !entered; {
		if err := c.read(scratch, func(frame []byte) error {
			entered = entered || bytes.HasPrefix(frame, want)
			return c.look(frame)
		}); err != nil {
			return err
		}
	}
	return nil
}

// send writes one masked text frame. The mask is zero, which is a mask like any other (RFC 6455 5.3).
func (c *client) send(text string) error {
	frame := make([]byte, 0, len(text)+8)
	if len(text) < 126 {
		frame = append(frame, 0x81, 0x80|byte(len(text)))
	} else {
		frame = append(frame, 0x81, 0x80|126)
		frame = binary.BigEndian.AppendUint16(frame, uint16(len(text)))
	}
	frame = append(frame, 0, 0, 0, 0)
	_, err := c.conn.Write(append(frame, text...))
	return err
}

// read reads once into scratch and gives every whole frame to f.
func (c *client) read(scratch []byte, f func([]byte) error) error {
	n, err := c.conn.Read(scratch)
	if err != nil {
		return err
	}
	data := scratch[:n]
	if len(c.buf) > 0 {
		c.buf = append(c.buf, data...)
		data = c.buf
	}
	for {
		payload, rest, ok, err := cutFrame(data)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if err := f(payload); err != nil {
			return err
		}
		data = rest
	}
	if len(data) == 0 {
		c.buf = nil
	} else {
		c.buf = append(c.buf[:0:0], data...)
	}
	return nil
}

// maxFrame is far above what the server sends.
const maxFrame = 64 << 20

// cutFrame cuts the first frame off b; ok is false while it is not whole. io.EOF is a close. The server
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

// look follows the pages: each must begin where the last one ended, and hold every event up to its end.
func (c *client) look(frame []byte) error {
	switch {
	case bytes.HasPrefix(frame, []byte(`{"op":"ping"`)):
		return c.send(`{"op":"pong"}`)
	case bytes.HasPrefix(frame, []byte(`{"op":"page"`)):
		prev, seq, err := span(frame)
		if err != nil {
			return err
		}
		if prev != c.seq {
			return fmt.Errorf("a page follows %d, but the client stands at %d: lost, doubled or reordered", prev, c.seq)
		}
		c.got += seq - prev
		c.seq = seq
	case bytes.HasPrefix(frame, []byte(`{"op":"joined"`)):
		prev, seq, err := span(frame)
		if err != nil {
			return err
		}
		c.got += seq - prev
		c.seq = seq
	case bytes.HasPrefix(frame, []byte(`{"op":"error"`)), bytes.HasPrefix(frame, []byte(`{"op":"reset"`)):
		return fmt.Errorf("refused: %s", frame)
	}
	return nil
}

// span gives what the page in a frame covers, after checking that it holds each event of it once and in
// order. The events of the bench hold nothing that looks like a field of ours.
func span(frame []byte) (prev, seq int64, err error) {
	prev, rest, err := field(frame, `"prev":`)
	if err != nil {
		return 0, 0, err
	}
	seq, rest, err = field(rest, `"seq":`)
	if err != nil {
		return 0, 0, err
	}
	for want := prev + 1; want <= seq; want++ {
		var got int64
		if got, rest, err = field(rest, `"seq":`); err != nil || got != want {
			return 0, 0, fmt.Errorf("a page of (%d, %d] has event %d where %d is due (%v)", prev, seq, got, want, err)
		}
	}
	if bytes.Contains(rest, []byte(`"seq":`)) {
		return 0, 0, fmt.Errorf("a page of (%d, %d] holds more events than that", prev, seq)
	}
	return prev, seq, nil
}

// field finds the number behind name, and what follows it.
func field(b []byte, name string) (int64, []byte, error) {
	at := bytes.Index(b, []byte(name))
	if at < 0 {
		return 0, nil, fmt.Errorf("a frame without %s", name)
	}
	b = b[at+len(name):]
	n := 0
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	v, err := strconv.ParseInt(string(b[:n]), 10, 64)
	return v, b[n:], err
}
