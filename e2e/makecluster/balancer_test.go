//go:build linux

package makecluster

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"roomlog/child"
	"roomlog/deploy"
)

// haproxy finds the program; `make test` installs one where there is none.
func haproxy(t *testing.T) string {
	t.Helper()
	for _, name := range []string{os.Getenv("ROOMLOG_HAPROXY"), "haproxy", "/usr/sbin/haproxy"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("HAProxy is missing: apt-get install haproxy, or run scripts/deps.sh")
	return ""
}

// The configuration that deploy/compose.yaml gives to HAProxy is taken by it as it is, without a warning.
func TestHAProxyTakesTheConfigurationOfCompose(t *testing.T) {
	at := filepath.Join(root, "deploy")
	check := exec.Command(haproxy(t), "-c", "-dW", "-f", filepath.Join(at, "haproxy.cfg"), "-f", filepath.Join(at, "haproxy.docker.cfg"))
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// backend stands for a node.
type backend struct {
	*httptest.Server
	unready   atomic.Bool
	forwarded atomic.Pointer[http.Header] // of the last request that was no check
}

func newBackend(t *testing.T, name string) *backend {
	b := &backend{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" {
			if b.unready.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return
		}
		b.forwarded.Store(&r.Header)
		_, _ = io.WriteString(w, name)
	}))
	t.Cleanup(b.Close)
	return b
}

// balancer is HAProxy in front of backends.
type balancer struct {
	t   *testing.T
	url string
	log string
}

func balance(t *testing.T, backends map[string]*backend) *balancer {
	t.Helper()
	dir := t.TempDir()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	file, err := listener.(*net.TCPListener).File()
	must(t, err)
	defer file.Close()
	var nodes []deploy.Node
	for name, b := range backends {
		nodes = append(nodes, deploy.Node{Name: name, Address: b.Listener.Addr().String()})
	}
	common, places := filepath.Join(dir, "haproxy.cfg"), filepath.Join(dir, "places.cfg")
	must(t, os.WriteFile(common, deploy.HAProxy, 0o600))
	must(t, os.WriteFile(places, deploy.Places("fd@3", nodes), 0o600))
	cmd := exec.Command(haproxy(t), "-db", "-f", common, "-f", places)
	cmd.ExtraFiles = []*os.File{file}
	b := &balancer{t: t, url: "http://" + listener.Addr().String(), log: filepath.Join(dir, "log")}
	p, err := child.Start(cmd, b.log, syscall.SIGKILL)
	must(t, err)
	t.Cleanup(func() { _ = p.End(syscall.SIGTERM, long) })
	return b
}

// get asks for a path and gives the body; any status but 200 is a failure.
func (b *balancer) get(client *http.Client, path string, head http.Header) string {
	b.t.Helper()
	status, text := b.ask(client, path, head)
	if status != http.StatusOK {
		b.t.Fatalf("%s: %d %s", path, status, text)
	}
	return text
}

func (b *balancer) ask(client *http.Client, path string, head http.Header) (status int, text string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.url+path, nil)
	must(b.t, err)
	req.Header = head
	resp, err := client.Do(req)
	must(b.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(b.t, err)
	return resp.StatusCode, string(body)
}

// led asks again and again until a backend answers: the log is ahead of where requests are led.
func (b *balancer) led(to string) {
	b.t.Helper()
	for until := time.Now().Add(long); ; {
		status, text := b.ask(http.DefaultClient, "/", nil)
		if text == to {
			return
		}
		if time.Now().After(until) {
			b.t.Fatalf("%s never answers, at last %d %s", to, status, text)
		}
	}
}

// until waits for a text in the log.
func (b *balancer) until(text string) string {
	b.t.Helper()
	for until := time.Now().Add(long); ; time.Sleep(10 * time.Millisecond) { // between two looks at what another process writes
		log, err := os.ReadFile(b.log)
		must(b.t, err)
		if strings.Contains(string(log), text) {
			return string(log)
		}
		if time.Now().After(until) {
			b.t.Fatalf("the log never has %q:\n%s", text, log)
		}
	}
}

// from makes connections that come from another address of this machine.
func from(address string) *http.Client {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	return &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
}

// Requests take turns; those for a node that has just gone are tried with another.
func TestANodeThatIsGoneCostsNoRequest(t *testing.T) {
	a, b := newBackend(t, "a"), newBackend(t, "b")
	front := balance(t, map[string]*backend{"a": a, "b": b})
	seen := map[string]int{}
	for range 10 {
		seen[front.get(http.DefaultClient, "/", nil)]++
	}
	if seen["a"] != 5 || seen["b"] != 5 {
		t.Errorf("ten requests went to %v", seen)
	}
	a.Close()
	for range 10 {
		if got := front.get(http.DefaultClient, "/", nil); got != "b" {
			t.Errorf("answered by %q", got)
		}
	}
}

// When no node is ready, the nodes are asked all the same: what they say helps a client more than a page of the balancer.
func TestNodesThatAreNotReadyAnswerForThemselves(t *testing.T) {
	a, b := newBackend(t, "a"), newBackend(t, "b")
	front := balance(t, map[string]*backend{"a": a, "b": b})
	a.unready.Store(true)
	front.until("Server nodes/a is DOWN")
	b.unready.Store(true)
	front.until("backend nodes has no server available!")
	front.led("a") // b was the only one to answer before
	seen := map[string]int{}
	for range 10 {
		seen[front.get(http.DefaultClient, "/", nil)]++
	}
	if seen["a"] != 5 || seen["b"] != 5 {
		t.Errorf("ten requests went to %v", seen)
	}
	a.unready.Store(false)
	front.until("Server nodes/a is UP")
	for turns := 0; turns < 3; { // without a ready node, no node would answer three times in a row
		if turns++; front.get(http.DefaultClient, "/", nil) != "a" {
			turns = 0
		}
	}
}

// The client's address is the last of X-Forwarded-For, whatever it claims; who comes from this machine's own is not named.
func TestWhoComesIsSaid(t *testing.T) {
	a := newBackend(t, "a")
	front := balance(t, map[string]*backend{"a": a})
	front.get(from("127.0.0.2"), "/", http.Header{"X-Forwarded-For": {"203.0.113.9"}})
	if got := strings.Join((*a.forwarded.Load())["X-Forwarded-For"], ", "); got != "203.0.113.9, 127.0.0.2" {
		t.Errorf("a visitor is forwarded as %q", got)
	}
	front.get(http.DefaultClient, "/", nil)
	if got := (*a.forwarded.Load())["X-Forwarded-For"]; got != nil {
		t.Errorf("this machine is forwarded as %q", got)
	}
}

// What stands in a query is not logged; a path arrives as it was sent.
func TestQueriesAreNotLogged(t *testing.T) {
	a := newBackend(t, "a")
	front := balance(t, map[string]*backend{"a": a})
	front.get(http.DefaultClient, "/v1/rooms/chat%2Fa?token=canary", nil)
	if log := front.until("/v1/rooms/chat%2Fa"); strings.Contains(log, "canary") {
		t.Errorf("the log has the token:\n%s", log)
	}
}
