package transport

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"roomlog/server/room"
)

const (
	// silentShare is the part of the time for a hello in which a connection has to say something at all; the
	// rest is for the head of its request, which net/http bounds.
	silentShare = 2
	// silentFor is how many times as many may have said nothing as may be strangers: they cost less, and a client
	// that opens all its connections before it uses the first is no attacker.
	silentFor = 4
	// refusedAgain is when somebody who found no place is to come again.
	refusedAgain = time.Second
	// lingering is how many refused connections are waited for at a time, so that they can read why.
	lingering = 32
)

// Gate is a listener that hands a connection on when the peer has said something: before that it costs a
// small goroutine and no buffer, of which net/http would give it two. WebSockets are served without net/http,
// if there is nothing to be said against them. It counts what is open, and refuses what is too much, so that
// descriptors are left for the store.
type Gate struct {
	net.Listener
	srv     *Server
	most    int // connections open at a time; 0: as many as come
	results chan accepted
	closing chan struct{}
	once    sync.Once
	tasks   sync.WaitGroup

	mu        sync.Mutex
	open      int
	lingering int
	closed    bool
	silent    strangers
	waiting   map[net.Conn]struct{} // silent or refused: closed with the gate
}

type accepted struct {
	conn net.Conn
	err  error
}

// Listen listens on a TCP address for a gate. Errors are those of net.Listen.
func Listen(address string) (net.Listener, error) {
	config := net.ListenConfig{}
	if inherits {
		config.KeepAlive = -1
		config.SetMultipathTCP(false) // whose connections have other options than their listener
	}
	return config.Listen(context.Background(), "tcp", address)
}

// Guard puts a gate in front of a listener, one of [Listen]: at most most connections at a time (0: any number), one more is
// told `overloaded`; and of those that have said nothing yet four times as many as there may be strangers,
// of one address a quarter. The http.Server that accepts from it owns it; Close waits for its goroutines.
//
// A connection that begins with the opening handshake of a WebSocket is served at once, and not given to who
// accepts, where the server has nothing against it.
func (s *Server) Guard(l net.Listener, most int) *Gate {
	inherit(l, s.cfg.Limits.WriteDeadline)
	g := &Gate{
		Listener: l, srv: s, most: most, results: make(chan accepted), closing: make(chan struct{}),
		silent: strangers{of: make(map[netip.Prefix]int)}, waiting: make(map[net.Conn]struct{}),
	}
	g.tasks.Go(g.run)
	return g
}

