//go:build unix

package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"roomlog/child"
	"roomlog/server/store/postgres/pgtest"
)

// startWithin bounds the start of each part, and stopWithin its end: longer than a node allows itself.
const (
	startWithin = 60 * time.Second
	stopWithin  = 20 * time.Second
)

// cluster is all that runs, with the folder that it lives in.
type cluster struct {
	options
	dir   string
	parts []*part // in the order of their start

	storeDSN string
	busDSN   string // empty: there is none
}

// part is a program that runs, or that a command has ended.
type part struct {
	name  string // such as "node a"
	at    string // its address
	log   string // its file
	stop  func() error
	again func(context.Context) error // starts it once more, at the same address, and waits until it answers; nil: it cannot
	away  bool                        // ended by a command
	*child.Process
}

// run starts a cluster, says where it is, and stops it when ctx ends (then it returns nil) or one of its parts does.
func run(ctx context.Context, o options) (err error) {
	if o.program, err = filepath.Abs(o.program); err != nil {
		return err
	}
	c := &cluster{options: o}
	if c.dir, err = os.MkdirTemp("", "roomlog-cluster-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	// PostgreSQL may run as another user, who has to reach its own folder in this one.
	if err := os.Chmod(c.dir, 0o711); err != nil {
		return err
	}
	if err := c.start(ctx); err != nil {
		if ctx.Err() != nil { // told to end before it was up
			return nil
		}
		return err
	}
	fmt.Print(c.describe())
	dead := c.wait(ctx)
	if dead == nil {
		fmt.Println("\nstopping")
		return nil
	}
	return fmt.Errorf("%s has ended (%w), and the cluster with it; the end of its log:\n%s", dead.name, dead.how(), tail(dead.log))
}

// start starts the parts, each when those it needs are there.
func (c *cluster) start(ctx context.Context) error {
	balancer, err := findHAProxy() // before anything is started
	if err != nil {
		return err
	}
	if err := c.startPostgres(ctx); err != nil {
		return err
	}
	if err := buses[c.bus](c); err != nil {
		return err
	}
	if err := c.startNodes(ctx); err != nil {
		return err
	}
	return c.startBalancer(ctx, balancer)
}

func (c *cluster) startPostgres(ctx context.Context) error {
	dir, err := c.folder("postgres")
	if err != nil {
		return err
	}
	server, err := pgtest.Start(ctx, pgtest.Options{Dir: dir})
	if err != nil {
		return err
	}
	c.storeDSN = server.DSN("")
	p := &part{
		name: "PostgreSQL", at: c.storeDSN, log: filepath.Join(dir, "log"), Process: server.Process(),
		stop: func() error { return server.Stop(pgtest.Fast) },
	}
	p.again = func(ctx context.Context) error {
		err := server.Restart(ctx)
		p.Process = server.Process()
		return err
	}
	c.parts = append(c.parts, p)
	return nil
}

// startNodes starts all nodes at once: which of them makes the tables is for them to settle.
func (c *cluster) startNodes(ctx context.Context) error {
	var flags []string
	for _, name := range []string{"key", "cluster-key"} {
		file, err := c.key(name)
		if err != nil {
			return err
		}
		if name == "key" || c.busDSN != "" {
			flags = append(flags, "--"+name+"-file", file)
		}
	}
	if c.busDSN != "" {
		flags = append(flags, "--bus", c.busDSN)
	}
	for i := range c.nodes {
		name := string(rune('a' + i))
		dir, err := c.folder("node-" + name)
		if err != nil {
			return err
		}
		args := append([]string{"dev", "--node", name, "--store", c.storeDSN, "--data", dir, "--trusted-proxies", "127.0.0.1"}, flags...)
		listen := func(at string) *exec.Cmd { return exec.Command(c.program, append(args, "--listen", at)...) }
		p, err := c.run("node "+name, dir, listen("127.0.0.1:0"), syscall.SIGTERM)
		if err != nil {
			return err
		}
		p.again = func(ctx context.Context) error {
			if err := p.launch(listen(strings.TrimPrefix(p.at, "http://"))); err != nil {
				return err
			}
			return p.until(ctx, func() bool { return answers(ctx, p.at+"/readyz") })
		}
	}
	for _, p := range c.parts[len(c.parts)-c.nodes:] {
		var err error
		if p.at, err = p.address(ctx, printedURL); err != nil {
			return err
		}
	}
	return nil
}

// printedURL is how a node says where it is.
var printedURL = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// run starts a program as a part, with its log in the folder dir; sig is what stops it.
func (c *cluster) run(name, dir string, cmd *exec.Cmd, sig syscall.Signal) (*part, error) {
	p := &part{name: name, log: filepath.Join(dir, "log")}
	p.stop = func() error { return p.End(sig, stopWithin) }
	if err := p.launch(cmd); err != nil {
		return nil, err
	}
	c.parts = append(c.parts, p)
	return p, nil
}

// launch starts the program of a part, in the folder of its log.
func (p *part) launch(cmd *exec.Cmd) error {
	cmd.Dir = filepath.Dir(p.log)
	// Whatever becomes of this program, its children do not outlive it.
	process, err := child.Start(cmd, p.log, syscall.SIGKILL)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.Process = process
	return nil
}

// address waits until the log of a part has what is looked for.
func (p *part) address(ctx context.Context, what *regexp.Regexp) (found string, err error) {
	return found, p.until(ctx, func() bool {
		text, _ := os.ReadFile(p.log)
		found = what.FindString(string(text))
		return found != ""
	})
}

// until asks another process again and again until it is as it should be, has ended, or took too long.
func (p *part) until(ctx context.Context, is func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for !is() {
		select {
		case <-pace.C:
		case <-p.Done():
			return fmt.Errorf("%s has ended while starting (%w):\n%s", p.name, p.how(), tail(p.log))
		case <-ctx.Done():
			return fmt.Errorf("%s is not up: %w\n%s", p.name, ctx.Err(), tail(p.log))
		}
	}
	return nil
}

// how says in what way a part has ended.
func (p *part) how() error {
	if err := p.Err(); err != nil {
		return err
	}
	return errors.New("exit status 0")
}

// close ends what was started, the last first, and removes the folder.
func (c *cluster) close() error {
	var errs []error
	for _, p := range slices.Backward(c.parts) {
		if err := p.stop(); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", p.name, err))
		}
	}
	if c.keep {
		fmt.Println("kept:", c.dir)
	} else {
		errs = append(errs, os.RemoveAll(c.dir))
	}
	return errors.Join(errs...)
}

