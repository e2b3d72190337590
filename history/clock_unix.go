//go:build unix

package history

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Now is the machine's monotonic clock in nanoseconds: processes on one machine share it.
func Now() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(fmt.Sprintf("read the monotonic clock: %v", err)) // every unix has it
	}
	return t.Nano()
}
