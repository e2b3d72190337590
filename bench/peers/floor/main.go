// Command floor is the least that a server can do: it takes WebSocket connections, and writes what one of
// them sends to each that has joined the room. It is one thread around epoll, with no goroutine, buffer or
// timer per connection; what it costs is what the system calls cost. It keeps nothing, checks nothing, pings
// nobody, and lets the backlog of a slow reader grow.
//
// The protocol has one text frame per message:
//
//	join ROOM            answered by: joined
//	send ID ROOM BODY    answered by: ack ID
//
// and BODY alone to each connection that has joined ROOM. With --coalesce everything that was sent to a room
// while the thread was busy goes to a connection in one write; without, each delivery is a write of its own.
package main

import (
	"context"
	"flag"
	"os"
	"runtime"

	"roomlog/bench/peers/internal/loopback"
)

var coalesce = flag.Bool("coalesce", false, "write everything gathered for a connection at once")

func main() {
	ctx, listener := loopback.Listen()
	addr := listener.Addr()
	context.AfterFunc(ctx, func() { os.Exit(0) })
	runtime.LockOSThread()
	s, err := newServer(listener, *coalesce)
	if err != nil {
		loopback.Fail(err)
	}
	loopback.Ready(addr)
	loopback.Fail(s.run())
}
