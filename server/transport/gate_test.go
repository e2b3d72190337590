package transport

import (
	"bufio"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"roomlog/server/room"
)

// gated serves the fixture behind a gate, as the app does, and gives the gate.
func (f *fixture) gated(most int) *Gate {
	f.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(f.t, err)
	g := f.srv.Guard(l, most)
	h := &http.Server{Handler: f.srv, ReadHeaderTimeout: patience, ErrorLog: log.New(io.Discard, "", 0)}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = h.Serve(g)
	}()
	f.t.Cleanup(func() {
		_ = h.Close()
		<-served
	})
	f.addr = l.Addr().String()
	f.http.URL = "http://" + f.addr
	return g
}

// LIM-8: one connection more than there is room for is told so, whatever it asks; when another has gone it
// is served.
func TestNoMoreSocketsThanThereIsRoomFor(t *testing.T) {
	f := start(t, options{})
	g := f.gated(2)
	a, b := f.login("u1"), f.login("u2")
	p := f.dialRaw("GET /healthz HTTP/1.1\r\nHost: roomlog\r\n\r\n")
	resp := p.response()
	var problem map[string]any
	must(t, json.NewDecoder(resp.Body).Decode(&problem))
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || problem["code"] != "overloaded" || problem["retryable"] != true {
		t.Errorf("%v %v", resp, problem)
	}
	if _, err := p.br.ReadByte(); err != io.EOF {
		t.Errorf("after the answer %v, want the end", err)
	}
	a.sendf(`{"op":"ping"}`)
	a.expect("pong")
	must(t, b.nc.Close())
	eventually(t, "the place of one who left is free", func() bool { return g.Sockets() == 1 })
	f.login("u3")
	if n := f.srv.Refused()[limitSockets]; n != 1 {
		t.Errorf("%d refusals counted", n)
	}
}

// A connection that says nothing is ended, and there are only so many of them.
func TestSilentConnections(t *testing.T) { // HTTP-9, LIM-8
	silence := func(peers ...*peer) {
		t.Helper()
		for _, p := range peers {
			if _, err := p.br.ReadByte(); err == nil {
				t.Error("a silent connection was told something")
			}
		}
	}
	f := start(t, options{server: func(c *Config) {
		c.Limits.HelloWithin = 10 * patience
		c.Limits.Unauthenticated = 2 // eight that are silent, two of one address
	}})
	g := f.gated(0)
	first, second := f.dialRaw(""), f.dialRaw("")
	eventually(t, "both are there", func() bool { return g.Sockets() == 2 })
	silence(f.dialRaw("")) // a third
	if n := f.srv.Refused()[limitSilent]; n != 1 {
		t.Errorf("%d refusals counted, want that of the third", n)
	}
	must(t, first.nc.Close())
	must(t, second.nc.Close())
	eventually(t, "their places are free", func() bool { return g.Sockets() == 0 })
	if a := f.request("GET", "/healthz", "", ""); a.status != 200 {
		t.Error(a.text)
	}

	f = start(t, options{server: func(c *Config) { c.Limits.HelloWithin = 400 * time.Millisecond }})
	g = f.gated(0)
	silence(f.dialRaw(""), f.dialRaw(""))
	eventually(t, "their places are free", func() bool { return g.Sockets() == 0 })
}

// exhausted is a listener that has no descriptors left until a time, then gives one connection.
type exhausted struct {
	until time.Time
	calls atomic.Int64
	conn  chan net.Conn
	done  chan struct{}
}

func (l *exhausted) Accept() (net.Conn, error) {
	if l.calls.Add(1) > 1000 {
		panic("accepting spins")
	}
	if time.Now().Before(l.until) {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	}
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *exhausted) Close() error   { close(l.done); return nil }
func (l *exhausted) Addr() net.Addr { return &net.TCPAddr{} }

