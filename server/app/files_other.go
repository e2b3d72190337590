//go:build !unix

package app

import "time"

// openFiles is how many files this process may have open at once; 0: it is not known.
func openFiles() uint64 { return 0 }

// processCPU is the CPU time that this process has taken; 0: it is not known.
func processCPU() time.Duration { return 0 }
