//go:build linux

package makecluster

import (
	"io"
	"os"
	"strings"
	"testing"
)

// Commands end parts and start them again where they were, which ends nothing else; the end of the commands ends all.
func TestCommands(t *testing.T) {
	for _, bus := range []string{"redis", "nats"} {
		t.Run(bus, func(t *testing.T) { command(t, bus) })
	}
}

func command(t *testing.T, bus string) {
	in, w, err := os.Pipe()
	must(t, err)
	t.Cleanup(func() { _ = w.Close() })
	c := startWith(t, in, "env", "BUS="+bus, "scripts/cluster.sh", "--nodes", "2", "--commands")
	must(t, in.Close())
	commands := []string{"restart Node A", "kill node b", "start node b", "restart " + bus, "restart postgresql"}
	refused := []string{"start node a", "restart haproxy", "stop node z", "pause node a"}
	for _, line := range append(commands, refused...) {
		_, err := io.WriteString(w, line+"\n")
		must(t, err)
	}
	must(t, w.Close())
	c.wait()
	if c.result != nil {
		t.Errorf("it ends with %v", c.result)
	}
	for _, line := range commands {
		if !strings.Contains(c.said.String(), "\n= "+line+"\n") {
			t.Errorf("%q is not done:\n%s", line, c.said.String())
		}
	}
	for _, line := range refused {
		if !strings.Contains(c.said.String(), "\n! "+line+": ") {
			t.Errorf("%q is not refused:\n%s", line, c.said.String())
		}
	}
	c.gone()
}