// Where there are no descriptors left, accepting waits between its attempts, longer each time, and goes on
// when there are some again. The clock is that of a bubble: what waits not, never gets past `until`.
func TestAcceptErrorsDoNotSpin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		l := &exhausted{until: time.Now().Add(3 * time.Second), conn: make(chan net.Conn, 1), done: make(chan struct{})}
		l.conn <- here
		s := &Server{quotas: newQuotas(Limits{}.withDefaults())}
		s.cfg.Limits = s.quotas.limits
		h := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNoContent)
		})}
		served := make(chan error, 1)
		go func() { served <- h.Serve(s.Guard(l, 0)) }()
		go func() { _, _ = io.WriteString(there, "GET / HTTP/1.1\r\nHost: roomlog\r\nConnection: close\r\n\r\n") }()
		resp, err := http.ReadResponse(bufio.NewReader(there), nil)
		must(t, err)
		if resp.StatusCode != http.StatusNoContent {
			t.Error(resp.Status)
		}
		if n := l.calls.Load(); n > 20 {
			t.Errorf("%d attempts in three seconds", n)
		}
		must(t, there.Close())
		must(t, h.Close())
		if err := <-served; err != http.ErrServerClosed {
			t.Error(err)
		}
	})
}

// A peer that takes an answer a byte at a time is cut, and another is not.
func TestAnAnswerThatIsNotTaken(t *testing.T) { // LIM-10
	t.Parallel()
	f := start(t, options{server: func(c *Config) { c.Limits.AnswerWithin = 3 * time.Second }}) // which whoever takes an answer is well within
	g := f.gated(0)
	large := make([]byte, 60_000)
	for i := range large {
		large[i] = 'x'
	}
	for i := range 100 {
		f.post("u1", "chat:a", i+1, `"`+string(large)+`"`, 201)
	}
	nc, err := net.Dial("tcp", f.addr)
	must(t, err)
	defer nc.Close()
	must(t, nc.(*net.TCPConn).SetReadBuffer(4<<10))
	must(t, nc.SetDeadline(time.Now().Add(patience)))
	ask := "GET /v1/rooms/chat:a/events?limit=500 HTTP/1.1\r\nHost: roomlog\r\nAuthorization: Bearer " + f.token("u2") + "\r\n\r\n"
	for range 80 { // more than the system keeps for a peer
		_, err = io.WriteString(nc, ask)
		must(t, err)
	}
	eventually(t, "it is cut", func() bool {
		var b [1]byte
		_, err := nc.Read(b[:])
		return err == nil && g.Sockets() == 1 // that of the sends; what the system still has for the peer is not ours any more
	})
	if a := f.request("GET", "/v1/rooms/chat:a/events?limit=500", f.token("u2"), ""); a.status != 200 || len(a.text) < 200_000 {
		t.Errorf("%d, %d bytes", a.status, len(a.text))
	}
}

// While no connections are taken, none of any kind is; what is there goes on, requests too (LIM-9).
func TestNoNewConnectionsForWantOfMemory(t *testing.T) {
	full := make(chan struct{})
	f := start(t, options{server: func(c *Config) {
		c.Admit = func() *room.Error {
			select {
			case <-full:
				return &room.Error{Code: room.CodeOverloaded, RetryAfter: 5 * time.Second, Title: "No memory."}
			default:
				return nil
			}
		}
	}})
	p := f.login("u1")
	token := f.token("u1")
	close(full)
	for _, path := range []string{"/v1/ws", "/v1/sse?room=chat:a", "/v1/rooms/chat:a/events?after=0&wait=5", "/readyz"} {
		head := []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}
		if path != "/v1/ws" {
			head = nil
		}
		if a := f.request("GET", path, token, "", head...); a.status != 503 || a.code() != "overloaded" || a.body["retry_after_ms"] != 5000.0 {
			t.Errorf("%s: %d %s", path, a.status, a.text)
		}
	}
	p.sendf(`{"op":"join","id":1,"room":"chat:a"}`)
	p.expect("joined")
	f.post("u2", "chat:a", 1, `1`, 201)
	p.expect("page")
	if a := f.request("GET", "/v1/rooms/chat:a/events", token, ""); a.status != 200 {
		t.Error(a.text)
	}
}
