package link

import (
	"context"
	"net"
	"sync"
)

// Sockets dials, and knows every connection it dialled. A library that waits for a server which says nothing any
// more is freed by closing them under it, at once and whatever its own deadlines are. All methods may be called concurrently.
type Sockets struct {
	dialer net.Dialer
	ctx    context.Context
	cancel context.CancelFunc

	mu   sync.Mutex
	open map[net.Conn]struct{} // nil once closed
}

// NewSockets dials with the dialer.
func NewSockets(dialer net.Dialer) *Sockets {
	ctx, cancel := context.WithCancel(context.Background())
	return &Sockets{dialer: dialer, ctx: ctx, cancel: cancel, open: map[net.Conn]struct{}{}}
}

// DialContext is net.Dialer's. It ends early when the sockets are closed.
func (s *Sockets) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	conn, err := s.dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		_ = conn.Close() // it came too late
		return nil, net.ErrClosed
	}
	s.open[conn] = struct{}{}
	return &socket{Conn: conn, of: s}, nil
}

// Dial is net.Dialer's.
func (s *Sockets) Dial(network, address string) (net.Conn, error) {
	return s.DialContext(context.Background(), network, address)
}

// Close closes every connection; Dial fails from here on.
func (s *Sockets) Close() {
	s.cancel()
	s.mu.Lock()
	open := s.open
	s.open = nil
	s.mu.Unlock()
	for conn := range open {
		_ = conn.Close() // it is given up
	}
}

type socket struct {
	net.Conn
	of *Sockets
}

func (c *socket) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c.Conn)
	c.of.mu.Unlock()
	return c.Conn.Close()
}
