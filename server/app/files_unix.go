//go:build unix

package app

import "syscall"

// openFiles is how many files and connections this process may have open at once; 0: it is not known. The
// runtime has raised the soft limit to the hard one by now.
func openFiles() uint64 {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	return uint64(l.Cur)
}
