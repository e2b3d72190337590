package bench

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// peersDir is where `make peers` puts the servers of bench/peers: beside this binary.
var peersDir = func() string {
	binary, err := os.Executable()
	if err != nil {
		return "peers"
	}
	return filepath.Join(filepath.Dir(binary), "peers")
}()

func init() {
	plain := func(string) dialect { return plainDialect{} }
	peers = []target{
		builtPeer("floor", 0, "floor", plain),
		builtPeer("floor-coalesced", 0, "floor", plain, "--coalesce"),
		builtPeer("gws", 0, "gws", plain),
		builtPeer("centrifuge", resumes, "centrifuge", func(string) dialect { return centrifugeDialect{history: true} }),
		builtPeer("centrifuge-no-history", 0, "centrifuge", func(string) dialect { return centrifugeDialect{} }, "--history=false"),
		builtPeer("socketio", resumes, "socketio", func(string) dialect { return socketioDialect{} }),
	}
}

// builtPeer is a program of bench/peers, started with args.
func builtPeer(name string, able ability, program string, speaks func(addr string) dialect, args ...string) peer {
	path := func() string { return filepath.Join(peersDir, program) }
	return peer{
		called: name,
		able:   able,
		there: func() error {
			if _, err := os.Stat(path()); errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("%s is not there; `make peers` builds it", path())
			} else if err != nil {
				return err
			}
			if program == "socketio" {
				if _, err := exec.LookPath("node"); err != nil {
					return errors.New("it needs Node.js 20 or newer as node in PATH")
				}
			}
			return nil
		},
		command: func(addr, _ string) *exec.Cmd {
			return exec.Command(path(), append([]string{"--listen", addr}, args...)...)
		},
		speaks: speaks,
	}
}
