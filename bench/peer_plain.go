package bench

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
)

// plainDialect is that of the floor and of gws in bench/peers: one text frame per message, and a delivery is the
// body alone.
type plainDialect struct{}

func (plainDialect) token(context.Context, string) (string, error) { return "", nil }

func (plainDialect) path(*client) string { return "/" }

func (plainDialect) hello(c *client) error {
	if c.room == "" {
		c.entered = true // there is nothing to be answered
		return nil
	}
	return c.write("join " + c.room)
}

func (plainDialect) publish(b []byte, c *client, e *send) []byte {
	b = strconv.AppendInt(append(b, "send "...), c.acks+1, 10)
	b = append(append(b, ' '), e.room...)
	return append(append(b, ' '), e.data...)
}

func (plainDialect) look(c *client, frame []byte) error {
	switch {
	case bytes.HasPrefix(frame, []byte("{")):
		return c.bodies(frame)
	case bytes.HasPrefix(frame, []byte("ack ")):
		return c.answers(frame[len("ack "):])
	case string(frame) == "ping":
		return c.write("pong")
	case string(frame) == "joined":
		c.entered = true
		return nil
	}
	return fmt.Errorf("a frame of the peer is %.100q", frame)
}

// answers notes the answer to a send, whose id text begins with. Ids are c.acks+1, and one send is outstanding.
func (c *client) answers(text []byte) error {
	id, _, err := number(text)
	if err != nil {
		return err
	}
	if id != c.acks+1 {
		return fmt.Errorf("send %d is answered where %d is due", id, c.acks+1)
	}
	c.acked(0)
	return nil
}
