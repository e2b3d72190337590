package transport

import (
	"net"
	"sync"
	"time"
)

// pipe is the bytes of one connection that net/http has let go of. One goroutine reads; writes come
// from the hub, never two at a time.
type pipe interface {
	// read waits until the peer has sent something. The caller gives the chunk back with free.
	read() (*chunk, error)
	// readNow is read without the wait: nil where nothing has come yet, or where only a wait can tell.
	readNow() (*chunk, error)
	// tryWrite writes what the peer takes without blocking; less than all without error means full.
	tryWrite(bufs [][]byte) (int, error)
	// writeAll blocks until p is written, and fails when the peer makes no progress for the deadline.
	writeAll(p []byte) error
	// finish ends the writing side after what was written, without blocking for long.
	finish()
	// close ends the connection and waits for what writes to it.
	close()
	// conn is for deadlines.
	conn() net.Conn
}

// chunk is a buffer for what was just read. A connection holds one only while it handles the bytes:
// that is why an idle connection costs so little.
type chunk struct {
	buf [8 << 10]byte
	n   int
}

var chunks = sync.Pool{New: func() any { return new(chunk) }}

func (c *chunk) bytes() []byte { return c.buf[:c.n] }

// full reports whether there may be more where it came from.
func (c *chunk) full() bool { return c.n == len(c.buf) }

func (c *chunk) free() {
	c.n = 0
	chunks.Put(c)
}

// newPipe takes over a connection. Where the system lets us read and write the descriptor itself, a
// waiting connection holds no buffer; anything else (TLS in this process, in-memory connections in
// tests) works as well but costs a buffer and now and then a goroutine: see [plainPipe].
func newPipe(nc net.Conn, deadline time.Duration) pipe {
	if p, ok := newRawPipe(nc, deadline); ok {
		return p
	}
	return newPlainPipe(nc, deadline)
}

// writeDeadlined writes p and fails when the peer takes nothing for the deadline: a slow peer is no
// reason to give up, one that stands still is. held says how many bytes the system holds for the peer;
// nil where that cannot be asked.
func writeDeadlined(nc net.Conn, p []byte, deadline time.Duration, held func() int) error {
	if held == nil {
		held = func() int { return 0 }
	}
	for before := held(); len(p) > 0; {
		if err := nc.SetWriteDeadline(time.Now().Add(deadline)); err != nil {
			return err
		}
		n, err := nc.Write(p[:min(len(p), writeStep)])
		p = p[n:]
		now := held()
		if err != nil {
			if ne, ok := err.(net.Error); !ok || !ne.Timeout() || n == 0 && now >= before {
				return err
			}
		}
		before = now
	}
	return nc.SetWriteDeadline(time.Time{})
}

// writeStep is how much must be taken within one deadline.
const writeStep = 4 << 10
