package chaos

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quiet is how long a test watches a connection to see that nothing arrives: a bounded wait. A proxy
// that leaks would deliver within a millisecond.
const quiet = 60 * time.Millisecond

// patience is how long a test waits for what must come; only a failing test waits so long.
const patience = time.Minute

// pair is a proxy with one connection through it: both ends are the test's.
type pair struct {
	*Proxy
	t      *testing.T
	server net.Listener
}

func newPair(t *testing.T) *pair {
	t.Helper()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p, err := Listen("127.0.0.1:0", server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	return &pair{Proxy: p, t: t, server: server}
}

// dial makes a connection to the proxy.
func (p *pair) dial() *net.TCPConn {
	p.t.Helper()
	nc, err := net.DialTimeout("tcp", p.Addr().String(), patience)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { nc.Close() })
	return nc.(*net.TCPConn)
}

// accept returns the server's end of the next connection.
func (p *pair) accept() *net.TCPConn {
	p.t.Helper()
	if err := p.server.(*net.TCPListener).SetDeadline(time.Now().Add(patience)); err != nil {
		p.t.Fatal(err)
	}
	nc, err := p.server.Accept()
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { nc.Close() })
	return nc.(*net.TCPConn)
}

func (p *pair) open() (client, server *net.TCPConn) { return p.dial(), p.accept() }

// openThrough is open, and the proxy is known to have both ends: a byte has come through.
func (p *pair) openThrough() (client, server *net.TCPConn) {
	p.t.Helper()
	client, server = p.open()
	write(p.t, client, "x")
	wantRead(p.t, server, "x")
	return client, server
}

func (p *pair) set(f Fault) {
	p.t.Helper()
	if err := p.Set(f); err != nil {
		p.t.Fatal(err)
	}
}

func write(t *testing.T, nc net.Conn, text string) {
	t.Helper()
	if _, err := nc.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func wantRead(t *testing.T, nc net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	nc.SetReadDeadline(time.Now().Add(patience))
	if n, err := io.ReadFull(nc, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v; want %q", got[:n], err, want)
	}
}

func wantQuiet(t *testing.T, nc net.Conn) {
	t.Helper()
	nc.SetReadDeadline(time.Now().Add(quiet))
	if n, err := nc.Read(make([]byte, 64)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read %d bytes, %v; want nothing at all", n, err)
	}
}

func wantEOF(t *testing.T, nc net.Conn) {
	t.Helper()
	nc.SetReadDeadline(time.Now().Add(patience))
	if n, err := nc.Read(make([]byte, 64)); n != 0 || err != io.EOF {
		t.Fatalf("read %d bytes, %v; want the end", n, err)
	}
}

// wantBroken reads until the connection fails otherwise than by a timeout or an ordinary end.
func wantBroken(t *testing.T, nc net.Conn) {
	t.Helper()
	nc.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, nc); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("read: %v; want a reset", err)
	}
}

// wantRefused dials and wants a reset, which may come before the dial has returned.
func wantRefused(t *testing.T, p *pair) {
	t.Helper()
	nc, err := net.DialTimeout("tcp", p.Addr().String(), patience)
	if errors.Is(err, syscall.ECONNRESET) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	wantBroken(t, nc)
}

func TestTransparent(t *testing.T) {
	p := newPair(t)
	client, server := p.open()
	payload := make([]byte, 3<<20)
	rng := rand.NewChaCha8([32]byte{7})
	rng.Read(payload)
	send := func(nc *net.TCPConn, wg *sync.WaitGroup) {
		wg.Go(func() {
			if _, err := nc.Write(payload); err != nil {
				t.Error(err)
			}
			if err := nc.CloseWrite(); err != nil {
				t.Error(err)
			}
		})
	}
	receive := func(nc *net.TCPConn, wg *sync.WaitGroup) {
		wg.Go(func() {
			if got, err := io.ReadAll(nc); err != nil || !bytes.Equal(got, payload) {
				t.Errorf("%d bytes of %d arrived, equal %v, %v", len(got), len(payload), bytes.Equal(got, payload), err)
			}
		})
	}
	var wg sync.WaitGroup
	send(client, &wg)
	send(server, &wg)
	receive(client, &wg)
	receive(server, &wg)
	wg.Wait()
}

