package blackbox

import (
	"bufio"
	"io"
	"net/url"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"roomlog/chaos"
)

// Unmodified clients of y-websocket: equal texts through cuts, carets seen, not stolen, and gone; who may only read; who may not enter.
// YWS-1 to YWS-7, YWS-9.
func TestYWebsocket(t *testing.T) {
	data := t.TempDir()
	s := start(t, data)
	at, err := url.Parse(s.url)
	must(t, err)
	proxy, err := chaos.Listen("127.0.0.1:0", at.Host)
	must(t, err)
	defer proxy.Close()
	reading, err := exec.Command(binary, "token", "--user", "rita", "--rooms", "pad:*", "--can", "read", "--data", data).Output()
	must(t, err)
	cmd := exec.Command("node", "yjs.mjs", "ws://"+at.Host, "ws://"+proxy.Addr().String(), s.token("ada"), s.token("ben"), strings.TrimSpace(string(reading)))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	must(t, err)
	in, err := cmd.StdinPipe()
	must(t, err)
	var told strings.Builder
	cmd.Stderr = &told
	must(t, cmd.Start())
	late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	cuts := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "cut" {
			cuts += proxy.CutAll()
			_, err := io.WriteString(in, "done\n")
			must(t, err)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("the clients: %v\n%s", err, told.String())
	}
	if cuts < 3 {
		t.Errorf("%d connections were cut, want 3 at least", cuts)
	}
	s.stop()
}
