package examples

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"roomlog/chaos"
)

const root = "../.."

// programs is where the server and the examples are built.
var programs string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if programs, err = os.MkdirTemp("", "examples"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(programs)
		build := exec.Command("go", "build", "-o", programs+"/", "roomlog/cmd/roomlog", "roomlog/examples/go/follow", "roomlog/examples/go/produce", "roomlog/examples/token/go")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// python is the interpreter; `make test` installs one where there is none.
func python(t *testing.T) string { return program(t, "ROOMLOG_PYTHON", "python3") }

// program is what a variable names, else the program of that name; scripts/deps.sh installs what is missing.
func program(t *testing.T, variable, name string) string {
	t.Helper()
	if given := os.Getenv(variable); given != "" {
		name = given
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing: run scripts/deps.sh, or name it in %s", name, variable)
	}
	return path
}

// server is one run of `roomlog dev` on a free port.
type server struct {
	t      *testing.T
	url    string // http://127.0.0.1:PORT
	bearer string
}

var printedURL = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// start runs the server on a data folder of its own and waits for the address that it prints.
func start(t *testing.T, flags ...string) *server {
	t.Helper()
	cmd := exec.Command(filepath.Join(programs, "roomlog"), append([]string{"dev", "--listen", "127.0.0.1:0", "--data", t.TempDir()}, flags...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	s := &server{t: t}
	lines := bufio.NewScanner(out)
	for s.url == "" {
		if !lines.Scan() {
			t.Fatalf("the server ended while starting: %v", cmd.Wait())
		}
		s.url = printedURL.FindString(lines.Text())
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for lines.Scan() {
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-drained
		_ = cmd.Wait()
	})
	s.bearer = s.token()
	return s
}

func (s *server) token() string {
	s.t.Helper()
	var made struct{ Token string }
	s.call(http.MethodGet, "/v1/dev/token?user=tester", nil, http.StatusOK, &made)
	return made.Token
}

// proxy stands between the server and a program.
func (s *server) proxy() *chaos.Proxy {
	s.t.Helper()
	p, err := chaos.Listen("127.0.0.1:0", strings.TrimPrefix(s.url, "http://"))
	must(s.t, err)
	s.t.Cleanup(func() { _ = p.Close() })
	return p
}

// running is a program that runs through a proxy, with all that it starts.
type running struct {
	t   *testing.T
	cmd *exec.Cmd
	out bytes.Buffer
}

// run starts a program with further arguments, in a process group of its own.
func (s *server) run(through *chaos.Proxy, command []string, args ...string) *running {
	s.t.Helper()
	r := &running{t: s.t, cmd: exec.Command(command[0], append(command[1:len(command):len(command)], args...)...)}
	r.cmd.Env = append(os.Environ(), "ROOMLOG_URL=http://"+through.Addr().String(), "TOKEN="+s.bearer, "ROOMLOG_TOKEN="+s.bearer)
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r.cmd.Stdout = &r.out
	must(s.t, r.cmd.Start())
	s.t.Cleanup(r.kill)
	return r
}

// kill ends the program by SIGKILL. Calling it again does nothing.
func (r *running) kill() {
	if r.cmd.ProcessState != nil {
		return
	}
	_ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL)
	_ = r.cmd.Wait()
}

// wait waits until the program ends by itself.
func (r *running) wait() error {
	timer := time.AfterFunc(time.Minute, func() { _ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL) })
	defer timer.Stop()
	return r.cmd.Wait()
}

// call makes a request, wants a status and decodes the answer into v unless that is nil. A send of which is not known what
// became of it is made again, as clients do: a disk that others use as well may stand still for longer than it waits (ACK-5).
func (s *server) call(method, path string, body any, want int, v any) {
	s.t.Helper()
	text, err := json.Marshal(body)
	must(s.t, err)
	status, answer := s.ask(method, path, text)
	for end := time.Now().Add(time.Minute); strings.Contains(answer, `"code":"outcome_unknown"`) && time.Now().Before(end); {
		if status, answer = s.ask(method, path, text); status == http.StatusOK && want == http.StatusCreated {
			status = want
		}
	}
	if status != want {
		s.t.Fatalf("%s %s: status %d, want %d: %s", method, path, status, want, answer)
	}
	if v != nil {
		must(s.t, json.Unmarshal([]byte(answer), v))
	}
}

// ask makes a request.
func (s *server) ask(method, path string, text []byte) (status int, body string) {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+path, bytes.NewReader(text))
	must(s.t, err)
	req.Header.Set("Content-Type", "application/json")
	if s.bearer != "" {
		req.Header.Set("Authorization", "Bearer "+s.bearer)
	}
	resp, err := http.DefaultClient.Do(req)
	must(s.t, err)
	defer resp.Body.Close()
	var answer bytes.Buffer
	_, err = answer.ReadFrom(resp.Body)
	must(s.t, err)
	return resp.StatusCode, answer.String()
}

// send stores one message, past the proxy.
func (s *server) send(room, text string) {
	s.t.Helper()
	body := map[string]any{"tag": uuid.NewString(), "type": "message", "data": map[string]string{"text": text}}
	s.call(http.MethodPost, "/v1/rooms/"+room+"/events", body, http.StatusCreated, nil)
}

func (s *server) head(room string) int64 {
	s.t.Helper()
	var state struct{ Head int64 }
	s.call(http.MethodGet, "/v1/rooms/"+room, nil, http.StatusOK, &state)
	return state.Head
}

// log is the room as it is stored; these tests store no more than one answer holds.
func (s *server) log(room string) []event {
	s.t.Helper()
	var page struct{ Events []event }
	s.call(http.MethodGet, "/v1/rooms/"+room+"/events?limit=500", nil, http.StatusOK, &page)
	return page.Events
}
