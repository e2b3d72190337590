package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// client is a client of a WebSocket, or a stream, that costs little: it reads large pieces and looks only at the fields
// it checks, so that the load leaves the processor to the server. One goroutine uses it at a time.
type client struct {
	mu     sync.Mutex // for who sets conn, and who closes it
	conn   net.Conn
	closed bool

	says   dialect
	token  string
	room   string // to join, or empty
	beside string // what it asks for beside the log: JSON members of the join, with a comma before each
	stream bool   // it reads Server-Sent Events

	buf []byte // received and not yet looked at; its capacity is the most that is read at a time
	out []byte // of the last write, to be used again
	cut func([]byte) (payload, rest []byte, ok bool, err error)

	entered  bool
	keeps    bool               // whether position is kept
	position string             // where it stands, in the words of the dialect
	seq      int64              // of the last event, where the target numbers them
	got      int64              // events received
	last     []int64            // by sender, the count of its last event, where the target does not
	acks     int64              // answers to sends
	ackSeq   int64              // of the last answer; 0 where the target does not say
	seen     func(frame []byte) // nil, or looks at frames before the dialect does
}

// patience bounds each step of opening a connection.
const patience = 20 * time.Second

// smallPiece is what is read at a time where little comes, largePiece where much does.
const (
	smallPiece = 512
	largePiece = 64 << 10
)

// connect opens a connection in the place of the one that the client had, if any, and asks for a WebSocket
// on it, or a stream.
func (c *client) connect(ctx context.Context, from net.Addr, addr string) error {
	conn, err := (&net.Dialer{Timeout: patience, LocalAddr: from}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	if err := c.take(conn); err != nil {
		return err
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if c.stream {
		c.cut = cutEvent
		_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n", c.says.path(c), addr)
		return err
	}
	c.cut = cutFrame
	var key [16]byte
	rand.Read(key[:])
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n", c.says.path(c), addr, base64.StdEncoding.EncodeToString(key[:]))
	return err
}

// upgraded reads the answer to connect.
func (c *client) upgraded() error {
	if c.stream {
		return c.answered("HTTP/1.1 200 ")
	}
	return c.answered("HTTP/1.1 101 ")
}

// answered reads the head of an HTTP answer with this status; what follows it stays in buf.
func (c *client) answered(status string) error {
	c.piece(smallPiece)
	for {
		if end := bytes.Index(c.buf, []byte("\r\n\r\n")); end >= 0 {
			if !bytes.HasPrefix(c.buf, []byte(status)) {
				return fmt.Errorf("the answer is not %sbut %.100q", status, c.buf[:end])
			}
			c.buf = c.buf[:copy(c.buf, c.buf[end+4:])]
			return nil
		}
		if len(c.buf) > 16<<10 {
			return errors.New("the answer has no end")
		}
		if err := c.fill(); err != nil {
			return err
		}
	}
}

// enter says hello, and returns once that is answered.
func (c *client) enter() error {
	if err := c.says.hello(c); err != nil {
		return err
	}
	return c.untilEntered()
}

func (c *client) untilEntered() error {
	if err := c.drain(); err != nil { // what came with the answer to the upgrade
		return err
	}
	for !c.entered {
		if err := c.read(); err != nil {
			return err
		}
	}
	return nil
}

// take puts a connection in the place of the last one.
func (c *client) take(conn net.Conn) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		conn.Close()
		return net.ErrClosed
	}
	if c.conn != nil {
		c.conn.Close()
	}
	c.conn, c.entered, c.buf = conn, false, c.buf[:0]
	return nil
}

// hangUp ends the connection; the client may connect again.
func (c *client) hangUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn.Close()
	c.buf = nil
}

// close ends the client for good; any goroutine may call it.
func (c *client) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.conn != nil {
		c.conn.Close()
	}
}

// piece has the client read up to n bytes at a time, or more where it does already.
func (c *client) piece(n int) {
	if cap(c.buf) < n {
		c.buf = append(make([]byte, 0, n), c.buf...)
	}
}

// read reads once, and gives every whole frame to the dialect.
func (c *client) read() error {
	if err := c.fill(); err != nil {
		return err
	}
	return c.drain()
}

// fill reads once into buf.
func (c *client) fill() error {
	if len(c.buf) == cap(c.buf) {
		c.piece(max(2*cap(c.buf), smallPiece))
	}
	n, err := c.conn.Read(c.buf[len(c.buf):cap(c.buf)])
	c.buf = c.buf[:len(c.buf)+n]
	if n > 0 {
		return nil
	}
	return err
}

// drain looks at the whole frames of buf.
func (c *client) drain() error {
	rest := c.buf
	for {
		payload, after, ok, err := c.cut(rest)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		if c.seen != nil {
			c.seen(payload)
		}
		if err := c.says.look(c, payload); err != nil {
			return err
		}
		rest = after
	}
	c.buf = c.buf[:copy(c.buf, rest)]
	return nil
}

// write writes one text frame.
func (c *client) write(text string) error {
	return c.writeFrame(append(c.frame(), text...))
}

// frame gives where to append the text of a frame, for writeFrame.
func (c *client) frame() []byte {
	if c.out == nil {
		c.out = make([]byte, headRoom, 512)
	}
	return c.out[:headRoom]
}

// writeFrame writes what was appended to frame().
func (c *client) writeFrame(b []byte) error {
	c.out = b
	_, err := c.conn.Write(headed(b))
	return err
}

// publish sends an event and waits for its answer; it gives the seq, or 0 where the target does not say.
func (c *client) publish(e *send) (seq int64, err error) {
	if err := c.writeFrame(c.says.publish(c.frame(), c, e)); err != nil {
		return 0, err
	}
	for before := c.acks; c.acks == before; {
		if err := c.read(); err != nil {
			return 0, err
		}
	}
	return c.ackSeq, nil
}

// acked notes the answer to a send; 0 is a seq that is not told.
func (c *client) acked(seq int64) {
	c.acks++
	c.ackSeq = seq
}

// follows notes the delivery of the events after prev up to seq; it must begin where the last one ended.
func (c *client) follows(prev, seq int64) error {
	if prev != c.seq || seq < prev {
		return fmt.Errorf("the events of (%d, %d] come to a client that stands at %d: lost, doubled or reordered", prev, seq, c.seq)
	}
	c.got += seq - prev
	c.seq = seq
	return nil
}

// followTo reads until the client has got as many events as want says, once that is known (not 0).
func (c *client) followTo(want func() int64, deadline time.Time) error {
	if err := c.conn.SetDeadline(deadline); err != nil {
		return err
	}
	c.piece(4096)
	for {
		n := want()
		switch {
		case n != 0 && c.got == n:
			return nil
		case n != 0 && c.got > n:
			return fmt.Errorf("a reader has %d events of %d: doubled", c.got, n)
		}
		if err := c.read(); err != nil {
			return fmt.Errorf("reader with %d events of %d: %w", c.got, want(), err)
		}
	}
}

// follow reads until t; a connection that ends before has failed.
func (c *client) follow(t time.Time) error {
	if err := c.conn.SetDeadline(t); err != nil {
		return err
	}
	for {
		if err := c.read(); err != nil {
			if time.Now().Before(t) {
				return err
			}
			return nil
		}
	}
}
