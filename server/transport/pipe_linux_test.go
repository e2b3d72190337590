package transport

import (
	"io"
	"net"
	"testing"
	"time"
)

// BEAT-4: a peer that takes bytes slowly is served, however much the kernel holds for it: a write finds
// no room before a third of that is gone, which can take many deadlines.
func TestAPeerThatTakesBytesSlowlyIsNotCut(t *testing.T) {
	const deadline = 300 * time.Millisecond
	for try := 1; ; try++ {
		taken, idle, err := takeSlowly(t, deadline)
		switch {
		case err == nil:
			return
		case idle < deadline/2 || try == 20:
			t.Fatalf("cut while it was reading, after %d bytes and never more than %v without one: %v", taken, idle, err)
		}
		t.Logf("this machine kept it from reading for %v: that is a peer that takes nothing", idle)
	}
}

// takeSlowly has one end write what the other takes a little of at a time. idle is the longest that nothing was taken, with
// the time until the writer was done.
func takeSlowly(t *testing.T, deadline time.Duration) (taken int64, idle time.Duration, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	there, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	defer there.Close()
	here, err := l.Accept()
	must(t, err)
	must(t, there.(*net.TCPConn).SetReadBuffer(16<<10))
	must(t, here.(*net.TCPConn).SetWriteBuffer(256<<10))
	p := newPipe(here, deadline)
	defer p.close()
	written := make(chan error, 1)
	go func() { written <- p.writeAll(make([]byte, 768<<10)) }()
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for last := time.Now(); ; {
		select {
		case err := <-written:
			return taken, max(idle, time.Since(last)), err
		case <-pace.C:
			n, err := io.CopyN(io.Discard, there, 8<<10)
			if err != nil { // it was cut
				return taken, max(idle, time.Since(last)), <-written
			}
			taken, idle, last = taken+n, max(idle, time.Since(last)), time.Now()
		}
	}
}
