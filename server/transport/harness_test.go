package transport

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"go.uber.org/goleak"

	"roomlog/server/hub"
	"roomlog/server/room"
	"roomlog/server/store/sqlite"
	"roomlog/server/transport/auth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what a test waits for; nothing waits that long when all is well.
const patience = time.Minute

var testKey = []byte("a key of at least thirty-two bytes, for tests")

// fixture is a whole server: SQLite on a file, a hub, the transport and a listener.
type fixture struct {
	t      *testing.T
	hub    *hub.Hub
	store  *sqlite.Store
	srv    *Server
	http   *httptest.Server
	signer *auth.Signer
	addr   string
}

// options change what a fixture is made of.
type options struct {
	hub    func(*hub.Config)
	server func(*Config)
}

func start(t *testing.T, o options) *fixture {
	t.Helper()
	store, err := sqlite.Open(context.Background(), filepath.Join(t.TempDir(), "roomlog.db"), nil)
	must(t, err)
	// A disk that others use as well may stand still for longer than the default. These clients answer no ping, and read frames one
	// by one: what is to be pinged says so.
	hc := hub.Config{Store: store, UnknownAfter: patience, PingEvery: time.Hour}
	if o.hub != nil {
		o.hub(&hc)
	}
	h := hub.New(hc)
	h.Start()
	verifier, err := auth.NewVerifier(testKey)
	must(t, err)
	signer, err := auth.NewSigner(testKey)
	must(t, err)
	cfg := Config{
		Hub: h, Verifier: verifier, DevSigner: signer, TokenInURL: true, Limits: DevLimits(),
		Origins: []string{"https://app.example.com"}, Version: "test", Store: store.Info, Access: store, Rooms: store,
	}
	if o.server != nil {
		o.server(&cfg)
	}
	srv, err := New(cfg)
	must(t, err)
	f := &fixture{t: t, hub: h, store: store, srv: srv, http: httptest.NewServer(srv), signer: signer}
	f.addr = f.http.Listener.Addr().String()
	t.Cleanup(func() {
		f.stop()
		f.http.Close()
		must(t, store.Close())
	})
	return f
}

// stop ends the hub, then the transport, as a server that goes away does.
func (f *fixture) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := f.hub.Stop(ctx); err != nil {
		f.t.Errorf("stop the hub: %v", err)
	}
	if err := f.srv.Close(ctx); err != nil {
		f.t.Errorf("close the transport: %v", err)
	}
}