// folder makes a folder of the cluster.
func (c *cluster) folder(name string) (string, error) {
	dir := filepath.Join(c.dir, name)
	return dir, os.Mkdir(dir, 0o700)
}

// key makes a file with a random key.
func (c *cluster) key(name string) (string, error) {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // never fails: crypto/rand ends the program instead
	file := filepath.Join(c.dir, name)
	return file, os.WriteFile(file, []byte(hex.EncodeToString(raw[:])+"\n"), 0o600)
}

// describe says where everything is.
func (c *cluster) describe() string {
	var b strings.Builder
	balancer := len(c.parts) - 1
	fmt.Fprintf(&b, "\n  Roomlog on %d nodes\n\n  %s\n\n", c.nodes, c.parts[balancer].at)
	for _, p := range slices.Concat(c.parts[balancer-c.nodes:balancer], c.parts[:balancer-c.nodes]) {
		fmt.Fprintf(&b, "  %-11s %s\n", p.name, p.at)
	}
	fmt.Fprintf(&b, "  logs        %s/*/log\n", c.dir)
	b.WriteString("\n  Ctrl-C stops it all")
	if !c.keep {
		b.WriteString(" and removes the folder")
	}
	b.WriteString(".\n")
	if c.commands {
		fmt.Fprintf(&b, "  %s\n", commandsWords)
	}
	b.WriteString("\n")
	return b.String()
}

// tail is the end of a log.
func tail(log string) string {
	text, err := os.ReadFile(log)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return "  " + strings.Join(lines[max(0, len(lines)-12):], "\n  ")
}

// answers reports whether a GET is answered by 200.
func answers(ctx context.Context, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}