func TestHalfCloseAndResetPassThrough(t *testing.T) {
	p := newPair(t)
	client, server := p.open()
	write(t, client, "request")
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	wantRead(t, server, "request")
	wantEOF(t, server)
	write(t, server, "answer after the end of the request")
	wantRead(t, client, "answer after the end of the request")
	server.Close()
	wantEOF(t, client)

	client, server = p.openThrough()
	reset(server)
	wantBroken(t, client)
}

func TestCut(t *testing.T) {
	p := newPair(t)
	client, server := p.openThrough()
	if n := p.CutAll(); n != 1 {
		t.Fatalf("cut %d connections, want 1", n)
	}
	wantBroken(t, client)
	wantBroken(t, server)

	first, firstServer := p.openThrough()
	second, secondServer := p.openThrough()
	conns := p.Conns()
	if !p.Cut(conns[len(conns)-2].ID) || p.Cut(1<<60) {
		t.Error("Cut cuts the connection it names and no other")
	}
	wantBroken(t, first)
	wantBroken(t, firstServer)
	write(t, second, "still here")
	wantRead(t, secondServer, "still here")
}

func TestCutAfterDeliversExactlyTheBytesBefore(t *testing.T) {
	const text = "0123456789abcdef"
	for _, direction := range []Direction{Up, Down} {
		for _, k := range []int{0, 1, 7, len(text) - 1} {
			p := newPair(t)
			p.set(Fault{Kind: CutAfter, Bytes: int64(k), Direction: direction})
			from, to := p.open()
			if direction == Down {
				from, to = to, from
			}
			write(t, to, "the other way is free")
			wantRead(t, from, "the other way is free")
			write(t, from, text)
			to.SetReadDeadline(time.Now().Add(patience))
			got, err := io.ReadAll(to)
			if string(got) != text[:k] || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s after %d: %q arrived, %v", direction, k, got, err)
			}
			wantBroken(t, from)
		}
	}
}

func TestCutAfterCountsFromWhenItIsSet(t *testing.T) {
	p := newPair(t)
	client, server := p.open()
	write(t, client, "12345")
	wantRead(t, server, "12345")
	p.set(Fault{Kind: CutAfter, Bytes: 3, Times: 1})
	write(t, client, "678")
	wantRead(t, server, "678")
	wantQuiet(t, server) // exactly k bytes pass and nothing is cut yet
	write(t, client, "9")
	wantEOF(t, server)
	if left := p.Faults(); len(left) != 0 {
		t.Errorf("a fault with times 1 is spent by its cut, but %v is left", left)
	}
	client, server = p.open()
	write(t, client, "more than three")
	wantRead(t, server, "more than three")
}

func TestBlackholeHoldsEverythingAndLosesNothing(t *testing.T) {
	p := newPair(t)
	client, server := p.open()
	write(t, client, "a")
	wantRead(t, server, "a")

	p.set(Fault{Kind: Blackhole})
	write(t, client, "held up")
	write(t, server, "held down")
	if err := server.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	wantQuiet(t, server)
	wantQuiet(t, client) // neither the bytes nor the end come through
	late := p.dial()     // accepted, and held
	write(t, late, "hello")
	wantQuiet(t, late)

	p.Heal()
	wantRead(t, server, "held up")
	wantRead(t, client, "held down")
	wantEOF(t, client)
	lateServer := p.accept()
	wantRead(t, lateServer, "hello")
}

func TestBlackholePressesBack(t *testing.T) {
	p := newPair(t)
	client, server := p.openThrough()
	p.set(Fault{Kind: Blackhole})
	payload := make([]byte, 64<<20)
	client.SetWriteDeadline(time.Now().Add(quiet))
	n, err := client.Write(payload)
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("wrote %d bytes into a black hole, %v: it reads", n, err)
	}
	if up := p.Conns()[0].Up; up != 1 { // the byte of openThrough
		t.Errorf("%d bytes were delivered", up)
	}
	p.Heal()
	server.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.CopyN(io.Discard, server, int64(n)); err != nil {
		t.Errorf("what was written before did not all arrive: %v", err)
	}
}

