package yjs

import (
	"time"

	"golang.org/x/sys/unix"
)

// worked is the CPU time of this thread: what it waits for others to be done with a core is not in it.
func worked() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err) // every Linux has it
	}
	return time.Duration(t.Nano())
}
