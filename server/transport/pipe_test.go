package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"roomlog/server/room"
)

// pipes makes a pipe of each kind, with the other end.
func pipes(t *testing.T, deadline time.Duration) map[string][2]any {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	out := map[string][2]any{}
	for _, kind := range []string{"tcp", "tcp as plain"} {
		there, err := net.Dial("tcp", l.Addr().String())
		must(t, err)
		here, err := l.Accept()
		must(t, err)
		must(t, there.(*net.TCPConn).SetReadBuffer(16<<10))
		must(t, here.(*net.TCPConn).SetWriteBuffer(16<<10))
		p := newPipe(here, deadline)
		if kind != "tcp" {
			p = newPlainPipe(here, deadline)
		}
		out[kind] = [2]any{p, there}
	}
	a, b := net.Pipe()
	out["in memory"] = [2]any{newPipe(a, deadline), b}
	t.Cleanup(func() {
		for _, v := range out {
			v[0].(pipe).close()
			_ = v[1].(net.Conn).Close()
		}
	})
	return out
}

// What is written as the hub writes it arrives whole and in order, though the peer is slow.
func TestPipesWriteEverythingInOrder(t *testing.T) {
	for kind, ends := range pipes(t, patience) {
		t.Run(kind, func(t *testing.T) {
			p, there := ends[0].(pipe), ends[1].(net.Conn)
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			rng := rand.New(rand.NewPCG(seed, 1))
			var sent bytes.Buffer
			var got bytes.Buffer
			var wg sync.WaitGroup
			wg.Go(func() { _, _ = io.Copy(&got, io.LimitReader(there, 1<<20)) })
			for sent.Len() < 1<<20 {
				var bufs [][]byte
				size := 0
				for range rng.IntN(1500) { // more than the kernel takes in one call
					b := bytes.Repeat([]byte{byte(rng.Uint32())}, rng.IntN(40))
					bufs, size = append(bufs, b), size+len(b)
				}
				whole := bytes.Join(bufs, nil)
				if left := 1<<20 - sent.Len(); size > left {
					whole, bufs, size = whole[:left], [][]byte{whole[:left]}, left
				}
				sent.Write(whole)
				n, err := p.tryWrite(bufs)
				must(t, err)
				if n < size {
					must(t, p.writeAll(whole[n:]))
				}
			}
			wg.Wait()
			if !bytes.Equal(sent.Bytes(), got.Bytes()) {
				t.Error("the bytes differ")
			}
		})
	}
}

