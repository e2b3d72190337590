package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
)

// centrifugeDialect is the JSON protocol of github.com/centrifugal/centrifuge: a frame holds one message or
// several, a line each. With history a channel's publications are numbered from 1 by their offset, and a
// subscription recovers what came after (epoch, offset): c.position is the epoch, c.seq the offset.
type centrifugeDialect struct{ history bool }

// The ids of commands; those of sends follow.
const (
	connectID   = 1
	subscribeID = 2
)

func (centrifugeDialect) token(context.Context, string) (string, error) { return "", nil }

func (centrifugeDialect) path(*client) string { return "/connection/websocket" }

// hello sends both commands in one frame, as the protocol allows.
func (centrifugeDialect) hello(c *client) error {
	text := `{"id":1,"connect":{}}`
	if c.room != "" {
		text += "\n" + `{"id":2,"subscribe":{"channel":"` + c.room + `"`
		if c.position != "" {
			text += `,"recover":true,"epoch":"` + c.position + `","offset":` + strconv.FormatInt(c.seq, 10)
		}
		text += `}}`
	}
	return c.write(text)
}

func (centrifugeDialect) publish(b []byte, c *client, e *send) []byte {
	b = strconv.AppendInt(append(b, `{"id":`...), subscribeID+c.acks+1, 10)
	b = append(append(b, `,"publish":{"channel":"`...), e.room...)
	b = append(append(b, `","data":`...), e.data...)
	return append(b, "}}"...)
}

func (d centrifugeDialect) look(c *client, frame []byte) error {
	for len(frame) > 0 {
		line, rest, _ := bytes.Cut(frame, []byte("\n")) // bodies hold none
		if err := d.line(c, line); err != nil {
			return err
		}
		frame = rest
	}
	return nil
}

func (d centrifugeDialect) line(c *client, line []byte) error {
	begins := func(with string) bool { return bytes.HasPrefix(line, []byte(with)) }
	switch {
	case begins(`{"push":{"channel":"`) && bytes.Contains(line, []byte(`"pub":{"data":`)):
		if d.history {
			return c.publications(line)
		}
		return c.bodies(line)
	case len(line) == 0:
		return nil
	case string(line) == "{}":
		return c.write("{}")
	case begins(`{"id":`) && !bytes.Contains(line, []byte(`"error":`)):
		return d.reply(c, line[len(`{"id":`):])
	}
	return &refusal{string(line)}
}

func (d centrifugeDialect) reply(c *client, reply []byte) error {
	id, rest, err := number(reply)
	switch {
	case err != nil:
		return err
	case id == connectID:
		c.entered = c.entered || c.room == ""
		return nil
	case id != subscribeID:
		if id -= subscribeID; id != c.acks+1 {
			return fmt.Errorf("send %d is answered where %d is due", id, c.acks+1)
		}
		c.acked(0)
		return nil
	}
	if d.history {
		if err := c.subscribed(rest); err != nil {
			return err
		}
	}
	c.entered = true
	return nil
}

// subscribed places the client at the channel's offset, or takes what was recovered.
func (c *client) subscribed(reply []byte) error {
	const name = `"epoch":"`
	at := bytes.Index(reply, []byte(name))
	if at < 0 {
		return &refusal{string(reply)}
	}
	epoch, _, _ := bytes.Cut(reply[at+len(name):], []byte(`"`))
	if c.position != "" {
		if !bytes.Contains(reply, []byte(`"recovered":true`)) || string(epoch) != c.position {
			return &refusal{string(reply)}
		}
		return c.publications(reply)
	}
	c.position, c.seq = string(epoch), 0
	if bytes.Contains(reply, []byte(`"offset":`)) { // left out where it is 0
		var err error
		c.seq, _, err = field(reply, `"offset":`)
		return err
	}
	return nil
}

// publications follows those in a push, or in the reply to a subscription: each has its offset behind its data.
func (c *client) publications(text []byte) error {
	const data = `{"data":`
	at := bytes.Index(text, []byte(data))
	for at >= 0 {
		text = text[at+len(data):]
		offset, rest, err := field(text, `"offset":`)
		if err != nil {
			return err
		}
		if at = bytes.Index(text, []byte(data)); at >= 0 && at < len(text)-len(rest) {
			return errors.New("a publication without offset")
		}
		if err := c.follows(offset-1, offset); err != nil {
			return err
		}
	}
	return nil
}
