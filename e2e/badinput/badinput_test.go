// Package badinput holds one server process against every kind of input that it has to refuse. The inputs
// and what each is answered by are data, rows.json: a row for each line of the project's list of bad input.
package badinput

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// row is one line of the list.
type row struct {
	ID    string  `json:"id"`
	Line  string  `json:"line"`
	Why   string  `json:"why"` // where the answer is another than the line says: why it is right
	NA    string  `json:"n/a"` // there is nothing to try: why
	Cases []trial `json:"cases"`
}

// trial is one input and its answer. Which of Send, Request, Raw and Run it has says how it is tried. Its
// texts are templates, of the functions in generators_test.go.
type trial struct {
	Name string `json:"name"`

	// A WebSocket that has said hello, or is a Stranger. A string is sent as a text frame; "raw:" and
	// "frame XX:" begin bytes and the payload of a frame whose first byte is XX; an object is sent as it
	// stands; [N, STEP] is a step N times.
	Stranger bool              `json:"stranger"`
	Send     []json.RawMessage `json:"send"`
	Close    int               `json:"close"` // the close code; 0: the connection goes on
	Reason   string            `json:"reason"`
	Deaf     bool              `json:"deaf"` // it reads nothing

	Request string            `json:"request"` // METHOD PATH
	Token   string            `json:"token"`   // of a Request; "good" where it is left out, "" is none
	Header  []string          `json:"header"`
	Body    json.RawMessage   `json:"body"`
	Head    map[string]string `json:"head"` // headers of the answer

	Raw    string `json:"raw"`    // bytes on a fresh TCP connection
	Drip   bool   `json:"drip"`   // byte by byte, one each second
	Within int    `json:"within"` // seconds in which the connection is at its end; 10

	Run    []string          `json:"run"` // arguments of the program
	Env    []string          `json:"env"`
	Files  map[string]string `json:"files"`
	Serves bool              `json:"serves"` // it starts, and is stopped
	Exit   int               `json:"exit"`
	Says   []string          `json:"says"` // what its output has
	Hides  []string          `json:"hides"`

	Status int               `json:"status"` // of a Request, or Raw; 0: no answer but the end
	Want   []json.RawMessage `json:"want"`   // frames in any order ([N, FRAME]: N of them), or the body; of objects, these fields
}

// lines is how many lines each part of the list has.
var lines = map[string]int{"websocket": 16, "http": 20, "envelope": 30, "auth": 20, "config": 16}

