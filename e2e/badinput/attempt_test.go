package badinput

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// text is what a step or a body sends: a string's content, anything else as it stands.
func (a *attempt) text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		s = string(raw)
	}
	return a.expand(s)
}

// request is one HTTP request.
func (a *attempt) request(c trial) {
	method, path, _ := strings.Cut(a.expand(c.Request), " ")
	r, err := http.NewRequestWithContext(a.t.Context(), method, "http://"+a.addr+path, strings.NewReader(a.text(c.Body)))
	must(a.t, err)
	if c.Token != "none" {
		name := c.Token
		if name == "" {
			name = "good"
		}
		token, err := a.token(name)
		must(a.t, err)
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if len(c.Body) > 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, line := range c.Header {
		name, value, _ := strings.Cut(a.expand(line), ": ")
		r.Header.Set(name, value)
	}
	resp, err := client.Do(r)
	must(a.t, err)
	defer resp.Body.Close()
	var body []byte
	if resp.Header.Get("Content-Type") == "text/event-stream" {
		body = stream(a.t, resp.Body)
	} else {
		body, err = io.ReadAll(resp.Body)
		must(a.t, err)
	}
	if resp.StatusCode != c.Status {
		a.t.Errorf("status %d, want %d: %.500s", resp.StatusCode, c.Status, body)
	}
	for name, value := range c.Head {
		if got := resp.Header.Get(name); got != value {
			a.t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
	if c.Status >= 400 {
		a.problem(body, resp.Header.Get("Content-Type"))
	}
	for _, w := range c.Want {
		a.compare(body, w)
	}
}

// problem is what every refusal has (rules ERR-1, ERR-5), and what none has (rule ERR-6).
func (a *attempt) problem(body []byte, kind string) {
	var p struct{ Title, Code, Type string }
	if err := json.Unmarshal(body, &p); err != nil || kind != "application/problem+json" || p.Title == "" || p.Type != "/errors#"+p.Code {
		a.t.Errorf("not a problem but %s %.300s", kind, body)
	}
	a.innocent(body)
}

// innocent checks that no answer repeats a token or data.
func (a *attempt) innocent(answer []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for secret := range a.secrets {
		if bytes.Contains(answer, []byte(secret)) {
			a.t.Errorf("the answer repeats a secret: %.300s", answer)
		}
	}
}

func (a *attempt) compare(got []byte, want json.RawMessage) {
	a.t.Helper()
	var g, w any
	must(a.t, json.Unmarshal([]byte(a.expand(string(want))), &w))
	if err := json.Unmarshal(got, &g); err != nil {
		a.t.Errorf("%.300s: %v", got, err)
	} else if difference := has(g, w); difference != "" {
		a.t.Errorf("got %.500s: %s", got, difference)
	}
}

// stream reads the second event of a stream, after ready, as a JSON object of its name and data.
func stream(t *testing.T, r io.Reader) []byte {
	t.Helper()
	events, size := make([]byte, 1<<16), 0
	for bytes.Count(events[:size], []byte("\ndata: ")) < 2 {
		n, err := r.Read(events[size:])
		if size += n; err != nil {
			t.Fatalf("the stream ended: %v after %s", err, events[:size])
		}
	}
	parts := bytes.Split(events[:size], []byte("\ndata: "))
	name := parts[1][bytes.LastIndex(parts[1], []byte("event: "))+7:]
	data, _, _ := bytes.Cut(parts[2], []byte("\n"))
	return append(append(append([]byte(`{"event":"`), name...), `","data":`...), append(data, '}')...)
}

// raw writes bytes to a fresh TCP connection and wants a status, or just the end.
func (a *attempt) raw(c trial) {
	nc, err := net.Dial("tcp", a.addr)
	must(a.t, err)
	defer nc.Close()
	within := time.Duration(max(c.Within, 10)) * time.Second
	must(a.t, nc.SetDeadline(time.Now().Add(within)))
	sent := a.expand(c.Raw)
	if c.Drip {
		go drip(a.t.Context(), nc, sent)
	} else if _, err := io.WriteString(nc, sent); err != nil && c.Status != 0 && c.Status != http.StatusRequestHeaderFieldsTooLarge {
		a.t.Fatal(err)
	}
	answer, err := io.ReadAll(nc)
	if timeout := (net.Error)(nil); errors.As(err, &timeout) && timeout.Timeout() {
		a.t.Fatalf("the connection is still there after %v: %.300s", within, answer)
	}
	a.innocent(answer)
	got := ""
	if fields := strings.Fields(string(answer)); len(fields) > 1 {
		got = fields[1]
	}
	want := ""
	if c.Status != 0 {
		want = jsonNumber(c.Status)
	}
	if got != want {
		a.t.Errorf("status %q, want %q: %.300s (%v)", got, want, answer, err)
	}
	_, body, _ := bytes.Cut(answer, []byte("\r\n\r\n"))
	for _, w := range c.Want {
		a.compare(body, w)
	}
}

func jsonNumber(n int) string {
	b, _ := json.Marshal(n)
	return string(b)
}

// drip writes a byte each second, as long as there is anybody to take it.
func drip(ctx context.Context, nc net.Conn, text string) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for i := range text {
		if _, err := nc.Write([]byte{text[i]}); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// command runs the program in a folder of its own.
func (a *attempt) command(c trial) {
	dir := a.t.TempDir()
	for name, content := range c.Files {
		must(a.t, os.WriteFile(filepath.Join(dir, name), []byte(a.expand(content)), 0o600))
	}
	args := make([]string, 0, len(c.Run))
	for _, arg := range c.Run {
		args = append(args, a.expand(arg)) // which may take as long as a PostgreSQL takes to start
	}
	ctx, cancel := context.WithTimeout(a.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	if args[0] == "sh" {
		cmd = exec.CommandContext(ctx, "sh", args[1:]...)
	}
	out, err := os.Create(filepath.Join(dir, "output"))
	must(a.t, err)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	cmd.Env = []string{"PATH=" + filepath.Dir(program) + ":" + os.Getenv("PATH"), "HOME=" + dir}
	for _, line := range c.Env {
		cmd.Env = append(cmd.Env, a.expand(line))
	}
	must(a.t, cmd.Start())
	if c.Serves {
		addressIn(a.t, out.Name())
		must(a.t, cmd.Process.Signal(os.Interrupt))
	}
	err = cmd.Wait()
	text, readErr := os.ReadFile(out.Name())
	must(a.t, readErr)
	if code := cmd.ProcessState.ExitCode(); code != c.Exit || ctx.Err() != nil {
		a.t.Errorf("exit code %d, want %d: %v, %s", code, c.Exit, err, text)
	}
	if n := bytes.Count(text, []byte("\n")); c.Exit != 0 && n != 1 {
		a.t.Errorf("%d lines, want one: %s", n, text)
	}
	for _, says := range c.Says {
		if !regexp.MustCompile(says).Match(text) {
			a.t.Errorf("it does not say %q: %s", says, text)
		}
	}
	for _, hides := range c.Hides {
		if bytes.Contains(text, []byte(hides)) {
			a.t.Errorf("it says %q: %s", hides, text)
		}
	}
}
