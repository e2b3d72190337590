package child

import (
	"math/rand/v2"
	"net"
	"strconv"
)

// Systems give outgoing connections the ports from 32768 (Linux) or 49152 on.
const lowestPort, highestPort = 10000, 32767

// FreePort is a port of 127.0.0.1 at which nobody listens now. It is none of those that outgoing connections are given: a program that is
// to listen there later, or again after a restart, would otherwise find one of them in its place at times.
func FreePort() (int, error) {
	for attempt := 0; ; attempt++ {
		port := lowestPort + rand.IntN(highestPort-lowestPort+1)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return port, l.Close()
		}
		if attempt == 100 {
			return 0, err
		}
	}
}
