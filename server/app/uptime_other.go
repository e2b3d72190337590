//go:build !linux

package app

import "time"

var origin = time.Now()

// uptime is Go's monotonic clock. Where that stands still while the machine is suspended, a suspension is no pause, and
// connections find out by their pings.
func uptime() time.Duration { return time.Since(origin) }
