package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"roomlog/child"
)

// process is a server under test, on a free port and with a folder of its own. What it costs is read from the
// operating system.
type process struct {
	dir     string
	command func(addr, dir string) *exec.Cmd
	healthy func(ctx context.Context, addr string) error

	addr string
	cmd  *exec.Cmd
	log  string        // a file
	dead chan struct{} // closed when the process has ended
	exit error         // how it ended; valid once dead is closed
}

// startProcess runs a command and waits until healthy finds nothing wrong; nil means that it takes connections.
func startProcess(ctx context.Context, command func(addr, dir string) *exec.Cmd, healthy func(ctx context.Context, addr string) error) (*process, error) {
	dir, err := os.MkdirTemp("", "roomlog-bench-")
	if err != nil {
		return nil, err
	}
	if healthy == nil {
		healthy = connects
	}
	p := &process{dir: dir, command: command, healthy: healthy}
	if err := p.run(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start server: %w", err), os.RemoveAll(dir))
	}
	return p, nil
}

func connects(ctx context.Context, addr string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return conn.Close()
}

// run starts the command, again where it has ended, and waits until it answers.
func (p *process) run(ctx context.Context) error {
	if err := p.launch(); err != nil {
		return err
	}
	if err := p.ready(ctx); err != nil {
		text, _ := os.ReadFile(p.log)
		return errors.Join(fmt.Errorf("%w\n%s", err, text), p.end())
	}
	return nil
}

func (p *process) launch() (err error) {
	if p.addr, err = freeAddr(); err != nil {
		return err
	}
	p.log = filepath.Join(p.dir, "server.log")
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	cmd := p.command(p.addr, p.dir)
	if cmd.Dir == "" {
		cmd.Dir = p.dir
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = tied()
	if err := cmd.Start(); err != nil {
		return err
	}
	dead := make(chan struct{})
	p.cmd, p.dead = cmd, dead
	go func() {
		p.exit = cmd.Wait()
		close(dead)
	}()
	return nil
}

func freeAddr() (string, error) {
	port, err := child.FreePort()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), err
}

func (p *process) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		err := p.healthy(ctx, p.addr)
		if err == nil {
			return nil
		}
		select {
		case <-p.dead:
			return fmt.Errorf("it ended at once: %w", p.exit)
		case <-ctx.Done():
			return fmt.Errorf("it does not answer: %w", err)
		case <-retry.C:
		}
	}
}

func (p *process) at() string { return p.addr }

func (p *process) usage() (usage, error) { return processUsage(p.cmd.Process.Pid) }

// end ends the process. One that had ended by itself, or ends with a failure, is an error; that it was ended by
// the signal is none.
func (p *process) end() error {
	signal := p.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(10*time.Second, func() { _ = p.cmd.Process.Kill() })
	<-p.dead
	kill.Stop()
	exit := p.exit
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGTERM {
		exit = nil
	}
	return errors.Join(signal, exit)
}

// restart starts the process anew, with its folder, on another port.
func (p *process) restart(ctx context.Context) error {
	if err := p.end(); err != nil {
		return err
	}
	return p.run(ctx)
}

// stop ends the process and removes what it left.
func (p *process) stop() error {
	if err := errors.Join(p.end(), os.RemoveAll(p.dir)); err != nil {
		return fmt.Errorf("stop server: %w", err)
	}
	return nil
}
