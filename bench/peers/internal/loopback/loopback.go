// Package loopback is how each peer listens: on the loopback alone, with its address on standard output
// once it can be dialled, until SIGTERM or SIGINT.
package loopback

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

// Flag is --listen, which every peer has.
var Flag = flag.String("listen", "127.0.0.1:0", "loopback address to listen on; port 0 takes a free one")

// Listen parses the command line, listens on the address it names and gives a context that ends with
// SIGTERM or SIGINT. It ends the process where it cannot. Call Ready when connections are taken.
func Listen() (context.Context, *net.TCPListener) {
	flag.Parse()
	addr, err := net.ResolveTCPAddr("tcp", *Flag)
	if err != nil {
		Fail(err)
	}
	if !addr.IP.IsLoopback() {
		Fail(fmt.Errorf("%s is no loopback address: a peer has no access control", *Flag))
	}
	listener, err := net.ListenTCP("tcp", addr)
	if err != nil {
		Fail(err)
	}
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	return ctx, listener
}

// Ready says where the peer listens, as the only line on standard output.
func Ready(addr net.Addr) { fmt.Println(addr) }

// Serve gives each request to h until ctx ends. Connections that were upgraded end with the process.
func Serve(ctx context.Context, l net.Listener, h http.Handler) {
	s := &http.Server{Handler: h}
	context.AfterFunc(ctx, func() { s.Close() })
	Ready(l.Addr())
	if err := s.Serve(l); err != http.ErrServerClosed {
		Fail(err)
	}
}

// Fail ends the process.
func Fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
