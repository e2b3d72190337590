package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// Options are those of [Run].
type Options struct {
	// Listen is the TCP address that clients connect to. Default 127.0.0.1:0.
	Listen string
	// To is the TCP address that is forwarded to. Required.
	To string
	// Control, unless empty, is the TCP address on which [Proxy.Handler] is served. Whoever
	// reaches it can cut connections: keep it on loopback.
	Control string
	// Script, unless empty, is a file with a [Script]. When it ends, the proxy goes on.
	Script string
	// Out hears one line per address, and one per step of the script. Default: nothing.
	Out io.Writer
}

func (o Options) withDefaults() Options {
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
	return o
}

// Run proxies until ctx ends; then it closes everything and returns nil. It returns an error when
// it cannot start or cannot go on.
func Run(ctx context.Context, o Options) error {
	o = o.withDefaults()
	script, err := loadScript(o.Script)
	if err != nil {
		return err
	}
	p, err := Listen(o.Listen, o.To)
	if err != nil {
		return err
	}
	defer p.Close()
	fmt.Fprintf(o.Out, "proxy    %s -> %s\n", p.Addr(), o.To)

	running, stop := context.WithCancelCause(ctx)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer stop(nil)
	if o.Control != "" {
		listener, err := net.Listen("tcp", o.Control)
		if err != nil {
			return fmt.Errorf("listen for the control: %w", err)
		}
		fmt.Fprintf(o.Out, "control  http://%s\n", listener.Addr())
		parts.Go(func() { stop(serveControl(running, listener, p)) })
	}
	if script != nil {
		fmt.Fprintf(o.Out, "script   %s, seed %d\n", o.Script, script.Seed)
		err := script.Run(running, p, func(s Step) { fmt.Fprintln(o.Out, s) })
		if err != nil && running.Err() == nil {
			return err
		}
	}
	<-running.Done()
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(running)
}

// serveControl serves until ctx ends; it returns why it ended before, or nil.
func serveControl(ctx context.Context, listener net.Listener, p *Proxy) error {
	server := &http.Server{Handler: p.Handler(), ReadHeaderTimeout: 10 * time.Second}
	release := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer release()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the control: %w", err)
	}
	return nil
}

func loadScript(file string) (*Script, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the script: %w", err)
	}
	script, err := ParseScript(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return script, nil
}
