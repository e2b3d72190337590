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
