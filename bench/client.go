package bench

import (
	"bufio"
	"bytes"
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
// it checks, so that the load leaves the processor to the server.
type client struct {
	conn net.Conn
	buf  []byte // received, not yet looked at
	seq  int64  // of the room it has joined
	got  int64  // events received
}

func dial(addr string) (*client, error) {
	conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	var key [16]byte
	rand.Read(key[:])
	fmt.Fprintf(conn, "GET /v1/ws HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n", addr, base64.StdEncoding.EncodeToString(key[:]))
	r := bufio.NewReaderSize(conn, 1024)
	conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		conn.Close()
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		conn.Close()
		return nil, fmt.Errorf("upgrade: status %d", resp.StatusCode)
	}
	c := &client{conn: conn}
	if n := r.Buffered(); n > 0 {
		rest, _ := r.Peek(n)
		c.buf = append(c.buf, rest...)
	}
	return c, nil
}

// enter says hello and joins a room, and returns once it has joined.
func (c *client) enter(token, room, position string) error {
	if err := c.send(`{"op":"hello","token":"` + token + `"}`); err != nil {
		return err
	}
	join := `{"op":"join","id":1,"room":"` + room + `"}`
	if position != "" {
		join = `{"op":"join","id":1,"room":"` + room + `","position":"` + position + `"}`
	}
	if room != "" {
		if err := c.send(join); err != nil {
			return err
		}
	}
	want := []byte(`{"op":"joined"`)
	if room == "" {
		want = []byte(`{"op":"welcome"`)
	}
	for entered := false; !entered; {
		if err := c.read(make([]byte, 4096), func(frame []byte) error {
			if bytes.HasPrefix(frame, []byte(`{"op":"error"`)) {
				return fmt.Errorf("refused: %s", frame)
			}
			if bytes.HasPrefix(frame, want) {
				entered = true
			}
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

func cutFrame(b []byte) (payload, rest []byte, ok bool, err error) {
	if len(b) < 2 {
		return nil, b, false, nil
	}
	head, size := 2, int(b[1]&0x7f)
	switch size {
	case 126:
		head = 4
		if len(b) < head {
			return nil, b, false, nil
		}
		size = int(binary.BigEndian.Uint16(b[2:]))
	case 127:
		head = 10
		if len(b) < head {
			return nil, b, false, nil
		}
		size = int(binary.BigEndian.Uint64(b[2:]))
	}
	if len(b) < head+size {
		return nil, b, false, nil
	}
	if b[0] == 0x88 {
		return nil, nil, false, io.EOF
	}
	return b[head : head+size], b[head+size:], true, nil
}

// look follows the pages: each must begin where the last one ended.
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

func span(frame []byte) (prev, seq int64, err error) {
	at := bytes.Index(frame, []byte(`"prev":`))
	if at < 0 {
		return 0, 0, errors.New("a page without prev")
	}
	prev, rest := number(frame[at+len(`"prev":`):])
	seq, _ = number(rest[len(`,"seq":`):])
	return prev, seq, nil
}

func number(b []byte) (int64, []byte) {
	n := 0
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	v, _ := strconv.ParseInt(string(b[:n]), 10, 64)
	return v, b[n:]
}
