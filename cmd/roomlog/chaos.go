package main

import (
	"context"
	"os/signal"
	"syscall"

	"roomlog/chaos"
)

// chaosCommand runs a TCP proxy that injects faults, until it is interrupted.
type chaosCommand struct {
	Listen  string `default:"127.0.0.1:0" help:"Address to take connections on; port 0 takes a free one."`
	To      string `required:"" placeholder:"ADDRESS" help:"Address to forward to."`
	Control string `placeholder:"ADDRESS" help:"Address of the HTTP commands: GET /, POST /fault, /heal, /cut. Keep it on loopback."`
	Script  string `type:"existingfile" placeholder:"FILE" help:"Schedule of faults, one step per line."`
}

// Run forwards until SIGINT or SIGTERM.
func (k *chaosCommand) Run(c *console) error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	err := chaos.Run(ctx, chaos.Options{Listen: k.Listen, To: k.To, Control: k.Control, Script: k.Script, Out: c.out})
	if ctx.Err() != nil { // ended as asked; newer Go gives the signal as the cause
		return nil
	}
	return err
}