func TestPipesGiveUpOnAPeerThatTakesNothing(t *testing.T) { // BEAT-4
	for kind, ends := range pipes(t, 300*time.Millisecond) {
		t.Run(kind, func(t *testing.T) {
			p := ends[0].(pipe)
			err := p.writeAll(make([]byte, 16<<20))
			var ne net.Error
			if !errors.As(err, &ne) || !ne.Timeout() {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}

func TestPipesReadAndEnd(t *testing.T) {
	for kind, ends := range pipes(t, patience) {
		t.Run(kind, func(t *testing.T) {
			p, there := ends[0].(pipe), ends[1].(net.Conn)
			go func() { _, _ = io.WriteString(there, "hello") }()
			c, err := p.read()
			must(t, err)
			if string(c.bytes()) != "hello" {
				t.Errorf("read %q", c.bytes())
			}
			c.free()
			done := make(chan error)
			go func() { _, err := p.read(); done <- err }()
			s := &sink{pipe: p, tasks: new(sync.WaitGroup)}
			s.Close(&room.Error{Code: room.CodeGoingAway})
			s.Close(nil) // the first reason counts
			var ne net.Error
			if err := <-done; !errors.As(err, &ne) || !ne.Timeout() || s.why.Load().err == nil {
				t.Errorf("the reader ended with %v, for %v", err, s.why.Load().err)
			}
			_ = there.Close()
			_ = p.conn().SetReadDeadline(time.Time{})
			if _, err := p.read(); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("read from one who is gone: %v", err)
			}
		})
	}
}

// A frame that went out in part is never followed by a close frame.
func TestNoLastWordsInsideAFrame(t *testing.T) {
	for kind, ends := range pipes(t, patience) {
		t.Run(kind, func(t *testing.T) {
			s := &sink{pipe: ends[0].(pipe)}
			for {
				n, err := s.TryWrite([][]byte{make([]byte, 64<<10)})
				must(t, err)
				if n < 64<<10 {
					break
				}
			}
			if s.last([]byte("words")) {
				t.Error("last words inside a frame")
			}
			if _, err := s.TryWrite([][]byte{{1}}); !errors.Is(err, net.ErrClosed) {
				t.Errorf("a write after the end: %v", err)
			}
		})
	}
}

// CLOSE-3, CLOSE-7: a peer that is full between two frames is waited for with the last words.
func TestLastWordsToAFullPeer(t *testing.T) {
	for kind := range pipes(t, patience) {
		t.Run(kind, func(t *testing.T) {
			for try := 1; ; try++ {
				began := time.Now()
				all, err := heardLast(t, pipes(t, patience)[kind])
				took := time.Since(began)
				switch {
				case err == nil && strings.HasSuffix(string(all), "words"):
					return
				case took < lingerFor || try == 20:
					t.Fatalf("after %v the last of %d bytes are %q, %v", took, len(all), all[max(0, len(all)-5):], err)
				}
				t.Logf("this machine kept the peer from reading: it took %v", took)
			}
		})
	}
}

// heardLast fills a pipe, ends it, and gives what the other end reads.
func heardLast(t *testing.T, ends [2]any) (all []byte, err error) {
	p, there := ends[0].(pipe), ends[1].(net.Conn)
	s := &sink{pipe: p}
	for full := false; !full; {
		n, err := p.tryWrite([][]byte{make([]byte, 64<<10)})
		must(t, err)
		full = n == 0
	}
	ended := make(chan struct{})
	go func() { s.end([]byte("words")); close(ended) }()
	must(t, there.SetReadDeadline(time.Now().Add(patience)))
	all, err = io.ReadAll(there)
	must(t, there.Close())
	<-ended
	return all, err
}

// Over connections whose descriptor is out of reach all is as it is over TCP.
func TestWebSocketOverAPlainConnection(t *testing.T) {
	f := start(t, options{})
	here, there := net.Pipe()
	c := newSocket(f.srv, here, "id", mustSeat(t, f))
	if !f.srv.adopt(&c.sink) {
		t.Fatal("not adopted")
	}
	go c.begin(nil)
	p := &peer{t: t, nc: there, br: newReader(there)}
	must(t, there.SetDeadline(time.Now().Add(patience)))
	p.sendf(`{"op":"hello","token":%q}`, f.token("u1"))
	p.expect("welcome")
	p.sendf(`{"op":"join","room":"chat:a"}`)
	p.expect("joined")
	const events = 40
	for i := 1; i <= events; i++ {
		f.post("u2", "chat:a", i, `"`+strings.Repeat("x", 5000)+`"`, 201)
	}
	for seq := 0.0; seq < events; {
		m := p.expect("page")
		if m["prev"] != seq {
			t.Fatalf("page after %v at %v", m["prev"], seq)
		}
		seq = m["seq"].(float64)
	}
	go f.stop()
	p.expectClose(1012)
}

// A reader that takes nothing is cut after the deadline; the others, also the slow, lose nothing.
func TestSlowReaders(t *testing.T) { // BEAT-4
	t.Parallel()
	f := start(t, options{server: func(c *Config) { c.Limits.WriteDeadline = 3 * time.Second }}) // a busy machine may let the slow one stand still for one
	join := func(user string) *peer {
		p := f.login(user)
		p.sendf(`{"op":"join","room":"chat:a","position":"0"}`)
		p.expect("joined")
		return p
	}
	slow, deaf := join("u1"), join("u2")
	must(t, deaf.nc.(*net.TCPConn).SetReadBuffer(4<<10))
	const events = 160 // 9 MB: more than the kernel keeps for anybody
	var wg sync.WaitGroup
	wg.Go(func() {
		data := `"` + strings.Repeat("x", 60_000) + `"`
		for i := 1; i <= events; i++ {
			f.post("u3", "chat:a", i, data, 201)
		}
	})
	for seq := 0.0; seq < events; {
		m := slow.expect("page")
		if m["prev"] != seq {
			t.Fatalf("page after %v at %v", m["prev"], seq)
		}
		seq = m["seq"].(float64)
	}
	wg.Wait()
	eventually(t, "the deaf one is cut", func() bool { return f.hub.Stats().Connections == 1 })
	for {
		if _, _, err := deaf.read(); err != nil {
			return // it ends, after what was under way
		}
	}
}

// Somebody who asks for more than they read is not read any more, and when they are cut, also while the
// reader waits for them, nothing is left.
func TestAskingWithoutListening(t *testing.T) {
	t.Parallel()
	f := start(t, options{server: func(c *Config) { c.Limits.WriteDeadline = 500 * time.Millisecond }})
	p := f.login("u1")
	must(t, p.nc.(*net.TCPConn).SetReadBuffer(4<<10))
	ping := bytes.Repeat(frame(0x81, []byte(`{"op":"dance","id":123456789}`)), 1000)
	for {
		if _, err := p.nc.Write(ping); err != nil {
			break
		}
	}
	eventually(t, "it is cut", func() bool { return f.hub.Stats().Connections == 0 })
}

func TestManyComeAndGo(t *testing.T) {
	f := start(t, options{})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			for n := range 5 {
				p := f.login(fmt.Sprintf("u%d", i))
				p.sendf(`{"op":"join","room":"chat:a"}`)
				p.expect("joined")
				p.sendf(`{"op":"send","id":1,"n":1,"room":"chat:a","tag":%q,"type":"message","data":1}`, tagOf(i*100+n))
				if n%2 == 0 {
					p.write(frame(0x88, nil))
					p.expectClose(1000)
				}
				_ = p.nc.Close()
			}
		})
	}
	wg.Wait()
	eventually(t, "all have left", func() bool {
		f.srv.quotas.mu.Lock()
		defer f.srv.quotas.mu.Unlock()
		return f.hub.Stats().Connections == 0 && len(f.srv.quotas.users) == 0 && len(f.srv.quotas.addresses) == 0
	})
	f.srv.wheel.mu.Lock()
	defer f.srv.wheel.mu.Unlock()
	if len(f.srv.wheel.slots) != 0 {
		t.Errorf("%d deadlines are left", len(f.srv.wheel.slots))
	}
}

func TestStopTwice(t *testing.T) {
	f := start(t, options{})
	f.login("u1")
	f.stop()
	f.stop()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := f.srv.Close(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
