package app

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"
)

// A request whose body never comes does not hold a stop up: what it asked for was not begun (CLOSE-7).
func TestStopCutsWhatNeverComes(t *testing.T) {
	a := begin(t, t.TempDir())
	var made struct{ Token string }
	ask(t, http.MethodGet, a.About().URL+"/v1/dev/token?user=mira", "", "", &made)
	conn, err := net.Dial("tcp", a.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v1/rooms/chat:a/events HTTP/1.1\r\nHost: roomlog\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n", made.Token)
	line, err := bufio.NewReader(conn).ReadString('\n') // the handler is reading the body
	if err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatal(line, err)
	}
	began := time.Now()
	if err := a.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took >= a.cfg.StopWithin {
		t.Errorf("it took all of %v that a stop may take", took)
	}
}

// A server that is asked to stop is not ready at once, and serves for as long as a balancer needs to notice (HTTP-13).
func TestStopIsAnnounced(t *testing.T) {
	a, err := New(t.Context(), Config{Dev: true, Listen: "127.0.0.1:0", Data: t.TempDir(), DrainWait: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	drained, over := make(chan time.Duration, 1), make(chan time.Time)
	a.after = func(d time.Duration) <-chan time.Time { drained <- d; return over }
	if err := a.Start(); err != nil {
		t.Fatal(err)
	}
	url := a.About().URL
	if status := ask(t, http.MethodGet, url+"/readyz", "", "", nil); status != http.StatusOK {
		t.Fatalf("before the stop /readyz is %d", status)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- a.Stop(context.Background()) }()
	if d := <-drained; d != time.Hour {
		t.Errorf("it waits for %v", d)
	}
	var made struct{ Token string }
	if status := ask(t, http.MethodGet, url+"/v1/dev/token?user=mira", "", "", &made); status != http.StatusOK {
		t.Errorf("while it waits a token is %d", status)
	}
	body := `{"tag":"0192f0c1-7d1a-7b8e-9a53-0f2b6a4c1d2e","type":"message","data":1}`
	if status := ask(t, http.MethodPost, url+"/v1/rooms/chat:a/events", made.Token, body, nil); status != http.StatusCreated {
		t.Errorf("while it waits a send is %d", status)
	}
	var problem struct{ Code string }
	if status := ask(t, http.MethodGet, url+"/readyz", "", "", &problem); status != http.StatusServiceUnavailable || problem.Code != "going_away" {
		t.Errorf("while it waits /readyz is %d %s", status, problem.Code)
	}
	http.DefaultClient.CloseIdleConnections()
	close(over)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if _, err := http.Get(url + "/readyz"); err == nil {
		t.Error("it still listens")
	}
}
