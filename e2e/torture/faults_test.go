package torture

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"roomlog/history"
)

// pause stops the process with SIGSTOP for a time, as a long collection or a busy host would, and lets it go on.
func (n *node) pause(ctx context.Context, d time.Duration) error {
	cmd, _ := n.current()
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	wait(ctx, d)
	return cmd.Process.Signal(syscall.SIGCONT)
}

// stopNode asks the node to end while it is loaded, and starts it again (I25).
func (r *run) stopNode(ctx context.Context) error {
	line := history.Line{Op: history.OpStop, Client: "judge", TMono: history.Now(), Result: history.OK}
	err := r.node.stop()
	if line.TEnd = history.Now(); err != nil {
		line.Result, line.Reason = history.Fail, err.Error()
	}
	r.rec.Add(line)
	wait(ctx, time.Duration(r.rng.IntN(300))*time.Millisecond)
	return r.node.start(ctx)
}

// lodgers follow with tokens that run out: some refresh them for a while, and all come back with a new one.
func (r *run) lodgers(n int) error {
	key, err := r.node.key()
	if err != nil {
		return err
	}
	for i := range n {
		name := fmt.Sprintf("lodger-%d", i)
		f := &follower{
			name: name, transport: "ws", room: roomName(i % rooms), base: r.proxies[i%proxies].Addr().String(),
			rec: r.rec, rng: r.draw(), position: "0",
		}
		f.refresh = func() (string, time.Duration) {
			token, err := sign(key, name, everything, lodging)
			if err != nil {
				panic(err)
			}
			return token, lodging
		}
		r.followers = append(r.followers, f)
	}
	return nil
}