func TestBlackholeEndsWithCutAndClose(t *testing.T) {
	p := newPair(t)
	client, server := p.openThrough()
	p.set(Fault{Kind: Blackhole})
	held := p.dial()
	for deadline := time.Now().Add(patience); len(p.Conns()) < 2; runtime.Gosched() { // until it is accepted
		if time.Now().After(deadline) {
			t.Fatal("the proxy accepts nothing")
		}
	}
	if n := p.CutAll(); n != 2 {
		t.Errorf("cut %d, want 2", n)
	}
	wantBroken(t, client)
	wantBroken(t, server)
	wantBroken(t, held)
	p.dial()
	if err := p.Close(); err != nil { // with a connection held: must not hang
		t.Error(err)
	}
}

func TestOneWayBlackhole(t *testing.T) {
	p := newPair(t)
	p.set(Fault{Kind: Blackhole, Direction: Down})
	client, server := p.open()
	write(t, client, "send")
	wantRead(t, server, "send")
	write(t, server, "ack")
	wantQuiet(t, client)
	p.Heal()
	wantRead(t, client, "ack")
}

func TestDelay(t *testing.T) {
	p := newPair(t)
	const delay = 50 * time.Millisecond
	p.set(Fault{Kind: Delay, Delay: delay, Jitter: 10 * time.Millisecond, Direction: Up})
	client, server := p.open()
	start := time.Now()
	for _, word := range []string{"one ", "two ", "three"} {
		write(t, client, word)
	}
	wantRead(t, server, "one two three")
	if took := time.Since(start); took < delay {
		t.Errorf("arrived after %v, before the delay of %v", took, delay)
	}

	p.set(Fault{Kind: Delay, Delay: time.Hour})
	write(t, client, "held")
	wantQuiet(t, server)
	p.Heal()
	wantRead(t, server, "held")
}

func TestThrottle(t *testing.T) {
	p := newPair(t)
	p.set(Fault{Kind: Throttle, Rate: 50_000})
	client, server := p.open()
	payload := bytes.Repeat([]byte("0123456789"), 1000)
	start := time.Now()
	write(t, client, string(payload))
	wantRead(t, server, string(payload))
	// The first slice goes at once, each other waits for the one before: at least 180 of 200 ms.
	if took := time.Since(start); took < 180*time.Millisecond {
		t.Errorf("10,000 bytes at 50,000 per second took %v", took)
	}
}

func TestExpire(t *testing.T) {
	p := newPair(t)
	const age = 3 * time.Second // what is said before takes a moment, on a slow machine a long one
	p.set(Fault{Kind: Expire, Age: age})
	start := time.Now()
	client, server := p.open()
	write(t, client, "young")
	wantRead(t, server, "young")
	write(t, server, "young too")
	wantRead(t, client, "young too")
	wantBroken(t, client)
	wantBroken(t, server)
	if took := time.Since(start); took < age {
		t.Errorf("reset after %v, before the age of %v", took, age)
	}

	p.set(Fault{Kind: Expire, Age: time.Hour})
	client, server = p.openThrough()
	p.set(Fault{Kind: Expire, Age: time.Nanosecond, Class: "/v1/ws"})
	write(t, client, "of no class")
	wantRead(t, server, "of no class")
	p.set(Fault{Kind: Expire, Age: time.Nanosecond}) // it is too old already
	wantBroken(t, client)
}

func TestRefuse(t *testing.T) {
	p := newPair(t)
	client, server := p.open()
	p.set(Fault{Kind: Refuse})
	wantRefused(t, p)
	write(t, client, "goes on")
	wantRead(t, server, "goes on")
	p.Heal()
	p.open()
}

