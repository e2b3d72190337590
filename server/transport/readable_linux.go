package transport

import (
	"io"
	"net"
	"os"
	"syscall"

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
	var found error
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		for {
			n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
			switch {
			case err == unix.EINTR:
				continue
			case err == unix.EAGAIN:
				return false
			case err != nil:
				found = os.NewSyscallError("recvfrom", err)
			case n == 0:
				found = io.EOF
			}
			return true
		}
	})
	if err != nil {
		return err
	}
	return found
}