var program string

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "roomlog-badinput-")
	if err == nil {
		program = filepath.Join(dir, "roomlog")
		build := exec.Command("go", "build", "-race", "-o", program, "roomlog/cmd/roomlog")
		build.Stderr = os.Stderr
		err = build.Run()
	}
	code := 1
	if err == nil {
		code = m.Run()
	} else {
		fmt.Fprintln(os.Stderr, "build the server:", err)
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

func load(t *testing.T) map[string][]row {
	t.Helper()
	text, err := os.ReadFile("rows.json")
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var lists map[string][]row
	if err := d.Decode(&lists); err != nil {
		t.Fatalf("rows.json: %v", err)
	}
	return lists
}

func TestEveryLineHasARow(t *testing.T) {
	lists := load(t)
	if len(lists) != len(lines) {
		t.Errorf("%d lists, want %d", len(lists), len(lines))
	}
	seen := map[string]bool{}
	for name, count := range lines {
		if len(lists[name]) != count {
			t.Errorf("%s: %d rows, want one for each of %d lines", name, len(lists[name]), count)
		}
		for _, r := range lists[name] {
			if seen[r.ID] || r.ID == "" || seen[r.Line] || r.Line == "" {
				t.Errorf("%s %q: the id or the line comes twice, or is missing", r.ID, r.Line)
			}
			seen[r.ID], seen[r.Line] = true, true
			if (len(r.Cases) == 0) == (r.NA == "") {
				t.Errorf("%s: a row has cases, or the reason why there are none", r.ID)
			}
		}
	}
}

// Every row against one process (ERR-1, ERR-5, HTTP-12 among what they prove); after each, another client of it sends and is given its page (I26), and in
// the end its log has no panic, no race and no secret (I27).
func TestBadInput(t *testing.T) {
	f := start(t)
	t.Run("rows", func(t *testing.T) {
		for name, rows := range load(t) {
			for _, r := range rows {
				for i, c := range r.Cases {
					t.Run(strings.TrimSuffix(fmt.Sprintf("%s/%s/%d %s", name, r.ID, i, c.Name), " "), func(t *testing.T) {
						if c.Drip || c.Within > 0 || c.Stranger && len(c.Send) == 0 {
							t.Parallel() // it is the time that is tried
						}
						(&attempt{fixture: f, t: t, room: f.fresh()}).do(c)
						f.witness.talk(t)
					})
				}
			}
		}
	})
	f.stop(t)
}

// attempt is one trial under way.
type attempt struct {
	*fixture
	t    *testing.T
	room string
	step int // the number of the step, from 0
}

func (a *attempt) do(c trial) {
	switch {
	case c.Run != nil:
		a.command(c)
	case c.Request != "":
		a.request(c)
	case c.Raw != "" || c.Drip || c.Within > 0:
		a.raw(c)
	default:
		a.socket(c)
	}
}

// fixture is the server process and the client that must not notice anything.
type fixture struct {
	dir, addr string
	process   *exec.Cmd
	log       *os.File
	witness   *witness

	mu      sync.Mutex
	rooms   int
	secrets map[string]bool // what the log may not hold
}

const (
	signingKey = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
	serviceKey = "f0e1d2c3b4a5968778695a4b3c2d1e0f"
)

func start(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{dir: t.TempDir(), secrets: map[string]bool{signingKey: true, serviceKey: true, canary: true}}
	must(t, os.WriteFile(filepath.Join(f.dir, "key"), []byte(signingKey), 0o600))
	must(t, os.WriteFile(filepath.Join(f.dir, "public.pem"), publicKey(), 0o600))
	must(t, os.WriteFile(filepath.Join(f.dir, "services.yaml"), []byte("backend: {key: "+serviceKey+", grants: [{rooms: 'chat:*', can: [read, send]}]}\n"), 0o600))
	keys := publish(t)
	var err error
	f.log, err = os.Create(filepath.Join(f.dir, "server.log"))
	must(t, err)
	started := filepath.Join(f.dir, "started")
	out, err := os.Create(started)
	must(t, err)
	f.process = exec.Command(program, "serve", "--listen", "127.0.0.1:0", "--key-file", "key", "--kinds", "chat",
		"--public-key-file", "public.pem", "--jwks-url", issuerOne+"="+keys+"/one,"+issuerTwo+"="+keys+"/two",
		"--issuer", "app", "--audience", "roomlog", "--service-keys-file", "services.yaml",
		"--origins", "https://app.example.com", "--sends-per-second", "5000", "--send-burst", "5000", "--rooms-per-connection", "20", "--ping-every", "10m", "--log-level", "debug", "--log-format", "text")
	f.process.Dir, f.process.Stdout, f.process.Stderr = f.dir, out, f.log
	must(t, f.process.Start())
	t.Cleanup(func() { _ = f.process.Process.Kill() })
	f.addr = addressIn(t, started)
	f.witness = newWitness(t, f)
	return f
}

// addressIn waits for the address that a starting server prints.
func addressIn(t *testing.T, file string) string {
	t.Helper()
	timeout := time.After(patience)
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		text, err := os.ReadFile(file)
		must(t, err)
		if _, rest, ok := strings.Cut(string(text), "http://"); ok && strings.Contains(rest, "\n") {
			tick.Stop()
			return strings.Fields(rest)[0]
		}
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatal("the server does not start")
		}
	}
}

func (f *fixture) fresh() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rooms++
	return fmt.Sprintf("chat:r%d", f.rooms)
}

// stop ends the server and reads its log.
func (f *fixture) stop(t *testing.T) {
	must(t, f.process.Process.Signal(os.Interrupt))
	if err := f.process.Wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	text, err := os.ReadFile(f.log.Name())
	must(t, err)
	if !bytes.Contains(text, []byte("level=DEBUG")) {
		t.Error("the log has no line of level debug")
	}
	for _, mark := range []string{"DATA RACE", "panic", "fatal error", "level=ERROR"} {
		if i := bytes.Index(text, []byte(mark)); i >= 0 {
			t.Errorf("the log has %q: %.800s", mark, text[i:])
		}
	}
	for secret := range f.secrets {
		if bytes.Contains(text, []byte(secret)) {
			t.Errorf("the log holds the secret %.60s", secret)
		}
	}
}

const patience = time.Minute

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// has reports how got differs from what is wanted of it: the fields of objects that want names.
func has(got any, want any) string {
	w, ok := want.(map[string]any)
	if !ok {
		if g, _ := json.Marshal(got); !sameJSON(g, want) {
			return fmt.Sprintf("%s, want %v", g, want)
		}
		return ""
	}
	g, _ := got.(map[string]any)
	for name, value := range w {
		if difference := has(g[name], value); difference != "" {
			return name + ": " + difference
		}
	}
	return ""
}

func sameJSON(got []byte, want any) bool {
	w, _ := json.Marshal(want)
	return bytes.Equal(got, w)
}

var client = &http.Client{
	Timeout:       patience,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{DisableKeepAlives: true},
}
