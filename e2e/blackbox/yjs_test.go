package blackbox

import (
	"bufio"
	"io"
	"math/rand/v2"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"roomlog/chaos"
)

// yjsClients runs a script of clients of Yjs, which is to end well within a minute. It does what the script asks for by a line, and answers.
func yjsClients(t *testing.T, orders map[string]func(), script string, args ...string) {
	t.Helper()
	cmd := exec.Command("node", append([]string{script}, args...)...)
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
	for lines := bufio.NewScanner(out); lines.Scan(); {
		order := orders[lines.Text()]
		if order == nil {
			t.Errorf("the clients say %q", lines.Text())
			continue
		}
		order()
		if _, err := io.WriteString(in, "done\n"); err != nil {
			break // they have ended, and say why
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("the clients: %v\n%s", err, told.String())
	}
}

// proxied starts a server, and proxies before it.
func proxied(t *testing.T, data string, many int) (s *server, host string, proxies []*chaos.Proxy) {
	t.Helper()
	s = start(t, data)
	at, err := url.Parse(s.url)
	must(t, err)
	for range many {
		proxy, err := chaos.Listen("127.0.0.1:0", at.Host)
		must(t, err)
		t.Cleanup(func() { _ = proxy.Close() })
		proxies = append(proxies, proxy)
	}
	return s, at.Host, proxies
}

// reading is a token that may only read.
func reading(t *testing.T, data string) string {
	t.Helper()
	token, err := exec.Command(binary, "token", "--user", "rita", "--rooms", "pad:*", "--can", "read", "--data", data).Output()
	must(t, err)
	return strings.TrimSpace(string(token))
}

// Unmodified clients of y-websocket: equal texts through cuts, carets seen, not stolen, and gone; who may only read; who may not enter.
// YWS-1 to YWS-7, YWS-9.
func TestYWebsocket(t *testing.T) {
	data, cuts := t.TempDir(), 0
	s, host, proxies := proxied(t, data, 1)
	yjsClients(t, map[string]func(){"cut": func() { cuts += proxies[0].CutAll() }},
		"yjs.mjs", "ws://"+host, "ws://"+proxies[0].Addr().String(), s.token("ada"), s.token("ben"), reading(t, data))
	if cuts < 3 {
		t.Errorf("%d connections were cut, want 3 at least", cuts)
	}
	s.stop()
}

// Unmodified clients of Hocuspocus: the same, and what is said to be saved is; several documents on one connection. HOC-1 to HOC-9.
func TestHocuspocus(t *testing.T) {
	data, cuts := t.TempDir(), 0
	s, host, proxies := proxied(t, data, 1)
	yjsClients(t, map[string]func(){
		"cut":   func() { cuts += proxies[0].CutAll() },
		"stall": func() { must(t, proxies[0].Set(chaos.Fault{Kind: chaos.Blackhole, Direction: chaos.Up})) },
		"heal":  func() { proxies[0].Heal() },
	}, "hocuspocus.mjs", "ws://"+host, "ws://"+proxies[0].Addr().String(), s.token("ada"), s.token("ben"), reading(t, data))
	if cuts < 3 {
		t.Errorf("%d connections were cut, want 3 at least", cuts)
	}
	s.stop()
}

// y-websocket, Hocuspocus and our own client write one document at once through tunnels: all have the same in the end, as the server has it, and
// each text is there once. YWS-3, YWS-4, HOC-4, HOC-5, DOC-4, DOC-5.
func TestThreeKindsOfClients(t *testing.T) {
	seed := rand.Uint64N(1 << 31)
	t.Logf("seed %d", seed)
	s, host, proxies := proxied(t, t.TempDir(), 3)
	healed := make(chan struct{})
	var tunnels sync.WaitGroup
	done := sync.OnceFunc(func() { close(healed); tunnels.Wait() })
	defer done()
	for i, p := range proxies {
		tunnels.Go(func() { tunnel(t, p, rand.New(rand.NewPCG(seed, uint64(i))), healed) })
	}
	args := []string{host}
	for _, p := range proxies {
		args = append(args, p.Addr().String())
	}
	yjsClients(t, map[string]func(){"heal": done}, "three.mjs", append(args, s.token("ada"), strconv.FormatUint(seed, 10))...)
	s.stop()
}

// tunnel does to a proxy what tunnels do, one thing after the other, until it is healed.
func tunnel(t *testing.T, p *chaos.Proxy, draw *rand.Rand, healed <-chan struct{}) {
	cuts := 0
	for {
		select {
		case <-time.After(time.Duration(draw.IntN(500)+50) * time.Millisecond):
		case <-healed:
			p.Heal()
			if cuts == 0 {
				t.Error("no connection of this tunnel was cut")
			}
			return
		}
		p.Heal()
		fault := chaos.Fault{Kind: chaos.Blackhole}
		switch draw.IntN(5) {
		case 0, 1:
			cuts += p.CutAll()
			continue
		case 2:
			fault = chaos.Fault{Kind: chaos.CutAfter, Bytes: int64(draw.IntN(2000)), Times: 1}
		case 3:
			fault.Direction = []chaos.Direction{chaos.Up, chaos.Down}[draw.IntN(2)]
		}
		if err := p.Set(fault); err != nil {
			t.Error(err)
		}
	}
}
