package bench

import (
	"bytes"
	"context"
	"errors"
)

// sse: one room, saturated, read by streams.
func sse(ctx context.Context, t *trial) ([]measured, error) {
	s, ok := t.server.(interface{ streaming() server })
	if !ok {
		return nil, errors.New("this target has no streams")
	}
	return t.fan(ctx, crowd{rooms: 1, readers: t.Streams, piece: 16 << 10, enter: t.enterStreams(s)})
}

// enterStreams is how a crowd enters that reads by streams.
func (t *trial) enterStreams(s interface{ streaming() server }) func(context.Context, int, func(int) string) ([]*client, error) {
	return func(ctx context.Context, n int, room func(int) string) ([]*client, error) {
		return t.enterOn(ctx, n, func(int) server { return s.streaming() }, sameUser, room)
	}
}

// roomlogStream is how a client reads Roomlog by Server-Sent Events.
type roomlogStream struct{ *roomlog }

func (s *roomlog) streaming() server { return roomlogStream{s} }

// streamed marks what is no WebSocket.
func (s roomlogStream) streamed() {}

func (s roomlogStream) path(c *client) string {
	return "/v1/sse?room=" + c.room + "&after=0&token=" + c.token
}

func (s roomlogStream) hello(*client) error { return nil }

// look takes an event of the stream.
func (s roomlogStream) look(c *client, event []byte) error {
	switch {
	case bytes.Contains(event, []byte("event: page\n")):
		prev, seq, err := span(event)
		if err != nil {
			return err
		}
		return c.follows(prev, seq)
	case bytes.Contains(event, []byte("event: ready\n")):
		c.entered = true
	case bytes.Contains(event, []byte("event: reset\n")):
		return &refusal{string(event)}
	}
	return nil
}

// cutEvent cuts the first event or comment off a stream: what comes before an empty line.
func cutEvent(b []byte) (event, rest []byte, ok bool, err error) {
	at := bytes.Index(b, []byte("\n\n"))
	if at < 0 {
		if len(b) > maxFrame {
			return nil, nil, false, errors.New("an event without end")
		}
		return nil, b, false, nil
	}
	return b[:at+1], b[at+2:], true, nil
}
