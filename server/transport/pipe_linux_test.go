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
	p := newPipe(here, 300*time.Millisecond)
	defer p.close()
	written := make(chan error, 1)
	go func() { written <- p.writeAll(make([]byte, 768<<10)) }()
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for taken := int64(0); ; {
		select {
		case err := <-written:
			if err != nil {
				t.Fatalf("cut while it was reading, after %d bytes: %v", taken, err)
			}
			return
		case <-pace.C:
			n, err := io.CopyN(io.Discard, there, 8<<10)
			must(t, err)
			taken += n
		}
	}
}
