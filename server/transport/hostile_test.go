package transport

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"roomlog/server/room"
)

// A join's answer is much larger than its frame: whoever asks for many at once and reads none is not
// read on, so that what is unsent stays bounded by a page or two.
func TestJoinsAreNotAnsweredAheadOfTheReader(t *testing.T) {
	f := start(t, options{})
	const rooms = 100
	data := `"` + strings.Repeat("x", 60_000) + `"`
	var joins []byte
	for i := range rooms {
		f.post("u2", fmt.Sprintf("chat:r%d", i), 1, data, 201)
		joins = append(joins, frame(0x81, fmt.Appendf(nil, `{"op":"join","room":"chat:r%d"}`, i))...)
	}
	here, there := net.Pipe()
	c := newSocket(f.srv, here, "id", mustSeat(t, f))
	if !f.srv.adopt(&c.sink) {
		t.Fatal("not adopted")
	}
	go c.begin(nil)
	p := &peer{t: t, nc: there, br: bufio.NewReader(there)}
	must(t, there.SetDeadline(time.Now().Add(patience)))
	p.sendf(`{"op":"hello","token":%q}`, f.token("u1"))
	p.expect("welcome")
	p.write(joins)
	eventually(t, "it waits for its reader", func() bool { return c.hub.Rooms() > 1 && c.waiting.Load() > 0 })
	if n := c.hub.Rooms(); n > 10 {
		t.Errorf("%d joins of 60 KB each were answered before one was read", n)
	}
	for range rooms {
		p.expect("joined")
	}
}

// A body that never comes holds nothing: neither where it is read nor where the request is refused or
// answered without it.
func TestABodyThatNeverComes(t *testing.T) {
	f := start(t, options{server: func(c *Config) {
		c.Limits.BodyWithin = 200 * time.Millisecond
		c.Pages = http.NotFoundHandler()
	}})
	for _, c := range []struct{ line, token string }{
		{"POST /v1/rooms/chat:a/events", f.token("u1")},
		{"POST /v1/rooms/chat:a/events", "wrong"},
		{"GET /v1/rooms/chat:a/events", f.token("u1")},
		{"POST /healthz", ""},
		{"POST /nothing", ""},
	} {
		p := f.dialRaw(c.line + " HTTP/1.1\r\nHost: roomlog\r\nAuthorization: Bearer " + c.token +
			"\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
		resp := p.response()
		_, err := io.Copy(io.Discard, resp.Body)
		must(t, err)
		if _, err := p.br.ReadByte(); err != io.EOF {
			t.Errorf("%s: after the answer %v, want the end", c.line, err)
		}
	}
}

// A panic is ours to mend: it is logged as an error and answered as one.
func TestAPanicIsAnsweredAndLogged(t *testing.T) {
	f := start(t, options{})
	var log bytes.Buffer
	f.srv.log = slog.New(slog.NewTextHandler(&log, nil))
	h := f.srv.Local(map[string]func(http.ResponseWriter, *http.Request) error{
		"GET": func(http.ResponseWriter, *http.Request) error { panic("a mistake") },
	})
	r := httptest.NewRequest("GET", "http://localhost/", nil)
	r.RemoteAddr = "127.0.0.1:1"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 500 || !strings.Contains(w.Body.String(), string(room.CodeInternal)) || !strings.Contains(log.String(), "a mistake") {
		t.Errorf("%d %s; logged %q", w.Code, w.Body, log.String())
	}
	if strings.Contains(w.Body.String(), "mistake") {
		t.Error("the client is told what panicked")
	}
}

// HTTP-7: an answer that comes after the connection left net/http names the origin like any other.
func TestAStreamThatCannotBeginAnswersItsOrigin(t *testing.T) {
	p := rawProblem(http.Header{"Access-Control-Allow-Origin": {"https://app.example.com"}, requestID: {"r1"}},
		&room.Error{Code: room.CodeUnavailable, Title: "No store."})
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(p)), nil)
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode != 503 || resp.Header.Get("Access-Control-Allow-Origin") != "https://app.example.com" ||
		resp.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(string(body), `"request_id":"r1"`) {
		t.Errorf("%v %s", resp, body)
	}
}
