package badinput

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// peer is a WebSocket client that sends what it is told to.
type peer struct {
	nc net.Conn
	br *bufio.Reader
}

const handshake = "GET /v1/ws HTTP/1.1\r\nHost: roomlog\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

func (f *fixture) dial(t *testing.T) *peer {
	t.Helper()
	nc, err := net.Dial("tcp", f.addr)
	must(t, err)
	must(t, nc.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(nc, handshake)
	must(t, err)
	p := &peer{nc, bufio.NewReader(nc)}
	for first := true; ; first = false {
		line, err := p.br.ReadString('\n')
		must(t, err)
		if first && !strings.Contains(line, " 101 ") {
			t.Fatalf("handshake: %s", line)
		}
		if line == "\r\n" {
			return p
		}
	}
}

func (f *fixture) login(t *testing.T, claims string) *peer {
	t.Helper()
	p := f.dial(t)
	token, err := f.token(claims)
	must(t, err)
	p.send(frame(0x81, `{"op":"hello","token":"`+token+`"}`))
	if m := p.object(t); m["op"] != "welcome" {
		t.Fatalf("hello: %v", m)
	}
	return p
}

// frame is a client's frame, masked by zeros.
func frame(first byte, payload string) string {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	return string(append(b, 0, 0, 0, 0)) + payload
}

// send writes; a server that has ended the connection is found out by who reads.
func (p *peer) send(text string) { _, _ = io.WriteString(p.nc, text) }

// next reads one frame.
func (p *peer) next() (first byte, payload []byte, err error) {
	var head [2]byte
	if _, err := io.ReadFull(p.br, head[:]); err != nil {
		return 0, nil, err
	}
	size := uint64(head[1])
	if extra := map[byte]int{126: 2, 127: 8}[head[1]]; extra > 0 {
		var b [8]byte
		if _, err := io.ReadFull(p.br, b[8-extra:]); err != nil {
			return 0, nil, err
		}
		size = binary.BigEndian.Uint64(b[:])
	}
	payload = make([]byte, size)
	_, err = io.ReadFull(p.br, payload)
	return head[0], payload, err
}

// text reads the next text frame that is not a ping of the server.
func (p *peer) text(t *testing.T) []byte {
	t.Helper()
	for {
		first, payload, err := p.next()
		if err != nil || first != 0x81 {
			t.Fatalf("frame %#x %q, %v, not a text", first, payload, err)
		}
		if string(payload) != `{"op":"ping"}` {
			return payload
		}
	}
}

func (p *peer) object(t *testing.T) map[string]any {
	t.Helper()
	var m map[string]any
	must(t, json.Unmarshal(p.text(t), &m))
	return m
}

// socket is one trial on a WebSocket.
func (a *attempt) socket(c trial) {
	var p *peer
	if c.Stranger {
		p = a.dial(a.t)
	} else {
		name := c.Token
		if name == "" {
			name = "good"
		}
		p = a.login(a.t, name)
	}
	defer p.nc.Close()
	steps := a.bytes(c.Send)
	if c.Deaf {
		must(a.t, p.nc.SetWriteDeadline(time.Now().Add(2*time.Second)))
		p.send(steps)
		a.witness.talk(a.t)
		return
	}
	written := make(chan struct{})
	go func() { // so that neither side waits for the other to read
		defer close(written)
		p.send(steps)
	}()
	defer func() { <-written }()
	for wants := a.wanted(c.Want); len(wants) > 0; {
		got := p.text(a.t)
		wants = a.settle(got, wants)
		if strings.Contains(string(got), `"op":"error"`) {
			a.innocent(got)
		}
	}
	if c.Close != 0 {
		a.closed(p, c)
		return
	}
	<-written
	p.send(frame(0x81, `{"op":"ping"}`))
	if m := p.object(a.t); m["op"] != "pong" {
		a.t.Errorf("got %v, want nothing but a pong", m)
	}
}

func (a *attempt) wanted(list []json.RawMessage) (wants []any) {
	for _, raw := range a.repeated(list) {
		var want any
		must(a.t, json.Unmarshal([]byte(a.expand(string(raw))), &want))
		wants = append(wants, want)
	}
	return wants
}

// settle takes the first of wants that a frame fulfils off the list. Joins and refusals do not wait for
// each other, so that answers come in any order; it is their ids that tell them apart.
func (a *attempt) settle(frame []byte, wants []any) []any {
	var got any
	must(a.t, json.Unmarshal(frame, &got))
	for i, want := range wants {
		if has(got, want) == "" {
			return slices.Delete(wants, i, i+1)
		}
	}
	a.t.Fatalf("got %.500s: %s", frame, has(got, wants[0]))
	return nil
}

// repeated writes [N, X] as N times X.
func (a *attempt) repeated(list []json.RawMessage) (all []json.RawMessage) {
	for _, entry := range list {
		var pair []json.RawMessage
		if json.Unmarshal(entry, &pair) != nil {
			all = append(all, entry)
			continue
		}
		times := 0
		if len(pair) != 2 || json.Unmarshal(pair[0], &times) != nil {
			a.t.Fatalf("%s is not [N, X]", entry)
		}
		for range times {
			all = append(all, pair[1])
		}
	}
	return all
}

// bytes are what the steps of a trial send.
func (a *attempt) bytes(steps []json.RawMessage) string {
	var b strings.Builder
	for i, step := range a.repeated(steps) {
		a.step = i
		text := a.text(step)
		if raw, ok := strings.CutPrefix(text, "raw:"); ok {
			b.WriteString(raw)
		} else if rest, ok := strings.CutPrefix(text, "frame "); ok {
			first, err := hex.DecodeString(rest[:2])
			must(a.t, err)
			b.WriteString(frame(first[0], rest[3:]))
		} else {
			b.WriteString(frame(0x81, text))
		}
	}
	return b.String()
}

// closed reads up to the close frame, and then the end.
func (a *attempt) closed(p *peer, c trial) {
	for {
		first, payload, err := p.next()
		if err != nil {
			a.t.Fatalf("the connection ended with %v, not with close %d", err, c.Close)
		}
		if first == 0x81 && string(payload) == `{"op":"ping"}` {
			continue
		}
		if first != 0x88 || len(payload) < 2 || int(binary.BigEndian.Uint16(payload)) != c.Close {
			a.t.Fatalf("frame %#x %q, want close %d", first, payload, c.Close)
		}
		if reason := string(payload[2:]); c.Reason != "" && reason != c.Reason {
			a.t.Errorf("reason %q, want %q", reason, c.Reason)
		}
		if _, err := p.br.ReadByte(); err == nil {
			a.t.Error("after the close comes more")
		}
		return
	}
}

// witness is the client that must not notice anything. It may be asked by several trials at once.
type witness struct {
	mu   sync.Mutex
	peer *peer
	sent int
}

func newWitness(t *testing.T, f *fixture) *witness {
	t.Helper()
	w := &witness{peer: f.login(t, "other user")}
	t.Cleanup(func() { _ = w.peer.nc.Close() })
	w.peer.send(frame(0x81, `{"op":"join","room":"chat:witness"}`))
	if m := w.peer.object(t); m["op"] != "joined" {
		t.Fatal(m)
	}
	return w
}

// talk sends, and wants its answer and its page.
func (w *witness) talk(t *testing.T) {
	w.mu.Lock()
	defer w.mu.Unlock()
	must(t, w.peer.nc.SetDeadline(time.Now().Add(patience)))
	w.sent++
	tag := fmt.Sprintf("00000000-0000-4000-8000-%012d", w.sent)
	w.peer.send(frame(0x81, fmt.Sprintf(`{"op":"send","n":%d,"room":"chat:witness","tag":%q,"type":"message","data":{"text":%q}}`, w.sent, tag, canary)))
	got := map[any]bool{}
	for range 2 {
		m := w.peer.object(t)
		if m["seq"] != float64(w.sent) {
			t.Fatalf("the witness got %v, want seq %d", m, w.sent)
		}
		got[m["op"]] = true
	}
	if !got["ack"] || !got["page"] {
		t.Fatalf("the witness got %v", got)
	}
	w.peer.send(frame(0x81, `{"op":"pong"}`)) // whatever pings came meanwhile
}
