//go:build unix

package app

import (
	"syscall"
	"time"
)

// openFiles is how many files and connections this process may have open at once; 0: it is not known. The
// runtime has raised the soft limit to the hard one by now.
func openFiles() uint64 {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	return uint64(l.Cur)
}

// processCPU is the CPU time that this process has taken.
func processCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
