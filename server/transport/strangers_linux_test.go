package transport

import (
	"net"
	"runtime"
	"runtime/metrics"
	"testing"

	"golang.org/x/sys/unix"
)

// heldBytes is the memory of the process that a collection leaves: objects and stacks.
func heldBytes() int64 {
	runtime.GC()
	runtime.GC() // the second shrinks the stacks that the first found too large
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(samples)
	return int64(samples[0].Value.Uint64() + samples[1].Value.Uint64())
}

// dialBare connects a descriptor of which the runtime knows nothing, so that all memory that grows is the
// server's.
func dialBare(t *testing.T, addr string, say string) (fd int) {
	t.Helper()
	to, err := net.ResolveTCPAddr("tcp", addr)
	must(t, err)
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	sa := &unix.SockaddrInet4{Port: to.Port}
	copy(sa.Addr[:], to.IP.To4())
	must(t, unix.Connect(fd, sa))
	if say != "" {
		_, err = unix.Write(fd, []byte(say))
		must(t, err)
		must(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: int64(patience.Seconds())}))
		var answer [1024]byte
		n, err := unix.Read(fd, answer[:])
		for err == unix.EINTR { // the runtime's signals: a read with a timeout is not begun again
			n, err = unix.Read(fd, answer[:])
		}
		must(t, err)
		if got := string(answer[:n]); len(got) < 12 || got[9:12] != "101" {
			t.Fatalf("handshake: %q", got)
		}
	}
	return fd
}

// A connection costs less than 4 KiB before it has said who it is: one that has said nothing at all, and a
// WebSocket without a hello. Nothing of it is left afterwards.
func TestMemoryOfStrangers(t *testing.T) {
	const sockets, first = 2000, 1000
	most := int64(4 << 10)
	if underRace {
		most *= 2
	}
	for name, say := range map[string]string{"silent": "", "no hello": handshake + "\r\n"} {
		t.Run(name, func(t *testing.T) {
			f := start(t, options{server: func(c *Config) { c.Limits.HelloWithin = 10 * patience }})
			g := f.gated(0)
			fds := make([]int, first+sockets)
			for i := range first { // what is made once; and the runtime learns from them how small stacks may begin
				fds[i] = dialBare(t, f.addr, say)
			}
			eventually(t, "the first are there", func() bool { return g.Sockets() == first })
			before := heldBytes()
			for i := range sockets {
				fds[first+i] = dialBare(t, f.addr, say)
			}
			eventually(t, "all are there", func() bool { return g.Sockets() == first+sockets })
			if each := (heldBytes() - before) / sockets; each > most {
				t.Errorf("%d bytes each, want at most %d", each, most)
			} else {
				t.Logf("%d bytes each", each)
			}
			for _, fd := range fds {
				_ = unix.Close(fd)
			}
			eventually(t, "all have gone", func() bool { return g.Sockets() == 0 })
			if left := (heldBytes() - before) / sockets; left > most/4 {
				t.Errorf("%d bytes of each are left", left)
			}
		})
	}
}
