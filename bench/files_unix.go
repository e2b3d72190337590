//go:build unix

package bench

import (
	"fmt"
	"syscall"
)

// spareFiles is what a run needs open besides its connections.
const spareFiles = 256

// raiseFiles lets this process and those it starts open as many files as may be.
func raiseFiles() error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	if l.Cur >= l.Max {
		return nil
	}
	l.Cur = l.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l)
}

// enoughFiles says what to raise where connections cannot all be opened.
func enoughFiles(connections int) error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	if want := uint64(connections + spareFiles); uint64(l.Cur) < want {
		return fmt.Errorf("it opens %d connections, and this process may have %d open files: raise the hard limit (`ulimit -Hn %d`), or ask for fewer",
			connections, l.Cur, want)
	}
	return nil
}
