package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is the process under test: the same binary, started on a free port of its own with a data
// folder of its own. What it costs is read from the operating system.
type server struct {
	cmd   *exec.Cmd
	addr  string
	store string // as it was asked for
	dir   string
	log   string        // a file
	dead  chan struct{} // closed when the process has ended
	exit  error         // how it ended; valid once dead is closed
}

// startServer starts `binary dev` on a store (`sqlite` or a Postgres URL) and waits until it answers.
func startServer(ctx context.Context, binary, store string) (*server, error) {
	dir, err := os.MkdirTemp("", "roomlog-bench-")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir, store: store, dead: make(chan struct{})}
	if err := s.launch(binary, store); err != nil {
		return nil, errors.Join(fmt.Errorf("start server: %w", err), os.RemoveAll(dir))
	}
	if err := s.ready(ctx); err != nil {
		text, _ := os.ReadFile(s.log)
		return nil, errors.Join(fmt.Errorf("start server: %w\n%s", err, text), s.stop())
	}
	return s, nil
}

func (s *server) launch(binary, store string) (err error) {
	if s.addr, err = freeAddr(); err != nil {
		return err
	}
	if store == "sqlite" {
		store = "sqlite:" + filepath.Join(s.dir, "roomlog.db")
	}
	s.log = filepath.Join(s.dir, "server.log")
	log, err := os.Create(s.log)
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	s.cmd = exec.Command(binary, "dev", "--listen", s.addr, "--store", store)
	s.cmd.Dir = s.dir
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = tied()
	if err := s.cmd.Start(); err != nil {
		return err
	}
	go func() {
		s.exit = s.cmd.Wait()
		close(s.dead)
	}()
	return nil
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (s *server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		var health struct{}
		err := s.get(ctx, "/healthz", "", &health)
		if err == nil {
			return nil
		}
		select {
		case <-s.dead:
			return fmt.Errorf("it ended at once: %w", s.exit)
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", err)
		case <-retry.C:
		}
	}
}

// get asks for a path with a token, if any, and decodes the answer.
func (s *server) get(ctx context.Context, path, token string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr+path, nil)
	if err != nil {
		return err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: status %d: %.200s", path, resp.StatusCode, text)
	}
	return json.Unmarshal(text, into)
}

// token asks the server for a development token.
func (s *server) token(ctx context.Context, user string) (string, error) {
	var body struct{ Token string }
	err := s.get(ctx, "/v1/dev/token?user="+user, "", &body)
	return body.Token, err
}

// head is the newest seq of a room, as the store has it.
func (s *server) head(ctx context.Context, token, room string) (int64, error) {
	var page struct{ Head int64 }
	err := s.get(ctx, "/v1/rooms/"+room+"/events?limit=1", token, &page)
	return page.Head, err
}

// stop ends the server and removes what it left. A server that had ended by itself, or ends with a
// failure, is an error.
func (s *server) stop() error {
	signal := s.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(10*time.Second, func() { _ = s.cmd.Process.Kill() })
	<-s.dead
	kill.Stop()
	err := errors.Join(signal, s.exit, os.RemoveAll(s.dir))
	if err != nil {
		return fmt.Errorf("stop server: %w", err)
	}
	return nil
}

// usage is what the process has cost so far, or holds now.
type usage struct {
	CPU time.Duration // user and system
	RSS int64         // bytes resident
}

// ticksPerSecond is the unit of CPU time in /proc; Linux has fixed it at 100 for programs (proc(5)).
const ticksPerSecond = 100

func (s *server) usage() (usage, error) {
	return processUsage(s.cmd.Process.Pid)
}

func processUsage(pid int) (usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}, fmt.Errorf("what a process costs is read from Linux's /proc: %w", err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return usage{}, err
	}
	cpu, errCPU := parseCPU(string(stat))
	rss, errRSS := parseRSS(string(status))
	return usage{CPU: cpu, RSS: rss}, errors.Join(errCPU, errRSS)
}

// parseCPU reads the user and system time of /proc/PID/stat.
func parseCPU(stat string) (time.Duration, error) {
	// The command's name, in parentheses, may hold spaces and parentheses: count from behind it.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, errors.New("/proc stat: too few fields")
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * time.Second / ticksPerSecond, errors.Join(err1, err2)
}

// parseRSS reads the resident bytes of /proc/PID/status.
func parseRSS(status string) (int64, error) {
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			var kib int64
			_, err := fmt.Sscanf(rest, "%d kB", &kib)
			return kib << 10, err
		}
	}
	return 0, errors.New("/proc status: no VmRSS")
}
