package transport

import (
	"net"
	"sync"
	"time"
)

// plainBuffer is how much a plain connection takes without blocking: as much as the hub gathers.
const plainBuffer = 32 << 10

// plainPipe is a pipe over any net.Conn. A write that must not block goes to a buffer that a
// goroutine empties; it lives only while there is something in it. A waiting reader holds a chunk.
type plainPipe struct {
	nc       net.Conn
	deadline time.Duration

	mu    sync.Mutex
	buf   []byte // not yet taken by the writing goroutine
	busy  bool   // the writing goroutine is at work
	empty sync.Cond
	err   error // of a write; nothing goes through after it
}

func newPlainPipe(nc net.Conn, deadline time.Duration) *plainPipe {
	p := &plainPipe{nc: nc, deadline: deadline}
	p.empty.L = &p.mu
	return p
}

func (p *plainPipe) conn() net.Conn { return p.nc }

func (p *plainPipe) read() (*chunk, error) {
	c := chunks.Get().(*chunk)
	n, err := p.nc.Read(c.buf[:])
	if n == 0 && err != nil {
		c.free()
		return nil, err
	}
	c.n = n // an error that came with bytes comes again
	return c, nil
}

func (p *plainPipe) readNow() (*chunk, error) { return nil, nil }

func (p *plainPipe) tryWrite(bufs [][]byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return 0, p.err
	}
	taken := 0
	for _, b := range bufs {
		n := min(len(b), plainBuffer-len(p.buf))
		p.buf = append(p.buf, b[:n]...)
		taken += n
		if n < len(b) {
			break
		}
	}
	if !p.busy && len(p.buf) > 0 {
		p.busy = true
		go p.empties() // close waits for it
	}
	return taken, nil
}

// empties writes the buffer until there is nothing in it.
func (p *plainPipe) empties() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.buf) > 0 && p.err == nil {
		out := p.buf
		p.buf = nil
		p.mu.Unlock()
		err := writeDeadlined(p.nc, out, p.deadline, nil)
		p.mu.Lock()
		p.err = err
	}
	p.busy = false
	p.empty.Broadcast()
}

func (p *plainPipe) writeAll(b []byte) error {
	if err := p.flush(); err != nil {
		return err
	}
	return writeDeadlined(p.nc, b, p.deadline, nil)
}

// flush waits until the buffer is written.
func (p *plainPipe) flush() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.busy {
		p.empty.Wait()
	}
	return p.err
}

func (p *plainPipe) close() {
	_ = p.nc.Close()
	_ = p.flush()
}

// lastWords is how long an ending connection has for what is still to be written.
const lastWords = time.Second

func (p *plainPipe) finish() {
	cut := time.AfterFunc(lastWords, func() { _ = p.nc.Close() })
	defer cut.Stop()
	_ = p.flush()
	if half, ok := p.nc.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}
