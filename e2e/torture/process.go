// Package torture runs the real server process under seeded faults, with clients of every transport,
// and has the recorded history checked.
package torture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"roomlog/child"
)

// node is one server process that can be killed and started again on the same address and store.
type node struct {
	binary string
	addr   string
	store  string
	dir    string
	name   string   // as the history has it; "" where there is one node
	base   []string // the command, before the address and the store; nil: dev
	args   []string // besides those that every node has; set before start
	env    []string // besides this process's own

	mu   sync.Mutex
	cmd  *exec.Cmd
	log  *os.File
	dead chan struct{} // closed when cmd has ended
	exit error         // how it ended; valid once dead is closed
}

// stopTimeout bounds the end of a process that was asked to end: most of it is the server's own, since what is queued takes a
// busy machine a while.
const stopTimeout = 40 * time.Second

// newNode prepares a node with a data folder of its own. store is "sqlite" or a Postgres URL.
func newNode(binary, dir, store string) (*node, error) {
	port, err := child.FreePort()
	if err != nil {
		return nil, err
	}
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	if store == "sqlite" {
		store = "sqlite:" + filepath.Join(dir, "roomlog.db")
	}
	log, err := os.OpenFile(filepath.Join(dir, "server.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	return &node{binary: binary, addr: addr, store: store, dir: dir, log: log}, err
}

// start starts the process and waits until it answers.
func (n *node) start(ctx context.Context) error {
	n.mu.Lock()
	base := n.base
	if base == nil {
		base = []string{"dev"}
	}
	cmd := exec.Command(n.binary, slices.Concat(base, []string{"--listen", n.addr, "--store", n.store, "--stop-within", "30s"}, n.args)...)
	cmd.Dir = n.dir
	cmd.Env = append(os.Environ(), n.env...)
	cmd.Stdout, cmd.Stderr = n.log, n.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		n.mu.Unlock()
		return err
	}
	n.cmd, n.dead = cmd, make(chan struct{})
	dead := n.dead
	go func() {
		n.exit = cmd.Wait()
		close(dead)
	}()
	n.mu.Unlock()
	return n.ready(ctx, dead)
}

func (n *node) ready(ctx context.Context, dead <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.addr+"/healthz", nil)
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				tick.Stop()
				return nil
			}
		}
		select {
		case <-dead:
			return errors.New("the server ended while starting; see server.log")
		case <-ctx.Done():
			return errors.New("the server does not answer /healthz")
		case <-tick.C:
		}
	}
}

// kill ends the process at once, as kill -9 does, and waits until it is gone. A process that had ended by
// itself is an error: no client could have told its crash from ours.
func (n *node) kill() error {
	if cmd, dead := n.current(); cmd != nil {
		select {
		case <-dead:
			return fmt.Errorf("the server ended by itself: %w", n.exit)
		default:
		}
		_ = cmd.Process.Kill()
		<-dead
	}
	return nil
}

// stop asks the process to end, and says how it did.
func (n *node) stop() error {
	cmd, dead := n.current()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("the server ended by itself: %w", err)
	}
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-dead:
		return n.exit
	case <-timer.C:
		return errors.Join(errors.New("the server does not end on SIGTERM"), n.kill())
	}
}

func (n *node) current() (*exec.Cmd, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cmd, n.dead
}

// faults are the lines of the server's log that no run may have: it is built with the race detector, whose
// reports would otherwise go with the processes that are killed.
func (n *node) faults() ([]string, error) {
	text, err := os.ReadFile(n.log.Name())
	var found []string
	for line := range strings.Lines(string(text)) {
		for _, mark := range []string{"WARNING: DATA RACE", "panic: ", "panic serving", "fatal error: "} {
			if strings.Contains(line, mark) {
				found = append(found, line)
			}
		}
	}
	return found, err
}

// logged is a line of the server's log.
type logged struct {
	Time time.Time `json:"time"`
	Msg  string    `json:"msg"`
	Peer string    `json:"peer"`
}

// said finds the lines of the server's log with a message.
func (n *node) said(msg string) (found []logged, err error) {
	text, err := os.ReadFile(n.log.Name())
	for line := range strings.Lines(string(text)) {
		var l logged
		if json.Unmarshal([]byte(line), &l) == nil && strings.HasPrefix(l.Msg, msg) {
			found = append(found, l)
		}
	}
	return found, err
}

// token asks the server for a development token.
func (n *node) token(user string) (string, error) {
	resp, err := http.Get("http://" + n.addr + "/v1/dev/token?user=" + user)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var body struct {
		Token string `json:"token"`
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, 1<<16)).Decode(&body)
	if err == nil && body.Token == "" {
		err = fmt.Errorf("no token: status %d", resp.StatusCode)
	}
	return body.Token, err
}

// door is where a client connects, and the node behind it.
type door struct{ addr, node string }

// rounds gives the doors of a cluster by turns, beginning anywhere: each connection is to another node than the one before.
func rounds(rng *rand.Rand, doors []door) func() door {
	next := rng.IntN(len(doors))
	return func() door {
		next = (next + 1) % len(doors)
		return doors[next]
	}
}
