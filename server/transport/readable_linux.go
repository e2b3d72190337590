package transport

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readable waits until there is something to read, with no buffer in hand, and takes none of it. What has no
// descriptor is readable at once.
func readable(nc net.Conn) error {
	c, ok := nc.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	p := new(peek)
	if err := raw.Read(p.look); err != nil {
		return err
	}
	return p.err
}

// peek looks whether there is something to read.
type peek struct {
	b   [1]byte
	err error
}

// look is made of few and small frames: it is on the stack of every connection that has said nothing.
func (p *peek) look(fd uintptr) bool {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&p.b)), 1, unix.MSG_PEEK|unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			return false
		case errno != 0:
			p.err = os.NewSyscallError("recvfrom", errno)
		case n == 0:
			p.err = io.EOF
		}
		return true
	}
}