func (f *fixture) token(user string, grants ...auth.Grant) string {
	f.t.Helper()
	if grants == nil {
		grants = auth.Everything()
	}
	token, _, err := f.signer.Sign(user, grants, time.Hour)
	must(f.t, err)
	return token
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tagOf makes a tag that is told apart by its number.
func tagOf(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// answer is what an HTTP request got.
type answer struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

func (a answer) code() string { s, _ := a.body["code"].(string); return s }

// request does one HTTP request; header lines are "Name: value".
func (f *fixture) request(method, path, token, body string, header ...string) answer {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, f.http.URL+path, strings.NewReader(body))
	must(f.t, err)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
		if name == "Host" {
			r.Host = value
		}
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	must(f.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(f.t, err)
	a := answer{status: resp.StatusCode, header: resp.Header, text: string(text)}
	if strings.Contains(resp.Header.Get("Content-Type"), "json") {
		must(f.t, json.Unmarshal(text, &a.body))
	}
	return a
}

// post sends an event over HTTP and expects a status.
func (f *fixture) post(user, id string, tag int, data string, status int) answer {
	f.t.Helper()
	a := f.request("POST", "/v1/rooms/"+id+"/events", f.token(user), `{"tag":"`+tagOf(tag)+`","type":"message","data":`+data+`}`)
	if a.status != status {
		f.t.Fatalf("send: status %d %s, want %d", a.status, a.text, status)
	}
	return a
}

// peer is a raw TCP client that speaks as much WebSocket as a test tells it to.
type peer struct {
	t  *testing.T
	nc net.Conn
	br *bufio.Reader
}

const handshake = "GET /v1/ws HTTP/1.1\r\nHost: roomlog\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// dialRaw connects and writes text.
func (f *fixture) dialRaw(text string) *peer {
	f.t.Helper()
	nc, err := net.Dial("tcp", f.addr)
	must(f.t, err)
	f.t.Cleanup(func() { _ = nc.Close() })
	must(f.t, nc.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(nc, text)
	must(f.t, err)
	return &peer{t: f.t, nc: nc, br: bufio.NewReader(nc)}
}

// response reads an HTTP response head.
func (p *peer) response() *http.Response {
	p.t.Helper()
	resp, err := http.ReadResponse(p.br, nil)
	must(p.t, err)
	return resp
}

// dial opens a WebSocket.
func (f *fixture) dial() *peer {
	f.t.Helper()
	p := f.dialRaw(handshake + "\r\n")
	if resp := p.response(); resp.StatusCode != 101 || resp.Header.Get("Sec-Websocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		f.t.Fatalf("handshake: %v", resp)
	}
	return p
}

// login opens a WebSocket and says hello.
func (f *fixture) login(user string, grants ...auth.Grant) *peer {
	f.t.Helper()
	p := f.dial()
	p.sendf(`{"op":"hello","token":%q}`, f.token(user, grants...))
	p.expect("welcome")
	return p
}

var testMask = [4]byte{0x37, 0xfa, 0x21, 0x3d}

// frame is a client's frame: masked, its length as short as may be.
func frame(first byte, payload []byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	b = append(b, testMask[:]...)
	masked := bytes.Clone(payload)
	ws.Cipher(masked, testMask, 0)
	return append(b, masked...)
}

func (p *peer) write(b []byte) {
	p.t.Helper()
	if _, err := p.nc.Write(b); err != nil {
		p.t.Fatalf("write: %v", err)
	}
}

func (p *peer) sendf(format string, args ...any) {
	p.t.Helper()
	p.write(frame(0x81, fmt.Appendf(nil, format, args...)))
}

// next reads one frame of the server.
func (p *peer) next() (op byte, payload []byte) {
	p.t.Helper()
	op, payload, err := p.read()
	if err != nil {
		p.t.Fatalf("read: %v", err)
	}
	return op, payload
}

func (p *peer) read() (op byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(p.br, head[:]); err != nil {
		return 0, nil, err
	}
	size := uint64(head[1])
	switch size {
	case 126:
		var b [2]byte
		_, err = io.ReadFull(p.br, b[:])
		size = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		_, err = io.ReadFull(p.br, b[:])
		size = binary.BigEndian.Uint64(b[:])
	}
	if err != nil {
		return 0, nil, err
	}
	payload = make([]byte, size)
	_, err = io.ReadFull(p.br, payload)
	return head[0], payload, err
}

// object reads the next text frame that is not a ping.
func (p *peer) object() map[string]any {
	p.t.Helper()
	for {
		op, payload := p.next()
		if op != 0x81 {
			p.t.Fatalf("frame %#x %q, not a text", op, payload)
		}
		var m map[string]any
		must(p.t, json.Unmarshal(payload, &m))
		if m["op"] != "ping" {
			return m
		}
	}
}

// expect reads the next text frame and wants its op.
func (p *peer) expect(op string) map[string]any {
	p.t.Helper()
	m := p.object()
	if m["op"] != op {
		p.t.Fatalf("got %v, want a frame with op %s", m, op)
	}
	return m
}

// expectError reads the next text frame and wants an error of a code.
func (p *peer) expectError(code room.Code) map[string]any {
	p.t.Helper()
	m := p.expect("error")
	if m["code"] != string(code) {
		p.t.Fatalf("got %v, want the error %s", m, code)
	}
	return m
}

// expectClose reads up to the close frame, wants its code, and then the end of the connection.
func (p *peer) expectClose(code uint16) (reason string) {
	p.t.Helper()
	for {
		op, payload, err := p.read()
		if err != nil {
			p.t.Fatalf("the connection ended with %v, not with close %d", err, code)
		}
		if op != 0x88 {
			continue
		}
		if got := binary.BigEndian.Uint16(payload); got != code {
			p.t.Fatalf("close %d %q, want %d", got, payload[2:], code)
		}
		if _, err := p.br.ReadByte(); err != io.EOF {
			p.t.Fatalf("after the close frame: %v, want the end", err)
		}
		return string(payload[2:])
	}
}

// eventually waits for what no message announces.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	timeout := time.After(patience)
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for !ok() {
		select {
		case <-look.C:
		case <-timeout:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReader(r) }

func mustSeat(t *testing.T, f *fixture) *seat {
	t.Helper()
	s, err := f.srv.quotas.arrive(f.srv.addressOf(&http.Request{}), true)
	must(t, err)
	return s
}