// Accept implements net.Listener. Its errors are those of the listener, one for one: whoever accepts decides
// how long to wait after one.
func (g *Gate) Accept() (net.Conn, error) {
	select {
	case a := <-g.results:
		return a.conn, a.err
	case <-g.closing:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (g *Gate) Close() error {
	err := error(nil)
	g.once.Do(func() {
		close(g.closing)
		err = g.Listener.Close()
		g.mu.Lock()
		g.closed = true
		for c := range g.waiting {
			_ = c.Close()
		}
		g.mu.Unlock()
		g.tasks.Wait()
	})
	return err
}

// run accepts until the gate is closed. It asks for the next connection when the error before it was heard.
func (g *Gate) run() {
	for {
		nc, err := g.Listener.Accept()
		if err != nil {
			select {
			case g.results <- accepted{err: err}:
			case <-g.closing:
				return
			}
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		g.admit(nc)
	}
}

// admit has a connection waited for, or refuses it.
func (g *Gate) admit(nc net.Conn) {
	peer, known := peerOf(nc)
	from := unnumbered
	if known {
		from = network(peer)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.closed:
		_ = nc.Close()
	case g.most > 0 && g.open >= g.most:
		g.refuse(nc)
	case g.silent.all >= g.mostSilent(), g.crowded(from):
		g.srv.quotas.rates.refused[limitSilent].Add(1)
		_ = nc.Close() // to answer somebody who has asked nothing would cost more than they do
	default:
		g.open++
		g.silent.all++
		g.silent.of[from]++
		g.waiting[nc] = struct{}{}
		c := &counted{Conn: nc, gate: g}
		a := &arrival{gate: g, conn: c, peer: peer, from: from}
		// Here and not in the goroutine, whose stack is all that it costs.
		_ = nc.SetReadDeadline(time.Now().Add(g.srv.cfg.Limits.HelloWithin / silentShare))
		if p, raw := newRawPipe(c, g.srv.cfg.Limits.WriteDeadline); raw {
			a.pipe = p
		}
		g.tasks.Add(1) // until it is served or handed on
		go a.wait()
	}
}

// crowded reports whether an address has as many silent connections as it may have. A proxy's is that of
// all who come through it. The caller holds g.mu.
func (g *Gate) crowded(from netip.Prefix) bool {
	return !g.srv.trusted(from.Addr()) && g.silent.of[from] >= max(g.mostSilent()/strangersShare, 1)
}

func (g *Gate) mostSilent() int { return silentFor * g.srv.cfg.Limits.Unauthenticated }

// spoke takes a connection off the silent ones. What it said is judged by the crew; err says that it has gone
// or was silent for too long.
func (g *Gate) spoke(a *arrival, err error) {
	g.mu.Lock()
	g.silent.gone(a.from)
	delete(g.waiting, a.conn.Conn)
	g.mu.Unlock()
	if err == nil {
		err = a.conn.SetReadDeadline(time.Time{})
	}
	switch {
	case err != nil:
		_ = a.conn.Close()
		g.tasks.Done()
	case a.got == nil:
		g.handOn(a.conn)
		g.tasks.Done()
	default:
		g.srv.crew.work(a)
	}
}

// handOn gives a connection to net/http.
func (g *Gate) handOn(nc net.Conn) {
	select {
	case g.results <- accepted{conn: nc}:
	case <-g.closing:
		_ = nc.Close()
	}
}

// refuse tells a connection that there is no place for it. Where many are told at a time the last of them
// may see nothing but the end. The caller holds g.mu.
func (g *Gate) refuse(nc net.Conn) {
	g.srv.quotas.rates.refused[limitSockets].Add(1)
	g.srv.tell(room.CodeOverloaded)
	if g.lingering >= lingering {
		_ = nc.Close()
		return
	}
	g.lingering++
	g.waiting[nc] = struct{}{}
	g.tasks.Go(func() {
		defer func() {
			_ = nc.Close()
			g.mu.Lock()
			g.lingering--
			delete(g.waiting, nc)
			g.mu.Unlock()
		}()
		_ = nc.SetDeadline(time.Now().Add(lingerFor))
		if _, err := nc.Write(noPlace()); err != nil {
			return
		}
		if half, can := nc.(interface{ CloseWrite() error }); can {
			_ = half.CloseWrite()
		}
		got := make([]byte, 512)
		for { // until the peer ends: closing on what it sent would take the answer back
			if _, err := nc.Read(got); err != nil {
				return
			}
		}
	})
}

// noPlace is the answer to whoever comes when there is no place, whatever they were about to ask.
func noPlace() []byte {
	h := http.Header{requestID: {newID()}, "Cache-Control": {"no-store"}}
	return rawProblem(h, &room.Error{
		Code: room.CodeOverloaded, RetryAfter: refusedAgain,
		Title: "This server has as many connections as it may have; try again.",
	})
}

// Sockets is how many connections are open behind a gate, plain HTTP among them.
func (g *Gate) Sockets() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}

// counted is a connection that gives its place back when it is closed.
type counted struct {
	net.Conn
	gate *Gate
	once sync.Once
}

// Close implements net.Conn.
func (c *counted) Close() error {
	c.once.Do(func() {
		c.gate.mu.Lock()
		c.gate.open--
		c.gate.mu.Unlock()
	})
	return c.Conn.Close()
}

// CloseWrite ends the writing side, as net/http does before it closes on a peer that still sends.
func (c *counted) CloseWrite() error {
	if half, can := c.Conn.(interface{ CloseWrite() error }); can {
		return half.CloseWrite()
	}
	return nil
}

// NetConn is the connection itself.
func (c *counted) NetConn() net.Conn { return c.Conn }
