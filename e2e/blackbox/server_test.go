// Package blackbox proves, against the built program and by what a stranger sees from outside, rules that
// a test of one package cannot: what a stop, a restored backup or several transports at once leave behind.
package blackbox

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

var binary string

func TestMain(m *testing.M) {
	if dsn := os.Getenv(holdsVariable); dsn != "" {
		if err := holdRoom(dsn); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "blackbox")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "roomlog")
		if out, err := exec.Command("go", "build", "-o", binary, "roomlog/cmd/roomlog").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// server is one run of `roomlog dev` on a free port.
type server struct {
	t    *testing.T
	url  string // http://127.0.0.1:PORT
	cmd  *exec.Cmd
	exit chan error
}

var printedURL = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// start runs the program on a data folder, with further flags, and waits for the address that it prints.
func start(t *testing.T, data string, flags ...string) *server {
	t.Helper()
	args := []string{"dev", "--listen", "127.0.0.1:0", "--data", data, "--stop-within", "1m"} // what is queued takes a busy machine a while
	cmd := exec.Command(binary, append(args, flags...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	s := &server{t: t, cmd: cmd, exit: make(chan error, 1)}
	printed := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if url := printedURL.FindString(lines.Text()); url != "" {
				select {
				case printed <- url:
				default:
				}
			}
		}
		s.exit <- cmd.Wait()
	}()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	select {
	case s.url = <-printed:
	case err := <-s.exit:
		t.Fatalf("the server ended while starting: %v", err)
	case <-time.After(patience):
		t.Fatal("the server prints no address")
	}
	return s
}

// stop sends SIGTERM and waits for a clean end.
func (s *server) stop() {
	s.t.Helper()
	must(s.t, s.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-s.exit:
		must(s.t, err)
	case <-time.After(90 * time.Second):
		s.t.Fatal("the server does not end on SIGTERM")
	}
}

// call sends a request as user, decodes the answer into v unless that is nil, and gives the status.
func (s *server) call(user, method, path string, body []byte, v any) (int, error) {
	req, err := http.NewRequest(method, s.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	if user != "" {
		req.Header.Set("Authorization", "Bearer "+s.token(user))
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if v != nil {
		err = json.NewDecoder(resp.Body).Decode(v)
	}
	return resp.StatusCode, err
}

func (s *server) token(user string) string {
	s.t.Helper()
	var made struct{ Token string }
	if _, err := s.call("", "GET", "/v1/dev/token?user="+user, nil, &made); err != nil {
		s.t.Errorf("token: %v", err)
	}
	return made.Token
}

// frame is any frame of the WebSocket, in the fields that these tests read.
type frame struct {
	Op, Code  string
	ID, Seq   int64
	Tag       string
	Duplicate bool
}

// dial opens a WebSocket and says hello as user.
func (s *server) dial(ctx context.Context, user string) *websocket.Conn {
	s.t.Helper()
	c, _, err := websocket.Dial(ctx, s.url+"/v1/ws", nil)
	must(s.t, err)
	s.t.Cleanup(func() { _ = c.CloseNow() })
	must(s.t, c.Write(ctx, websocket.MessageText, fmt.Appendf(nil, `{"op":"hello","token":%q}`, s.token(user))))
	f, err := read(ctx, c)
	must(s.t, err)
	if f.Op != "welcome" {
		s.t.Fatalf("hello answered by %+v", f)
	}
	return c
}

func read(ctx context.Context, c *websocket.Conn) (f frame, err error) {
	_, text, err := c.Read(ctx)
	if err != nil {
		return f, err
	}
	return f, json.Unmarshal(text, &f)
}

// log reads a whole room: the seq of each tag.
func (s *server) log(room string) map[string]int64 {
	s.t.Helper()
	seqs := map[string]int64{}
	for after := "0"; ; {
		var page struct {
			Position  string
			Seq, Head int64
			Events    []struct {
				Seq int64
				Tag string
			}
		}
		status, err := s.call("reader", "GET", "/v1/rooms/"+room+"/events?limit=500&after="+after, nil, &page)
		must(s.t, err)
		if status != http.StatusOK {
			s.t.Fatalf("poll: status %d", status)
		}
		for _, e := range page.Events {
			seqs[e.Tag] = e.Seq
		}
		if page.Seq == page.Head {
			return seqs
		}
		after = page.Position
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
