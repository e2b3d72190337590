package transport

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The kernel gives up on a peer that is gone, and keeps little for one that reads nothing, of every connection
// that a gate lets in: they have it from the listener.
func TestConnectionsInheritTheirOptions(t *testing.T) {
	f := start(t, options{})
	l, err := Listen("127.0.0.1:0")
	must(t, err)
	g := f.srv.Guard(l, 0)
	defer func() { must(t, g.Close()) }()
	f.addr = l.Addr().String()
	p := f.dialRaw("GET / HTTP/1.1\r\n")
	nc, err := g.Accept()
	must(t, err)
	defer nc.Close()
	defer p.nc.Close()
	raw, err := nc.(*replayed).Conn.(syscall.Conn).SyscallConn()
	must(t, err)
	for _, o := range []struct {
		name                string
		level, option, want int
	}{
		{"TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 20_000},
		{"TCP_NOTSENT_LOWAT", unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, 64 << 10},
		{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15},
		{"TCP_KEEPINTVL", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15},
	} {
		must(t, raw.Control(func(fd uintptr) {
			if got, err := unix.GetsockoptInt(int(fd), o.level, o.option); err != nil || got != o.want {
				t.Errorf("%s: %d (%v), want %d", o.name, got, err, o.want)
			}
		}))
	}
}
