package bench

import (
	"bufio"
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
	cmd  *exec.Cmd
	addr string
	dir  string
	log  *os.File
}

// startServer starts `binary dev` on a store (`sqlite` or a Postgres URL) and waits until it answers.
func startServer(ctx context.Context, binary, store string) (*server, error) {
	dir, err := os.MkdirTemp("", "roomlog-bench-")
	if err != nil {
		return nil, err
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	if store == "sqlite" {
		store = "sqlite:" + filepath.Join(dir, "roomlog.db")
	}
	s := &server{addr: addr, dir: dir}
	if s.log, err = os.Create(filepath.Join(dir, "server.log")); err != nil {
		return nil, err
	}
	s.cmd = exec.Command(binary, "dev", "--listen", addr, "--store", store)
	s.cmd.Dir = dir
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.SysProcAttr = tied()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	if err := s.ready(ctx); err != nil {
		text, _ := os.ReadFile(s.log.Name())
		s.stop()
		return nil, fmt.Errorf("start server: %w\n%s", err, text)
	}
	return s, nil
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func (s *server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr+"/healthz", nil)
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return errors.New("it does not answer /healthz")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// token asks the server for a development token.
func (s *server) token(user string) (string, error) {
	resp, err := http.Get("http://" + s.addr + "/v1/dev/token?user=" + user)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var body struct {
		Token string `json:"token"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<16)).Decode(&body); err != nil || body.Token == "" {
		return "", fmt.Errorf("development token: status %d: %v", resp.StatusCode, err)
	}
	return body.Token, nil
}

func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(10*time.Second, func() { _ = s.cmd.Process.Kill() })
	_ = s.cmd.Wait()
	timer.Stop()
	s.log.Close()
	os.RemoveAll(s.dir)
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
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}, err
	}
	// The command's name, in parentheses, may hold spaces: count from behind it.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 13 {
		return usage{}, errors.New("/proc stat: too few fields")
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	rss, err3 := residentBytes(pid)
	return usage{CPU: time.Duration(user+system) * time.Second / ticksPerSecond, RSS: rss}, errors.Join(err1, err2, err3)
}

func residentBytes(pid int) (int64, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmRSS:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("/proc status: no VmRSS")
}
