package app

import (
	"time"

	"golang.org/x/sys/unix"
)

// uptime is the clock that goes on while the machine is suspended, which Go's monotonic one does not.
func uptime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) != nil { // a kernel older than any that Go runs on
		return 0
	}
	return time.Duration(t.Nano())
}
