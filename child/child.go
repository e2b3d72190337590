//go:build unix

// Package child runs programs that end with this one, however it ends, and are not left behind. Each is in a process
// group of its own, so that an interrupt at the terminal is for this program alone, which then stops them in its order.
package child

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Process is a running or ended program. Its methods may be called concurrently.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how it ended; valid once done is closed
}

// Start starts cmd with its output appended to the file log, which is made (mode 0644) when it is missing. When this
// program ends without having ended the child, the child gets the signal death, on Linux; elsewhere it stays.
func Start(cmd *exec.Cmd, log string, death syscall.Signal) (*Process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	tie(cmd.SysProcAttr, death)
	p := &Process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	// The child is told of the death of the thread that started it, so the thread lives as long as the child.
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	return p, <-started
}

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says how the program ended; nil while it runs, and for exit code 0.
func (p *Process) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// ID is the id of the process, and of its group.
func (p *Process) ID() int { return p.cmd.Process.Pid }

// Signal sends a signal to the program; one that has ended is left alone.
func (p *Process) Signal(sig os.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// Pause stops the program as it stands, until Resume, and returns when nothing of it runs any more.
func (p *Process) Pause() error {
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	return stopped(p.ID())
}

// Resume lets a paused program go on.
func (p *Process) Resume() error { return p.Signal(syscall.SIGCONT) }

// End sends a signal and waits until the program has ended. One that is paused is woken, since it could not hear. After
// the timeout its whole group is killed, and that is the error.
func (p *Process) End(sig os.Signal, timeout time.Duration) error {
	if err := errors.Join(p.Signal(sig), p.Signal(syscall.SIGCONT)); err != nil {
		return err
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
		err := fmt.Errorf("still running %s after %s", timeout, sig)
		if kill := syscall.Kill(-p.ID(), syscall.SIGKILL); kill != nil {
			return errors.Join(err, kill)
		}
		<-p.done
		return err
	}
}
