//go:build unix

// Package redistest starts private Redis servers for tests: on free loopback ports, in temporary folders, without
// persistence. They can be stopped, paused and flushed, and make a Redis Cluster. The program is the one that
// ROOMLOG_REDIS_SERVER names, or redis-server.
package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/rueidis"

	"roomlog/child"
)

// Env names the environment variable with the path of the program.
const Env = "ROOMLOG_REDIS_SERVER"

// Program is the program that is started by default.
func Program() (string, error) {
	name := os.Getenv(Env)
	if name == "" {
		name = "redis-server"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%w: apt-get install redis-server, or name the program in %s", err, Env)
	}
	return path, nil
}

// Server is one server. Its methods are called by one goroutine.
type Server struct {
	program string
	dir     string
	port    int
	args    []string
	process *child.Process // nil while it is stopped
}

// answers is how long a server may take to start or to end.
const answers = 20 * time.Second

// Start starts a server with further arguments, such as "--requirepass", "x". An empty program is Program's.
func Start(program string, args ...string) (*Server, error) {
	dir, err := os.MkdirTemp("", "roomlog-redis-")
	if err != nil {
		return nil, err
	}
	s, err := StartIn(dir, program, args...)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// StartIn is Start in an existing folder, which Close removes.
func StartIn(dir, program string, args ...string) (*Server, error) {
	if program == "" {
		var err error
		if program, err = Program(); err != nil {
			return nil, err
		}
	}
	port, err := child.FreePort()
	if err != nil {
		return nil, err
	}
	s := &Server{program: program, dir: dir, port: port, args: args}
	if err := s.Restart(); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// Address is the host and port, the same after every Restart.
func (s *Server) Address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Restart starts the server if it is stopped, and returns when it answers.
func (s *Server) Restart() error {
	if s.process != nil {
		return nil
	}
	args := append([]string{
		"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--appendonly", "no",
		"--daemonize", "no", "--logfile", filepath.Join(s.dir, "log"),
	}, s.args...)
	cmd := exec.Command(s.program, args...)
	cmd.Dir = s.dir
	var err error
	if s.process, err = child.Start(cmd, filepath.Join(s.dir, "log"), syscall.SIGKILL); err != nil {
		s.process = nil
		return err
	}
	for until := time.Now().Add(answers); ; {
		conn, err := net.Dial("tcp", s.Address())
		if err == nil {
			return conn.Close()
		}
		if s.process.Err() != nil || time.Now().After(until) {
			log, _ := s.Log()
			return fmt.Errorf("redis-server does not answer: %w\n%s", errors.Join(err, s.process.Err()), log)
		}
		time.Sleep(5 * time.Millisecond) // between two attempts to reach another process
	}
}

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

// Pause stops the process where it is: its sockets stay open and nothing is read from them.
func (s *Server) Pause() error { return s.process.Pause() }

// Resume lets it go on.
func (s *Server) Resume() error { return s.process.Resume() }

// Close kills the server and removes its folder.
func (s *Server) Close() error { return errors.Join(s.Stop(), os.RemoveAll(s.dir)) }

// Log is what the server has written into its log since the folder was made.
func (s *Server) Log() (string, error) {
	text, err := os.ReadFile(filepath.Join(s.dir, "log"))
	return string(text), err
}

// Do runs a command and gives its answer as text.
func (s *Server) Do(ctx context.Context, args ...string) (string, error) {
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{s.Address()}, ForceSingleClient: true, DisableCache: true, PipelineMultiplex: -1,
		Password: s.password(), ClientName: "redistest",
	})
	if err != nil {
		return "", err
	}
	defer client.Close()
	answer, err := client.Do(ctx, client.B().Arbitrary(args...).Build()).ToAny()
	if err != nil {
		return "", fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return fmt.Sprint(answer), nil
}

func (s *Server) password() string {
	for n, arg := range s.args {
		if arg == "--requirepass" {
			return s.args[n+1]
		}
	}
	return ""
}

// Clients counts the connections that buses have to the server.
func (s *Server) Clients(ctx context.Context) (int, error) {
	list, err := s.Do(ctx, "CLIENT", "LIST")
	if err != nil {
		return 0, err
	}
	return strings.Count(list, " name=roomlog "), nil
}
