package transport

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawPipe reads and writes the descriptor of a TCP connection itself. Its reader is parked by the
// runtime's poller with no buffer in hand, and its writes take what the kernel takes.
type rawPipe struct {
	nc       *net.TCPConn
	whole    net.Conn // what was handed to us, which is what has to be closed
	raw      syscall.RawConn
	deadline time.Duration

	// Owned by the reading goroutine.
	take func(fd uintptr) bool // bound once: a read allocates nothing
	now  bool                  // the read must not wait
	got  *chunk
	err  error
}

// maxUnsent is how much the kernel holds for a peer beyond what is on its way to it. That is not bounded: it
// is what a long and fast line needs.
const maxUnsent = 64 << 10

func newRawPipe(nc net.Conn, deadline time.Duration) (pipe, bool) {
	whole, gated := nc, true
	switch c := nc.(type) {
	case *counted:
		nc = c.Conn
	case *replayed:
		nc = c.Conn
	default:
		gated = false
	}
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nil, false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, false
	}
	p := &rawPipe{nc: tcp, whole: whole, raw: raw, deadline: deadline}
	p.take = p.takeReady
	if !gated {
		setOptions(raw, deadline)
	}
	return p, true
}

// setOptions: the kernel gives up on a peer that acknowledges nothing, also when nobody writes; and it keeps
// little for a peer that reads nothing, which would be up to 4 MB of every one. The options are an improvement,
// not a need: where they cannot be set the hub's pings do the work.
func setOptions(raw syscall.RawConn, deadline time.Duration) {
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(deadline.Milliseconds()))
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent)
	})
}

// inherits: connections have the options of their listener.
const inherits = true

// inherit sets the options of a listener, from which its connections have theirs: one call for all of them. With
// keep-alive, which net would set up for each by four, a peer that is gone is found where nobody pings it.
func inherit(l net.Listener, deadline time.Duration) {
	c, ok := l.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	setOptions(raw, deadline)
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, keepAliveSeconds)
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, keepAliveSeconds)
	})
}

// keepAliveSeconds is net's own default, for the first probe and between them.
const keepAliveSeconds = 15

func (p *rawPipe) conn() net.Conn { return p.nc }

func (p *rawPipe) read() (*chunk, error) {
	if err := p.raw.Read(p.take); err != nil {
		return nil, err
	}
	got, err := p.got, p.err
	p.got, p.err = nil, nil
	return got, err
}

func (p *rawPipe) readNow() (*chunk, error) {
	p.now = true
	defer func() { p.now = false }()
	return p.read()
}

// takeReady runs when the descriptor may have bytes; false parks the goroutine until it does.
func (p *rawPipe) takeReady(fd uintptr) bool {
	c := chunks.Get().(*chunk)
	for {
		n, err := syscall.Read(int(fd), c.buf[:])
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			c.free()
			return p.now
		case err != nil:
			c.free()
			p.err = os.NewSyscallError("read", err)
		case n == 0:
			c.free()
			p.err = io.EOF
		default:
			c.n = n
			p.got = c
		}
		return true
	}
}

func (p *rawPipe) tryWrite(bufs [][]byte) (int, error) {
	v := vectors.Get().(*vector)
	defer v.free()
	v.set(bufs)
	if err := p.raw.Write(v.write); err != nil {
		return v.written, err
	}
	return v.written, v.err
}

func (p *rawPipe) writeAll(b []byte) error { return writeDeadlined(p.nc, b, p.deadline, p.held) }

// held is what the peer has not acknowledged. A full socket is writable again only when a third of it is
// free: that can be megabytes, so that no room for the deadline does not mean no progress.
func (p *rawPipe) held() (n int) {
	_ = p.raw.Control(func(fd uintptr) { // fails when closed, as the write will
		held, _ := unix.IoctlGetUint32(int(fd), unix.SIOCOUTQ)
		n = int(held)
	})
	return n
}

func (p *rawPipe) finish() { _ = p.nc.CloseWrite() }

func (p *rawPipe) close() { _ = p.whole.Close() }

// vector is the argument of a gathered write, pooled.
type vector struct {
	iov     []unix.Iovec
	bufs    [][]byte // keeps what iov points at alive
	written int
	err     error
	write   func(fd uintptr) bool
}

// maxIovec is the most buffers the kernel takes in one call.
const maxIovec = 1024

var vectors = sync.Pool{New: func() any {
	v := &vector{}
	v.write = v.writeReady
	return v
}}

func (v *vector) set(bufs [][]byte) {
	v.bufs = bufs
	for _, b := range bufs {
		if len(b) > 0 {
			v.iov = append(v.iov, unix.Iovec{Base: unsafe.SliceData(b)})
			v.iov[len(v.iov)-1].SetLen(len(b))
		}
	}
}

func (v *vector) free() {
	clear(v.iov)
	v.iov, v.bufs, v.written, v.err = v.iov[:0], nil, 0, nil
	vectors.Put(v)
}

// writeReady writes until all is written or the kernel has no room. It never asks to wait.
func (v *vector) writeReady(fd uintptr) bool {
	iov := v.iov
	for len(iov) > 0 {
		n, errno := writeNow(fd, iov[:min(len(iov), maxIovec)])
		switch errno {
		case 0:
			v.written += n
			iov = advance(iov, n)
		case syscall.EINTR:
		case syscall.EAGAIN:
			return true
		default:
			v.err = os.NewSyscallError("write", errno)
			return true
		}
	}
	return true
}

// writeNow is one system call on a descriptor that does not block. The scheduler is not told of it: it would
// have a thread of its own look every 20 microseconds whether the call is stuck, which costs a tenth of all
// there is to a delivery.
func writeNow(fd uintptr, iov []unix.Iovec) (int, syscall.Errno) {
	if len(iov) == 1 {
		n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(iov[0].Base)), uintptr(iov[0].Len))
		return int(n), errno
	}
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(unsafe.SliceData(iov))), uintptr(len(iov)))
	return int(n), errno
}

// advance drops n bytes from the front.
func advance(iov []unix.Iovec, n int) []unix.Iovec {
	for n > 0 {
		size := int(iov[0].Len)
		if n < size {
			iov[0].Base = (*byte)(unsafe.Add(unsafe.Pointer(iov[0].Base), n))
			iov[0].SetLen(size - n)
			return iov
		}
		n -= size
		iov = iov[1:]
	}
	return iov
}
