package transport

import (
	"bufio"
	"net"
	"net/http"
	"time"
)

// timely is a response that its peer has to take within a time, from its first byte on: one who reads a byte
// a second would hold a whole page of events for days. A wait for the answer is not in it, and what takes
// the connection over has deadlines of its own.
type timely struct {
	http.ResponseWriter
	within time.Duration
	begun  bool
}

func (a *timely) begin() {
	if !a.begun {
		a.begun = true
		_ = http.NewResponseController(a.ResponseWriter).SetWriteDeadline(time.Now().Add(a.within)) // not every writer in tests can
	}
}

// WriteHeader implements http.ResponseWriter.
func (a *timely) WriteHeader(status int) {
	a.begin()
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *timely) Write(p []byte) (int, error) {
	a.begin()
	return a.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (a *timely) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Hijack implements http.Hijacker, which the WebSocket handshake asks for.
func (a *timely) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(a.ResponseWriter).Hijack()
}
