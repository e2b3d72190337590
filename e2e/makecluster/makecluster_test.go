//go:build linux

package makecluster

import (
	"context"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
)

// `make cluster` with each bus: who is on one node reads at once what is sent on another, through one address, by
// WebSocket and by stream. Then Ctrl-C, and nothing is left.
func TestMakeCluster(t *testing.T) {
	for _, bus := range []string{"redis", "nats"} {
		t.Run(bus, func(t *testing.T) {
			// As it was built for the tests: without the paths of the machine, SQLite would be compiled once more.
			c := start(t, "make", "cluster", "BUS="+bus, "TRIMPATH=")
			if got := c.at[map[string]string{"redis": "Redis", "nats": "NATS"}[bus]]; !strings.HasPrefix(got, bus+"://127.0.0.1:") {
				t.Errorf("the bus is at %q", got)
			}
			for _, node := range []string{"a", "b", "c"} {
				var health struct{ Node string }
				if get(t, c.at["node "+node]+"/healthz", "", &health); health.Node != node {
					t.Errorf("node %s says that it is %q", node, health.Node)
				}
			}
			talk(t, c)
			signal(t, c)
			c.interrupt()
			if !strings.Contains(c.said.String(), "\nstopping\n") {
				t.Errorf("it says:\n%s", c.said.String())
			}
			c.gone()
		})
	}
}

// talk sends on node a and reads on node c.
func talk(t *testing.T, c *cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	room := "chat:" + uuid.NewString()
	sender := c.dial(ctx, "a", "mira")
	reader := c.dial(ctx, "c", "jonas")
	reader.say(map[string]any{"op": "join", "id": 1, "room": room})
	reader.until("joined")
	streamed := c.follow(ctx, "c", room, "")
	for n := 1; n <= 3; n++ {
		tag, seq := sender.send(room, n)
		for name, next := range map[string]func(string) frame{"socket": reader.until, "stream": streamed.until} {
			got := page(next).Events[0]
			if got.Tag != tag || got.Seq != seq || got.Author != "mira" {
				t.Errorf("the %s on node c reads %+v, want %s at %d", name, got, tag, seq)
			}
		}
	}
	// Who comes from this very address gets a dev token, as above; for anybody else the balancer says that they do not.
	visitor := from("127.0.0.2")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.open+"/v1/dev/token?user=visitor", nil)
	must(t, err)
	resp, err := visitor.Do(req)
	must(t, err)
	must(t, resp.Body.Close())
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("a visitor asks for a dev token: %s", resp.Status)
	}
}

// What ends by itself ends everything, and is named.
func TestAPartThatEnds(t *testing.T) {
	c := start(t, "scripts/cluster.sh", "--nodes", "2")
	must(t, syscall.Kill(c.process("node-b"), syscall.SIGKILL))
	c.wait()
	if c.result == nil || !strings.Contains(c.said.String(), "cluster: node b has ended (signal: killed)") {
		t.Errorf("it ends with %v and says:\n%s", c.result, c.said.String())
	}
	c.gone()
}

// A program that is killed cannot clean up, but its parts do not outlive it.
func TestAKilledCluster(t *testing.T) {
	c := start(t, "scripts/cluster.sh", "--nodes", "1")
	t.Cleanup(func() { must(t, os.RemoveAll(c.dir)) })
	watched := c.processes()
	if len(watched) < 4 {
		t.Fatalf("too few to be a cluster: %v", watched)
	}
	must(t, c.cmd.Process.Kill())
	c.wait()
	for until := time.Now().Add(long); len(c.processes()) > 0; {
		if time.Now().After(until) {
			t.Fatalf("still there: %v", c.processes())
		}
		time.Sleep(10 * time.Millisecond) // between two looks at other processes
	}
}
