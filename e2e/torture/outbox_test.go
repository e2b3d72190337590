package torture

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"roomlog/history"
)

const queuedSends = 1000

// A thousand sends queued by the npm client without a server leave in order and once each, although the server is
// killed twice while they do; what the server refuses for good is told and holds up nothing (I23, SEND-5, SEND-7).
func TestOutbox(t *testing.T) {
	if _, err := os.Stat("../../client/dist/index.js"); err != nil {
		t.Fatalf("the client is not built (make build): %v", err)
	}
	r := alone(t, "--sends-per-second", "300", "--send-burst", "300") // so that no kill comes too late; and refusals come between
	token := r.token("outbox")
	if err := r.node.kill(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "outbox.jsonl")
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command("node", "outbox.mjs", "http://"+r.node.addr, token, roomName(0), strconv.Itoa(queuedSends))
	cmd.Stdout = out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	told, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	lines := bufio.NewScanner(told)
	if !lines.Scan() || lines.Text() != "queued" {
		t.Fatalf("the client says %q", lines.Text())
	}
	r.followers = append(r.followers, &follower{token: r.tokenOfKey("judge")})
	for _, head := range []int64{150, 450, queuedSends - 2} {
		if err := r.node.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r.reach(head); head < queuedSends-2 {
			if now := r.read(roomName(0), "0", 1).Head; now > queuedSends-100 {
				t.Errorf("%d events are stored before the kill: it comes too late to prove anything", now)
			}
			if err := r.node.kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for lines.Scan() {
		t.Error(lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the client: %v", err)
	}
	r.rec.Add(history.Line{Op: history.OpQuiet, Client: "judge"})
	r.readFinal()
	if err := r.node.stop(); err != nil {
		t.Error(err)
	}
	if err := r.rec.Close(); err != nil {
		t.Fatal(err)
	}
	r.others = append(r.others, file)
	r.judge("I2", "I3", "I6", "I23")
}

// tokenOfKey makes a token while the node is down.
func (r *run) tokenOfKey(user string) string {
	key, err := r.node.key()
	if err != nil {
		r.t.Fatal(err)
	}
	token, err := sign(key, user, everything, time.Hour)
	if err != nil {
		r.t.Fatal(err)
	}
	return token
}
