//go:build !linux

package yjs

import "time"

var loaded = time.Now()

// worked stands for the CPU time of this thread with the time that passes: only where the machine does little else.
func worked() time.Duration { return time.Since(loaded) }
