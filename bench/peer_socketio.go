package bench

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
)

// socketioDialect is Socket.IO 5 over Engine.IO 4, as Socket.IO 4 speaks it: a digit for the layer below, one
// for the packet, the id of an acknowledgement, JSON. The join is acknowledged by id 0, sends by those above.
//
// A client that comes back shows its private session id and the mark of the last packet it has; the session knows
// its rooms. c.position is the one, and behind a space the other once there is any.
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
		if c.keeps {
			c.marked(frame)
		}
		return c.bodies(frame)
	case begins("430["):
		c.entered = true
		return nil
	case begins("43"):
		return c.answers(frame[len("43"):])
	case string(frame) == "2":
		return c.write("3")
	case begins("0{"):
		if pid, mark, known := strings.Cut(c.position, " "); known {
			return c.write(`40{"pid":"` + pid + `","offset":"` + mark + `"}`)
		}
		return c.write("40")
	case begins("40{"):
		return c.session(frame)
	}
	return fmt.Errorf("a frame of the peer is %.100q", frame)
}

// session takes the answer to the packet that connects: the session of before, or one that has to join.
func (c *client) session(frame []byte) error {
	_, rest, _ := bytes.Cut(frame, []byte(`"pid":"`))
	pid, _, whole := bytes.Cut(rest, []byte(`"`))
	before, _, known := strings.Cut(c.position, " ")
	switch {
	case !whole || known && string(pid) != before:
		return &refusal{string(frame)}
	case known || c.room == "":
		c.entered = true
		return nil
	}
	c.position = string(pid)
	return c.write(`420["join","` + c.room + `"]`)
}

// marked keeps the mark of a packet, its last value.
func (c *client) marked(frame []byte) {
	if at := bytes.LastIndex(frame, []byte(`,"`)); at >= 0 {
		pid, _, _ := strings.Cut(c.position, " ")
		c.position = pid + " " + string(bytes.TrimSuffix(frame[at+2:], []byte(`"]`)))
	}
}
