//go:build unix

// Package natstest starts private NATS servers for tests: processes on free loopback ports, which keep nothing. They
// can be stopped, started again and paused. The program is the one that ROOMLOG_NATS_SERVER names, or the tool of
// go.mod. No test links it, so that it is compiled once, without the race detector.
package natstest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"roomlog/child"
)

// Env names the environment variable with the path of the program.
const Env = "ROOMLOG_NATS_SERVER"

// Program is the program that is started: where none is named, Go builds it when it first is asked for, into its cache.
func Program() (string, error) { return program() }

var program = sync.OnceValues(func() (string, error) {
	if name := os.Getenv(Env); name != "" {
		return exec.LookPath(name)
	}
	var said strings.Builder
	cmd := exec.Command("go", "tool", "-n", "nats-server")
	cmd.Stderr = &said
	path, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build nats-server, which %s may name instead: %w\n%s", Env, err, said.String())
	}
	return strings.TrimSpace(string(path)), nil
})

// Server is one server. Its methods are called by one goroutine.
type Server struct {
	program    string
	dir        string
	settings   []string
	address    string
	monitoring string
	process    *child.Process // nil while it is stopped
}

// answers is how long a server may take to start.
const answers = 20 * time.Second

// Start starts a server with further lines of its configuration, such as "max_payload: 1000".
func Start(settings ...string) (*Server, error) {
	dir, err := os.MkdirTemp("", "roomlog-nats-")
	if err != nil {
		return nil, err
	}
	s, err := StartIn(dir, settings...)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// StartIn is Start in an existing folder, which Close removes.
func StartIn(dir string, settings ...string) (*Server, error) {
	program, err := Program()
	if err != nil {
		return nil, err
	}
	port, err := child.FreePort()
	if err != nil {
		return nil, err
	}
	s := &Server{program: program, dir: dir, settings: settings, address: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	if err := s.Restart(); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// Restart starts the server if it is stopped, on the port it had, and returns when it answers.
func (s *Server) Restart() error {
	if s.process != nil {
		return nil
	}
	config := fmt.Sprintf("listen: %q\nhttp: \"127.0.0.1:-1\"\nports_file_dir: %q\nlog_file: %q\n%s\n",
		s.address, s.dir, filepath.Join(s.dir, "log"), strings.Join(s.settings, "\n"))
	file := filepath.Join(s.dir, "config")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return err
	}
	cmd := exec.Command(s.program, "-c", file)
	cmd.Dir = s.dir
	process, err := child.Start(cmd, filepath.Join(s.dir, "log"), syscall.SIGKILL)
	if err != nil {
		return err
	}
	s.process = process
	ports := filepath.Join(s.dir, fmt.Sprintf("%s_%d.ports", filepath.Base(s.program), process.ID()))
	for until := time.Now().Add(answers); ; {
		if s.listens(ports) {
			return nil
		}
		select {
		case <-process.Done():
			s.process = nil
			log, _ := s.Log()
			return fmt.Errorf("nats-server ended: %w\n%s", process.Err(), log)
		case <-time.After(2 * time.Millisecond): // between two looks at what another process writes
		}
		if time.Now().After(until) {
			log, _ := s.Log()
			return errors.Join(fmt.Errorf("nats-server does not listen\n%s", log), s.Stop())
		}
	}
}

// listens reads the file into which the server writes where it listens, once it does.
func (s *Server) listens(ports string) bool {
	var at struct{ Nats, Monitoring []string }
	text, err := os.ReadFile(ports)
	if err != nil || json.Unmarshal(text, &at) != nil || len(at.Nats) == 0 || len(at.Monitoring) == 0 {
		return false // it is not there, or half of it
	}
	u, err := url.Parse(at.Nats[0])
	if err != nil {
		return false
	}
	s.address, s.monitoring = u.Host, at.Monitoring[0]
	return true
}

// URL is the DSN, the same after every Restart.
func (s *Server) URL() string { return "nats://" + s.address }

// Address is the host and port.
func (s *Server) Address() string { return s.address }

// Clients is the number of connections to the server.
func (s *Server) Clients() (int, error) {
	answer, err := http.Get(s.monitoring + "/varz")
	if err != nil {
		return 0, err
	}
	var is struct{ Connections int }
	err = json.NewDecoder(answer.Body).Decode(&is)
	return is.Connections, errors.Join(err, answer.Body.Close())
}

// Pause stops the process where it is: its sockets stay open and nothing is read from them.
func (s *Server) Pause() error { return s.process.Pause() }

// Resume lets it go on.
func (s *Server) Resume() error { return s.process.Resume() }

// Stop kills the server.
func (s *Server) Stop() error {
	if s.process == nil {
		return nil
	}
	err := s.process.End(syscall.SIGKILL, answers)
	s.process = nil
	return err
}

// Process is what runs, to see whether it ends; nil while the server is stopped. A Restart makes another.
func (s *Server) Process() *child.Process { return s.process }

// Close kills the server and removes its folder.
func (s *Server) Close() error { return errors.Join(s.Stop(), os.RemoveAll(s.dir)) }

// Log is what the server has written into its log since the folder was made.
func (s *Server) Log() (string, error) {
	text, err := os.ReadFile(filepath.Join(s.dir, "log"))
	return string(text), err
}
