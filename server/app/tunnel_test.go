package app

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// dig makes a tunnel.
func dig(t *testing.T, a *App) tunnelState {
	t.Helper()
	var made tunnelState
	if status := ask(t, "POST", a.About().URL+"/v1/dev/tunnels", "", "", &made); status != http.StatusCreated {
		t.Fatalf("make a tunnel: %d", status)
	}
	return made
}

func TestTunnelHoldsEverythingUntilItIsLeft(t *testing.T) {
	a := begin(t, t.TempDir())
	made := dig(t, a)
	if made.Open || made.ID == "" {
		t.Fatalf("made %+v", made)
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(made.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	get := func() { fmt.Fprint(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") }
	read := func() error {
		response, err := http.ReadResponse(answers, nil)
		if err == nil {
			response.Body.Close()
		}
		return err
	}
	get()
	if err := read(); err != nil {
		t.Fatalf("through the tunnel that is not open: %v", err)
	}

	var state tunnelState
	at := a.About().URL + "/v1/dev/tunnels/" + made.ID
	if made.Control != at {
		t.Errorf("it is controlled at %s, not at %s", made.Control, at)
	}
	ask(t, "POST", at, "", `{"open":true}`, &state)
	if !state.Open || state.Connections != 1 {
		t.Fatalf("in the tunnel: %+v", state)
	}
	get()
	_ = conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond)) // a bounded wait: nothing may come
	if err := read(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("in the tunnel an answer or an end came: %v", err)
	}
	_ = conn.SetReadDeadline(time.Time{})
	ask(t, "POST", at, "", `{"open":false}`, &state)
	if state.Open {
		t.Fatalf("out of the tunnel: %+v", state)
	}
	if err := read(); err != nil {
		t.Fatalf("after the tunnel: %v", err)
	}
	if status := ask(t, "DELETE", at, "", "", nil); status != http.StatusNoContent {
		t.Fatalf("delete: %d", status)
	}
	if status := ask(t, "GET", at, "", "", nil); status != http.StatusNotFound {
		t.Fatalf("after delete: %d", status)
	}
}

func TestTunnelTakesFaultsAndRefusesNonsense(t *testing.T) {
	a := begin(t, t.TempDir())
	at := a.About().URL + "/v1/dev/tunnels/" + dig(t, a).ID
	var state tunnelState
	if status := ask(t, "POST", at, "", `{"kind":"delay","delay_ms":20}`, &state); status != 200 || len(state.Faults) != 1 || state.Open {
		t.Errorf("delay: %d %+v", status, state)
	}
	for _, body := range []string{``, `[]`, `{}`, `{"open":"yes"}`, `{"kind":"dlay"}`, `{"kind":"delay"}`, `{"kind":"cut","x":1}`} {
		var problem struct{ Code string }
		if status := ask(t, "POST", at, "", body, &problem); status != 400 || problem.Code != "bad_request" {
			t.Errorf("%q: %d %s", body, status, problem.Code)
		}
	}
	var problem struct{ Code string }
	if status := ask(t, "POST", at, "", `{"open":`+strings.Repeat(" ", maxTunnelBody)+`true}`, &problem); status != 413 {
		t.Errorf("large body: %d %s", status, problem.Code)
	}
}

func TestTunnelsAreForThisMachineAndItsPages(t *testing.T) {
	a := begin(t, t.TempDir())
	for name, change := range map[string]func(*http.Request){
		"another host":   func(r *http.Request) { r.Host = "evil.example" },
		"another origin": func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
	} {
		request, err := http.NewRequestWithContext(t.Context(), "POST", a.About().URL+"/v1/dev/tunnels", nil)
		if err != nil {
			t.Fatal(err)
		}
		change(request)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %d", name, response.StatusCode)
		}
	}
}

func TestThereAreNoTunnelsOutsideDev(t *testing.T) {
	a, err := New(t.Context(), Config{Key: testKey, Origins: []string{"none"}, Listen: "127.0.0.1:0", Data: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		http.DefaultClient.CloseIdleConnections()
		if err := a.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/v1/dev/tunnels", "/v1/dev/token?user=x", "/"} {
		if status := ask(t, "GET", a.About().URL+path, "", "", nil); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
}

func TestUnusedTunnelsMakeRoomAndAreSwept(t *testing.T) {
	a := begin(t, t.TempDir())
	first := dig(t, a)
	for range maxTunnels {
		dig(t, a)
	}
	if status := ask(t, "GET", a.About().URL+"/v1/dev/tunnels/"+first.ID, "", "", nil); status != http.StatusNotFound {
		t.Errorf("the oldest unused tunnel is still there: %d", status)
	}
	if n := len(a.tunnels.byName); n != maxTunnels {
		t.Errorf("%d tunnels, want %d", n, maxTunnels)
	}
	kept := dig(t, a)
	conn, err := net.Dial("tcp", strings.TrimPrefix(kept.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for len(a.tunnels.byName[kept.ID].proxy.Conns()) == 0 { // until the proxy has taken the connection
		if t.Context().Err() != nil {
			t.Fatal("the tunnel never saw its connection")
		}
	}
	a.tunnels.sweep(time.Now().Add(tunnelIdle))
	if _, left := a.tunnels.byName[kept.ID]; !left || len(a.tunnels.byName) != 1 {
		t.Errorf("after the sweep %d are left; want the one with a connection", len(a.tunnels.byName))
	}
}
