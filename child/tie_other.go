//go:build unix && !linux

package child

import "syscall"

// tie does nothing where a child cannot be tied to its parent: there a killed program leaves its children.
func tie(*syscall.SysProcAttr, syscall.Signal) {}

// stopped does not wait where it cannot be asked without reaping the child: a thread of it may go on for a moment.
func stopped(int) error { return nil }