func TestClass(t *testing.T) {
	p := newPair(t)
	p.set(Fault{Kind: Blackhole, Class: "/v1/ws"})
	p.set(Fault{Kind: CutAfter, Bytes: 20, Class: "/v1/sse"})
	socket, socketServer := p.open()
	write(t, socket, "GET /v1/ws?x=1 HTTP/1.1\r\n")
	wantQuiet(t, socketServer)
	page, pageServer := p.open()
	write(t, page, "GET / HTTP/1.1\r\nHost: somewhere.example\r\n")
	wantRead(t, pageServer, "GET / HTTP/1.1\r\nHost: somewhere.example\r\n")
	stream, streamServer := p.open()
	write(t, stream, "GET /v1/sse?room=chat:a HTTP/1.1\r\n")
	wantRead(t, streamServer, "GET /v1/sse?room=cha")
	wantEOF(t, streamServer)
	p.HealClass("/v1/ws")
	wantRead(t, socketServer, "GET /v1/ws?x=1 HTTP/1.1\r\n")
	p.set(Fault{Kind: Cut, Class: "/v1/ws"})
	wantBroken(t, socket)
	write(t, pageServer, "still here")
	wantRead(t, page, "still here")
}

func TestServerThatIsNotThere(t *testing.T) {
	p := newPair(t)
	p.server.Close()
	wantRefused(t, p)
}

func TestListenErrors(t *testing.T) {
	p := newPair(t)
	if _, err := Listen(p.Addr().String(), "127.0.0.1:1"); err == nil {
		t.Error("two proxies on one port")
	}
	if _, err := Listen("127.0.0.1:0", "no port"); err == nil {
		t.Error("an address without a port")
	}
	for _, f := range []Fault{
		{}, {Kind: "burn"}, {Kind: CutAfter, Bytes: -1}, {Kind: Delay}, {Kind: Throttle},
		{Kind: Blackhole, Direction: "sideways"}, {Kind: Cut, Direction: Up}, {Kind: Refuse, Class: "/v1/ws"},
	} {
		if err := p.Set(f); err == nil {
			t.Errorf("%+v was taken", f)
		}
	}
}

func TestCloseIsIdempotentAndConcurrent(t *testing.T) {
	p := newPair(t)
	client, _ := p.open()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { p.Close() })
	}
	wg.Wait()
	wantBroken(t, client)
	if n := len(p.Conns()); n != 0 {
		t.Errorf("%d connections after Close", n)
	}
	p.Heal() // commands after Close do nothing, and do not panic
	p.CutAll()
}

// TestStress changes faults at random while connections talk: whatever arrives is a prefix of what
// was sent.
func TestStress(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	p := newPair(t)
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	echoes(t, p, ctx, &wg)
	for worker := range 8 {
		wg.Go(func() {
			for round := 0; ctx.Err() == nil; round++ {
				talk(t, p.Addr().String(), ctx, rand.New(rand.NewPCG(seed, uint64(worker<<32+round))))
			}
		})
	}
	rng := rand.New(rand.NewPCG(seed, 1<<40))
	faults := []Fault{
		{Kind: Blackhole}, {Kind: CutAfter, Bytes: 1000}, {Kind: Delay, Delay: time.Millisecond, Jitter: time.Millisecond},
		{Kind: Throttle, Rate: 1 << 20}, {Kind: Refuse}, {Kind: CutAfter, Bytes: 5, Times: 2}, {Kind: Cut}, {Kind: Healthy},
	}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		<-tick.C
		if err := p.Set(faults[rng.IntN(len(faults))]); err != nil {
			t.Error(err)
		}
	}
	p.CutAll()
	p.server.Close()
	p.Close()
	wg.Wait()
}

// echoes answers every connection with what it sent, until the listener is closed.
func echoes(t *testing.T, p *pair, ctx context.Context, wg *sync.WaitGroup) {
	wg.Go(func() {
		for {
			nc, err := p.server.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer nc.Close()
				defer context.AfterFunc(ctx, func() { nc.Close() })()
				io.Copy(nc, nc)
			})
		}
	})
}

// talk sends random bytes and compares what comes back until the connection breaks.
func talk(t *testing.T, addr string, ctx context.Context, rng *rand.Rand) {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	payload := make([]byte, 1+rng.IntN(200_000))
	for i := range payload {
		payload[i] = byte(rng.Uint32())
	}
	go nc.Write(payload) // ends with the connection
	got, _ := io.ReadAll(io.LimitReader(nc, int64(len(payload))))
	if !bytes.HasPrefix(payload, got) {
		t.Errorf("%d bytes came back and are not the first of the %d sent", len(got), len(payload))
	}
}
