//go:build linux

// Package makecluster runs `make cluster` as a newcomer does, talks through its load balancer, and looks at what is left
// when it has ended.
package makecluster

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const root = "../.."

// long is more than a step takes; it is waited for only by a test that fails.
const long = time.Minute

// building is the same for a start, which may have to build everything first.
const building = 5 * time.Minute

// cluster is a run of `make cluster`, or of the program that it runs.
type cluster struct {
	t      *testing.T
	cmd    *exec.Cmd
	said   bytes.Buffer      // all that it has printed; to be read once it has ended
	open   string            // the address of the load balancer
	at     map[string]string // the other addresses, by what they are of
	dir    string
	ended  chan struct{}
	result error
}

var (
	lineOf  = regexp.MustCompile(`^  (\S.*?)  +(\S+)$`)
	opening = regexp.MustCompile(`^  (http://\S+)$`)
)

// start runs a command in the root of the repository, in a group of its own as a shell does, and reads where everything is.
func start(t *testing.T, command ...string) *cluster {
	t.Helper()
	return startWith(t, nil, command...)
}

// startWith is start with a standard input.
func startWith(t *testing.T, in *os.File, command ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, cmd: exec.Command(command[0], command[1:]...), at: map[string]string{}, ended: make(chan struct{})}
	c.cmd.Dir = root
	if in != nil {
		c.cmd.Stdin = in
	}
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	out, w, err := os.Pipe()
	must(t, err)
	c.cmd.Stdout, c.cmd.Stderr = w, w
	must(t, c.cmd.Start())
	must(t, w.Close())
	up := make(chan struct{})
	go func() {
		defer close(c.ended)
		defer out.Close()
		lines := bufio.NewScanner(io.TeeReader(out, &c.said))
		for lines.Scan() {
			c.read(lines.Text(), up)
		}
		c.result = c.cmd.Wait()
	}()
	t.Cleanup(c.kill)
	select {
	case <-up:
	case <-c.ended:
		t.Fatalf("it ended while starting: %v\n%s", c.result, c.said.String())
	case <-time.After(building):
		t.Fatal("it says nothing of being up")
	}
	return c
}

// read takes one line of what is printed; up is closed at the last of those that say where everything is.
func (c *cluster) read(line string, up chan struct{}) {
	switch found := lineOf.FindStringSubmatch(line); {
	case strings.HasPrefix(line, "  Ctrl-C"):
		close(up)
	case opening.MatchString(line):
		c.open = strings.TrimSpace(line)
	case found != nil && found[1] == "logs":
		c.dir = filepath.Dir(filepath.Dir(found[2]))
	case found != nil:
		c.at[found[1]] = found[2]
	}
}

// interrupt is Ctrl-C at the terminal: every process of the foreground group hears it.
func (c *cluster) interrupt() {
	c.t.Helper()
	must(c.t, syscall.Kill(-c.cmd.Process.Pid, syscall.SIGINT))
	c.wait()
}

// wait waits for the end.
func (c *cluster) wait() {
	c.t.Helper()
	select {
	case <-c.ended:
	case <-time.After(long):
		c.t.Fatal("it does not end")
	}
}

// kill ends what a failed test has left.
func (c *cluster) kill() {
	select {
	case <-c.ended:
		return
	default:
	}
	_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGTERM)
	<-c.ended
}

// processes are those that live in the folder of the cluster: their names by their ids.
func (c *cluster) processes() map[int]string {
	c.t.Helper()
	all, err := os.ReadDir("/proc")
	must(c.t, err)
	found := map[int]string{}
	for _, entry := range all {
		id, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		at, err := os.Readlink(filepath.Join("/proc", entry.Name(), "cwd"))
		if err != nil || !strings.HasPrefix(at, c.dir+"/") {
			continue // it has ended meanwhile, or is somewhere else
		}
		found[id] = strings.Split(strings.TrimPrefix(at, c.dir+"/"), "/")[0]
	}
	return found
}

// gone fails when anything of the cluster is left.
func (c *cluster) gone() {
	c.t.Helper()
	if left := c.processes(); len(left) > 0 {
		c.t.Errorf("still there: %v", left)
	}
	if _, err := os.Stat(c.dir); !errors.Is(err, os.ErrNotExist) {
		c.t.Errorf("the folder %s: %v", c.dir, err)
	}
}

// process is the id of one of the programs, by the folder that it lives in.
func (c *cluster) process(name string) int {
	c.t.Helper()
	for id, at := range c.processes() {
		if at == name {
			return id
		}
	}
	c.t.Fatalf("no process lives in %s", name)
	return 0
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
