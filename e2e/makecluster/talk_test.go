//go:build linux

package makecluster

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/google/uuid"
)

// frame is any frame of a WebSocket, and the data of any event of a stream, in the fields that these tests read.
type frame struct {
	Op, Tag, Connection, Secret string
	Seq                         int64
	Events                      []struct {
		Seq    int64
		Tag    string
		Author string
	}
	Set []struct {
		User, Type string
		Data       json.RawMessage
	}
	Gone []string
}

// get reads JSON from an address.
func get(t *testing.T, address, token string, v any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	must(t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s", address, resp.Status)
	}
	must(t, json.NewDecoder(resp.Body).Decode(v))
}

// token asks for a dev token, through the load balancer as pages do.
func token(t *testing.T, open, user string) string {
	t.Helper()
	var made struct{ Token string }
	get(t, open+"/v1/dev/token?user="+url.QueryEscape(user), "", &made)
	return made.Token
}

// connectionOn is what a node says of one of its connections; nil: it has none of that name.
func (c *cluster) connectionOn(node, name string) *connection {
	c.t.Helper()
	var list struct{ Connections []connection }
	get(c.t, c.at["node "+node]+"/v1/connections", token(c.t, c.open, "operator"), &list)
	for _, one := range list.Connections {
		if one.ID == name {
			return &one
		}
	}
	return nil
}

type connection struct{ ID string }

// attempts are enough to be led to each of three nodes: they take turns, of which other requests have some.
const attempts = 9

// socket is a WebSocket that has been welcomed.
type socket struct {
	t    *testing.T
	ctx  context.Context
	conn *websocket.Conn
	name string // of the connection
}

// dial opens WebSockets through the load balancer until one is on the node.
func (c *cluster) dial(ctx context.Context, node, user string) *socket {
	c.t.Helper()
	tok := token(c.t, c.open, user)
	for range attempts {
		conn, _, err := websocket.Dial(ctx, c.open+"/v1/ws", nil)
		must(c.t, err)
		c.t.Cleanup(func() { _ = conn.CloseNow() })
		s := &socket{t: c.t, ctx: ctx, conn: conn}
		s.say(map[string]any{"op": "hello", "token": tok})
		s.name = s.until("welcome").Connection
		if c.connectionOn(node, s.name) != nil {
			return s
		}
	}
	c.t.Fatalf("the load balancer never leads to node %s", node)
	return nil
}

func (s *socket) say(v any) {
	s.t.Helper()
	text, err := json.Marshal(v)
	must(s.t, err)
	must(s.t, s.conn.Write(s.ctx, websocket.MessageText, text))
}

// until reads frames until one of op comes.
func (s *socket) until(op string) frame {
	s.t.Helper()
	for {
		_, text, err := s.conn.Read(s.ctx)
		must(s.t, err)
		var f frame
		must(s.t, json.Unmarshal(text, &f))
		switch f.Op {
		case op:
			return f
		case "ping":
			s.say(map[string]any{"op": "pong"})
		case "error":
			s.t.Fatalf("refused: %s", text)
		}
	}
}

// send stores an event and gives its tag and seq.
func (s *socket) send(room string, n int) (tag string, seq int64) {
	s.t.Helper()
	tag = uuid.NewString()
	s.say(map[string]any{"op": "send", "id": n, "n": n, "room": room, "tag": tag, "type": "message", "data": map[string]string{"text": "hello"}})
	f := s.until("ack")
	if f.Tag != tag {
		s.t.Fatalf("acked %s, not %s", f.Tag, tag)
	}
	return tag, f.Seq
}

// stream is server-sent events.
type stream struct {
	t     *testing.T
	lines *bufio.Scanner
	ready frame
}

// follow opens streams through the load balancer until one is on the node. with are the sides that it asks for.
func (c *cluster) follow(ctx context.Context, node, room, with string) *stream {
	c.t.Helper()
	tok := token(c.t, c.open, "stream")
	asked := url.Values{"room": {room}, "with": {with}}
	for range attempts {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.open+"/v1/sse?"+asked.Encode(), nil)
		must(c.t, err)
		req.Header.Set("Authorization", "Bearer "+tok)
		resp, err := http.DefaultClient.Do(req)
		must(c.t, err)
		c.t.Cleanup(func() { _ = resp.Body.Close() })
		if resp.StatusCode != http.StatusOK {
			c.t.Fatalf("stream: %s", resp.Status)
		}
		s := &stream{t: c.t, lines: bufio.NewScanner(resp.Body)}
		if s.ready = s.until("ready"); c.connectionOn(node, s.ready.Connection) != nil {
			return s
		}
		must(c.t, resp.Body.Close())
	}
	c.t.Fatalf("the load balancer never leads a stream to node %s", node)
	return nil
}

// until reads events until one of the name comes.
func (s *stream) until(name string) (f frame) {
	s.t.Helper()
	for event := ""; s.lines.Scan(); {
		key, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch {
		case key == "event":
			event = value
		case key == "data" && event == name:
			must(s.t, json.Unmarshal([]byte(value), &f))
			return f
		}
	}
	s.t.Fatalf("the stream ends without %s: %v", name, s.lines.Err())
	return f
}

// page reads pages until one has events: that a stream or socket begins with none is allowed.
func page(next func(string) frame) frame {
	for {
		if f := next("page"); len(f.Events) > 0 {
			return f
		}
	}
}
