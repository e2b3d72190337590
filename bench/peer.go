package bench

import (
	"context"
	"os/exec"
)

// peer is a target that is not Roomlog: a command, and the dialect of its clients.
type peer struct {
	called  string
	able    ability
	there   func() error                        // nil, or what is to be built or installed first
	command func(addr, dir string) *exec.Cmd    // serves on addr; may write to dir
	health  func(context.Context, string) error // of an address; nil: it takes connections
	speaks  func(addr string) dialect           // for the process that listens there
}

func (p peer) name() string { return p.called }

func (p peer) can() ability { return p.able }

func (p peer) built() error { return p.there() }

func (o peer) start(ctx context.Context) (server, error) {
	p, err := startProcess(ctx, o.command, o.health)
	if err != nil {
		return nil, err
	}
	return struct {
		*process
		dialect
	}{process: p, dialect: o.speaks(p.addr)}, nil
}
