package bench

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
)

// socketioDialect is Socket.IO 5 over Engine.IO 4, as Socket.IO 4 speaks it: a digit for the layer below, one
// for the packet, the id of an acknowledgement, JSON. The join is acknowledged by id 0, sends by those above.
type socketioDialect struct{}

func (socketioDialect) token(context.Context, string) (string, error) { return "", nil }

func (socketioDialect) path(*client) string { return "/socket.io/?EIO=4&transport=websocket" }

// hello waits for the server's first word.
func (socketioDialect) hello(*client) error { return nil }

func (socketioDialect) publish(b []byte, c *client, e *send) []byte {
	b = strconv.AppendInt(append(b, "42"...), c.acks+1, 10)
	b = append(append(b, `["send","`...), e.room...)
	b = append(append(b, `",`...), e.data...)
	return append(b, ']')
}

func (socketioDialect) look(c *client, frame []byte) error {
	begins := func(with string) bool { return bytes.HasPrefix(frame, []byte(with)) }
	switch {
	case begins(`42["m",`):
		return c.bodies(frame)
	case begins("430["):
		c.entered = true
		return nil
	case begins("43"):
		return c.answers(frame[len("43"):])
	case string(frame) == "2":
		return c.write("3")
	case begins("0{"):
		return c.write("40")
	case begins("40{"):
		if c.room == "" {
			c.entered = true
			return nil
		}
		return c.write(`420["join","` + c.room + `"]`)
	}
	return fmt.Errorf("a frame of the peer is %.100q", frame)
}
