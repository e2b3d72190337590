//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"

	"roomlog/child"
)

// What there is to say of commands: among the flags, and when all is up.
const (
	commandsHelp  = "take commands from the standard input, such as `restart node a`, and answer each by a line; where it ends, all does"
	commandsWords = "Commands: restart, stop, kill or start, and one of the above, such as: restart node a"
)

// wait obeys commands until ctx ends or no more can come, when it returns nil, or until a part ends without having been
// told to, which it returns.
func (c *cluster) wait(ctx context.Context) *part {
	var watching sync.WaitGroup
	defer watching.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan *child.Process)
	watch := func(process *child.Process) {
		watching.Go(func() {
			select {
			case <-process.Done():
			case <-ctx.Done():
				return
			}
			select {
			case ended <- process:
			case <-ctx.Done():
			}
		})
	}
	for _, p := range c.parts {
		watch(p.Process)
	}
	var commands <-chan string
	if c.commands {
		commands = readLines(ctx)
	}
	for {
		select {
		case process := <-ended:
			// A command may have started another in its place.
			if i := slices.IndexFunc(c.parts, func(p *part) bool { return p.Process == process && !p.away }); i >= 0 {
				return c.parts[i]
			}
		case line, more := <-commands:
			if !more {
				return nil
			}
			started, err := c.obey(ctx, line)
			if started != nil {
				watch(started)
			}
			if err != nil {
				fmt.Printf("! %s: %v\n", line, err)
			} else {
				fmt.Printf("= %s\n", line)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// obey does what a line says. It returns the process that it started, if any.
func (c *cluster) obey(ctx context.Context, line string) (*child.Process, error) {
	verb, name, _ := strings.Cut(line, " ")
	i := slices.IndexFunc(c.parts, func(p *part) bool { return strings.EqualFold(p.name, strings.TrimSpace(name)) })
	if i < 0 {
		return nil, fmt.Errorf("there is no %q", name)
	}
	p := c.parts[i]
	if p.again == nil {
		return nil, fmt.Errorf("%s could not be started again", p.name)
	}
	switch verb {
	case "stop":
		return nil, p.leave(p.stop)
	case "kill":
		return nil, p.leave(func() error { return errors.Join(p.End(syscall.SIGKILL, stopWithin), p.stop()) })
	case "start":
		return p.comeBack(ctx)
	case "restart":
		if err := p.leave(p.stop); err != nil {
			return nil, err
		}
		return p.comeBack(ctx)
	default:
		return nil, fmt.Errorf("it is restart, stop, kill or start, not %q", verb)
	}
}

// leave ends a part in some way.
func (p *part) leave(end func() error) error {
	p.away = true
	return end()
}

// comeBack starts a part that was ended, and returns its new process.
func (p *part) comeBack(ctx context.Context) (*child.Process, error) {
	if !p.away {
		return nil, fmt.Errorf("%s runs", p.name)
	}
	if err := p.again(ctx); err != nil {
		return nil, err
	}
	p.away = false
	return p.Process, nil
}

// readLines gives the lines of the standard input. What reads them ends with the program: a read cannot be called off.
func readLines(ctx context.Context) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			select {
			case lines <- strings.TrimSpace(in.Text()):
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}
