// Command gws is a bare broadcast on github.com/lxzan/gws: rooms are lists of connections, and what one
// sends goes to each of them with the library's Broadcaster, which makes the frame once. It keeps nothing.
//
// The protocol has one text frame per message:
//
//	join ROOM            answered by: joined
//	send ID ROOM BODY    answered by: ack ID
//	ping                 from the server, answered by: pong
//
// and BODY alone to each connection that has joined ROOM. An ack says that the last connection of the room
// has been written to. An ack at once would let senders outrun the readers, and since the library's queue of
// a connection has no bound, the memory would be all that holds them.
package main

import (
	"bytes"
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/lxzan/gws"

	"roomlog/bench/peers/internal/loopback"
)

// pingEvery is how often a connection is asked whether it is there, pongWithin how long its silence lasts.
const (
	pingEvery  = 10 * time.Second
	pongWithin = 2 * pingEvery
)

func main() {
	ctx, listener := loopback.Listen()
	h := &hub{rooms: make(map[string]*room), all: make(map[*gws.Conn]struct{})}
	upgrader := gws.NewUpgrader(h, &gws.ServerOption{
		ReadBufferSize: 512, // a sender's message fits; 4 KiB by default
	})
	go h.ping(ctx)
	loopback.Serve(ctx, listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r)
		if err != nil {
			return
		}
		go c.ReadLoop() // on a goroutine of its own, so that the request and its buffers are let go
	}))
}

type hub struct {
	gws.BuiltinEventHandler
	mu    sync.RWMutex
	rooms map[string]*room
	all   map[*gws.Conn]struct{}
}

type room struct {
	mu      sync.RWMutex
	members []*gws.Conn
}

// OnOpen notes the connection for the pings.
func (h *hub) OnOpen(c *gws.Conn) {
	_ = c.SetReadDeadline(time.Now().Add(pongWithin))
	h.mu.Lock()
	h.all[c] = struct{}{}
	h.mu.Unlock()
}

// OnClose forgets the connection.
func (h *hub) OnClose(c *gws.Conn, _ error) {
	h.mu.Lock()
	delete(h.all, c)
	h.mu.Unlock()
	if joined, ok := c.Session().Load("room"); ok {
		joined.(*room).leave(c)
	}
}

// OnMessage acts on one frame.
func (h *hub) OnMessage(c *gws.Conn, m *gws.Message) {
	defer m.Close()
	op, rest, _ := bytes.Cut(m.Bytes(), []byte(" "))
	switch string(op) {
	case "pong":
		_ = c.SetReadDeadline(time.Now().Add(pongWithin))
	case "join":
		r := h.room(rest)
		c.Session().Store("room", r)
		r.join(c)
		_ = c.WriteString("joined")
	case "send":
		id, rest, _ := bytes.Cut(rest, []byte(" "))
		name, body, _ := bytes.Cut(rest, []byte(" "))
		ack := append([]byte("ack "), id...)
		// The message's buffer goes back to its pool; the broadcast outlives it.
		h.room(name).broadcast(bytes.Clone(body), func() { c.WriteAsync(gws.OpcodeText, ack, nil) })
	default:
		_ = c.WriteClose(1003, nil)
	}
}

func (h *hub) room(name []byte) *room {
	h.mu.RLock()
	r := h.rooms[string(name)]
	h.mu.RUnlock()
	if r != nil {
		return r
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if r = h.rooms[string(name)]; r == nil {
		r = &room{}
		h.rooms[string(name)] = r
	}
	return r
}

func (r *room) join(c *gws.Conn) {
	r.mu.Lock()
	r.members = append(r.members, c)
	r.mu.Unlock()
}

func (r *room) leave(c *gws.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, m := range r.members {
		if m == c {
			r.members[i] = r.members[len(r.members)-1]
			r.members = r.members[:len(r.members)-1]
			return
		}
	}
}

// broadcast calls done when the last member's queue has come past the body.
func (r *room) broadcast(body []byte, done func()) {
	b := gws.NewBroadcaster(gws.OpcodeText, body)
	defer b.Close()
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, m := range r.members {
		_ = b.Broadcast(m)
	}
	if n := len(r.members); n > 0 {
		r.members[n-1].Async(done)
	} else {
		done()
	}
}

// ping asks every connection in turn, until ctx ends.
func (h *hub) ping(ctx context.Context) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		b := gws.NewBroadcaster(gws.OpcodeText, []byte("ping"))
		h.mu.RLock()
		for c := range h.all {
			_ = b.Broadcast(c)
		}
		h.mu.RUnlock()
		b.Close()
	}
}
