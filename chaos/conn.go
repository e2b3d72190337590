package chaos

import (
	"bytes"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// conn is one client's connection and the one to the server that carries it.
type conn struct {
	proxy    *Proxy
	id       uint64
	opened   time.Time
	client   *net.TCPConn
	up, down *line
	class    atomic.Pointer[string] // path of the first request; nil until known
	ctx      context.Context        // ends when the connection is reset
	cancel   context.CancelFunc

	mu     sync.Mutex
	server *net.TCPConn // nil until dialled
	broken bool         // reset has been called
}

func newConn(p *Proxy, id uint64, client *net.TCPConn) *conn {
	c := &conn{proxy: p, id: id, opened: time.Now(), client: client}
	c.ctx, c.cancel = context.WithCancel(p.ctx)
	c.up = &line{conn: c, direction: Up, src: client}
	c.down = &line{conn: c, direction: Down, dst: client}
	if p.messages != nil {
		c.down.sieve = p.messages.sieve(id)
	}
	return c
}

// serve dials the server and runs both directions until both have ended.
func (c *conn) serve() {
	defer c.cancel()
	defer c.client.Close()
	if c.down.sieve != nil {
		defer c.down.sieve.end()
	}
	if !c.dial() {
		reset(c.client)
		return
	}
	defer c.down.src.Close()
	var down sync.WaitGroup
	down.Go(c.down.run)
	c.up.run()
	down.Wait()
}

// dial connects to the server, once no black hole for all stands in the way: in a real one the
// server would not have heard of this client either.
func (c *conn) dial() bool {
	for {
		set := c.proxy.faults.Load()
		if f := set.of("", Up); f.Kind != Blackhole {
			break
		}
		select {
		case <-set.changed:
		case <-c.ctx.Done():
			return false
		}
	}
	ctx, cancel := context.WithTimeout(c.ctx, dialTimeout)
	defer cancel()
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", c.proxy.to)
	if err != nil {
		return false
	}
	server := nc.(*net.TCPConn)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken {
		reset(server)
		return false
	}
	c.server = server
	c.up.attach(nil, server)
	c.down.attach(server, nil)
	return true
}

// reset breaks the connection: both ends see a reset. Safe to call at any time, and again.
func (c *conn) reset() {
	c.mu.Lock()
	c.broken = true
	server := c.server
	c.mu.Unlock()
	// Both are marked before either is closed: from then on whoever closes one resets it.
	abandon(c.client)
	if server != nil {
		abandon(server)
		_ = server.Close()
	}
	_ = c.client.Close()
	c.cancel()
}

// expires is when the connection is too old for fault; zero: never.
func (c *conn) expires(fault *setFault) time.Time {
	if fault.Kind != Expire {
		return time.Time{}
	}
	return c.opened.Add(fault.Age)
}

// className is the class of the connection, "" while it is unknown.
func (c *conn) className() string {
	if class := c.class.Load(); class != nil {
		return *class
	}
	return ""
}

// classify takes the class from the first bytes that the client sent: the path of an HTTP request
// line. Clients write a request's head in one piece; one that does not has no class.
func (c *conn) classify(first []byte) {
	if c.class.Load() != nil {
		return
	}
	class := ""
	if method, rest, ok := bytes.Cut(first, []byte(" ")); ok && len(method) < 16 && len(rest) > 0 && rest[0] == '/' {
		if end := bytes.IndexAny(rest, " ?\r\n"); end >= 0 {
			rest = rest[:end]
		}
		class = string(rest)
	}
	c.class.Store(&class)
}

// abandon makes the next close of nc a reset: without linger the kernel drops what is unsent and
// sends RST. An error means that it is closed already, which is as good.
func abandon(nc *net.TCPConn) { _ = nc.SetLinger(0) }

// reset closes nc so that its peer sees a reset instead of an end.
func reset(nc *net.TCPConn) {
	abandon(nc)
	_ = nc.Close()
}
