//go:build unix

package child

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// long is more than any of these programs takes, and is waited for only by a test that fails.
const long = time.Minute

func start(t *testing.T, script string) (*Process, string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	p, err := Start(exec.Command("sh", "-c", script), log, syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.End(syscall.SIGKILL, long) })
	return p, log
}

func TestHowItEndedIsKnown(t *testing.T) {
	p, log := start(t, "echo said; echo louder >&2; exit 3")
	<-p.Done()
	if err := p.Err(); err == nil || err.Error() != "exit status 3" {
		t.Errorf("ended as %v", err)
	}
	if text, err := os.ReadFile(log); err != nil || string(text) != "said\nlouder\n" {
		t.Errorf("the log has %q, %v", text, err)
	}
	if err := p.End(syscall.SIGTERM, long); err != nil {
		t.Errorf("end what has ended: %v", err)
	}
}

// A program that is paused does nothing more from the moment that is said, nor does one that has ended hold anybody up.
func TestAPausedProgramDoesNothing(t *testing.T) {
	p, log := start(t, "while :; do echo more; done")
	size := func() int64 {
		info, err := os.Stat(log)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	for range 20 {
		if err := p.Pause(); err != nil {
			t.Fatal(err)
		}
		before := size()
		for range 1_000 {
			runtime.Gosched()
		}
		if after := size(); after != before {
			t.Fatalf("it wrote %d bytes while it was paused", after-before)
		}
		if err := p.Resume(); err != nil {
			t.Fatal(err)
		}
		for size() == before {
			runtime.Gosched()
		}
	}
	if err := p.End(syscall.SIGKILL, long); err != nil {
		t.Error(err)
	}
	if err := p.Pause(); err != nil {
		t.Errorf("pause what has ended: %v", err)
	}
}

// A paused program cannot hear that it should end until it is woken.
func TestAPausedProgramEnds(t *testing.T) {
	p, _ := start(t, "exec sleep 1000")
	if err := p.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := p.End(syscall.SIGTERM, long); err != nil {
		t.Error(err)
	}
	if p.Err() == nil {
		t.Error("it ended by itself")
	}
}

// What does not listen is killed, with what it has started: the pipe that both hold is closed.
func TestTheGroupIsKilled(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	cmd := exec.Command("sh", "-c", "trap '' TERM; (trap '' TERM; echo up >&3; sleep 1000) & wait; sleep 1000")
	cmd.ExtraFiles = []*os.File{write}
	p, err := Start(cmd, filepath.Join(t.TempDir(), "log"), syscall.SIGKILL)
	if err := errors.Join(err, write.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(read, make([]byte, len("up\n"))); err != nil {
		t.Fatal(err)
	}
	if err := p.End(syscall.SIGTERM, time.Millisecond); err == nil {
		t.Error("it is said to have listened")
	}
	if _, err := io.ReadAll(read); err != nil {
		t.Error(err)
	}
}

func TestWhatIsNoProgram(t *testing.T) {
	if _, err := Start(exec.Command("/nowhere/program"), filepath.Join(t.TempDir(), "log"), syscall.SIGKILL); err == nil {
		t.Error("it is said to have started")
	}
}

func TestFreePort(t *testing.T) {
	for range 100 {
		port, err := FreePort()
		if err != nil || port < 1024 || port >= 32768 {
			t.Fatalf("port %d, %v", port, err)
		}
	}
}
