package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// command posts body and returns the status and the state after it.
func command(t *testing.T, p *pair, method, path, body string) (int, State) {
	t.Helper()
	w := httptest.NewRecorder()
	p.Handler().ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	var s State
	if w.Code == http.StatusOK {
		if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil {
			t.Fatalf("%s: %v", w.Body, err)
		}
	}
	return w.Code, s
}

func TestHandler(t *testing.T) {
	p := newPair(t)
	client, server := p.openThrough()
	code, s := command(t, p, "POST", "/fault", `{"kind":"delay","delay_ms":3600000,"jitter_ms":2.5,"direction":"up"}`)
	if code != 200 || len(s.Faults) != 1 || s.Faults[0] != (Fault{Kind: Delay, Delay: time.Hour, Jitter: 2500 * time.Microsecond, Direction: Up}) {
		t.Errorf("fault: %d %+v", code, s)
	}
	if s.To != p.server.Addr().String() || len(s.Conns) != 1 || s.Conns[0].Client != client.LocalAddr().String() {
		t.Errorf("state: %+v", s)
	}
	command(t, p, "POST", "/fault", `{"kind":"blackhole","class":"/v1/ws"}`)
	if _, s = command(t, p, "POST", "/heal", `{"class":"/v1/ws"}`); len(s.Faults) != 1 {
		t.Errorf("after healing one class: %+v", s.Faults)
	}
	if _, s = command(t, p, "POST", "/heal", ""); len(s.Faults) != 0 {
		t.Errorf("after healing: %+v", s.Faults)
	}
	if code, _ = command(t, p, "POST", "/cut", `{"id":1}`); code != 200 {
		t.Errorf("cut: %d", code)
	}
	wantBroken(t, client)
	wantBroken(t, server)
	client, _ = p.open()
	command(t, p, "POST", "/cut", "")
	wantBroken(t, client)
	if code, _ = command(t, p, "GET", "/", ""); code != 200 {
		t.Errorf("state: %d", code)
	}
}

func TestHandlerRefuses(t *testing.T) {
	p := newPair(t)
	for _, body := range []string{"", "{", `{"kind":"burn"}`, `{"kind":"blackhole","speed":1}`, `{"kind":"delay","delay_ms":1e300}`, `{"kind":"throttle"}`, `{"kind":"expire"}`, `{"kind":"expire","age_ms":1e300}`} {
		if code, _ := command(t, p, "POST", "/fault", body); code != http.StatusBadRequest {
			t.Errorf("%q: status %d", body, code)
		}
	}
	if code, _ := command(t, p, "POST", "/cut", `[]`); code != http.StatusBadRequest {
		t.Errorf("cut: status %d", code)
	}
	if len(p.Faults()) != 0 {
		t.Errorf("a refused command left %v", p.Faults())
	}
	r := httptest.NewRequest("POST", "/cut", nil)
	r.Header.Set("Origin", "https://evil.example")
	w := httptest.NewRecorder()
	if p.Handler().ServeHTTP(w, r); w.Code != http.StatusForbidden {
		t.Errorf("a page of another origin: status %d", w.Code)
	}
}

// lines is an io.Writer that hands on each line.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	for line := range strings.SplitSeq(strings.TrimSuffix(string(b), "\n"), "\n") {
		l <- line
	}
	return len(b), nil
}

func TestRun(t *testing.T) {
	p := newPair(t)
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("at 0s blackhole"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	out := make(lines, 16)
	var running sync.WaitGroup
	running.Go(func() {
		if err := Run(ctx, Options{To: p.server.Addr().String(), Control: "127.0.0.1:0", Script: script, Out: out}); err != nil {
			t.Error(err)
		}
	})
	listen := regexp.MustCompile(`proxy +(\S+) ->`).FindStringSubmatch(<-out)
	control := regexp.MustCompile(`control +(\S+)`).FindStringSubmatch(<-out)
	if listen == nil || control == nil || <-out != "script   "+script+", seed 1" || <-out != "0s blackhole" {
		t.Fatal("Run says where it listens, and each step")
	}
	answer, err := http.Post(control[1]+"/heal", "application/json", nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if err != nil || !bytes.Contains(body, []byte(listen[1])) {
		t.Errorf("%s, %v", body, err)
	}
	client, err := net.Dial("tcp", listen[1])
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server := p.accept()
	write(t, client, "through")
	wantRead(t, server, "through")
	cancel()
	running.Wait()
	wantBroken(t, client)
}

func TestRunErrors(t *testing.T) {
	p := newPair(t)
	busy := p.Addr().String()
	bad := filepath.Join(t.TempDir(), "bad")
	if err := os.WriteFile(bad, []byte("at 2s explode"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{
		{To: "nowhere"}, {To: busy, Listen: busy}, {To: busy, Control: busy},
		{To: busy, Script: bad}, {To: busy, Script: bad + "-missing"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if err := Run(ctx, o); err == nil || errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			t.Errorf("%+v: %v", o, err)
		}
		cancel()
	}
}
