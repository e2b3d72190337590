package torture

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// outsiders are followers in a process of their own, which can be stopped and killed as a laptop can. It gets what it
// is to do in its environment, and ends once it has reached the heads that it is told on its standard input.
type outsiders struct {
	plan outsiderPlan

	cmd   *exec.Cmd
	stdin io.WriteCloser
}

// outsiderPlan is what the process is told.
type outsiderPlan struct {
	File  string // of its history
	Base  string
	Token string
	Name  string
	Rooms []string // one follower in each, by turns over each transport
	Seed  uint64
}

// planVariable holds the plan, as JSON; a test binary that has it is such a process.
const planVariable = "ROOMLOG_TORTURE_OUTSIDERS"

func (o *outsiders) start() error {
	plan, err := json.Marshal(o.plan)
	if err != nil {
		return err
	}
	o.cmd = exec.Command(os.Args[0])
	o.cmd.Env = append(os.Environ(), planVariable+"="+string(plan))
	o.cmd.Stdout, o.cmd.Stderr = os.Stderr, os.Stderr
	o.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if o.stdin, err = o.cmd.StdinPipe(); err != nil {
		return err
	}
	return o.cmd.Start()
}

// kill ends the process as kill -9 does and starts it again: it knows nothing of what it was given before.
func (o *outsiders) kill() error {
	_ = o.cmd.Process.Kill()
	_ = o.cmd.Wait()
	return o.start()
}

// pause stops the process for a time, as a lid that is closed would.
func (o *outsiders) pause(ctx context.Context, d time.Duration) error {
	if err := o.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	wait(ctx, d)
	return o.cmd.Process.Signal(syscall.SIGCONT)
}

// finish tells the process the heads that it is to reach, and waits until it has.
func (o *outsiders) finish(heads map[string]int64) error {
	text, err := json.Marshal(heads)
	if err == nil {
		_, err = o.stdin.Write(append(text, '\n'))
	}
	overdue := time.AfterFunc(settle, func() { _ = o.cmd.Process.Kill() })
	defer overdue.Stop()
	return errors.Join(err, o.cmd.Wait())
}

// follow is the life of such a process.
func (p outsiderPlan) follow() error {
	rec, err := newRecorder(p.File)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var following sync.WaitGroup
	var followers []*follower
	for i, room := range p.Rooms {
		f := &follower{
			name: fmt.Sprintf("%s-%d", p.Name, i), transport: []string{"ws", "sse", "poll"}[i%3], room: room, base: p.Base,
			token: p.Token, rec: rec, rng: rand.New(rand.NewPCG(p.Seed, uint64(i))), position: "0",
		}
		followers = append(followers, f)
		following.Go(func() { f.run(ctx) })
	}
	var heads map[string]int64
	if line, err := bufio.NewReader(os.Stdin).ReadBytes('\n'); err != nil {
		return fmt.Errorf("read the heads: %w", err)
	} else if err := json.Unmarshal(line, &heads); err != nil {
		return err
	}
	for {
		late, moved := rec.behind(followers, heads)
		if len(late) == 0 {
			break
		}
		<-moved // a process that never gets there is killed
	}
	cancel()
	following.Wait()
	for what, times := range rec.violations() {
		err = errors.Join(err, fmt.Errorf("no fault excuses this, seen %d times: %s", times, what))
	}
	return errors.Join(err, rec.Close())
}
